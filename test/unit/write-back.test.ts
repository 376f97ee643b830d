/**
 * Writing tokens from grants into the shared cache, with locks that other processes hold, concurrent overwrites, and
 * sign-outs.
 */

import {
	mkdtempSync, readFileSync, rmSync, writeFileSync,
} from 'node:fs';
import {mock} from 'node:test';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import type {CacheChange} from '../../dist/backend/backend.js';
import {SharedCache} from '../../dist/cache/shared-cache.js';
import {StoreError} from '../../dist/errors.js';
import type {Grant} from '../../dist/grant/grant-edits.js';
import {plaintextFile} from '../../dist/cache/cache-source.js';
import {WriteBack} from '../../dist/grant/write-back.js';
import {backends, native} from '../helpers/caches/backends.js';
import {
	accessTokenRecord, accountRecord, ann, bob, cacheOf, type CacheSections, clientId, homeAccountId, nowSec, publicCloud, refreshTokenRecord, scope,
} from '../helpers/home.js';
import {query} from '../helpers/peers/written-cache.js';
import {patienceMs} from '../helpers/until.js';

function grantOf(rest: Partial<Grant> = {}): Grant {
	return {
		response: {
			accessToken: 'FAKE-access', expiresOnSec: nowSec() + 3600, scope: 'https://vault.azure.net/user_impersonation', refreshToken: 'FAKE-received', familyId: '1', idToken: 'FAKE-id', tenantId: ann.utid,
		},
		account: {
			homeAccountId: homeAccountId(ann), environment: publicCloud, realm: ann.utid, localAccountId: ann.uid, username: ann.username,
		},
		environment: publicCloud,
		environments: query.environments,
		clientId,
		isAdfs: false,
		scopes: [scope],
		realm: ann.utid,
		redeemed: {
			homeAccountId: homeAccountId(ann), environment: publicCloud, clientId, familyId: '1', secret: 'FAKE-sent',
		},
		isOwnCache: true,
		nowSec: nowSec(),
		...rest,
	};
}

const signedIn = cacheOf({accounts: [accountRecord(ann), accountRecord(bob)], refreshTokens: [refreshTokenRecord(ann, 'FAKE-sent'), refreshTokenRecord(bob, 'FAKE-bob')], accessTokens: [accessTokenRecord(ann, 'FAKE-expired', -60)]});

class Stage {
	readonly path: string;
	readonly source;
	readonly writer: WriteBack;
	readonly written: string[][] = [];

	constructor(t: ExecutionContext, {useNativeAddon = true, lockTimeoutMs = 30_000} = {}) {
		const directory = mkdtempSync(join(tmpdir(), 'stc-write-back-'));
		this.path = join(directory, 'cache');
		this.source = plaintextFile(this.path);
		this.write(signedIn);
		this.writer = new WriteBack(new SharedCache({keyringTimeoutMs: 1000, lockTimeoutMs, useNativeAddon}), (source, baseStamp, stamp) => {
			this.written.push([source.label, baseStamp, stamp]);
		});
		t.teardown(async () => {
			await this.writer.close();
			rmSync(directory, {recursive: true, force: true});
		});
	}

	write(cache: CacheSections): void {
		writeFileSync(this.path, JSON.stringify(cache));
	}

	read(): CacheSections {
		return JSON.parse(readFileSync(this.path, 'utf8')) as CacheSections;
	}

	/** Removes the matching records as another library does. */
	remove(section: string, isRemoved: (record: Record<string, unknown>) => boolean): void {
		const cache = this.read();
		this.write({...cache, [section]: Object.fromEntries(Object.entries(cache[section] ?? {}).filter(([, record]) => !isRemoved(record)))});
	}

	/** Waits until the cache contains exactly these secrets. A busy machine needs time. */
	async comesTo(t: ExecutionContext, expected: readonly string[]): Promise<void> {
		const endMs = performance.now() + patienceMs;
		while (this.secrets().join(' ') !== expected.join(' ') && performance.now() < endMs) {
			await sleep(10);
		}

		t.deepEqual(this.secrets(), expected);
	}

