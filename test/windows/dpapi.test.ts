/** Caches that DPAPI encrypts, read and written by the addon. */

import {Buffer} from 'node:buffer';
import {
	closeSync, constants, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync,
} from 'node:fs';
import {homedir, tmpdir} from 'node:os';
import {join} from 'node:path';
import process from 'node:process';
import {inspect, isDeepStrictEqual} from 'node:util';
import test, {type ExecutionContext} from 'ava';
import type {CacheChange, CacheQuery} from '../../dist/backend/backend.js';
import {SharedCache} from '../../dist/cache/shared-cache.js';
import type {StoreError} from '../../dist/errors.js';
import type {CacheSource} from '../../dist/cache/cache-source.js';
import {stampOf} from '../../dist/backend/js/cache-file.js';
import {jsBackend} from '../../dist/backend/js/js-backend.js';
import {loadAddon} from '../../dist/backend/addon-loader.js';
import {storeOf, storesOf} from '../../dist/backend/stores.js';
import {backends, native} from '../helpers/caches/backends.js';
import {
	buildCache, builtClientId, builtEnvironment, cacheSizes,
} from '../helpers/caches/cache-builder.js';

const nowSec = 1_800_000_000;
/** Opens without sharing. Source: UV_FS_O_EXLOCK of libuv's uv/win.h. */
const readWriteAlone = constants.O_RDWR + 0x10_00_00_00;
const query: CacheQuery = {environments: [builtEnvironment], clientId: builtClientId, nowSec};
const emptySlice = {
	sizeBytes: 0, accounts: [], refreshTokens: [], accessTokens: [],
};

function directory(t: ExecutionContext): string {
	const path = mkdtempSync(join(tmpdir(), 'stc-dpapi-'));
	t.teardown(() => {
		rmSync(path, {recursive: true, force: true});
	});
	return path;
}

const put = (secret: string): CacheChange => ({
	edits: [{
		section: 'RefreshToken', action: 'put', key: 'key', set: {home_account_id: '"u.t"', environment: JSON.stringify(builtEnvironment), secret: JSON.stringify(secret)},
	}],
});

async function commit(path: string, change: CacheChange, rest: {create?: boolean; expectedStamp?: string | null} = {}) {
	return storeOf(native, 'dpapi').commit!({path}, {
		change, lockPaths: [`${path}.lockfile`, join(path, '..', '.lockfile')], create: true, ...rest,
	}, 10_000);
}

const read = async (path: string) => storeOf(native, 'dpapi').read({path}, 10_000);
const settle = (path: string) => {
	utimesSync(path, nowSec, nowSec);
};

/** The text that a read of a file with these bytes returns, or the code of the error. */
async function outcomeOf(path: string, bytes: Uint8Array): Promise<{text?: string; code?: string; error?: StoreError}> {
	writeFileSync(path, bytes);
	try {
		const {text = ''} = await read(path) ?? {};
		return {text};
	} catch (error) {
		const {code} = error as StoreError;
		return {code, error: error as StoreError};
	}
}

test('Windows has the encrypted store first', t => {
	t.deepEqual(loadAddon().addon?.stores, ['dpapi', 'plaintext']);
	t.deepEqual(storesOf(jsBackend), ['plaintext']);
});

