/** The output of preparing, linting and testing: one line per step with its duration, and the log of a failed step. */

import {performance} from 'node:perf_hooks';
import process from 'node:process';
import {styleText} from 'node:util';

/** A step failed. The message is one line. */
export class StepFailure extends Error {
	/**
	 * @param {string} message
	 * @param {string} [log] The output of the program that failed.
	 */
	constructor(message, log = '') {
		super(message);
		this.name = 'StepFailure';
		this.log = log.trim();
	}
}

/** A step cannot run on this machine. The message says why. */
export class StepSkipped extends Error {
	name = 'StepSkipped';
}

/** @typedef {{outcome: 'passed' | 'failed' | 'skipped', reason?: string}} StepResult `reason`: one line. Absent if the step passed. */

/** Without a terminal, a long step prints a line this often, milliseconds. */
const reportIntervalMs = 15_000;

/**
 * Runs one step and prints its line.
 *
 * @param {string} name
 * @param {(report: (text: string) => void) => Promise<string | void>} action Returns what it did, in a few words. `report`
 * shows what it does now, beside the elapsed time; only a long step gets it.
 * @param {{isLong?: boolean}} [options] `isLong`: prints a line when the step starts and while it runs, also without a terminal.
 * @returns {Promise<StepResult>} Never rejects.
 */
export async function step(name, action, {isLong = false} = {}) {
	const startMs = performance.now();
	const isTerminal = process.stdout.isTTY && !process.env.CI;
	let doing = '';
	/** @type {(mark: string, text: string | void) => string} */
	const line = (mark, text) => {
		const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
		return `  ${mark} ${seconds.padStart(6)} s  ${name}${text ? `: ${text}` : ''}`;
	};

	const showProgress = () => {
		if (isTerminal) {
			process.stdout.write(`\r\u001B[2K${line('... ', doing).slice(0, (process.stdout.columns ?? 80) - 1)}`);
		} else if (isLong) {
			console.log(line('... ', doing));
		}
	};

	showProgress();
	const timer = setInterval(showProgress, isTerminal ? 1000 : reportIntervalMs);
	const report = text => {
		doing = text;
		if (isTerminal) {
			showProgress();
		}
	};

	const finish = (mark, text) => {
		clearInterval(timer);
		console.log(`${isTerminal ? '\r\u001B[2K' : ''}${line(mark, text)}`);
	};

	try {
		finish(colored('green', 'ok  '), await (isLong ? action(report) : action()));
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