	secrets(): string[] {
		return Object.values(this.read()).flatMap(section => Object.values(section).map(({secret}) => secret).filter(secret => secret !== undefined)).map(String).toSorted();
	}
}

const isAnns = (record: Record<string, unknown>) => record['home_account_id'] === homeAccountId(ann);
const all = ['FAKE-access', 'FAKE-bob', 'FAKE-id', 'FAKE-received'];
/** Longer than the delay of the first check after a write. */
const lookedMs = 1400;

for (const {kind} of backends) {
	test(`${kind}: a granted token is in the cache when write returns`, async t => {
		const stage = new Stage(t, {useNativeAddon: kind === 'native'});
		await stage.writer.write(stage.source, grantOf());
		await stage.comesTo(t, all);
		const before = readFileSync(stage.path);
		await sleep(lookedMs);
		t.true(readFileSync(stage.path).equals(before), 'nothing has changed, so nothing is written');
		t.deepEqual(stage.written.map(([label]) => label), [stage.path]);
	});

	test(`${kind}: a token that another library overwrote without having seen it is restored automatically`, async t => {
		const stage = new Stage(t, {useNativeAddon: kind === 'native'});
		const startMs = performance.now();
		await stage.writer.write(stage.source, grantOf());
		await stage.comesTo(t, all);
		const peers = {...signedIn, AccessToken: {theirs: accessTokenRecord(bob, 'FAKE-theirs', 3600)}};
		stage.write(peers);
		await stage.comesTo(t, [...all, 'FAKE-theirs'].toSorted());
		// Overwritten again, within the 5 s in which a library that read earlier may write.
		const elapsedMs = performance.now() - startMs;
		if (elapsedMs > 3500) {
			t.log(`The machine is too busy for a second round: ${Math.round(elapsedMs)} ms have passed.`);
			return;
		}

		stage.write(peers);
		await stage.comesTo(t, [...all, 'FAKE-theirs'].toSorted());
	});

	test(`${kind}: an account that another library signed out is not restored`, async t => {
		const stage = new Stage(t, {useNativeAddon: kind === 'native'});
		await stage.writer.write(stage.source, grantOf());
		await stage.comesTo(t, all);
		for (const section of ['Account', 'RefreshToken', 'AccessToken', 'IdToken']) {
			stage.remove(section, isAnns);
		}

		const after = readFileSync(stage.path);
		await stage.writer.repair();
		await sleep(lookedMs);
		t.true(readFileSync(stage.path).equals(after));
	});
}

test('checks at once if the cache has changed', async t => {
	const stage = new Stage(t);
	await stage.writer.write(stage.source, grantOf());
	await stage.comesTo(t, all);
	stage.write(signedIn);
	await stage.writer.repair();
	t.deepEqual(stage.secrets(), all);
});

test('a token that is written during a sign-out in several steps, with the account last, is removed', async t => {
	const stage = new Stage(t);
	// MSAL for Python removes the tokens one by one, then the account, and writes the cache each time.
	for (const section of ['RefreshToken', 'AccessToken', 'IdToken']) {
		stage.remove(section, isAnns);
	}

	await stage.writer.write(stage.source, grantOf());
	stage.remove('Account', isAnns);
	await sleep(lookedMs);
	await stage.comesTo(t, ['FAKE-bob']);
});

test('tokens that are restored during a sign-out in several steps are removed', async t => {
	const stage = new Stage(t);
	await stage.writer.write(stage.source, grantOf());
	await stage.comesTo(t, all);
	for (const section of ['RefreshToken', 'AccessToken', 'IdToken']) {
		stage.remove(section, isAnns);
	}

	await stage.writer.repair();
	stage.remove('Account', isAnns);
	await sleep(lookedMs);
	await stage.comesTo(t, ['FAKE-bob']);
	// The user signed in again at once: that is kept, except for the access token, which belongs to the same user.
	stage.write({...signedIn, RefreshToken: {new: refreshTokenRecord(ann, 'FAKE-new')}});
	await sleep(lookedMs);
	await stage.writer.repair();
	t.deepEqual(stage.secrets(), ['FAKE-access', 'FAKE-new']);
});