test('a cache is created, read and changed, and kept if nothing changes', async t => {
	const path = join(directory(t), 'msal.cache.nocae');
	t.deepEqual(await commit(path, put('FAKE-one'), {create: false}), {outcome: 'absent'});
	t.is(await read(path), null);
	t.is(await storeOf(native, 'dpapi').stamp({path}, 1000), null);
	const made = await commit(path, put('FAKE-one'));
	t.like(made, {outcome: 'written', baseStamp: null, lockLost: false});
	const bytes = readFileSync(path);
	// Version 1, followed by the provider.
	t.deepEqual([...bytes.subarray(0, 4)], [1, 0, 0, 0]);
	t.false(bytes.includes('FAKE-one') || bytes.includes('RefreshToken') || bytes.includes(Buffer.from('FAKE-one', 'utf16le')));
	const first = await read(path);
	t.is((JSON.parse(first?.text ?? '') as {RefreshToken: {key: {secret: string}}}).RefreshToken.key.secret, 'FAKE-one');
	t.is(first?.stamp, made.outcome === 'written' ? made.stamp : '');
	t.true(Math.abs((first?.modifiedMs ?? 0) - Date.now()) < 60_000);

	t.deepEqual(await commit(path, put('FAKE-one')), {outcome: 'unchanged', stamp: first?.stamp});
	const changed = await commit(path, put('FAKE-two'));
	t.like(changed, {outcome: 'written', baseStamp: first?.stamp, lockLost: false});
	t.regex((await read(path))?.text ?? '', /FAKE-two/);
	t.deepEqual(await commit(path, put('FAKE-three'), {expectedStamp: first?.stamp ?? ''}), {outcome: 'changed'});
	t.deepEqual(await commit(path, put('FAKE-three'), {expectedStamp: null}), {outcome: 'changed'});
	t.deepEqual(readdirSync(join(path, '..')), ['msal.cache.nocae']);
});

for (const store of ['dpapi', 'plaintext'] as const) {
	test(`${store}: a stamp equals the one from Node's stat, after each commit`, async t => {
		const path = join(directory(t), 'cache');
		for (let round = 0; round < 5; round++) {
			const result = await storeOf(native, store).commit!({path}, {change: put(`FAKE-${round}`), lockPaths: [`${path}.lockfile`], create: true}, 1000);
			const stamp = stampOf(statSync(path, {bigint: true}));
			t.is(result.outcome === 'written' ? result.stamp : result.outcome, stamp);

			t.is(await storeOf(native, store).stamp({path}, 1000), stamp);

			t.is((await storeOf(native, store).query({path}, query, 1000))?.stamp, stamp);

			// Some versions of Node 22 and 23 return more bits of the volume number for a path than for a handle.
			const byHandle = statSync(path, {bigint: true});
			byHandle.dev += 2n ** 32n;
			t.is(stampOf(byHandle), stamp);
		}
	});

	test(`${store}: a file that another program opened without sharing is retried`, async t => {
		const path = join(directory(t), 'cache');
		const lockPaths = [`${path}.lockfile`];
		const change = {change: put('FAKE'), lockPaths, create: true};
		await storeOf(native, store).commit!({path}, change, 1000);
		const cache = new SharedCache({keyringTimeoutMs: 1000, lockTimeoutMs: 1000, useNativeAddon: true});
		const source = {
			store, at: {path}, lockPaths, label: path, kind: 'nocae', writable: true,
		} as unknown as CacheSource;
		const alone = openSync(path, readWriteAlone);
		for (const backend of store === 'plaintext' ? backends : [native]) {
			const expected = {code: 'STC_CACHE_CHANGED', message: /Close the program that has it open\./};
			await t.throwsAsync(storeOf(backend, store).read({path}, 1000), expected);
			await t.throwsAsync(storeOf(backend, store).commit!({path}, {...change, change: put('FAKE-two')}, 1000), expected);
		}

		const {error} = await cache.read(source, query);
		t.is(error?.code, 'STC_CACHE_CHANGED');
		t.regex(error?.message ?? '', /Close the program that has it open\./);
		const failure = await t.throwsAsync<StoreError>(cache.commit(source, put('FAKE-two')));
		t.like(failure, {code: 'STC_CACHE_CHANGED', osDomain: 'win32', osCode: 32});

		const reading = cache.read(source, query);
		setTimeout(() => {
			closeSync(alone);
		}, 20);
		t.is((await reading).error, undefined);
		t.true(((await reading).slice?.sizeBytes ?? 0) > 2);
		t.is((await cache.commit(source, put('FAKE-two'))).outcome, 'written');
	});

	test(`${store}: reports anything but a file, and a path below one`, async t => {
		const home = directory(t);
		const refusal = await t.throwsAsync<StoreError>(storeOf(native, store).read({path: home}, 1000));
		t.like(refusal, {code: 'STC_IO', osDomain: 'win32', op: 'CreateFileW'});
		writeFileSync(join(home, 'file'), '');
		for (const path of [join(home, 'no', 'such', 'directory'), join(home, 'file', 'below'), join(home, 'absent')]) {
			t.is(await storeOf(native, store).read({path}, 1000), null);
		}

		const path = join(home, 'missing', 'cache');
		const failing = storeOf(native, store).commit!({path}, {change: put('FAKE'), lockPaths: [`${path}.lockfile`], create: true}, 1000);
		const failure = await t.throwsAsync<StoreError>(failing);
		t.like(failure, {code: 'STC_IO', osDomain: 'win32', osCode: 3});
		t.false(existsSync(join(home, 'missing')));
	});

	test(`${store}: retries while a reader blocks the replacement, then writes in place`, async t => {
		const path = join(directory(t), 'cache');
		const write = async (secret: string) => storeOf(native, store).commit!({path}, {change: put(secret), lockPaths: [`${path}.lockfile`], create: true}, 1000);
		await write('FAKE-old');
		const reader = openSync(path, 'r');
		let tries = 0;
		let outcome: string;
		const startMs = performance.now();
		do {
			tries++;

			({outcome} = await write('FAKE-new'));
		} while (outcome === 'busy' && tries < 10_000);

		closeSync(reader);
		t.is(outcome, 'written');
		// Windows immediately replaces a file that is shared as Node shares it.
		t.true(tries === 1 || performance.now() - startMs >= 100, `${tries}`);
		t.regex((await storeOf(native, store).read({path}, 1000))?.text ?? '', /FAKE-new/);
		t.is((await write('FAKE-newer')).outcome, 'written');
		t.deepEqual(readdirSync(join(path, '..')), ['cache']);
	});
}

