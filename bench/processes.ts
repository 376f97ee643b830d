/** The processes that are measured: plain Node programs, so that nothing of the one that measures distorts them. */

import {spawn, spawnSync} from 'node:child_process';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';

const pathOf = (program: string) => fileURLToPath(new URL(`programs/${program}`, import.meta.url));

/**
 * No session bus: a keyring of this machine is neither asked nor measured. No locale, which changes what Node does when it starts.
 */
const environmentOf = (home: string) => ({PATH: process.env['PATH'] ?? '', HOME: home});

/**
 * Runs a program of `bench/programs`.
 *
 * @returns What it printed.
 * @throws {Error} when it failed.
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

/** A program that stays, and answers one line of JSON with another: see `programs/conversation.mjs`. */
export class Conversation {
	readonly #name: string;
	readonly #child;
	readonly #lines;

	constructor(program: string, home: string, nodeArguments: readonly string[] = []) {
		this.#name = program;
		this.#child = spawn(process.execPath, [...nodeArguments, pathOf(program)], {env: environmentOf(home), stdio: ['pipe', 'pipe', 'inherit']});
		// What is written to one that has ended is seen by the missing answer.
		this.#child.stdin.on('error', () => undefined);
		this.#lines = createInterface({input: this.#child.stdout})[Symbol.asyncIterator]();
	}

	/** @throws {Error} when the program ended instead. */
	async ask<Answer>(question: object): Promise<Answer> {
		this.#child.stdin.write(`${JSON.stringify(question)}\n`);
		const line = await this.#lines.next() as IteratorResult<string, undefined>;
		if (line.done) {
			throw new Error(`${this.#name} ended early`);
		}

		return JSON.parse(line.value) as Answer;
	}

	/** Lets it close what it has open. */
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

	/** For one that failed. */
	kill(): void {
		this.#child.kill('SIGKILL');
	}
}

/** One question, in a process of its own. */
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
