/** Child processes that have to succeed. */

import {spawn} from 'node:child_process';
import {text} from 'node:stream/consumers';

export type ProgramOptions = {
	/** What it reads on standard input. */
	input?: string;
	/** Its whole environment. */
	environment?: Readonly<Record<string, string | undefined>>;
};

/**
 * @returns What it printed on standard output.
 * @throws with what it printed on standard error, if it does not exit with 0.
 */
export async function runProgram(command: string, args: readonly string[], {input = '', environment = process.env}: ProgramOptions = {}): Promise<string> {
	const child = spawn(command, args, {env: {...environment}, stdio: ['pipe', 'pipe', 'pipe']});
	const exit = new Promise<string>((resolve, reject) => {
		child.once('error', reject);
		child.once('close', (code, signal) => {
			resolve(String(code ?? signal));
		});
	});
	// A program that ends early leaves the rest of its input: its exit tells why.
	child.stdin.on('error', () => undefined);
	child.stdin.end(input);
	const [stdout, stderr, how] = await Promise.all([text(child.stdout), text(child.stderr), exit]);
	if (how !== '0') {
		throw new Error(`${[command, ...args].join(' ')} ended with ${how}:\n${stderr}`);
	}

	return stdout;
}
