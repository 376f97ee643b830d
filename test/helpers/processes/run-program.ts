/** Child processes that must succeed. */

import {spawn} from 'node:child_process';
import {text} from 'node:stream/consumers';
import {patienceMs} from '../until.js';

export type ProgramOptions = {
	/** The text for its standard input. */
	input?: string;
	/** Its complete environment. */
	environment?: Readonly<Record<string, string | undefined>>;
};

/**
 * @returns The text on standard output.
 * @throws with the text on standard error, if the exit code is not 0.
 */
export async function runProgram(command: string, args: readonly string[], {input = '', environment = process.env}: ProgramOptions = {}): Promise<string> {
	const child = spawn(command, args, {
		env: {...environment}, stdio: ['pipe', 'pipe', 'pipe'], timeout: patienceMs, killSignal: 'SIGKILL',
	});
	const exit = new Promise<string>((resolve, reject) => {
		child.once('error', reject);
		child.once('close', (code, signal) => {
			resolve(String(code ?? signal));
		});
	});
	// A program that ends early does not read the rest of its input. Its exit code tells why.
	child.stdin.on('error', () => undefined);
	child.stdin.end(input);
	const [stdout, stderr, how] = await Promise.all([text(child.stdout), text(child.stderr), exit]);
	if (how !== '0') {
		throw new Error(`${[command, ...args].join(' ')} ended with ${how}:\n${stderr}`);
	}

	return stdout;
}