test('a cache of 1.4 MB in a directory with non-ASCII characters is scanned', async t => {
	const home = join(directory(t), 'Zoë 名前 😀', '.IdentityService');
	mkdirSync(home, {recursive: true});
	const path = join(home, 'msal.cache.nocae');
	const large = buildCache({...cacheSizes.M, nowSec, unicodeNames: true});
	const sections = JSON.parse(large.text) as Record<string, Record<string, Record<string, unknown>>>;
	const edits = Object.entries(sections).flatMap(([section, records]) => Object.entries(records).map(([key, record]) => ({
		section, action: 'put' as const, key, set: Object.fromEntries(Object.entries(record).map(([name, value]) => [name, JSON.stringify(value)])),
	})));
	t.like(await commit(path, {edits}), {outcome: 'written'});
	t.true(isDeepStrictEqual(JSON.parse((await read(path))?.text ?? ''), sections));
	const wanted = large.accounts[7]!;
	const slice = await storeOf(native, 'dpapi').query({path}, {...query, username: wanted.username, homeTenantId: wanted.tenantId}, 10_000);
	t.true(isDeepStrictEqual(slice?.accessTokens.map(({secret}) => secret).toSorted(), wanted.accessTokens.toSorted()));
	const slices = await Promise.all(Array.from({length: 40}, async () => storeOf(native, 'dpapi').query({path}, query, 10_000)));
	t.true(slices.every(each => each?.accounts.length === large.accounts.length));
});

test('an empty file counts as an empty cache once it is old enough', async t => {
	const path = join(directory(t), 'cache');
	writeFileSync(path, '');
	t.like(await storeOf(native, 'dpapi').query({path}, query, 1000), emptySlice);
	t.deepEqual(await commit(path, put('FAKE')), {outcome: 'changed'}, 'another program may be writing it');
	settle(path);
	t.like(await commit(path, put('FAKE')), {outcome: 'written'});
});

