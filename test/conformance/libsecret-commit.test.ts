/**
 * Commits to an item of a real keyring: the item is written in place or created like Python's, and never replaces
 * another language's item.
 */

import {
	chownSync, existsSync, mkdirSync, readdirSync, statSync, symlinkSync, utimesSync, writeFileSync,
} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {guardStamp} from '../../dist/backend/guard-stamp.js';
import type {CacheSlice, CommitRequest, CommitResult} from '../../dist/backend/backend.js';
import {
	encodeItem, itemAttributes, type ItemKind, itemKinds, locationOf,
} from '../helpers/keyring/keyring-items.js';
import {keyringFor, keyringTest} from '../helpers/keyring/keyring-test.js';
import type {Keyring} from '../helpers/keyring/keyring.js';
import {askStore, askStoreOnce} from '../helpers/keyring/store-child.js';
import {patienceMs} from '../helpers/until.js';

const directoryOf = ({home}: Keyring) => {
	const directory = join(home, '.IdentityService');
	mkdirSync(directory, {recursive: true});
	return directory;
};

const cacheOf = (name: string) => JSON.stringify({
	Account: {a: {home_account_id: `${name}.home`, environment: 'login.microsoftonline.com', username: `${name}@contoso.com`}},
	RefreshToken: {
		r: {
			home_account_id: `${name}.home`, environment: 'login.microsoftonline.com', secret: `FAKE-${name}`, family_id: '1',
		},
	},
	Unknown: {kept: [1.5, 'x']},
});

/** Updates the refresh token of an account, or adds it with its account. */
const requestFor = (keyring: Keyring, name: string, rest: Partial<CommitRequest> = {}): CommitRequest => ({
	change: {
		edits: [
			{
				section: 'RefreshToken', action: 'put', key: 'new', match: {home_account_id: [`${name}.home`]}, set: {secret: '"FAKE-renewed"'}, fill: {home_account_id: `"${name}.home"`, environment: '"login.microsoftonline.com"', family_id: '"1"'},
			},
			{
				section: 'Account', action: 'add', key: 'new', match: {home_account_id: [`${name}.home`]}, set: {home_account_id: `"${name}.home"`, environment: '"login.microsoftonline.com"'},
			},
		],
	},
	lockPaths: [join(directoryOf(keyring), 'msal.cache.nocae.lockfile')],
	create: true,
	signalPath: join(directoryOf(keyring), 'msal.cache.nocae'),
	...rest,
});

const commit = async (keyring: Keyring, request: CommitRequest) => askStoreOnce(keyring.environment, {
	call: 'commit', at: locationOf('python'), request, timeoutMs: patienceMs,
});
const slice = async (keyring: Keyring, kind: ItemKind) => (await askStoreOnce(keyring.environment, {call: 'query', at: locationOf(kind), timeoutMs: patienceMs})).answer as CacheSlice | null;
const secretsOf = (cache: CacheSlice | null) => cache?.refreshTokens.map(({secret}) => secret);

keyringTest(test, 'an item is written in place: its other content is kept, and the signal file notifies other processes', async t => {
	const keyring = await keyringFor(t);
	await keyring.store(itemAttributes.python, cacheOf('ann'));
	const request = requestFor(keyring, 'ann');
	const signal = request.signalPath!;
	writeFileSync(signal, '{}');
	utimesSync(signal, 1, 1);
	const before = await slice(keyring, 'python');
	const startMs = Date.now();
	const {answer} = await commit(keyring, request);
	t.like(answer, {outcome: 'written', baseStamp: before?.stamp ?? '', lockLost: false});
	const after = await slice(keyring, 'python');
	t.deepEqual(secretsOf(after), ['FAKE-renewed']);
	t.is(after?.accounts[0]?.username, 'ann@contoso.com');
	t.is(after?.sizeBytes, cacheOf('ann').length + 'FAKE-renewed'.length - 'FAKE-ann'.length, 'all other bytes are kept');
	t.is((answer as {stamp: string}).stamp, after?.stamp ?? '');
	t.true(statSync(signal).mtimeMs > startMs);
	t.is(statSync(signal).size, 2, 'the signal file is touched, not written');
	t.deepEqual(readdirSync(directoryOf(keyring)), ['msal.cache.nocae'], 'no lock file remains');
});

