/**
 * Go's encrypted cache on Linux, with a real key in the kernel keyring. The test builds the file by the rules in
 * `src/backend/go-cache.ts`.
 */

import {randomBytes} from 'node:crypto';
import {basename} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {CredentialUnavailableError} from '../../dist/errors.js';
import {decrypt} from '../../dist/backend/go-cache.js';
import {
	accessTokenRecord, accountRecord, ann, cacheOf, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {
	encrypt, header, kernelKey, lackOfKernelKeys,
} from '../helpers/caches/go-cache-file.js';
import {lackOfAddon, testWhere} from '../helpers/peers/peers.js';

const cache = JSON.stringify(cacheOf({
	accounts: [accountRecord(ann)], refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh')], accessTokens: [accessTokenRecord(ann, 'FAKE-go', 3600)],
}));

/** Each test uses its own cache name, because kernel keys belong to the user, not to the test's home directory. */
function putKey(t: ExecutionContext, key: Buffer): string {
	const name = `stc-test-${process.pid}-${randomBytes(4).toString('hex')}`;
	t.is(kernelKey('add', name, key.toString('hex')), undefined);
	t.teardown(() => {
		kernelKey('remove', name);
	});
	return name;
}

const lacks = [lackOfAddon(), lackOfKernelKeys()];

testWhere(test, lacks, 'a token is read from Go\'s cache; a damaged cache is reported; a cache without its key counts as absent', async t => {
	const home = new TestHome(t);
	// As Go stores it, with a zero byte at the end.
	const key = Buffer.concat([randomBytes(32), Buffer.alloc(1)]);
	const name = putKey(t, key);
	const path = home.writeSettled(encrypt(cache, key), `.cache/.IdentityService/${name}`);
	t.is(basename(path), name);
	const options = {useNativeAddon: true, tokenCachePersistenceOptions: {name}};
	t.is((await home.credential(options).getToken(scope)).token, 'FAKE-go');
	const [account] = await home.credential(options).listAccounts();
	t.is(account?.source, path);

	const whole = encrypt(cache, key);
	for (const damaged of [whole.slice(0, -30), `${whole.slice(0, 200)}AAAA${whole.slice(204)}`]) {
		home.writeSettled(damaged, `.cache/.IdentityService/${name}`);
		const error = await t.throwsAsync<CredentialUnavailableError>(home.credential({...options, cacheCheckIntervalInMs: 1}).getToken(scope), {name: 'CredentialUnavailableError'});
		t.is(error.code, 'STC_CACHE_CORRUPT');
		t.true(error.message.includes(path));
		t.notRegex(error.message, /FAKE|\n/);
	}

	home.writeSettled('{"Account":{}}', `.cache/.IdentityService/${name}`);
	t.is((await t.throwsAsync<CredentialUnavailableError>(home.credential({...options, cacheCheckIntervalInMs: 2}).getToken(scope))).code, 'STC_CACHE_FORMAT');

	home.writeSettled(whole, `.cache/.IdentityService/${name}`);
	kernelKey('remove', name);
	const {code} = await t.throwsAsync<CredentialUnavailableError>(home.credential({...options, cacheCheckIntervalInMs: 3}).getToken(scope));
	t.true(['STC_CACHE_NOT_FOUND', 'STC_STORE_UNAVAILABLE'].includes(code), code);
});

testWhere(test, lacks, 'a request with CAE uses Go\'s CAE file', async t => {
	const home = new TestHome(t);
	const key = randomBytes(32);
	const name = putKey(t, key);
	t.is(kernelKey('add', `${name}.cae`, key.toString('hex')), undefined);
	t.teardown(() => {
		kernelKey('remove', `${name}.cae`);
	});
	home.writeSettled(encrypt(cache, key), `.cache/.IdentityService/${name}.cae`);
	const credential = home.credential({useNativeAddon: true, tokenCachePersistenceOptions: {name}});
	t.is((await credential.getToken(scope, {enableCae: true})).token, 'FAKE-go');
});

test('a value that is not a JWE, truncated, or changed anywhere is refused', t => {
	const key = randomBytes(32);
	const text = encrypt('{"Account":{}}', key);
	t.is(decrypt(text, key, '/c').toString(), '{"Account":{}}');
	t.is(decrypt(`${text}\n`, key, '/c').toString(), '{"Account":{}}');
	for (let length = 0; length < text.length; length++) {
		t.throws(() => decrypt(text.slice(0, length), key, '/c'), {name: 'StoreError'}, String(length));
	}

	for (const other of [Buffer.alloc(32), key.subarray(0, 31), Buffer.alloc(0)]) {
		t.throws(() => decrypt(text, other, '/c'), {code: 'STC_CACHE_CORRUPT'});
	}

	for (const each of ['', '....', 'a.b.c.d.e', `${text}.x`, text.replace('..', '.x.'), text.replace(header, Buffer.from('{"alg":"RSA1_5","enc":"A128CBC-HS256"}').toString('base64url'))]) {
		t.throws(() => decrypt(each, key, '/c'), {code: 'STC_CACHE_FORMAT'}, each.slice(0, 20));
	}
});