test('a file that is not a DPAPI blob is another format and is not overwritten', async t => {
	const path = join(directory(t), 'cache');
	for (const text of ['{}', '{"RefreshToken":{"key":{"secret":"FAKE-quoted"}}}', ' \r\n', 'eyJhbGciOiJkaXIifQ.FAKE-quoted']) {
		const {code, error} = await outcomeOf(path, Buffer.from(text));
		t.is(code, 'STC_CACHE_FORMAT');
		t.regex(error?.message ?? '', /DPAPI.*sign in again/);
		t.true(error?.message.startsWith(path));
		t.notRegex(inspect(error, {depth: 5}), /FAKE|quoted/);

		await t.throwsAsync(commit(path, put('FAKE')), {code: 'STC_CACHE_FORMAT'});
		t.is(readFileSync(path, 'utf8'), text);
	}
});

test('a blob in place of plaintext is another format, in both backends', async t => {
	const path = join(directory(t), 'cache');
	// The beginning of every blob on real Windows.
	writeFileSync(path, Buffer.from('01000000d08c9ddf0115d1118c7a00c04fc297eb', 'hex'));
	for (const backend of [native, jsBackend]) {
		await t.throwsAsync(storeOf(backend, 'plaintext').query({path}, query, 1000), {code: 'STC_CACHE_FORMAT', message: /DPAPI/});
	}

	t.throws(() => storeOf(jsBackend, 'dpapi'), {code: 'STC_ADDON_MISSING', message: /native addon/});
});

test('a truncated or changed blob gives an error with a remedy, never another text, and is not overwritten', async t => {
	const path = join(directory(t), 'cache');
	await commit(path, put('FAKE-quoted'));
	const whole = readFileSync(path);
	const {text = ''} = await outcomeOf(path, whole);
	t.regex(text, /FAKE-quoted/);
	let refused = 0;
	const damaged = [
		...Array.from({length: whole.length}, (_, size) => whole.subarray(0, size)).filter(bytes => bytes.length > 0 && bytes.length % 3 === 0),
		...Array.from({length: Math.ceil(whole.length / 3)}, (_, index) => {
			const bytes = Buffer.from(whole);

			bytes[index * 3]! ^= 0x41;
			return bytes;
		}),
		Buffer.from('FAKE-quoted'),
		Buffer.alloc(300, 1),
	];
	for (const bytes of damaged) {
		const outcome = await outcomeOf(path, bytes);
		if (outcome.text === text) {
			// A byte that the signature does not cover, such as the description.
			continue;
		}

		refused++;
		t.is(outcome.code, 'STC_CACHE_CORRUPT');
		t.like(outcome.error, {
			op: 'CryptUnprotectData', store: 'dpapi', osDomain: 'win32',
		});
		t.regex(outcome.error?.message ?? '', /sign in again/);
		t.notRegex(inspect(outcome.error, {depth: 5}), /FAKE|quoted/);

		await t.throwsAsync(commit(path, put('FAKE')), {code: 'STC_CACHE_CORRUPT'});
		t.true(readFileSync(path).equals(bytes));
	}

	t.true(refused > damaged.length / 2, `${refused} of ${damaged.length}`);
});

test('a blob of another user gives an error that says so', async t => {
	const path = join(directory(t), 'cache');
	const {error} = await outcomeOf(path, readFileSync(process.env['STC_OTHER_USERS_BLOB']!));
	// Windows distinguishes it from a damaged blob. Wine does not.
	t.true(error?.code === 'STC_STORE_DENIED' || error?.code === 'STC_CACHE_CORRUPT', String(error));
	t.regex(error?.message ?? '', /another user.*Run as the user who signed in/);
	t.notRegex(inspect(error, {depth: 5}), /FAKE/);
});

test('the next writer removes the temporary file of a killed writer', async t => {
	const path = join(directory(t), 'cache');
	writeFileSync(`${path}.4.17.tmp`, 'FAKE');
	writeFileSync(`${path}.mine.tmp`, 'mine');
	await commit(path, put('FAKE'));
	t.deepEqual(readdirSync(join(path, '..')).toSorted(), ['cache', 'cache.mine.tmp']);
});

test('the home directory is the one of Windows', t => {
	t.regex(homedir(), /^[A-Z]:\\/);
	t.is(process.env['LOCALAPPDATA']?.toLowerCase(), join(homedir(), 'AppData', 'Local').toLowerCase());
});