test('an account that was missing for some seconds was signed out: nothing of it is restored', async t => {
	const stage = new Stage(t);
	await stage.writer.write(stage.source, grantOf());
	await stage.comesTo(t, all);
	for (const section of ['RefreshToken', 'AccessToken', 'IdToken', 'Account']) {
		stage.remove(section, isAnns);
	}

	// Seconds and checks count. A busy machine makes its own checks late.
	for (let check = 0; check < 50; check++) {
		await stage.writer.repair();
		await sleep(100);
	}

	stage.write({...signedIn, RefreshToken: {new: refreshTokenRecord(ann, 'FAKE-new')}});
	await stage.writer.repair();
	await sleep(lookedMs);
	t.deepEqual(stage.secrets(), ['FAKE-expired', 'FAKE-new']);
});

test('a newer token of another process is not overwritten when ours is restored', async t => {
	const stage = new Stage(t);
	await stage.writer.write(stage.source, grantOf());
	await stage.comesTo(t, all);
	const newer = stage.read();
	const [key] = Object.entries(newer['AccessToken']!).find(([, {secret}]) => secret === 'FAKE-access')!;
	const [tokenKey] = Object.entries(newer['RefreshToken']!).find(([, {secret}]) => secret === 'FAKE-received')!;
	Object.assign(newer['AccessToken']![key]!, {secret: 'FAKE-newer-access', expires_on: String(nowSec() + 3700)});
	Object.assign(newer['RefreshToken']![tokenKey]!, {secret: 'FAKE-newer-refresh', last_modification_time: String(nowSec() + 1)});
	stage.write(newer);
	await stage.writer.repair();
	await sleep(lookedMs);
	t.deepEqual(stage.secrets(), ['FAKE-bob', 'FAKE-id', 'FAKE-newer-access', 'FAKE-newer-refresh']);
});

test('if another process holds the lock, the token is written when the lock is free', async t => {
	// So long that the test fails if the write waits for the lock.
	const stage = new Stage(t, {lockTimeoutMs: 2 * patienceMs});
	const held = await native.tryLock(stage.source.lockPaths);
	const written = stage.writer.write(stage.source, grantOf());
	await sleep(100);
	t.true(stage.secrets().includes('FAKE-expired'));
	await held!.release();
	t.true(await written);
	t.deepEqual(stage.secrets(), all);
});

test('eviction never fails, whatever its outcome', async t => {
	const stage = new Stage(t, {lockTimeoutMs: 100});
	await stage.writer.evict(stage.source, grantOf().account, 'FAKE-sent');
	t.deepEqual(stage.secrets(), ['FAKE-bob', 'FAKE-expired']);
	const held = await native.tryLock(stage.source.lockPaths);
	await stage.writer.evict(stage.source, grantOf().account, 'FAKE-bob');
	await held!.release();
	t.deepEqual(stage.secrets(), ['FAKE-bob', 'FAKE-expired']);
});

test('after close nothing is checked', async t => {
	const stage = new Stage(t);
	await stage.writer.write(stage.source, grantOf());
	await stage.comesTo(t, all);
	await stage.writer.close();
	stage.write(signedIn);
	await stage.writer.repair();
	await sleep(lookedMs);
	t.deepEqual(stage.read(), signedIn);
});

type Commit = {change: CacheChange; create: boolean | undefined};

/** A fake cache whose commits have the given outcomes, one after another. */
function scriptedCache(...outcomes: Array<'written' | 'unchanged' | 'no-account' | StoreError>) {
	const commits: Commit[] = [];
	const cache = {
		async commit(_source: unknown, change: CacheChange, {create}: {create?: boolean}) {
			commits.push({change, create});
			const outcome = outcomes.shift() ?? 'written';
			if (outcome instanceof StoreError) {
				throw outcome;
			}

			return {
				outcome, baseStamp: 'a', stamp: 'b', lockLost: false,
			};
		},
		async stamp() {
			return {value: 'b', readable: true};
		},
	};
	return {commits, cache: cache as unknown as SharedCache};
}

