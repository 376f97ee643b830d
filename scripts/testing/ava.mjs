/** Runs AVA and prints its tests one per line. */

import {spawn} from 'node:child_process';
import process from 'node:process';
import {createInterface} from 'node:readline';
import {fromRoot, root} from '../lib/paths.mjs';
import {exitCode} from '../lib/run.mjs';
import {colored} from '../lib/steps.mjs';
import {TapReader} from './tap.mjs';

/** @typedef {{passed: number, failed: number, skipped: number, failures: string[], skips: string[]}} Tally */

/**
 * Longer than the time-out in `ava.config.mjs`, after which AVA should end by itself. AVA 7 checks its time-out once: if a test has called
 * `t.timeout()` with a longer one, and nothing happens any more, AVA waits for ever.
 */
const longestSilenceMs = 25 * 60_000;

/** Then AVA is interrupted, and has this time to report the tests that are pending. */
const reportMs = 30_000;

/**
 * Runs AVA, and ends everything that it started: processes of a test that was given up may hang.
 *
 * @param {string[]} args Test files and flags for AVA.
 * @param {{cwd?: string, isQuiet?: boolean, env?: object, silenceMs?: number}} [options] `cwd`: the folder
 * of the tests and of AVA's configuration. `env`: additional variables. `silenceMs`: AVA is ended if no test ends for so long.
 * @returns {Promise<Tally>}
 */
export async function runAva(args, {cwd = root, isQuiet = false, env = {}, silenceMs = longestSilenceMs} = {}) {
	const print = isQuiet ? () => undefined : console.log;
	const child = spawn(process.execPath, [fromRoot('scripts', 'testing', 'ava-cli.mjs'), '--tap', ...args], {
		cwd, env: {...process.env, ...env}, stdio: ['ignore', 'pipe', isQuiet ? 'ignore' : 'inherit'], detached: canKillGroups,
	});
	const closed = new Promise((resolve, reject) => {
		child.on('error', reject);
		child.on('exit', () => {
			// A process that outlives AVA keeps standard output open.
			killGroup(child);
		});
		child.on('close', (code, signal) => {
			resolve(exitCode(code, signal));
		});
	});
	const stopForwarding = endWithThisProcess(child);
	let isSilent = false;
	let lastResort;
	const silence = setTimeout(() => {
		isSilent = true;
		child.kill('SIGINT');
		lastResort = setTimeout(() => {
			killGroup(child);
		}, reportMs);
	}, silenceMs);

	const reader = new TapReader();
	for await (const line of createInterface({input: child.stdout})) {
		if (!isSilent) {
			silence.refresh();
		}

		const test = reader.readLine(line);
		if (test) {
			print(`  ${marks[test.outcome]()}  ${test.title}`);
		} else if (/^(?:#)? {3}/.test(line)) {
			print(`          ${line.replace(/^#/, '').trim()}`);
		}
	}

	const code = await closed;
	clearTimeout(silence);
	clearTimeout(lastResort);
	stopForwarding();
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
	if (isSilent) {
		failures.push(`AVA was ended: no test ended for ${Math.round(silenceMs / 1000)} s`);
	} else if (unreported) {
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

/** Windows has no groups of processes. There, only AVA itself is ended. */
const canKillGroups = process.platform !== 'win32';

/** @param {import('node:child_process').ChildProcess} child The leader of its group. */
function killGroup(child) {
	try {
		process.kill(canKillGroups ? -child.pid : child.pid, 'SIGKILL');
	} catch {
		// It has ended.
	}
}

/** A terminal sends its signals to this process's group only. @returns {() => void} Ends the forwarding. */
function endWithThisProcess(child) {
	const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
	const stop = () => {
		for (const signal of signals) {
			process.off(signal, end);
		}
	};

	const end = signal => {
		killGroup(child);
		// Without a handler, the signal ends this process as well.
		stop();
		process.kill(process.pid, signal);
	};

	for (const signal of signals) {
		process.on(signal, end);
	}

	return stop;
}

/** AVA has no field for the reason of a skip, so it is part of the title. */
const reasonPattern = /\(skipped: .+\)/;

const marks = {
	passed: () => colored('green', 'ok  '),
	failed: () => colored('red', 'FAIL'),
	skipped: () => colored('yellow', 'skip'),
};
