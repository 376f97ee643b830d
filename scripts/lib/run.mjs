/** Child processes. Their standard input is closed, so none can wait for a person. */

import {spawn} from 'node:child_process';
import {constants} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {StepFailure} from './steps.mjs';
import {root} from './paths.mjs';

/**
 * @typedef {object} Options
 * @property {Record<string, string | undefined>} [env] Added to this process's environment.
 * @property {string} [cwd]
 * @property {(text: string) => void} [onOutput] Gets the output in pieces, while the program runs.
 */

/**
 * Runs a program in the top folder and collects its output.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {Options} [options]
 * @returns {Promise<{code: number, output: string, stdout: string}>} `code` is 128 + the signal's number for a killed program;
 * `output` is stdout and stderr, interleaved.
 * @throws {StepFailure} if the program cannot be started.
 */
export function run(command, args, {env = {}, cwd = root, onOutput = () => undefined} = {}) {
	return new Promise((resolve, reject) => {
		const child = spawn(command, args, {cwd, env: {...process.env, ...env}, stdio: ['ignore', 'pipe', 'pipe']});
		const output = [];
		const stdout = [];
		child.stdout.on('data', chunk => {
			output.push(chunk);
			stdout.push(chunk);
			onOutput(chunk.toString());
		});
		child.stderr.on('data', chunk => {
			output.push(chunk);
			onOutput(chunk.toString());
		});
		child.on('error', error => {
			reject(new StepFailure(`${command} cannot be started (${error.code})`));
		});
		child.on('close', (code, signal) => {
			resolve({
				code: exitCode(code, signal),
				output: Buffer.concat(output).toString(),
				stdout: Buffer.concat(stdout).toString(),
			});
		});
	});
}

/**
 * Runs a program as {@link run} does.
 *
 * @throws {StepFailure} with the program's output if it does not exit with 0.
 */
export async function runOrFail(command, args, options) {
	const result = await run(command, args, options);
	if (result.code !== 0) {
		// For a script, the name of its package says more than "node".
		const program = command === process.execPath ? /node_modules\/([^/]+)/.exec(args[0])?.[1] ?? 'node' : path.basename(command);
		throw new StepFailure(`${program} ended with ${result.code}`, result.output);
	}

	return result;
}

/**
 * Runs a program that uses this process's terminal.
 *
 * @returns {Promise<number>} See {@link exitCode}.
 */
export function runInForeground(command, args) {
	return new Promise((resolve, reject) => {
		const child = spawn(command, args, {cwd: root, stdio: 'inherit'});
		child.on('error', reject);
		child.on('close', (code, signal) => {
			resolve(exitCode(code, signal));
		});
	});
}

/** The exit code as a shell reports it: 128 + the number of the signal that ended the process, if one did. */
export function exitCode(code, signal) {
	return code ?? 128 + (constants.signals[signal] ?? 0);
}
