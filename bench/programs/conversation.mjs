/** The measured side of `Conversation` in processes.ts. */

import process from 'node:process';
import {createInterface} from 'node:readline';

/**
 * Answers every line of standard input.
 *
 * @param {(question: any) => unknown} answer
 */
export async function converse(answer) {
	for await (const line of createInterface({input: process.stdin})) {
		process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
	}
}
