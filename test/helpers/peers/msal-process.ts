/** Applications of MSAL for Node in child processes, with our cache plugin or the one of its extensions. */

import {type ChildProcessWithoutNullStreams, spawn} from 'node:child_process';
import {once} from 'node:events';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {text} from 'node:stream/consumers';
import type {ExecutionContext} from 'ava';
import type {CachePluginOptions} from '../../../dist/cache-api/msal-node-plugin.js';
import {clientId, publicCloud} from '../home.js';
import {peersFolder} from './peers.js';

export type MsalJob = {
	plugin: 'ours' | 'extensions';
	/** For the plugin of the extensions. */
	cachePath?: string;
	/** For our plugin. */
	options?: CachePluginOptions;
	/** The embedded endpoint, used as the authority. */
	server: {port: number; ca: string};
	clientId?: string;
	authority?: string;
};

export type MsalCommand =
	| {do: 'accounts'}
	| {do: 'deviceCode'; scopes: string[]}
	| {do: 'signIn'; refreshTokens: string[]; scopes: string[]}
	| {do: 'silent'; username: string; scopes: string[]; forceRefresh?: boolean}
	| {do: 'signOut'; username: string};

export type MsalToken = {accessToken: string; fromCache: boolean; username: string};

type Answer = {value: unknown} | {error: {name: string; code?: string; message: string}};

const program = join(peersFolder, 'msal-node-program.mjs');

export class MsalProcess {
	static async start(t: ExecutionContext, {server: {port, ca}, ...job}: MsalJob, environment: Readonly<Record<string, string | undefined>>): Promise<MsalProcess> {
		const child = spawn(process.execPath, [program], {stdio: ['pipe', 'pipe', 'pipe'], env: {...environment}});
		const started = new MsalProcess(child);
		t.teardown(async () => started.kill());
		started.#send({
			clientId, authority: `https://${publicCloud}/organizations`, ...job, server: {port, ca},
		});
		const answer = await started.#next();
		if (answer !== 'ready') {
			throw new Error('The MSAL process did not answer "ready".');
		}

		return started;
	}

	readonly #child: ChildProcessWithoutNullStreams;
	readonly #lines: AsyncIterator<string>;
	readonly #stderr: Promise<string>;

	private constructor(child: ChildProcessWithoutNullStreams) {
		this.#child = child;
		this.#lines = createInterface({input: child.stdout})[Symbol.asyncIterator]();
		this.#stderr = text(child.stderr);
		// A program that ends early does not read the rest of its input. Its exit code tells why.
		child.stdin.on('error', () => undefined);
	}

	async accounts(): Promise<string[]> {
		return (await this.ask<string[]>({do: 'accounts'})).toSorted();
	}

	async silent(username: string, scope: string, forceRefresh = false): Promise<MsalToken> {
		return this.ask({
			do: 'silent', username, scopes: [scope], forceRefresh,
		});
	}

	/** @throws the error that the program reports. */
	async ask<Value>(command: MsalCommand): Promise<Value> {
		this.#send(command);
		const answer = await this.#next() as Answer;
		if ('error' in answer) {
			const {name, message, code} = answer.error;
			throw Object.assign(new Error(message), {name, code});
		}

		return answer.value as Value;
	}

	/** Closes the standard input and waits for the exit. @returns the exit code. */
	async end(): Promise<number | null> {
		const exit = once(this.#child, 'exit');
		this.#child.stdin.end();
		const [code] = await exit as [number | null];
		return code;
	}

	async kill(): Promise<void> {
		if (this.#child.exitCode === null && this.#child.signalCode === null) {
			const exit = once(this.#child, 'exit');
			this.#child.kill('SIGKILL');
			await exit;
		}
	}

	#send(value: unknown): void {
		this.#child.stdin.write(`${JSON.stringify(value)}\n`);
	}

	async #next(): Promise<unknown> {
		const {value, done} = await this.#lines.next() as IteratorResult<string, undefined>;
		if (done) {
			throw new Error(`The MSAL process ended:\n${await this.#stderr}`);
		}

		return JSON.parse(value);
	}
}
