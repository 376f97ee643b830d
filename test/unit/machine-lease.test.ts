/** The lease of a token request: who gets it, who waits for whom, and for how long. */

import {
	existsSync, readdirSync, statSync, unlinkSync, writeFileSync,
} from 'node:fs';
import {dirname, join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import type {CacheBackend, HeldLease, LeaseStore} from '../../dist/backend/backend.js';
import {AuthenticationError, StoreError} from '../../dist/errors.js';
import {FileLease} from '../../dist/backend/file-lease.js';
import type {LeaseNote} from '../../dist/grant/lease-note.js';
import {
	Lease, leaseName, type LeaseOptions, LeaseTimeout, takeLease,
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
		await until(async () => versions.add((await store.state()).held?.version).size > 2);
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
			return {held: {holder: 'other', version: String(renewals)}, note: undefined};
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

test('W1: if the lease of a stuck holder cannot be removed, the waiter goes on without it', async t => {
	const lease: LeaseStore = {
		tryTake: async () => null,
		state: async () => ({held: {holder: 'other', version: '1'}, note: undefined}),
		async evict() {
			throw new Error('EBUSY: resource busy or locked');
		},
	};
	t.is(await inTime(takeLease({
		lease, signal: new AbortController().signal, onlyWait: false, stuckAfterMs: 100,
	}), 'the end of the wait'), undefined);
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

/** Starts waiting for the lease many times. @returns when each wait has looked at the lease. */
async function manyWait(path: string, count: number, backend: CacheBackend, onNote: NonNullable<LeaseOptions['onNote']>): Promise<Array<Promise<Lease | undefined>>> {
	const tries = Array.from({length: count}, () => 0);
	const waits = tries.map(async (_, index) => waitFor(path, {
		async tryLock(paths) {
			tries[index]!++;
			return backend.tryLock(paths);
		},
		onNote,
	}));
	// Handled later.
	for (const wait of waits) {
		wait.catch(() => undefined);
	}

	await until(() => tries.every(each => each > 1));
	return waits;
}

const alone: LeaseNote = {kind: 'alone', token: 'FAKE-token', isUnwritten: true};

for (const backend of backends) {
	const own = {tryLock: async (paths: readonly string[]) => backend.tryLock(paths)};

	test(`B4: ${backend.kind}: those who wait go on together when the holder leaves a note`, async t => {
		const {directory, path} = leaseFile(t);
		const lease = await waitFor(path, own);
		const notes: LeaseNote[] = [];
		const waits = await manyWait(path, 24, backend, note => {
			notes.push(note);
			return true;
		});
		await lease!.release(alone);
		const leases = await inTime(Promise.all(waits), 'the leases');
		t.is(leases.filter(Boolean).length, 0, 'nobody takes the lease, so nobody waits for it');
		t.deepEqual(notes, Array.from({length: 24}, () => alone));
		t.deepEqual(readdirSync(directory), ['.00.note']);
		t.is(statSync(join(directory, '.00.note')).mode & 0o777, 0o600);

		const late = await waitFor(path, {...own, onNote: () => t.fail('who comes later has nothing to do with that request')});
		t.true(late instanceof Lease);
		await late!.release();
		t.deepEqual(readdirSync(directory), [], 'a holder that has nothing to tell removes the note');
	});

	test(`B5: ${backend.kind}: those who wait fail with the holder's reason`, async t => {
		const {path} = leaseFile(t);
		const lease = await waitFor(path, own);
		const waits = await manyWait(path, 8, backend, note => {
			throw (note as LeaseNote & {kind: 'failed'}).error;
		});
		const error = new AuthenticationError('STC_NETWORK', 'SharedTokenCacheCredential: no token: ECONNREFUSED.', {correlationId: 'FAKE-id'});
		await lease!.release({kind: 'failed', error});
		for (const outcome of await inTime(Promise.allSettled(waits), 'the failures') as PromiseRejectedResult[]) {
			const {name, code, message, correlationId} = outcome.reason as AuthenticationError;
			t.deepEqual({name, code, correlationId}, {name: 'AuthenticationError', code: 'STC_NETWORK', correlationId: 'FAKE-id'});
			t.true(message.startsWith(error.message));
		}
	});

	test(`A5: ${backend.kind}: the lease of a holder without a sign of life is not taken away where that could end a session`, async t => {
		const {path} = leaseFile(t);
		const holder = await LockProcess.start(t, backend.kind, path);
		t.is(await holder.ask('lock'), 'locked');
		const waiting = waitFor(path, {...own, mayEvict: false, hopelessAfterMs: 1000});
		const error = await t.throwsAsync<LeaseTimeout>(inTime(waiting, 'the time-out'), {instanceOf: LeaseTimeout});
		t.is(Number.parseInt(error?.holder ?? '', 10), holder.pid);
		t.true((error?.quietMs ?? 0) >= 1000);
		await holder.kill();
		const lease = await waitFor(path, {...own, mayEvict: false});
		t.true(lease instanceof Lease, 'a dead holder\'s lease is free');
		await lease!.release();
	});
}

test('A5: a holder that was evicted notices it, whatever it did meanwhile', async t => {
	const {path} = leaseFile(t);
	const held = await new FileLease(join(dirname(path), 'msal.cache'), '00', tryLock).tryTake();
	const lease = new Lease(held!, 200);
	t.true(await lease.isHeld());
	const store = new FileLease(join(dirname(path), 'msal.cache'), '00', tryLock);
	const {held: stuck} = await store.state();
	t.true(await store.evict(stuck!.version));
	const heir = await store.tryTake();
	t.truthy(heir);
	await sleep(150);
	t.false(await lease.isHeld());
	await lease.release();
	t.true(await heir!.renew());
	await heir!.release();
});

// Serial: it blocks the event loop, and with it the timers of other tests.
test.serial('A6: a waiter that was stopped does not take the holder for stuck, which may have been stopped with it', async t => {
	const held: HeldLease = {renew: async () => true, release: async () => undefined};
	let looks = 0;
	const lease: LeaseStore = {
		tryTake: async () => looks < 4 ? null : held,
		async state() {
			looks++;
			if (looks === 2) {
				// Blocks the event loop, so that no timer fires.
				Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5000);
			}

			return looks < 4 ? {held: {holder: '1', version: looks < 3 ? 'before' : 'renewed'}, note: undefined} : {held: undefined, note: undefined};
		},
		evict: async () => t.fail('The holder was evicted.'),
	};
	for (const mayEvict of [false, true]) {
		looks = 0;
		const taken = await inTime(takeLease({
			lease, signal: new AbortController().signal, onlyWait: false, mayEvict, stuckAfterMs: 3000, hopelessAfterMs: 3000,
		}), 'the lease');
		t.true(taken instanceof Lease);
		await taken!.release();
	}
});

test('A7: a waiter waits for one holder after another that dies without a note', async t => {
	const {path} = leaseFile(t);
	// Another process is always faster.
	let tries = 0;
	let isFree = false;
	const waiting = waitFor(path, {
		async tryLock(paths) {
			tries++;
			return isFree ? tryLock(paths) : null;
		},
	});
	for (const holder of ['1 msal-shared\n', '2 msal-shared\n', '', '3 msal-shared\n', '4 msal-shared\n']) {
		writeFileSync(path, holder);
		// Between two attempts it checks who holds the lease, however busy the machine is.
		const seenAfter = tries + 2;
		await until(() => tries >= seenAfter);
		t.is(await within(waiting, 50), 'still waiting');
	}

	unlinkSync(path);
	isFree = true;
	const lease = await inTime(waiting, 'the lease');
	t.true(lease instanceof Lease);
	await lease!.release();
});
