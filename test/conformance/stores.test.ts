/**
 * The contract of `CacheStore`, for every store of `src/backend/stores.ts` with every backend that can make it. A new store is tested here
 * without a change of this file; `test/helpers/caches/store-fixtures.ts` may say how a cache is made in it.
 */

import {readFileSync, writeFileSync} from 'node:fs';
import test, {type ExecutionContext} from 'ava';
import {
	type CacheChange, type CacheQuery, type CacheStore, type CommitRequest, type CommitResult, maxNoteSizeBytes,
} from '../../dist/backend/backend.js';
import {
	storeOf, stores, type StoreName, storesOf,
} from '../../dist/backend/stores.js';
import {StoreError} from '../../dist/errors.js';
import {backends} from '../helpers/caches/backends.js';
import {
	makeFilePlace, type StoreFixture, storeFixtures, type TestPlace,
} from '../helpers/caches/store-fixtures.js';

const environment = 'login.microsoftonline.com';
const query: CacheQuery = {
	environments: [environment], clientId: 'client', nowSec: 0, refreshTokenSecrets: true,
};
const timeoutMs = 300_000;

const accountOf = (name: string): CacheChange => ({
	edits: [
		{
			section: 'Account', action: 'put', key: name, set: {home_account_id: `"${name}.home"`, environment: `"${environment}"`, username: `"${name}"`},
		},
		{
			section: 'RefreshToken', action: 'put', key: name, set: {
				home_account_id: `"${name}.home"`, environment: `"${environment}"`, secret: `"FAKE-${name}"`, family_id: '"1"',
			},
		},
	],
});

const textOf = (name: string): string => JSON.stringify({
	Account: {[name]: {home_account_id: `${name}.home`, environment, username: name}},
	RefreshToken: {
		[name]: {
			home_account_id: `${name}.home`, environment, secret: `FAKE-${name}`, family_id: '1',
		},
	},
});

// A call of a keyring does not keep the event loop alive.
const hold = setInterval(() => undefined, 60_000);
const started: Array<() => void | Promise<void>> = [];

const fixtureOf = (name: StoreName): StoreFixture => storeFixtures[name] ?? {};
type StoreTest = (title: string, run: (t: ExecutionContext) => Promise<void> | void) => void;

const tested = new Set(backends.flatMap(backend => storesOf(backend)));

for (const name of tested) {
	const {lack, start} = fixtureOf(name);
	if (start && lack?.() === undefined) {
		test.before(async () => {
			started.push(await start());
		});
	}
}

test.after.always(async () => {
	clearInterval(hold);
	await Promise.all(started.map(async stop => stop()));
});

test('each store can be made with some backend, or belongs to another system', t => {
	const foreign = (Object.keys(stores) as StoreName[]).filter(name => !tested.has(name));
	t.log('not on this system', foreign);
	t.true(tested.has('plaintext'));
});

