/** `npm run build`: when node-gyp configures again, and what happens while another process uses apt. */

import {execFile} from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {promisify} from 'node:util';
import test from 'ava';
import {whileLocked} from '../../scripts/lib/debian.mjs';

const run = promisify(execFile);
const root = path.resolve(import.meta.dirname, '..', '..');

/** Replaces npm: records the requested node-gyp command and creates the files that node-gyp would. */
const npm = String.raw`
const fs = require('node:fs');
fs.mkdirSync('build/Release', {recursive: true});
fs.writeFileSync('build/Makefile', '');
fs.writeFileSync('build/Release/azure_shared_token_cache.node', '');
fs.appendFileSync('commands', process.argv[process.argv.indexOf('node-gyp') + 1] + '\n');
`;

test('a copy of the folder at another depth is configured again, and the folder itself is not', async t => {
	const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'stc-build-'));
	t.teardown(() => {
		fs.rmSync(folder, {recursive: true, force: true});
	});
	fs.writeFileSync(path.join(folder, 'npm-cli.js'), npm);
	for (const tool of ['g++', 'make', 'python3']) {
		fs.writeFileSync(path.join(folder, tool), '', {mode: 0o755});
	}

	const first = path.join(folder, 'first');
	for (const name of ['scripts/build', 'scripts/lib', 'test/helpers/keyring/debian-packages.json', 'binding.gyp', 'package.json']) {
		fs.cpSync(path.join(root, name), path.join(first, name), {recursive: true});
	}

	fs.mkdirSync(path.join(first, 'native'));
	const commandsAfterChange = async (clone: string, source: string) => {
		fs.writeFileSync(path.join(clone, 'native', 'addon.cc'), source);
		await run(process.execPath, ['--input-type=module', '--eval', 'import {buildAddon} from "./scripts/build/build.mjs"; await buildAddon();'], {
			cwd: clone,
			env: {...process.env, npm_execpath: path.join(folder, 'npm-cli.js'), PATH: `${folder}${path.delimiter}${process.env['PATH'] ?? ''}`},
		});
		return fs.readFileSync(path.join(clone, 'commands'), 'utf8').trim().split('\n');
	};

	t.deepEqual(await commandsAfterChange(first, '1'), ['rebuild']);
	t.deepEqual(await commandsAfterChange(first, '2'), ['rebuild', 'build']);
	const second = path.join(folder, 'deeper', 'second');
	fs.cpSync(first, second, {recursive: true});
	t.deepEqual(await commandsAfterChange(second, '3'), ['rebuild', 'build', 'rebuild']);
	t.deepEqual(await commandsAfterChange(second, '4'), ['rebuild', 'build', 'rebuild', 'build']);
});

const locked = {
	code: 100,
	output: 'Reading package lists...\nE: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 4711 (apt-get)\nN: Be aware that removing the lock file is not a solution\n',
};

test('apt-get waits for a lock that another process holds, and the reason for the wait is shown once', async t => {
	const results = [locked, locked, {code: 100, output: 'E: Unable to lock directory /var/lib/apt/lists/\n'}, {code: 0, output: 'done'}];
	const reports: string[] = [];
	const result = await whileLocked(async () => results.shift() ?? locked, {
		report(text) {
			reports.push(text);
		},
		command: 'apt-get install x',
		pauseMs: 1,
	});
	t.deepEqual(result, {code: 0, output: 'done'});
	t.deepEqual(reports, ['waiting for apt\'s lock, which process 4711 (apt-get) holds']);
});

test('apt-get that waits too long for its lock fails with the lock holder and the command to run later', async t => {
	await t.throwsAsync(whileLocked(async () => locked, {
		report: () => undefined, command: 'apt-get install x', patienceMs: 5, pauseMs: 1,
	}), {message: /^process 4711 \(apt-get\) has held apt's lock for \d+ minutes\. When it has ended, run: apt-get install x$/});
});

test('apt-get that fails for another reason is not run again', async t => {
	let runs = 0;
	const failure = {code: 100, output: 'E: Unable to locate package x'};
	t.is(await whileLocked(async () => {
		runs++;
		return failure;
	}, {command: 'apt-get install x'}), failure);
	t.is(runs, 1);
});
