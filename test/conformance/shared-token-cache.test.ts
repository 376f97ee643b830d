/** `SharedTokenCache`: the cache API for programs that do not use the credential. */

import {
	existsSync, readFileSync, readdirSync, symlinkSync, writeFileSync,
} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {SharedTokenCache, type SharedTokenCacheOptions, StoreError} from '../../dist/index.js';
import {cacheSources} from '../../dist/cache/locations/index.js';
import type {MsalCache} from '../../dist/types.js';
import {writesDeepJson} from '../helpers/deep-json.js';
import {
	accessTokenRecord, accountRecord, ann, bob, cacheOf, homeAccountId, refreshTokenRecord, TestHome,
} from '../helpers/home.js';

const allowed = {unsafeAllowUnencryptedStorage: true};

const cacheIn = (home: TestHome, options?: SharedTokenCacheOptions) => home.sharedCache(options);

const both = cacheOf({
	accounts: [accountRecord(ann), accountRecord(bob)],
	refreshTokens: [refreshTokenRecord(ann, 'FAKE-ann'), refreshTokenRecord(bob, 'FAKE-bob')],
	accessTokens: [accessTokenRecord(ann, 'FAKE-access-ann', 3600), accessTokenRecord(bob, 'FAKE-access-bob', 3600)],
});

const read = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as MsalCache;
/** Files besides the caches and the mark of a sign-out. */
const leftovers = (home: TestHome) => readdirSync(join(home.path, '.IdentityService')).filter(name => !/^(?:msal\.cache\.(?:no)?cae|\.signed-out)$/.test(name));
/** No test here has a keyring. */
const unreached = (useNativeAddon: boolean) => keyringSources().map(source => ({source, code: useNativeAddon ? 'STC_STORE_UNAVAILABLE' : 'STC_ADDON_MISSING'}));
const rejection = async (t: ExecutionContext, promise: Promise<unknown>) => (t.throwsAsync<StoreError>(promise, {instanceOf: StoreError}));

/** The labels of the keyring items, in the order in which a sign-out looks at them. */
function keyringSources(): string[] {
	const settings = {
		home: '/h', dataHome: '/d', cacheHome: '/c', cacheName: 'msal.cache', platform: 'linux',
	} as const;
	const [nocae, cae] = (['nocae', 'cae'] as const).map(kind => cacheSources(kind, settings));
	const items = [...nocae!.primary, ...cae!.primary, ...nocae!.extra, ...cae!.extra].filter(({store}) => store === 'libsecret');
	return [...new Set(items.map(({label}) => label))];
}