for (const backend of backends) {
	for (const name of storesOf(backend)) {
		const {lack, makePlace, write} = fixtureOf(name);
		const missing = lack?.();
		const store = storeOf(backend, name);
		const storeTest: StoreTest = missing === undefined ? test.serial : test.serial.skip;
		const title = (text: string) => `${name} (${backend.kind}): ${text}${missing === undefined ? '' : ` (skipped: ${missing})`}`;

		const placeFor = (t: ExecutionContext): TestPlace => {
			if (store.kind !== 'file' && !makePlace) {
				throw new Error(`Add the store "${name}" to test/helpers/caches/store-fixtures.ts: the tests cannot make a place in a store of kind "${store.kind}".`);
			}

			const place = (makePlace ?? makeFilePlace)();
			t.teardown(place.remove);
			return place;
		};

		const commit = async ({at, lockPaths}: TestPlace, change: CacheChange, rest: Partial<CommitRequest> = {}): Promise<CommitResult> => (
			store.commit!(at, {
				change, lockPaths, create: true, ...rest,
			}, timeoutMs));

		const fill = async (place: TestPlace, user: string): Promise<void> => {
			await (write ? write(place.at, textOf(user)) : commit(place, accountOf(user)));
		};

		storeTest(title('has the name and kind of the map, and is there'), t => {
			t.is(store.name, name);
			t.is(store.kind, stores[name].kind);
			t.is(store.probe(), undefined);
			t.true(store.commit !== undefined || write !== undefined, 'the fixture of a store that is only read writes caches');
		});

		storeTest(title('a cache that was never written is null'), async t => {
			const {at} = placeFor(t);
			t.is(await store.query(at, query, timeoutMs), null);
			t.is(await store.stamp(at, timeoutMs), null);
			t.is(await store.read(at, timeoutMs), null);
		});

		storeTest(title('query, stamp and read agree about a cache'), async t => {
			const place = placeFor(t);
			await fill(place, 'ann');
			const slice = await store.query(place.at, query, timeoutMs);
			t.deepEqual(slice?.accounts.map(({username}) => username), ['ann']);
			t.deepEqual(slice?.refreshTokens.map(({secret}) => secret), ['FAKE-ann']);
			const stamp = await store.stamp(place.at, timeoutMs);
			t.is(slice?.stamp, stamp!);
			t.false(stamp?.includes('|'));
			const text = await store.read(place.at, timeoutMs);
			t.is(text?.stamp, stamp!);
			t.deepEqual(JSON.parse(text!.text), JSON.parse(textOf('ann')));
			t.is(await store.stamp(place.at, timeoutMs), stamp, 'reading does not change it');
		});

		if (store.kind === 'file') {
			storeTest(title('a damaged cache is an error with a code, and stays'), async t => {
				const place = placeFor(t);
				await fill(place, 'ann');
				const path = place.at.path!;
				const whole = readFileSync(path);
				writeFileSync(path, whole.subarray(0, Math.floor(whole.length / 2)));
				const damaged = readFileSync(path);
				for (const call of [async () => store.query(place.at, query, timeoutMs), async () => store.read(place.at, timeoutMs), ...(store.commit ? [async () => commit(place, accountOf('bob'))] : [])]) {
					const error = await t.throwsAsync<StoreError>(call, {instanceOf: StoreError});
					t.regex(error.code, /^STC_CACHE_(?:CORRUPT|FORMAT)$/);
				}

				t.deepEqual(readFileSync(path), damaged);
			});
		}

		if (store.commit) {
			testCommits({
				storeTest, title, placeFor, commit, store,
			});
		}

		if (store.tryLock) {
			storeTest(title('lock files exclude each other and a commit'), async t => {
				const place = placeFor(t);
				const lock = await store.tryLock!(place.lockPaths);
				t.truthy(lock);
				t.is(await store.tryLock!(place.lockPaths), null);
				if (store.commit) {
					t.deepEqual(await commit(place, accountOf('ann')), {outcome: 'locked'});
				}

				await lock?.release();
				const next = await store.tryLock!(place.lockPaths);
				t.truthy(next);
				await next?.release();
			});
		}

		storeTest(title('a lease has one holder, shows renewals, can be evicted, and keeps its last holder\'s note'), async t => {
			const {at} = placeFor(t);
			const [first, second] = [store.lease?.(at, 'name'), store.lease?.(at, 'name')];
			if (!first || !second) {
				t.pass('the store has no leases');
				return;
			}

			const free = {held: undefined, note: undefined};
			t.deepEqual(await first.state(), free);
			const held = await first.tryTake();
			t.truthy(held);
			t.is(await second.tryTake(), null);
			const {held: before} = await second.state();
			t.truthy(before);
			await new Promise(resolve => {
				setTimeout(resolve, 20);
			});
			t.true(await held?.renew());
			const {held: after} = await second.state();
			t.not(after?.version, before?.version);
			t.is(after?.holder, before?.holder);
			t.false(await second.evict(before!.version), 'it was renewed');
			t.is(await second.tryTake(), null);
			await held?.release();
			t.deepEqual(await second.state(), free);
			const next = await second.tryTake();
			t.truthy(next);
			const {held: stuck} = await first.state();
			t.true(await first.evict(stuck!.version));
			const heir = await first.tryTake();
			t.truthy(heir);
			t.false(await next?.renew(), 'the lease is lost');
			t.true(await heir?.renew());
			await next?.release();
			t.true(await heir?.renew());
			await heir?.release('one');
			t.deepEqual(await second.state(), {held: undefined, note: 'one'}, 'the note of the holder');

			const third = await first.tryTake();
			await third?.release('x'.repeat(maxNoteSizeBytes));
			const fourth = await second.tryTake();
			t.is((await second.state()).note?.length, maxNoteSizeBytes, 'until the next holder is done');
			await fourth?.release('2');
			t.is((await first.state()).note, '2');
			const fifth = await first.tryTake();
			await fifth?.release();
			t.deepEqual(await first.state(), free);
		});
	}
}

