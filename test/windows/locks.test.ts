/**
 * Lock files between processes on Windows: of the addon, of the pure-JS backend, and of Microsoft's library for Node.
 */

import {
	closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, statSync, unlinkSync, utimesSync, writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import process from 'node:process';
import test from 'ava';
import {backends, native} from '../helpers/caches/backends.js';
import {lockDirectory, LockProcess, lockWithin} from '../helpers/locks/lock-process.js';
import {until} from '../helpers/until.js';

function codeOf(attempt: () => unknown): string {
	try {
		attempt();
		return 'it did';
	} catch (error) {
		return (error as NodeJS.ErrnoException).code ?? '';
	}
}

for (const backend of backends) {
	const {kind} = backend;

	test(`${kind}: the lock file contains the process ID; release removes it`, async t => {
		const {directory, path} = lockDirectory(t);
		const lock = await backend.tryLock([path]);
		t.regex(readFileSync(path, 'utf8'), new RegExp(`^${process.pid} msal-shared(?:-js)?\n$`));
		t.true(await lock?.check());
		await lock?.release();
		t.deepEqual(readdirSync(directory), []);
	});

	test(`${kind}: excludes another process, which gets the lock at once when the holder is killed`, async t => {
		for (const other of ['native', 'pure'] as const) {
			const {directory, path} = lockDirectory(t);

			const holder = await LockProcess.start(t, other, path);
			t.is(await holder.ask('try'), 'locked');
			t.is(await backend.tryLock([path]), null);
			await holder.kill();
			const lock = await lockWithin(backend, path, 5000);
			t.truthy(lock, other);
			await lock?.release();
			await until(() => readdirSync(directory).length === 0 || other === 'pure');
		}
	});

	test(`${kind}: respects a young lock file of a Node library, whose existence is the lock`, async t => {
		const {path} = lockDirectory(t);
		const peer = openSync(path, 'wx+');
		writeFileSync(peer, String(process.pid));
		t.is(await backend.tryLock([path]), null);
		closeSync(peer);
		t.is(await backend.tryLock([path]), null, 'closed, but not yet deleted');
		unlinkSync(path);
		const lock = await backend.tryLock([path]);
		t.truthy(lock);
		await lock?.release();
	});

	test(`${kind}: takes over the lock files of dead processes`, async t => {
		const {directory, path} = lockDirectory(t);
		// Process IDs are multiples of 4 on Windows, so no process has this one.
		for (const text of ['', '999999999', '{999999999', '\uFEFF999999999']) {
			writeFileSync(path, text);
			utimesSync(path, 1000, 1000);

			const lock = await lockWithin(backend, path, 10_000);
			t.truthy(lock, text);
			await lock?.release();
		}

		t.deepEqual(readdirSync(directory), []);
	});

	test(`${kind}: a directory in place of the file, and a missing directory, are errors`, async t => {
		const {directory} = lockDirectory(t);
		await t.throwsAsync(backend.tryLock([join(directory, 'missing', 'x')]), {code: 'STC_IO'});
		await t.throwsAsync(backend.tryLock([directory]), {code: 'STC_IO'});
		t.true(statSync(directory).isDirectory());
	});
}

test('native: other programs can neither delete nor create a held lock file', async t => {
	const {path} = lockDirectory(t);
	const lock = await native.tryLock([path]);
	const codes = [() => {
		unlinkSync(path);
	}, () => openSync(path, 'wx+'), () => {
		writeFileSync(path, 'mine');
	}].map(attempt => codeOf(attempt));
	t.deepEqual(codes, ['EBUSY', codes[1], 'EBUSY']);
	t.true(codes[1] === 'EEXIST' || codes[1] === 'EBUSY', codes[1]);
	t.true(await lock?.check());
	await lock?.release();
});

for (const kinds of [['native', 'native'], ['pure', 'pure'], ['native', 'pure']] as const) {
	test.serial(`two processes (${kinds.join(' and ')}) increment a counter without losing an update`, async t => {
		const directory = mkdtempSync(join(tmpdir(), 'stc-count-'));
		t.teardown(() => {
			rmSync(directory, {
				recursive: true, force: true, maxRetries: 10, retryDelay: 50,
			});
		});
		const path = join(directory, 'cache.lockfile');
		const counter = join(directory, 'counter');
		writeFileSync(counter, '0');
		const processes = await Promise.all(kinds.map(async kind => LockProcess.start(t, kind, path)));
		const times = 40;
		const answers = await Promise.all(processes.map(async each => each.ask(`count ${times} ${counter}`)));
		t.deepEqual(answers, processes.map(() => `counted ${times} 0`));
		t.is(Number(readFileSync(counter, 'utf8')), times * processes.length);
		t.deepEqual(readdirSync(directory), ['counter']);
	});
}
