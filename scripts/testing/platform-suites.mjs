/** Runs the unit and the conformance suite on one platform. */

import fs from 'node:fs';
import path from 'node:path';
import {run} from '../lib/run.mjs';
import {StepFailure} from '../lib/steps.mjs';
import {TapReader} from './tap.mjs';

/** Tests of this repository's scripts and documents, and of macOS code on stand-ins: the binary and the platform do not matter to them. */
const ofOthers = new Set(['unit/add-a-store.test', 'unit/break-lines.test', 'unit/build.test', 'unit/docs.test', 'unit/eager-functions.test', 'unit/import-rules.test', 'unit/include-rules.test', 'unit/lock-ages.test', 'unit/preparations.test', 'unit/private-names.test', 'unit/readme.test', 'unit/scripts.test', 'conformance/errors-page.test', 'conformance/keychain.test', 'conformance/macos-lock.test', 'conformance/skip-string.test']);

const keyring = ['conformance/libsecret.test', 'conformance/libsecret-commit.test', 'conformance/libsecret-locks.test', 'conformance/stores.test'];

/** Half a minute each, on any CPU. */
const slow = ['conformance/edit.test', 'unit/write-back.test'];

/** The main tests of the addon. They take half a minute in an emulator. */
const ofAddon = ['conformance/commit.test', 'conformance/locks.test', 'conformance/scan.test', 'unit/machine-lease.test'];

/**
 * The tests that each stand-in leaves out beside those; the native platforms run all.
 *
 * - The keyring: libsecret is this machine's, and fits neither an older C library nor another CPU.
 * - Tests of threads: they preload a library that is compiled for this machine, and the emulator does not support openat2.
 * - For time: thousands of random edits, and tests that wait for peers.
 * - In an emulator of arm64: tests of system calls, which are the emulator's own, Go's cache, because the emulator does not support kernel
 *   keys, and bundles, because esbuild is one for this machine. The rest takes six minutes.
 * - With Bun in an emulator: all but the suites of the addon, because Bun runs the rest without an emulator.
 * - Under Bun: tests that need Node itself, or a dispatcher of undici, in whose place Bun has its own. There, `os.homedir()` does not follow
 *   `HOME`, `process.report` has no shared objects, strings are longer, timers come before what the event loop received, and the engine
 *   starts threads and reads files during hits.
 *
 * @type {Record<string, {only?: string[], leftOut?: string[]}>}
 */
const limits = {
	'glibc-2.31': {leftOut: [...keyring, ...slow, 'unit/reading-threads.test']},
	'linux-arm64': {leftOut: [...keyring, 'conformance/go-cache.test', 'unit/hit-system-calls.test', 'unit/optional-peers.test', 'unit/reading-threads.test']},
	'musl-x64': {
		leftOut: [
			...keyring,
			...slow,
			'conformance/account-log.test',
			'conformance/accounts.test',
			'conformance/adfs.test',
			'conformance/arguments.test',
			'conformance/challenges.test',
			'conformance/closing.test',
			'conformance/credential.test',
			'conformance/refresh-times.test',
			'conformance/shared-token-cache.test',
			'conformance/tenants.test',
			'unit/hit-system-calls.test',
			'unit/native-loader.test',
			'unit/settings.test',
			'unit/js-backend.test',
			'unit/reading-threads.test',
			'unit/time-out.test',
			'unit/tracing.test',
		],
	},
	'musl-arm64': {only: ofAddon},
};

function isWanted(suite, {name}) {
	const {only, leftOut = []} = limits[name] ?? {};
	return !ofOthers.has(suite) && (only === undefined || only.includes(suite)) && !leftOut.includes(suite);
}

/**
 * @param {import('./platforms.mjs').Platform} platform
 * @param {string} tree
 * @returns {Promise<{version: string, passed: number, skipped: string[], failures: string[]}>}
 */
export async function runSuites(platform, tree) {
	const {code, stdout, output} = await run(platform.command, ['--version']);
	if (code !== 0) {
		throw new StepFailure(`${platform.command} ends with ${code}`, output);
	}

	const extension = platform.isNative ? '.ts' : '.js';
	const files = ['unit', 'conformance'].flatMap(folder => fs.readdirSync(path.join(tree, 'test', folder)).map(name => `${folder}/${name}`))
		.filter(name => name.endsWith(`.test${extension}`) && isWanted(name.slice(0, -3), platform))
		.map(name => path.join('test', name));
	const result = {
		version: stdout.trim(), passed: 0, skipped: [], failures: [],
	};
	const add = (reader, exitCode, name) => {
		result.passed += reader.count('passed');
		for (const {title, outcome, diagnosis} of reader.tests) {
			if (outcome === 'skipped') {
				result.skipped.push(title);
			} else if (outcome === 'failed') {
				result.failures.push(`${title}${diagnosis.length > 0 ? `\n      ${diagnosis.slice(0, 12).join('\n      ')}` : ''}`);
			}
		}

		const unreported = reader.unreported(exitCode);
		if (unreported) {
			result.failures.push(`${name}: ${unreported.reason}`);
		}
	};

	if (platform.isNative) {
		const ended = await run(platform.command, [path.join(tree, 'node_modules', 'ava', 'entrypoints', 'cli.mjs'), '--tap', ...files], {cwd: tree});
		add(read(ended.stdout), ended.code, 'ava');
		return result;
	}

	// Two at a time: an emulated test file mostly uses one CPU.
	const waiting = files.values();
	await Promise.all([0, 1].map(async () => {
		for (const file of waiting) {
			const ended = await run(platform.command, [path.join('test', 'platforms', 'run-file.mjs'), file, platform.command], {cwd: tree});
			const reader = read(ended.stdout);
			add(reader, ended.code, `${file}${reader.isComplete ? '' : `\n${ended.output.slice(-2000)}`}`);
		}
	}));
	return result;
}

function read(text) {
	const reader = new TapReader();
	for (const line of text.split('\n')) {
		reader.readLine(line);
	}

	return reader;
}
