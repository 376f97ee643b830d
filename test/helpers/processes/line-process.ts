/** Child processes that read commands from standard input and answer each with a line on standard output. */

import {type ChildProcessWithoutNullStreams, spawn} from 'node:child_process';
import {once} from 'node:events';
import {createInterface} from 'node:readline';
import {text} from 'node:stream/consumers';
import {inTime, patienceMs} from '../until.js';

export class LineProcess {
	readonly pid: number;
	readonly #name: string;
	readonly #child: ChildProcessWithoutNullStreams;
	readonly #lines: AsyncIterator<string, undefined>;
	readonly #stderr: Promise<string>;

	/**
	 * @param name The subject of error messages, such as "The lock process".
	 * @param environment The complete environment of the process.
	 */
	constructor(name: string, [command, ...args]: readonly [string, ...string[]], environment: NodeJS.ProcessEnv) {
		this.#name = name;
		this.#child = spawn(command, args, {stdio: ['pipe', 'pipe', 'pipe'], env: environment});
		this.pid = this.#child.pid ?? 0;
		this.#stderr = text(this.#child.stderr);
		this.#lines = createInterface({input: this.#child.stdout})[Symbol.asyncIterator]();
		// If the process has ended, standard error contains the reason.
		this.#child.stdin.on('error', () => undefined);
	}

	send(line: string): void {
		this.#child.stdin.write(`${line}\n`);
	}

	/**
	 * @returns the next line.
	 * @throws with the text on standard error, if the process has ended, or prints no line for `timeoutMs`.
	 */
	async next(timeoutMs = patienceMs): Promise<string> {
		let line: IteratorResult<string, undefined>;
		try {
			line = await inTime(this.#lines.next(), 'a line', timeoutMs);
		} catch (error) {
			await this.kill();
			throw new Error(`${this.#name}: ${(error as Error).message}\n${await this.#stderr}`, {cause: error});
		}

		if (line.done) {
			throw new Error(`${this.#name} ended:\n${await this.#stderr}`);
		}

		return line.value;
	}

	/** @throws if the next line is not `expected`. */
	async expect(expected: string): Promise<void> {
		const line = await this.next();
		if (line !== expected) {
			throw new Error(`${this.#name} answered ${line} instead of ${expected}.`);
		}
	}

	/** Sends a line. @returns the answer. */
	async exchange(line: string, timeoutMs = patienceMs): Promise<string> {
		this.send(line);
		return this.next(timeoutMs);
	}

	/** @returns the text on standard error, once the process has ended. */
	async stderr(): Promise<string> {
		return this.#stderr;
	}

	signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
		this.#child.kill(signal);
	}

	/** Closes the standard input, so that the process ends when nothing else keeps it alive. @returns its exit code or signal. */
	async end(): Promise<number | string> {
		const exit = once(this.#child, 'exit');
		this.#child.stdin.end();
		const [code, signal] = await inTime(exit, `the end of ${this.#name}`) as [number | null, string | null];
		return code ?? signal ?? '';
	}

	/** Kills the process (SIGKILL) and waits until it has exited. */
	async kill(): Promise<void> {
		if (this.#child.exitCode === null && this.#child.signalCode === null) {
			const exit = once(this.#child, 'exit');
			this.#child.kill('SIGKILL');
			await exit;
		}
	}
}