for (const useNativeAddon of [true, false]) {
	const name = useNativeAddon ? 'native' : 'pure';

	test(`${name}: lists the accounts of both kinds and of other languages' caches, without secrets`, async t => {
		const home = new TestHome(t);
		const path = home.write(cacheOf({accounts: [accountRecord(ann)], refreshTokens: [refreshTokenRecord(ann, 'FAKE')]}));
		const dotnet = home.write(cacheOf({accounts: [accountRecord(bob)]}), '.local/share/.IdentityService/msal.cache.cae');
		const accounts = await cacheIn(home, {useNativeAddon}).listAccounts();
		t.deepEqual(accounts.map(({username, source, usable}) => ({username, source, usable})), [
			{username: ann.username, source: path, usable: true},
			{username: bob.username, source: dotnet, usable: false},
		]);
		t.notRegex(JSON.stringify(accounts), /FAKE/);
	});

	test(`${name}: G13: with 200,000 levels of JSON, withCache reports a code and writes nothing, unless this Node can write them; the rest works`, async t => {
		const levels = 200_000;
		const json = JSON.stringify(both);
		for (const deep of [`${'['.repeat(levels)}${']'.repeat(levels)}`, `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`]) {
			for (const text of [`{"other":${deep},${json.slice(1)}`, json.replace('"secret":"FAKE-ann"', `"secret":"FAKE-ann","other":${deep}`)]) {
				const home = new TestHome(t);
				const path = home.write(both);
				writeFileSync(path, text);
				const cache = cacheIn(home, {useNativeAddon, tokenCachePersistenceOptions: allowed});
				const merges = [
					() => undefined,
					(view: MsalCache) => {
						view['AppMetadata'] = {};
					},
					(view: MsalCache) => {
						delete view['Account'];
					},
				];
				for (const merge of writesDeepJson ? [] : merges) {
					t.is((await rejection(t, cache.withCache(merge)))?.code, 'STC_CACHE_CORRUPT');
				}

				t.is(readFileSync(path, 'utf8'), text);
				t.is((await cache.listAccounts()).length, 2);
				t.deepEqual((await cache.removeAccount({homeAccountId: homeAccountId(bob)})).removedFrom, [path]);
				t.true(readFileSync(path, 'utf8').includes(deep));
			}
		}

		if (writesDeepJson) {
			return;
		}

		const home = new TestHome(t);
		const path = home.write(both);
		await t.throwsAsync(cacheIn(home, {useNativeAddon, tokenCachePersistenceOptions: allowed}).withCache(view => {
			let value: unknown = 1;
			for (let level = 0; level < levels; level++) {
				value = [value];
			}

			view['Account']!['deep'] = {value};
		}), {instanceOf: TypeError, code: 'STC_INVALID_ARGUMENT', message: /^withCache .* nested too deeply/});
		t.deepEqual(read(path), both);
	});

	test(`${name}: signing out removes the account and its tokens from both kinds, and nothing else; read-only caches are named`, async t => {
		const home = new TestHome(t);
		const paths = ['nocae', 'cae'].map(kind => home.write(both, `.IdentityService/msal.cache.${kind}`));
		const foreign = home.write(both, '.local/.IdentityService/msal.cache');
		const cache = cacheIn(home, {useNativeAddon});
		const result = await cache.removeAccount({homeAccountId: homeAccountId(ann).toUpperCase(), environment: 'login.windows.net'});
		t.deepEqual(result, {removedFrom: paths, remainsIn: [foreign], notRead: unreached(useNativeAddon)});
		for (const path of paths) {
			const {Account: accounts, RefreshToken: refreshTokens, AccessToken: accessTokens} = read(path);
			t.deepEqual(Object.keys(accounts!), ['key-1']);
			t.deepEqual(Object.keys(refreshTokens!), ['key-1']);
			t.deepEqual(Object.keys(accessTokens!), ['key-1']);
		}

		t.deepEqual(read(foreign), both);
		t.deepEqual(await cache.removeAccount({homeAccountId: homeAccountId(ann)}), {removedFrom: [], remainsIn: [foreign], notRead: unreached(useNativeAddon)});
		t.deepEqual((await cache.listAccounts()).filter(({source}) => source !== foreign).map(({username}) => username), [bob.username, bob.username]);
		t.deepEqual(leftovers(home), []);
	});

	test(`${name}: a sign-out ends a credential's use of the account`, async t => {
		const home = new TestHome(t);
		home.write(both);
		const credential = home.credential({useNativeAddon, username: ann.username, cacheCheckIntervalInMs: 0});
		t.is((await credential.getToken('https://vault.azure.net/.default')).token, 'FAKE-access-ann');
		await cacheIn(home, {useNativeAddon}).removeAccount({homeAccountId: homeAccountId(ann)});
		let code: unknown;
		for (let attempt = 0; attempt < 100 && code === undefined; attempt++) {
			await new Promise(resolve => {
				setTimeout(resolve, 20);
			});
			code = await credential.getToken('https://vault.azure.net/.default').then(() => undefined, (error: unknown) => (error as {code: string}).code);
		}

		t.is(code, 'STC_NO_ACCOUNT');
	});

	test(`${name}: withCache writes the changes, keeps the other bytes, and creates a missing cache`, async t => {
		const home = new TestHome(t);
		const cache = cacheIn(home, {useNativeAddon});
		const path = join(home.path, '.IdentityService', 'msal.cache.nocae');
		t.is(await cache.withCache(() => 'nothing changed'), 'nothing changed');
		t.false(existsSync(path));
		await cache.withCache(records => {
			records['Mine'] = {entry: {value: 1}};
		});
		t.is(readFileSync(path, 'utf8'), '{"Mine":{"entry":{"value":1}}}');
		writeFileSync(path, '{ "Mine" : {"entry":{"value":1.00, "other":1e3}, "gone":{"a":1}},\n "Unknown":[1.50] }');
		const seen = await cache.withCache(async records => {
			records['Mine']!['entry']!['value'] = 2;
			delete records['Mine']!['gone'];
			return Object.keys(records);
		});
		t.deepEqual(seen, ['Mine', 'Unknown']);
		t.is(readFileSync(path, 'utf8'), '{ "Mine" : {"entry":{"value":2, "other":1e3}},\n "Unknown":[1.50] }');
		t.deepEqual(leftovers(home), []);
	});

	test(`${name}: withCache retries after a concurrent write and loses none of many concurrent changes`, async t => {
		const home = new TestHome(t);
		const path = home.write('{}');
		const cache = cacheIn(home, {useNativeAddon});
		let calls = 0;
		await cache.withCache(records => {
			calls++;
			if (calls === 1) {
				writeFileSync(path, '{"Theirs":{"a":{"b":1}}}');
			}

			records['Mine'] = {entry: {calls}};
		});
		t.is(calls, 2);
		t.deepEqual(read(path), {Theirs: {a: {b: 1}}, Mine: {entry: {calls: 2}}});
		await Promise.all(Array.from({length: 20}, async () => cache.withCache(records => {
			records['Counter'] ??= {count: {value: 0}};
			records['Counter']['count']!['value'] = Number(records['Counter']['count']!['value']) + 1;
		})));
		t.is(read(path)['Counter']!['count']!['value'], 20);
		t.deepEqual(leftovers(home), []);
	});

	test(`${name}: errors have their types and change nothing`, async t => {
		const home = new TestHome(t);
		const path = home.writeSettled('{"Account":');
		const cache = cacheIn(home, {useNativeAddon, lockTimeoutInMs: 200});
		t.is((await rejection(t, cache.withCache(() => undefined))).code, 'STC_CACHE_CORRUPT');
		t.is(readFileSync(path, 'utf8'), '{"Account":');
		await t.throwsAsync(cache.removeAccount({} as never), {code: 'STC_INVALID_ARGUMENT'});
		writeFileSync(path, JSON.stringify(both));
		writeFileSync(`${path}.lockfile`, String(process.ppid));
		const error = await rejection(t, cache.withCache(records => {
			records['Mine'] = {};
			records['Mine']['a'] = {};
		}));
		t.is(error.code, 'STC_LOCK_TIMEOUT');
		t.regex(error.message, /msal\.cache\.nocae\.lockfile: held by another program for 200 ms\./);
		t.deepEqual(read(path), both);
		await t.throwsAsync(cache.withCache(() => {
			throw new Error('the program\'s own');
		}), {message: 'the program\'s own'});
	});

	test(`${name}: a dangling link is an error and is not changed`, async t => {
		const home = new TestHome(t);
		const cachePath = join(home.path, 'link');
		symlinkSync('nowhere', cachePath);
		const error = await rejection(t, cacheIn(home, {useNativeAddon, cachePath}).withCache(records => {
			Object.assign(records, both);
		}));
		t.is(error.code, 'STC_IO');
		t.deepEqual(readdirSync(home.path), ['link']);
	});

	test(`${name}: uses a file that the program names`, async t => {
		const home = new TestHome(t);
		const cachePath = join(home.path, 'my cache.json');
		const cache = cacheIn(home, {useNativeAddon, cachePath});
		t.deepEqual(await cache.listAccounts(), []);
		await cache.withCache(records => {
			Object.assign(records, both);
		});
		t.deepEqual(read(cachePath), both);
		t.deepEqual((await cache.listAccounts()).map(({source}) => source), [cachePath, cachePath]);
		t.deepEqual(await cache.removeAccount({homeAccountId: homeAccountId(bob)}), {removedFrom: [cachePath], remainsIn: [], notRead: []});
		t.deepEqual(readdirSync(home.path), ['.signed-out', 'my cache.json']);
	});
}