const settle = async () => {
	for (let turn = 0; turn < 20; turn++) {
		await Promise.resolve();
	}
};

test.serial('a failed write is retried after 30 s, 60 s and so on, and does not replace what is newer then', async t => {
	mock.timers.enable({apis: ['setTimeout', 'Date'], now: Date.now()});
	t.teardown(() => {
		mock.timers.reset();
	});
	const failure = new StoreError('STC_LOCK_TIMEOUT', 'held');
	const {commits, cache} = scriptedCache(failure, failure);
	const writer = new WriteBack(cache, () => undefined);
	await writer.write(plaintextFile('/c'), grantOf({isOwnCache: false}));
	t.is(commits.length, 1);
	mock.timers.tick(29_000);
	await settle();
	t.is(commits.length, 1);
	mock.timers.tick(1000);
	await settle();
	t.is(commits.length, 2);
	mock.timers.tick(59_000);
	await settle();
	t.is(commits.length, 2);
	mock.timers.tick(1000);
	await settle();
	t.is(commits.length, 3);
	mock.timers.tick(3_600_000);
	await settle();
	t.is(commits.length, 3, 'it is written');
	const guards = commits.map(({change}) => change.edits.filter(({unlessNewer}) => unlessNewer).map(({section}) => section).join(' '));
	t.deepEqual(guards, ['', 'AccessToken RefreshToken', 'AccessToken RefreshToken']);
	t.deepEqual(commits.map(({create}) => create), [true, true, true]);
	t.true(commits[2]!.change.edits.some(({section}) => section === 'Account'), 'the account is also written if it is new');
	await writer.close();
});

test.serial('a token that was overwritten late is checked for another minute, because other programs may have read the old cache', async t => {
	mock.timers.enable({apis: ['setTimeout']});
	const startMs = performance.now();
	let elapsedMs = 0;
	const clock = mock.method(performance, 'now', () => startMs + elapsedMs);
	t.teardown(() => {
		mock.timers.reset();
		clock.mock.restore();
	});
	const {commits, cache} = scriptedCache();
	let stamp = 'b';
	const writer = new WriteBack({...cache, stamp: async () => ({value: stamp, readable: true})} as unknown as SharedCache, () => undefined);
	await writer.write(plaintextFile('/c'), grantOf());
	for (const [atMs, expected] of [[59_000, 2], [118_000, 3], [177_000, 4]] as const) {
		elapsedMs = atMs;
		stamp = `a peer's ${atMs}`;
		await writer.repair();
		t.is(commits.length, expected, `after ${atMs} ms`);
		stamp = 'b';
	}

	elapsedMs = 300_000;
	stamp = 'a peer\'s';
	await writer.repair();
	t.is(commits.length, 4, 'nobody overwrote it for two minutes');
	await writer.close();
});

test.serial('of many grants for the same token, the newest is checked, and what only an older one contained', async t => {
	mock.timers.enable({apis: ['setTimeout']});
	t.teardown(() => {
		mock.timers.reset();
	});
	const {commits, cache} = scriptedCache();
	const writer = new WriteBack({...cache, stamp: async () => ({value: 'a peer\'s', readable: true})} as unknown as SharedCache, () => undefined);
	const {refreshToken: _none, familyId: _family, ...unrotated} = grantOf().response;
	const write = async (name: string, rest: Partial<Grant> = {}) => writer.write(plaintextFile('/c'), grantOf({...rest, response: {...rest.response ?? grantOf().response, accessToken: `FAKE-${name}`}}));
	for (let serial = 0; serial < 200; serial++) {
		await write(`scope-${serial}`);
	}

	await write('other-scope', {scopes: ['https://storage.azure.com/.default']});
	await write('other-realm', {realm: 'cccccccc-0000-4000-8000-0000000000cc'});
	await write('last', {response: unrotated});
	await writer.repair();
	const {edits} = commits.at(-1)!.change;
	const secretsOf = (section: string) => edits.filter(edit => edit.section === section).map(edit => edit.action === 'put' ? edit.set?.['secret'] : undefined);
	// Newest first. The last grant contained no refresh token, so the one before is still checked.
	t.deepEqual(secretsOf('AccessToken'), ['"FAKE-last"', '"FAKE-other-realm"', '"FAKE-other-scope"', '"FAKE-scope-199"']);
	t.is(secretsOf('RefreshToken').length, 3);
	await writer.close();
});

