/** Applications of MSAL for Python with its extensions, in child processes. */

import {type ChildProcessWithoutNullStreams, spawn} from 'node:child_process';
import {once} from 'node:events';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {text} from 'node:stream/consumers';
import type {ExecutionContext} from 'ava';
import {clientId, publicCloud} from '../home.js';
import {debianPython, peersFolder} from './peers.js';

export type PythonJob = {
	store: 'plaintext' | 'keyring';
	/** The cache file. For a keyring, its signal file. */
	cachePath: string;
	/** The embedded endpoint, used as the authority. */
	server: {port: number; ca: string};
	/** The tenant to request tokens for. MSAL for Python finds only tokens that are cached under this tenant name. */
	tenant: string;
};

export type PythonCommand =
	| {do: 'accounts'}
	/** Signs in with the device code flow. */
	| {do: 'signIn'; scopes: string[]}
	| {do: 'silent'; username: string; scopes: string[]; forceRefresh?: boolean}
	| {do: 'signOut'; username: string};

export class PythonProcess {
	/** @param environment The complete environment of the process. */
	static async start(t: ExecutionContext, {server: {port, ca}, tenant, ...job}: PythonJob, environment: Readonly<Record<string, string | undefined>>): Promise<PythonProcess> {
		const child = spawn(debianPython, ['-B', join(peersFolder, 'msal_python_program.py')], {stdio: ['pipe', 'pipe', 'pipe'], env: {...environment}});
		const started = new PythonProcess(child);
		t.teardown(async () => started.#kill());
		started.#send({
			...job, server: {port, ca}, clientId, authority: `https://${publicCloud}/${tenant}`,
		});
		const answer = await started.#next();
		if (answer !== 'ready') {
			throw new Error('The Python process did not answer "ready".');
		}

		return started;
	}

	readonly #child: ChildProcessWithoutNullStreams;
	readonly #lines: AsyncIterator<string, undefined>;
	readonly #stderr: Promise<string>;

	private constructor(child: ChildProcessWithoutNullStreams) {
		this.#child = child;
		this.#lines = createInterface({input: child.stdout})[Symbol.asyncIterator]();
		this.#stderr = text(child.stderr);
		// A program that ends early does not read the rest of its input. Its exit code tells why.
		child.stdin.on('error', () => undefined);
	}

	/** @throws the error that the program reports. */
	async ask<Value = string>(command: PythonCommand): Promise<Value> {
		this.#send(command);
		const answer = await this.#next() as {value: Value} | {error: string};
		if ('error' in answer) {
			throw new Error(answer.error);
		}

		return answer.value;
	}

	/** Returns an access token from the cache or from a refresh grant. */
	async silent(username: string, scope: string, forceRefresh = false): Promise<string> {
		return this.ask({
			do: 'silent', username, scopes: [scope], forceRefresh,
		});
	}

	#send(line: unknown): void {
		this.#child.stdin.write(`${JSON.stringify(line)}\n`);
	}

	async #next(): Promise<unknown> {
		const line = await this.#lines.next();
		if (line.done) {
			throw new Error(`The Python process ended:\n${await this.#stderr}`);
		}

		return JSON.parse(line.value) as unknown;
	}

	async #kill(): Promise<void> {
		if (this.#child.exitCode === null && this.#child.signalCode === null) {
			const exit = once(this.#child, 'exit');
			this.#child.kill('SIGKILL');
			await exit;
		}
	}
}