test('a plaintext cache is created only if that is allowed', async t => {
	const home = new TestHome(t);
	const cache = cacheIn(home, {tokenCachePersistenceOptions: {}});
	const error = await rejection(t, cache.withCache(records => {
		records['Mine'] = {a: {b: 1}};
	}));
	t.is(error.code, 'STC_STORE_UNAVAILABLE');
	t.regex(error.message, /unsafeAllowUnencryptedStorage/);
	t.deepEqual(readdirSync(home.path), []);
});

test('invalid options are refused', t => {
	const refuses = (options: unknown, message: RegExp) => {
		t.throws(() => new SharedTokenCache(options as SharedTokenCacheOptions), {instanceOf: TypeError, code: 'STC_INVALID_ARGUMENT', message});
	};

	refuses(null, /options must be an object/);
	refuses({username: 'x'}, /"username" does not exist here/);
	refuses({cachePath: 'relative', tokenCachePersistenceOptions: allowed}, /absolute path/);
	refuses({cachePath: '/tmp/x'}, /unsafeAllowUnencryptedStorage/);
	refuses({enableCae: 1}, /enableCae/);
	refuses({lockTimeoutInMs: -1}, /lockTimeoutInMs/);
	refuses({tokenCachePersistenceOptions: {name: 'a/b'}}, /plain file name/);
});