function testCommits({storeTest, title, placeFor, commit, store}: {
	storeTest: StoreTest;
	title: (text: string) => string;
	placeFor: (t: ExecutionContext) => TestPlace;
	commit: (place: TestPlace, change: CacheChange, rest?: Partial<CommitRequest>) => Promise<CommitResult>;
	store: CacheStore;
}): void {
	storeTest(title('a commit creates a cache only if it may'), async t => {
		const place = placeFor(t);
		t.deepEqual(await commit(place, accountOf('ann'), {create: false}), {outcome: 'absent'});
		t.is(await store.stamp(place.at, timeoutMs), null);
		const created = await commit(place, accountOf('ann'));
		t.like(created, {outcome: 'written', baseStamp: null, lockLost: false});
		t.is((created as {stamp: string}).stamp, (await store.stamp(place.at, timeoutMs))!);
	});

	storeTest(title('a commit keeps what it does not change, and gives the stamps before and after'), async t => {
		const place = placeFor(t);
		const first = await commit(place, accountOf('ann')) as {stamp: string};
		const second = await commit(place, accountOf('bob'));
		t.like(second, {outcome: 'written', baseStamp: first.stamp});
		const {text = '', version} = await store.read(place.at, timeoutMs) ?? {};
		t.deepEqual(Object.keys((JSON.parse(text) as {Account: object}).Account).toSorted(), ['ann', 'bob']);
		t.deepEqual(await commit(place, accountOf('bob')), {outcome: 'unchanged', stamp: (second as {stamp: string}).stamp, ...(version !== undefined && {version})});
	});

	storeTest(title('a commit misses no write, even if the store gives two writes the same stamp'), async t => {
		const place = placeFor(t);
		await commit(place, accountOf('ann'));
		const {stamp = '', version} = await store.read(place.at, timeoutMs) ?? {};
		await commit(place, accountOf('bob'));
		// As if both writes fell into the same second.
		const expected = async () => version === undefined ? {expectedStamp: stamp} : {expectedStamp: (await store.stamp(place.at, timeoutMs))!, expectedVersion: version};
		t.deepEqual(await commit(place, accountOf('carol'), await expected()), {outcome: 'changed'});
		const now = await store.read(place.at, timeoutMs);
		const written = await commit(place, accountOf('carol'), {expectedStamp: now!.stamp, ...(now!.version !== undefined && {expectedVersion: now!.version})});
		t.like(written, {outcome: 'written'});
		t.is((written as {version?: string}).version, (await store.read(place.at, timeoutMs))?.version);
	});

	storeTest(title('a commit writes nothing if the cache changed since, or the required account is missing'), async t => {
		const place = placeFor(t);
		const {stamp} = await commit(place, accountOf('ann')) as {stamp: string};
		t.deepEqual(await commit(place, accountOf('bob'), {expectedStamp: null}), {outcome: 'changed'});
		t.deepEqual(await commit(place, accountOf('bob'), {expectedStamp: `${stamp}0`}), {outcome: 'changed'});
		t.deepEqual(await commit(place, {...accountOf('bob'), requiredAccount: {homeAccountId: 'carol.home', environments: [environment]}}), {outcome: 'no-account'});
		t.is(await store.stamp(place.at, timeoutMs), stamp);
		t.like(await commit(place, accountOf('bob'), {expectedStamp: stamp}), {outcome: 'written', baseStamp: stamp});
	});
}