keyringTest(test, 'A2: an item is not written if the guard was replaced', async t => {
	const keyring = await keyringFor(t);
	await keyring.store(itemAttributes.python, cacheOf('ann'));
	const path = join(directoryOf(keyring), 'mark');
	t.deepEqual((await commit(keyring, requestFor(keyring, 'ann', {guard: {path, stamp: '00'}}))).answer, {outcome: 'guarded'});
	writeFileSync(path, 'signed out');
	t.deepEqual((await commit(keyring, requestFor(keyring, 'ann', {guard: {path, stamp: null}}))).answer, {outcome: 'guarded'});
	t.deepEqual(secretsOf(await slice(keyring, 'python')), ['FAKE-ann']);
	t.like((await commit(keyring, requestFor(keyring, 'ann', {guard: {path, stamp: await guardStamp(path)}}))).answer, {outcome: 'written'});
	t.deepEqual(secretsOf(await slice(keyring, 'python')), ['FAKE-renewed']);
});

keyringTest(test, 'an item is created only on request, like Python\'s, and replaces no other item', async t => {
	const keyring = await keyringFor(t);
	for (const kind of itemKinds.filter(each => each !== 'python')) {
		await keyring.store(itemAttributes[kind], encodeItem(kind, cacheOf(kind)));
	}

	t.deepEqual((await commit(keyring, requestFor(keyring, 'new', {create: false}))).answer, {outcome: 'absent'});
	t.is(await slice(keyring, 'python'), null);
	t.false(existsSync(requestFor(keyring, 'new').signalPath!));
	t.like((await commit(keyring, requestFor(keyring, 'new'))).answer, {outcome: 'written', baseStamp: null});
	t.deepEqual(secretsOf(await slice(keyring, 'python')), ['FAKE-renewed']);
	t.true(existsSync(requestFor(keyring, 'new').signalPath!));
	t.is(statSync(requestFor(keyring, 'new').signalPath!).mode % 0o1000, 0o600);
	for (const kind of itemKinds.filter(each => each !== 'python')) {
		t.deepEqual(secretsOf(await slice(keyring, kind)), [`FAKE-${kind}`], `${kind}'s item is unchanged`);
	}

	// Like Python's own store, which must find this item and not create a second one.
	await keyring.store(itemAttributes.python, cacheOf('python'));
	t.deepEqual(secretsOf(await slice(keyring, 'python')), ['FAKE-python']);
});

keyringTest(test, 'a failure to touch the signal file does not undo the write', async t => {
	const keyring = await keyringFor(t);
	await keyring.store(itemAttributes.python, cacheOf('ann'));
	const {answer} = await commit(keyring, requestFor(keyring, 'ann', {signalPath: join(directoryOf(keyring), 'missing', 'signal')}));
	// Tells the caller to check again, because other processes were not notified.
	t.like(answer, {outcome: 'written', lockLost: true});
	t.deepEqual(secretsOf(await slice(keyring, 'python')), ['FAKE-renewed']);
});

keyringTest(test, 'E5: a signal file that is a link is not followed, and does not undo the write', async t => {
	const keyring = await keyringFor(t);
	await keyring.store(itemAttributes.python, cacheOf('ann'));
	const request = requestFor(keyring, 'ann');
	const target = join(keyring.home, 'target');
	writeFileSync(target, 'theirs');
	utimesSync(target, 1, 1);
	symlinkSync(target, request.signalPath!);
	t.like((await commit(keyring, request)).answer, {outcome: 'written', lockLost: true});
	t.is(statSync(target).mtimeMs, 1000);
	symlinkSync(join(keyring.home, 'nowhere'), `${request.signalPath!}.dangling`);
	t.like((await commit(keyring, {...requestFor(keyring, 'bob'), signalPath: `${request.signalPath!}.dangling`})).answer, {outcome: 'written', lockLost: true});
	t.false(existsSync(join(keyring.home, 'nowhere')));
});

keyringTest(test, 'G11: a signal file that root makes belongs to the owner of its folder', async t => {
	const keyring = await keyringFor(t);
	await keyring.store(itemAttributes.python, cacheOf('ann'));
	const request = requestFor(keyring, 'ann');
	const own = process.getuid!();
	const owner = own === 0 ? 65_534 : own;
	if (own === 0) {
		chownSync(directoryOf(keyring), owner, owner);
	}

	t.like((await commit(keyring, request)).answer, {outcome: 'written', lockLost: false});
	t.is(statSync(request.signalPath!).uid, owner);
});

