/** Starts the measured processes: plain Node programs, so that the measuring process does not distort them. */

import {spawn, spawnSync} from 'node:child_process';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';

const pathOf = (program: string) => fileURLToPath(new URL(`programs/${program}`, import.meta.url));

/** No session bus: this machine's keyring is not used. No locale, which changes what Node does at startup. */
const environmentOf = (home: string) => ({PATH: process.env['PATH'] ?? '', HOME: home});

/**
 * Runs a program of `bench/programs`.
 *
 * @returns its standard output.
 * @throws {Error} if it fails.
 */
export function run(program: string, home: string, parameters: readonly string[], nodeArguments: readonly string[] = []): string {
	const {status, stdout, stderr, error} = spawnSync(process.execPath, [...nodeArguments, pathOf(program), ...parameters], {
		env: environmentOf(home), encoding: 'utf8', maxBuffer: 256 * 1024 * 1024,
	});
	if (status !== 0) {
		throw new Error(`${program} failed: ${error?.message ?? stderr}`);
	}

	return stdout;
}

/** A running program that answers each line of JSON with another one: see `programs/conversation.mjs`. */
export class Conversation {
	readonly #name: string;
	readonly #child;
	readonly #lines;

	constructor(program: string, home: string, nodeArguments: readonly string[] = []) {
		this.#name = program;
		this.#child = spawn(process.execPath, [...nodeArguments, pathOf(program)], {env: environmentOf(home), stdio: ['pipe', 'pipe', 'inherit']});
		// A write to an ended process shows in the missing answer.
		this.#child.stdin.on('error', () => undefined);
		this.#lines = createInterface({input: this.#child.stdout})[Symbol.asyncIterator]();
	}

	/** @throws {Error} if the program ends instead of answering. */
	async ask<Answer>(question: object): Promise<Answer> {
		this.#child.stdin.write(`${JSON.stringify(question)}\n`);
		const line = await this.#lines.next() as IteratorResult<string, undefined>;
		if (line.done) {
			throw new Error(`${this.#name} ended early`);
		}

		return JSON.parse(line.value) as Answer;
	}

	/** Closes its standard input, so that it ends regularly. */
	async end(): Promise<void> {
		if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
			return;
		}

		const ended = new Promise(resolve => {
			this.#child.once('close', resolve);
		});
		this.#child.stdin.end();
		await ended;
	}

	/** Ends a program that failed. */
	kill(): void {
		this.#child.kill('SIGKILL');
	}
}

/** Asks one question of a separate process. */
export async function askOnce<Answer>(program: string, home: string, question: object, nodeArguments: readonly string[] = []): Promise<Answer> {
	const conversation = new Conversation(program, home, nodeArguments);
	try {
		const answer = await conversation.ask<Answer>(question);
		await conversation.end();
		return answer;
	} finally {
		conversation.kill();
	}
}
