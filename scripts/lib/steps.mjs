/** What preparing, linting and testing print: one line per step with its duration, and a log only where something failed. */

import {performance} from 'node:perf_hooks';
import process from 'node:process';
import {styleText} from 'node:util';

/** A step that did not succeed, said in one line, with the log that explains it. */
export class StepFailure extends Error {
	/**
	 * @param {string} message
	 * @param {string} [log] What the failing program printed.
	 */
	constructor(message, log = '') {
		super(message);
		this.name = 'StepFailure';
		this.log = log.trim();
	}
}

/** A step that could not run here, and why. */
export class StepSkipped extends Error {
	name = 'StepSkipped';
}

/** @typedef {{outcome: 'passed' | 'failed' | 'skipped', reason?: string}} StepResult `reason`: one line, unless it passed. */

/**
 * Runs one step and prints its line.
 *
 * @param {string} name
 * @param {() => Promise<string | void>} action Gives what it did, in a few words.
 * @returns {Promise<StepResult>} Never rejects.
 */
export async function step(name, action) {
	const startMs = performance.now();
	const showsProgress = process.stdout.isTTY && !process.env.CI;
	if (showsProgress) {
		process.stdout.write(`  ...           ${name}`);
	}

	/** @type {(mark: string, text: string | void) => void} */
	const finish = (mark, text) => {
		const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
		console.log(`${showsProgress ? '\r\u001B[2K' : ''}  ${mark} ${seconds.padStart(6)} s  ${name}${text ? `: ${text}` : ''}`);
	};

	try {
		finish(colored('green', 'ok  '), await action());
		return {outcome: 'passed'};
	} catch (error) {
		if (error instanceof StepSkipped) {
			finish(colored('yellow', 'skip'), error.message);
			return {outcome: 'skipped', reason: error.message};
		}

		finish(colored('red', 'FAIL'), error instanceof StepFailure ? error.message : String(error?.stack ?? error));
		if (error.log) {
			console.log(error.log.replaceAll(/^(?=.)/gm, '      '));
		}

		return {outcome: 'failed', reason: error instanceof StepFailure ? error.message : 'an unexpected error'};
	}
}

/** @type {(color: string, text: string) => string} */
export function colored(color, text) {
	return process.stdout.isTTY && !process.env.NO_COLOR ? styleText(color, text) : text;
}
