/** Details of the pure-JS lock. `test/conformance` and `test/fault` cover what both locks must do. */

import {spawnSync} from 'node:child_process';
import {readdirSync, utimesSync, writeFileSync} from 'node:fs';
import fs from 'node:fs/promises';
import test, {type ExecutionContext} from 'ava';
import {jsBackend} from '../../dist/backend/js/js-backend.js';
import {lockDirectory} from '../helpers/locks/lock-process.js';
import {withResolvers} from '../helpers/until.js';

/** Delays the first call that creates a file with this suffix until the test releases it. */
function holdUpCreation(t: ExecutionContext, suffix: string): {reached: Promise<void>; release: () => void} {
	const original = fs.open;
	const {promise: reached, resolve: reach} = withResolvers();
	const {promise: gate, resolve: release} = withResolvers();
	fs.open = async (path, ...rest) => {
		if (String(path).endsWith(suffix)) {
			fs.open = original;
			reach();
			await gate;
		}

		return original(path, ...rest);
	};

	t.teardown(() => {
		fs.open = original;
	});
	return {reached, release};
}

function leaveStale(path: string): void {
	writeFileSync(path, String(spawnSync('true').pid));
	utimesSync(path, 1000, 1000);
}

for (let round = 1; round <= 5; round++) {
	// The file system reuses the inode number of a removed file for the next one.
	test.serial(`a process that is late to remove a stale lock file does not remove its successor's, round ${round}`, async t => {
		const {directory, path} = lockDirectory(t);
		leaveStale(path);
		const {reached, release} = holdUpCreation(t, '.x');
		const late = jsBackend.tryLock([path]);
		await reached;
		const lock = await jsBackend.tryLock([path]);
		t.truthy(lock);
		release();
		t.is(await late, null);
		t.true(await lock?.check());
		await lock?.release();
		t.deepEqual(readdirSync(directory), []);
	});
}

test.serial('a lock file that appears during the creation of ours wins', async t => {
	const {directory, path} = lockDirectory(t);
	const {reached, release} = holdUpCreation(t, '.js');
	const late = jsBackend.tryLock([path]);
	await reached;
	const lock = await jsBackend.tryLock([path]);
	t.truthy(lock);
	release();
	t.is(await late, null);
	t.true(await lock?.check());
	await lock?.release();
	t.deepEqual(readdirSync(directory), []);
});
