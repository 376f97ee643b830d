/** Details of the pure-JS backend. `test/conformance` covers what both backends must do. */

import {constants} from 'node:buffer';
import {
	mkdtempSync, rmSync, truncateSync, writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {CacheQuery} from '../../dist/backend/backend.js';
import type {StoreError} from '../../dist/errors.js';
import {jsBackend} from '../../dist/backend/js/js-backend.js';
import {chooseStore, storeOf, storesOf} from '../../dist/backend/stores.js';
import {buildCache, builtClientId, builtEnvironment} from '../helpers/caches/cache-builder.js';

const nowSec = 1_800_000_000;
const query: CacheQuery = {environments: [builtEnvironment], clientId: builtClientId, nowSec};
const cache = buildCache({accounts: 2, tokensPerAccount: 2, nowSec});

function temporaryPath(t: ExecutionContext): string {
	const directory = mkdtempSync(join(tmpdir(), 'stc-pure-'));
	t.teardown(() => {
		rmSync(directory, {recursive: true});
	});
	return join(directory, 'cache');
}

/** Runs `action` and returns the buffers that it allocated outside of Node's shared pool. */
async function buffersMadeBy(action: () => Promise<unknown>): Promise<Buffer[]> {
	const made: Buffer[] = [];
	const original = Buffer.allocUnsafeSlow;
	Buffer.allocUnsafeSlow = size => {
		// So that a buffer which was never written does not pass as wiped.
		const buffer = original(size).fill(0xAA);
		made.push(buffer);
		return buffer;
	};

	try {
		await action();
	} finally {
		Buffer.allocUnsafeSlow = original;
	}

	return made;
}

test('reads plaintext only, and says what the other stores need', t => {
	t.is(jsBackend.kind, 'pure');
	t.deepEqual(storesOf(jsBackend), ['plaintext']);
	const expected = {name: 'StoreError', code: 'STC_ADDON_MISSING', message: /"libsecret" needs the native addon.*useNativeAddon/};
	const error = t.throws<StoreError>(() => storeOf(jsBackend, 'libsecret'), expected);
	t.is(error.store, 'libsecret');
	t.throws(() => chooseStore('libsecret', false), expected);
});

test.serial('the bytes that were read are wiped, whether or not they were a cache', async t => {
	const path = temporaryPath(t);
	for (const [text, isCache] of [[cache.text, true], [cache.text.slice(0, -1), false], [`eyJ${cache.text}`, false], [`\uFEFF${cache.text}`, false]] as const) {
		writeFileSync(path, text);
		let accounts = 0;
		const buffers = await buffersMadeBy(async () => {
			try {
				const slice = await storeOf(jsBackend, 'plaintext').query({path}, query, 1000);
				accounts = slice?.accounts.length ?? 0;
			} catch (error) {
				t.is((error as Error).name, 'StoreError');
			}
		});
		t.is(accounts, isCache ? 2 : 0);
		t.is(buffers.length, 1);
		t.true(buffers[0]!.length >= Buffer.byteLength(text));
		t.true(buffers[0]!.every(byte => byte === 0));
	}
});

test('refuses a file longer than the longest string without reading it', async t => {
	const path = temporaryPath(t);
	writeFileSync(path, '');
	// A sparse file, which takes no disk space.
	truncateSync(path, constants.MAX_STRING_LENGTH + 1);
	const error = await t.throwsAsync<StoreError>(storeOf(jsBackend, 'plaintext').query({path}, query, 1000), {name: 'StoreError', code: 'STC_CACHE_CORRUPT'});
	t.true(error.message.startsWith(`${path}: larger than 511 MiB`), error.message);
});

test('ignores properties that a program added to Object.prototype', t => {
	const bytes = Buffer.from(JSON.stringify({Account: {a: {home_account_id: 'u.t', environment: builtEnvironment}, b: {environment: builtEnvironment}}}));
	const prototype = Object.prototype as Record<string, unknown>;
	const foreign = {home_account_id: 'foreign', username: 'foreign', RefreshToken: {r: {home_account_id: 'u.t', environment: builtEnvironment, secret: 'FAKE'}}};
	Object.assign(prototype, foreign);
	try {
		const {accounts, refreshTokens} = jsBackend.scan(bytes, query);
		t.deepEqual(accounts, [{homeAccountId: 'u.t', environment: builtEnvironment}]);
		t.deepEqual(refreshTokens, []);
	} finally {
		for (const name of Object.keys(foreign)) {
			delete prototype[name];
		}
	}

	jsBackend.scan(Buffer.from('{"__proto__":{"polluted":1},"Account":{"__proto__":{"__proto__":{"polluted":1}}}}'), query);
	const fresh: Record<string, unknown> = {};
	t.is(fresh['polluted'], undefined);
});
