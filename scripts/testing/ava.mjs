/** Runs AVA and prints its tests one per line. */

import {spawn} from 'node:child_process';
import process from 'node:process';
import {createInterface} from 'node:readline';
import {tool} from '../lib/npm.mjs';
import {root} from '../lib/paths.mjs';
import {exitCode} from '../lib/run.mjs';
import {colored} from '../lib/steps.mjs';
import {TapReader} from './tap.mjs';

/** @typedef {{passed: number, failed: number, skipped: number, failures: string[], skips: string[]}} Tally */

/**
 * @param {string[]} args Test files and flags for AVA.
 * @param {{cwd?: string, isQuiet?: boolean, env?: object}} [options] `cwd`: the folder
 * of the tests and of AVA's configuration. `env`: additional variables.
 * @returns {Promise<Tally>}
 */
export async function runAva(args, {cwd = root, isQuiet = false, env = {}} = {}) {
	const print = isQuiet ? () => undefined : console.log;
	const child = spawn(process.execPath, [tool.ava, '--tap', ...args], {cwd, env: {...process.env, ...env}, stdio: ['ignore', 'pipe', isQuiet ? 'ignore' : 'inherit']});
	const closed = new Promise((resolve, reject) => {
		child.on('error', reject);
		child.on('close', (code, signal) => {
			resolve(exitCode(code, signal));
		});
	});

	const reader = new TapReader();
	for await (const line of createInterface({input: child.stdout})) {
		const test = reader.readLine(line);
		if (test) {
			print(`  ${marks[test.outcome]()}  ${test.title}`);
		} else if (/^(?:#)? {3}/.test(line)) {
			print(`          ${line.replace(/^#/, '').trim()}`);
		}
	}

	const code = await closed;
	const failures = reader.tests.filter(test => test.outcome === 'failed').map(test => test.title);
	const skips = [];
	let skipped = 0;
	for (const {title, outcome} of reader.tests) {
		if (outcome === 'skipped') {
			if (reasonPattern.test(title)) {
				skipped++;
				skips.push(title);
			} else {
				failures.push(`${title} (skipped without a reason)`);
			}
		}
	}

	const unreported = reader.unreported(code);
	if (unreported) {
		failures.push(`${unreported.reason}${args.length > 0 ? ` (${args.join(' ')})` : ''}`);
	}

	return {
		passed: reader.count('passed'),
		failed: failures.length + (unreported ? unreported.count - 1 : 0),
		skipped,
		failures,
		skips,
	};
}

/** AVA has no field for the reason of a skip, so it is part of the title. */
const reasonPattern = /\(skipped: .+\)/;

const marks = {
	passed: () => colored('green', 'ok  '),
	failed: () => colored('red', 'FAIL'),
	skipped: () => colored('yellow', 'skip'),
};
