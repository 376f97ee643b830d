/** The lease of a token request: who gets it, who waits for whom, and for how long. */

import {
	existsSync, readdirSync, readFileSync, statSync, writeFileSync,
} from 'node:fs';
import {dirname, join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import type {CacheBackend, LeaseStore} from '../../dist/backend/backend.js';
import {StoreError} from '../../dist/errors.js';
import {FileLease} from '../../dist/backend/file-lease.js';
import {
	Lease, leaseName, type LeaseOptions, takeLease,
} from '../../dist/grant/machine-lease.js';
import {backends, native} from '../helpers/caches/backends.js';
import {lockDirectory, LockProcess, within} from '../helpers/locks/lock-process.js';
import {inTime, patienceMs, until} from '../helpers/until.js';

/** So long that a test fails if a wait lasts until this time-out. */
const endless = 2 * patienceMs;

type TryLock = CacheBackend['tryLock'];
const tryLock: TryLock = async paths => native.tryLock(paths);

function leaseFile(t: ExecutionContext): {directory: string; path: string} {
	const {directory} = lockDirectory(t);
	return {directory, path: join(directory, '.00.lease')};
}

/** `path` is the lease's file. */
const waitFor = async (path: string, {tryLock: lock = tryLock, ...rest}: Partial<LeaseOptions> & {tryLock?: TryLock} = {}) => takeLease({
	lease: new FileLease(join(dirname(path), 'msal.cache'), '00', lock), signal: new AbortController().signal, onlyWait: false, ...rest,
});

test('the lease is beside the cache, and equal for equal requests only', t => {
	const identity = ['msal.cache', 'nocae', 'https://login.microsoftonline.com', 'a', 'b'];
	const pathOf = (each: readonly string[]) => new FileLease('/h/.IdentityService/msal.cache.nocae', leaseName(each), tryLock).path;
	const path = pathOf(identity);
	t.regex(path, /^\/h\/\.IdentityService\/\.[\da-f]{32}\.lease$/);
	t.is(pathOf([...identity]), path);
	const others = [
		...identity.map((_, index) => identity.toSpliced(index, 1, 'other')),
		[...identity.slice(0, -2), 'ab', ''],
		[...identity.slice(0, -2), '', 'ab'],
		[...identity.slice(0, -2), 'ab'],
		[...identity, ''],
	].map(other => pathOf(other));
	t.is(new Set([path, ...others]).size, others.length + 1);
});

for (const backend of backends) {
	const {kind} = backend;
	const own = {tryLock: async (paths: readonly string[]) => backend.tryLock(paths)};

	test(`${kind}: one process at a time holds the lease, in any order, and no file remains`, async t => {
		const {directory, path} = leaseFile(t);
		let holding = 0;
		let most = 0;
		await Promise.all(Array.from({length: 6}, async () => {
			const lease = await waitFor(path, own);
			holding++;
			most = Math.max(most, holding);
			await sleep(20);
			holding--;
			await lease!.release();
		}));
		t.is(most, 1);
		t.deepEqual(readdirSync(directory), []);
	});

	test(`${kind}: a dead holder's lease is taken over at once`, async t => {
		const {directory, path} = leaseFile(t);
		const holder = await LockProcess.start(t, kind, path);
		t.is(await holder.ask('lock'), 'locked');
		// A time-out would not end the wait.
		const waiting = waitFor(path, {...own, stuckAfterMs: endless});
		t.is(await within(waiting, 300), 'still waiting');
		await holder.kill();
		const lease = await inTime(waiting, 'the lease');
		t.true(lease instanceof Lease);
		await lease!.release();
		t.deepEqual(readdirSync(directory), []);
	});

	test(`${kind}: a holder without a sign of life is bypassed, by one waiter after another`, async t => {
		const {directory, path} = leaseFile(t);
		const holder = await LockProcess.start(t, kind, path);
		t.is(await holder.ask('lock'), 'locked');
		const startMs = performance.now();
		let holding = 0;
		let most = 0;
		await Promise.all(Array.from({length: 4}, async () => {
			const lease = await waitFor(path, {...own, stuckAfterMs: 500});
			t.true(performance.now() - startMs >= 500);
			holding++;
			most = Math.max(most, holding);
			await sleep(50);
			holding--;
			await lease!.release();
		}));
		t.is(most, 1);

		// It continues at the end and finds another process's lease.
		const lease = await waitFor(path, own);
		t.is(await holder.ask('unlock'), 'unlocked');
		t.true(existsSync(path), 'the successor\'s lease still exists');
		await lease!.release();
		t.deepEqual(readdirSync(directory), []);
	});

	test(`${kind}: a holder renews its lease, and is awaited until it is done`, async t => {
		const {path} = leaseFile(t);
		const lease = await waitFor(path, own);
		const store = new FileLease(join(dirname(path), 'msal.cache'), '00', own.tryLock);
		const versions = new Set<string | undefined>();
		const waiting = waitFor(path, {...own, stuckAfterMs: endless});
		await until(async () => versions.add((await store.state())?.version).size > 2);
		t.is(await within(waiting, 0), 'still waiting');
		await lease!.release();
		const next = await inTime(waiting, 'the lease');
		t.true(next instanceof Lease);
		await next!.release();
	});

	test(`${kind}: a process that only waits creates nothing and continues when the holder is done`, async t => {
		const {directory, path} = leaseFile(t);
		const before = statSync(directory, {bigint: true}).ctimeNs;
		t.is(await waitFor(path, {...own, onlyWait: true}), undefined);
		t.is(statSync(directory, {bigint: true}).ctimeNs, before);
		t.is(await waitFor(join(directory, 'missing', '.00.lease'), {...own, onlyWait: true}), undefined);
		t.false(existsSync(join(directory, 'missing')));

		const lease = await waitFor(path, own);
		const waiting = waitFor(path, {...own, onlyWait: true});
		t.is(await within(waiting, 200), 'still waiting');
		await lease!.release();
		t.is(await inTime(waiting, 'the end of the wait'), undefined);
		t.deepEqual(readdirSync(directory), []);
	});
}

test('a holder that renews its lease is never stuck, and one that does not is evicted', async t => {
	let asked = 0;
	let renewals = 0;
	const evicted: string[] = [];
	const reason = new Error('The holder was evicted.');
	const leaving = new AbortController();
	const lease: LeaseStore = {
		tryTake: async () => null,
		async state() {
			asked++;
			renewals += asked <= 50 ? 1 : 0;
			return {holder: 'other', version: String(renewals)};
		},
		async evict(version) {
			evicted.push(version);
			leaving.abort(reason);
			return true;
		},
	};
	await t.throwsAsync(takeLease({
		lease, signal: leaving.signal, onlyWait: false, stuckAfterMs: 0,
	}), {is: reason});
	t.deepEqual(evicted, ['50']);
	t.true(asked > 50);
});

test('the directory is created with access for its owner only', async t => {
	const {directory} = leaseFile(t);
	const lease = await waitFor(join(directory, 'a', 'b', '.00.lease'));

	t.is(statSync(join(directory, 'a', 'b')).mode & 0o777, 0o700);
	await lease!.release();
});

test('if no lock file can be created, the request continues without a lease', async t => {
	const {directory, path} = leaseFile(t);
	for (const code of ['STC_IO', 'STC_STORE_DENIED'] as const) {
		t.is(await waitFor(path, {
			async tryLock() {
				throw new StoreError(code, `${path}: no`);
			},
		}), undefined);
	}

	writeFileSync(join(directory, 'file'), '');
	t.is(await waitFor(join(directory, 'file', '.00.lease')), undefined);
});

test('an abort signal ends the wait at once with its reason', async t => {
	const {directory, path} = leaseFile(t);
	const reason = new Error('Nobody waits for it.');
	await t.throwsAsync(async () => waitFor(path, {signal: AbortSignal.abort(reason)}), {is: reason});
	t.deepEqual(readdirSync(directory), []);

	const lease = await waitFor(path);
	const leaving = new AbortController();
	const waiting = waitFor(path, {signal: leaving.signal, stuckAfterMs: endless});
	setTimeout(() => {
		leaving.abort(reason);
	}, 200);
	await t.throwsAsync(inTime(waiting, 'the abort'), {is: reason});
	await lease!.release();
	t.deepEqual(readdirSync(directory), []);
});

test('a waiter does not queue behind holders that come and go without leaving a token', async t => {
	const {path} = leaseFile(t);
	// Another process is always faster.
	let tries = 0;
	const waiting = waitFor(path, {
		async tryLock() {
			tries++;
			return null;
		},
	});
	for (const holder of ['1 msal-shared\n', '2 msal-shared\n', '']) {
		writeFileSync(path, holder);
		// Between two attempts it checks who holds the lease, however busy the machine is.
		const seenAfter = tries + 2;
		await until(() => tries >= seenAfter);
		t.is(await within(waiting, 50), 'still waiting', 'the first holder, and the one that took over from it');
	}

	writeFileSync(path, '3 msal-shared\n');
	t.is(await inTime(waiting, 'the end of the wait'), undefined);
	t.is(readFileSync(path, 'utf8'), '3 msal-shared\n');
});