keyringTest(test, 'nothing is written without a change, with another stamp, under a foreign lock, or without the account', async t => {
	const keyring = await keyringFor(t);
	await keyring.store(itemAttributes.python, cacheOf('ann'));
	const {stamp = ''} = await slice(keyring, 'python') ?? {};
	const request = requestFor(keyring, 'ann');
	t.deepEqual((await commit(keyring, {...request, expectedStamp: null})).answer, {outcome: 'changed'});
	t.deepEqual((await commit(keyring, {...request, expectedStamp: `${stamp}x`})).answer, {outcome: 'changed'});
	t.deepEqual((await commit(keyring, {...request, change: {...request.change, requiredAccount: {homeAccountId: 'bob.home', environments: ['login.microsoftonline.com']}}})).answer, {outcome: 'no-account'});
	const [lock = ''] = request.lockPaths;
	writeFileSync(lock, String(process.pid));
	t.deepEqual((await commit(keyring, request)).answer, {outcome: 'locked'});
	writeFileSync(lock, '999999999 msal-shared\n');
	t.deepEqual(secretsOf(await slice(keyring, 'python')), ['FAKE-ann']);
	t.like((await commit(keyring, {...request, expectedStamp: stamp})).answer, {outcome: 'written'});
	t.like((await commit(keyring, request)).answer, {outcome: 'unchanged'});
});

keyringTest(test, 'an unreadable item is not overwritten', async t => {
	const keyring = await keyringFor(t);
	for (const [secret, code] of [['garbage !', 'STC_CACHE_CORRUPT'], ['eyJhbGciOiJkaXIi.a.b.c.d', 'STC_CACHE_FORMAT'], ['{"Account":[]}', 'STC_CACHE_CORRUPT']] as const) {
		await keyring.store(itemAttributes.python, secret);
		t.is((await commit(keyring, requestFor(keyring, 'ann'))).code, code);
		t.not((await askStoreOnce(keyring.environment, {call: 'query', at: locationOf('python'), timeoutMs: patienceMs})).code, 'STC_STORE_LOCKED');
	}
});

keyringTest(test, 'a locked keyring is never unlocked, not even for a write; a call to a stalled one times out', async t => {
	const keyring = await keyringFor(t);
	await keyring.store(itemAttributes.python, cacheOf('ann'));
	await keyring.lock();
	t.is((await commit(keyring, requestFor(keyring, 'ann'))).code, 'STC_STORE_LOCKED');
	keyring.freeze();
	const {code, elapsedMs} = await askStoreOnce(keyring.environment, {
		call: 'commit', at: locationOf('python'), request: requestFor(keyring, 'ann'), timeoutMs: 1000,
	});
	keyring.thaw();
	t.is(code, 'STC_STORE_TIMEOUT');
	t.true(elapsedMs >= 1000, `${elapsedMs}`);
	t.deepEqual(readdirSync(directoryOf(keyring)), [], 'no lock file remains');
});

keyringTest(test, 'a keyring without a default collection: none is created, and the user is not asked', async t => {
	const keyring = await keyringFor(t);
	await keyring.killDaemon();
	await keyring.startDaemon();
	// A question to the user would not be answered, and the call would time out.
	const {code} = await commit(keyring, requestFor(keyring, 'ann'));
	t.true(code === 'STC_STORE_LOCKED' || code === 'STC_STORE_UNAVAILABLE', code);
});

keyringTest(test, 'many concurrent commits of two processes are all written', async t => {
	const keyring = await keyringFor(t);
	await keyring.store(itemAttributes.python, cacheOf('ann'));
	const request = (name: string): CommitRequest => ({
		...requestFor(keyring, name), change: {
			edits: Array.from({length: 3}, (_, index) => ({
				section: 'Extra', action: 'add' as const, key: `${name}-${index}`, set: {home_account_id: `"${name}"`},
			})),
		},
	});
	const tried = async (name: string) => {
		for (let attempt = 0; attempt < 200; attempt++) {
			const {outcomes} = await askStore(keyring.environment, {
				call: 'commit', at: locationOf('python'), request: request(name), timeoutMs: patienceMs, times: 3, pauseMs: 5,
			});
			if (outcomes.some(({answer}) => (answer as CommitResult).outcome === 'written')) {
				return;
			}
		}

		t.fail(`${name} did not get the lock`);
	};

	await Promise.all(['one', 'two', 'three'].map(async name => tried(name)));
	const text = (await askStoreOnce(keyring.environment, {
		call: 'commit', at: locationOf('python'), request: request('one'), timeoutMs: patienceMs,
	})).answer;
	t.like(text, {outcome: 'unchanged'});
	t.like((await commit(keyring, request('two'))).answer, {outcome: 'unchanged'});
	t.like((await commit(keyring, request('three'))).answer, {outcome: 'unchanged'});
});