test.serial('an account that is missing in two checks, seconds apart, was not signed out', async t => {
	mock.timers.enable({apis: ['setTimeout']});
	const startMs = performance.now();
	let elapsedMs = 0;
	const clock = mock.method(performance, 'now', () => startMs + elapsedMs);
	t.teardown(() => {
		mock.timers.reset();
		clock.mock.restore();
	});
	// After each check that finds the account missing, its remaining tokens are removed.
	const {commits, cache} = scriptedCache('written', 'no-account', 'unchanged', 'no-account', 'unchanged', 'written');
	const writer = new WriteBack({...cache, stamp: async () => ({value: `a peer's ${elapsedMs}`, readable: true})} as unknown as SharedCache, () => undefined);
	await writer.write(plaintextFile('/c'), grantOf());
	for (const [atMs, expected] of [[1000, 3], [6000, 5], [7000, 6]] as const) {
		elapsedMs = atMs;
		await writer.repair();
		t.is(commits.length, expected, `after ${atMs} ms`);
	}

	t.true(commits[5]!.change.edits.some(({section, action}) => section === 'AccessToken' && action !== 'remove'), 'the token is restored');
	await writer.close();
});

test.serial('a failed write is retried as soon as the cache has changed, which resets its delay', async t => {
	mock.timers.enable({apis: ['setTimeout', 'Date'], now: Date.now()});
	t.teardown(() => {
		mock.timers.reset();
	});
	const {commits, cache} = scriptedCache(new StoreError('STC_CACHE_CORRUPT', 'torn'));
	const writer = new WriteBack(cache, () => undefined);
	await writer.write(plaintextFile('/c'), grantOf());
	t.is(commits.length, 1);
	await writer.repair();
	t.is(commits.length, 2);
	mock.timers.tick(120_000);
	await settle();
	t.is(commits.length, 2, 'it is written');
	await writer.close();
});

test.serial('a token that expired meanwhile is not written, and after close nothing is', async t => {
	mock.timers.enable({apis: ['setTimeout', 'Date'], now: Date.now()});
	t.teardown(() => {
		mock.timers.reset();
	});
	const failure = new StoreError('STC_IO', 'no space');
	const short = grantOf();
	short.response.expiresOnSec = nowSec() + 20;
	delete short.response.refreshToken;
	const expiring = scriptedCache(failure);
	const writer = new WriteBack(expiring.cache, () => undefined);
	await writer.write(plaintextFile('/c'), short);
	mock.timers.tick(30_000);
	await settle();
	t.is(expiring.commits.length, 1);
	await writer.close();

	const closing = scriptedCache(failure);
	const closed = new WriteBack(closing.cache, () => undefined);
	await closed.write(plaintextFile('/c'), grantOf());
	await closed.close();
	mock.timers.tick(30_000);
	await settle();
	t.is(closing.commits.length, 1);
});

test('after close nothing is committed: neither a late token nor a pending repair', async t => {
	const stage = new Stage(t);
	await stage.writer.write(stage.source, grantOf());
	await stage.comesTo(t, all);
	stage.remove('AccessToken', isAnns);
	const peers = readFileSync(stage.path);
	// It is reading the stamp.
	const looking = stage.writer.repair();
	await stage.writer.close();
	await Promise.all([looking, stage.writer.write(stage.source, grantOf()), stage.writer.evict(stage.source, grantOf().account, 'FAKE-received')]);
	t.true(readFileSync(stage.path).equals(peers));
});
