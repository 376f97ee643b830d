/**
 * The cache plugin in the real MSAL for Node, which signs users in at the embedded endpoint: alone, in several
 * concurrent processes, beside the plugin of MSAL's own extensions, and with a cache that is locked, damaged or
 * overwritten.
 */

import {
	existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync,
} from 'node:fs';
import {dirname, join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {isDeepStrictEqual} from 'node:util';
import test, {type ExecutionContext} from 'ava';
import {type CachePlugin, createCachePlugin, type CachePluginOptions} from '../../dist/cache-api/msal-node-plugin.js';
import {
	type EntraServer, type EntraServerOptions, type EntraUser, startEntraServer,
} from '../helpers/authority/entra-server.js';
import {ann, bob, TestHome} from '../helpers/home.js';
import {missingKeyring, startKeyring} from '../helpers/keyring/keyring.js';
import {LockProcess} from '../helpers/locks/lock-process.js';
import {MsalApp} from '../helpers/peers/msal-app.js';
import {MsalProcess} from '../helpers/peers/msal-process.js';
import {lackOf, lackOfAddon, testWhere} from '../helpers/peers/peers.js';
import {readInProcess} from '../helpers/processes/reader.js';
import {until} from '../helpers/until.js';
import {
	environmentOf, namer, query, storage, vault,
} from '../helpers/peers/written-cache.js';

const variants = ['native', 'pure'] as const;
type Variant = typeof variants[number];

const lacksOf = (variant: Variant) => [lackOf('msal-node'), variant === 'native' ? lackOfAddon() : undefined];
const users = (prefix: string, count: number): EntraUser[] => Array.from({length: count}, (_, index) => ({
	uid: `${prefix}-${index}`, utid: ann.utid, username: `${prefix}-${index}@contoso.com`,
}));
const tokenOf = ({username}: EntraUser) => `FAKE-refresh-token-of-${username}`;
const usernames = (list: readonly EntraUser[]) => list.map(({username}) => username).toSorted();

async function startServer(t: ExecutionContext, known: readonly EntraUser[], options: EntraServerOptions = {}): Promise<EntraServer> {
	const entra = await startEntraServer({refreshTokens: Object.fromEntries(known.map(user => [tokenOf(user), user])), ...options});
	t.teardown(async () => entra.close());
	return entra;
}

/** A separate cache file and the plugin options for it. */
function ownCache(t: ExecutionContext, variant: Variant): {home: TestHome; cachePath: string; options: CachePluginOptions} {
	const home = new TestHome(t);
	const cachePath = join(home.path, 'app', 'cache.json');
	return {home, cachePath, options: {cachePath, tokenCachePersistenceOptions: {unsafeAllowUnencryptedStorage: true}, useNativeAddon: variant === 'native'}};
}

type Cache = Record<string, Record<string, Record<string, unknown>>>;
const readCache = (path: string): Cache => JSON.parse(readFileSync(path, 'utf8')) as Cache;
const countsOf = (cache: Cache) => Object.fromEntries(['Account', 'AccessToken', 'RefreshToken', 'IdToken'].map(section => [section, Object.keys(cache[section] ?? {}).length]));
const accountsOf = (cache: Cache) => Object.values(cache['Account'] ?? {}).map(({username}) => String(username)).toSorted();

function checkNothingLeft(t: ExecutionContext, cachePath: string): void {
	t.deepEqual(readdirSync(dirname(cachePath)).filter(name => name !== '.signed-out'), ['cache.json'], 'neither lock files nor temporary files remain');
	t.is(statSync(cachePath).mode & 0o777, 0o600);
}

/** Another library's read-write lock that is never released: young, and of a live process. */
async function holdLock(t: ExecutionContext, cachePath: string): Promise<LockProcess> {
	mkdirSync(dirname(cachePath), {recursive: true});
	const holder = await LockProcess.startPeer(t, 'node', `${cachePath}.lockfile`);
	t.is(await holder.ask('lock'), 'locked');
	return holder;
}

for (const variant of variants) {
	const declare = (title: string, implementation: (t: ExecutionContext) => Promise<void>) => {
		testWhere(test, lacksOf(variant), `${variant}: ${title}`, implementation);
	};

	declare('a user signs in, and another process and the credential get the tokens silently', async t => {
		const home = new TestHome(t);
		const environment = environmentOf(home);
		const entra = await startServer(t, [], {deviceCodeUser: ann});
		const job = {plugin: 'ours', options: {tokenCachePersistenceOptions: {unsafeAllowUnencryptedStorage: true}, useNativeAddon: variant === 'native'}, server: entra} as const;
		const name = (secret: string | undefined) => namer(entra)(secret);

		const first = await MsalProcess.start(t, job, environment);
		t.is(name((await first.ask<{accessToken: string}>({do: 'deviceCode', scopes: [vault]})).accessToken), 'access token 1');
		t.is(await first.end(), 0);
		t.deepEqual(readdirSync(join(home.path, '.IdentityService')), ['msal.cache.nocae']);

		const second = await MsalProcess.start(t, job, environment);
		const token = await second.silent(ann.username, vault);
		t.is(name(token.accessToken), 'access token 1');
		t.true(token.fromCache);
		t.is(entra.grants.length, 1);

		const credential = home.credential({useNativeAddon: variant === 'native'}, entra);
		t.is(name((await credential.getToken(vault)).token), 'access token 1');
		t.is(name((await credential.getToken(storage)).token), 'access token 2');
		t.is(name(entra.grants[1]?.redeemed), 'refresh token 1');
	});

	declare('concurrent sign-ins in several processes lose nothing', async t => {
		const {home, cachePath, options} = ownCache(t, variant);
		const groups = ['a', 'b', 'c'].map(prefix => users(prefix, 15));
		const entra = await startServer(t, groups.flat());
		const processes = await Promise.all(groups.map(async () => MsalProcess.start(t, {plugin: 'ours', options, server: entra}, environmentOf(home))));
		await Promise.all(processes.map(async (process, index) => process.ask({do: 'signIn', refreshTokens: groups[index]!.map(user => tokenOf(user)), scopes: [vault]})));

		const all = usernames(groups.flat());
		const cache = readCache(cachePath);
		t.deepEqual(accountsOf(cache), all);
		t.deepEqual(countsOf(cache), {
			Account: all.length, AccessToken: all.length, RefreshToken: all.length, IdToken: all.length,
		});
		for (const process of processes) {
			t.deepEqual(await process.accounts(), all);
		}

		checkNothingLeft(t, cachePath);
	});

	declare('concurrent calls in one application lose nothing', async t => {
		const {cachePath, options} = ownCache(t, variant);
		const people = users('p', 12);
		const entra = await startServer(t, people);
		const app = new MsalApp(t, createCachePlugin(options), entra);
		await Promise.all(people.slice(0, 6).map(async user => app.signIn(tokenOf(user), vault)));
		t.deepEqual(await app.usernames(), usernames(people.slice(0, 6)));
		// Silent calls empty MSAL's memory and reload the cache, while other calls save their grants.
		for (let round = 0; round < 5; round++) {
			const scope = `https://service-${round}.example/.default`;
			await Promise.all([
				...people.slice(0, 6).map(async user => app.silent(user.username, scope)),
				...people.slice(0, 6).map(async user => app.silent(user.username, vault)),
				app.usernames(),
				...people.slice(6 + round, 7 + round).map(async user => app.signIn(tokenOf(user), vault)),
			]);
		}

		const cache = readCache(cachePath);
		t.deepEqual(accountsOf(cache), usernames(people.slice(0, 11)));
		t.deepEqual(countsOf(cache), {
			Account: 11, AccessToken: 11 + 30, RefreshToken: 11, IdToken: 11,
		});
		checkNothingLeft(t, cachePath);
	});

	declare('other processes notice a sign-out and do not restore the account', async t => {
		const {home, cachePath, options} = ownCache(t, variant);
		const entra = await startServer(t, [ann, bob]);
		const [one, other] = await Promise.all([1, 2].map(async () => MsalProcess.start(t, {plugin: 'ours', options, server: entra}, environmentOf(home))));
		await one!.ask({do: 'signIn', refreshTokens: [tokenOf(ann)], scopes: [vault]});
		t.deepEqual(await other!.accounts(), [ann.username]);
		t.true((await other!.silent(ann.username, vault)).fromCache);
		await one!.ask({do: 'signOut', username: ann.username});
		t.deepEqual(countsOf(readCache(cachePath)), {
			Account: 0, AccessToken: 0, RefreshToken: 0, IdToken: 0,
		});
		// This process has not read the cache since, and writes.
		await other!.ask({do: 'signIn', refreshTokens: [tokenOf(bob)], scopes: [vault]});
		t.deepEqual(accountsOf(readCache(cachePath)), [bob.username]);
		t.deepEqual(await other!.accounts(), [bob.username]);
		t.deepEqual(await one!.accounts(), [bob.username]);
		t.deepEqual(countsOf(readCache(cachePath)), {
			Account: 1, AccessToken: 1, RefreshToken: 1, IdToken: 1,
		});
	});

	declare('a token for an account that was signed out meanwhile is returned and not written', async t => {
		const {cachePath, options} = ownCache(t, variant);
		const entra = await startServer(t, [ann]);
		const app = new MsalApp(t, createCachePlugin(options), entra);
		const elsewhere = new MsalApp(t, createCachePlugin(options), entra);
		await app.signIn(tokenOf(ann), vault);
		entra.script(async exchange => {
			await elsewhere.signOut(ann.username);
			exchange.response.setHeader('content-type', 'application/json');
			exchange.response.end(JSON.stringify(exchange.answer().json));
		});
		t.truthy((await app.silent(ann.username, storage)).accessToken);
		t.deepEqual(countsOf(readCache(cachePath)), {
			Account: 0, AccessToken: 0, RefreshToken: 0, IdToken: 0,
		});
		t.deepEqual(await app.usernames(), []);
	});

	declare('data that MSAL for Node does not know is kept byte for byte', async t => {
		const {cachePath, options, home} = ownCache(t, variant);
		const foreign = [
			'\n  "AccessToken" : {\n    "odd": {"credential_type":"ACCESSTOKEN","number":1.50e+2,"deep":{"a":[1,{"b":null}]}}\n  }',
			String.raw`  "Unknown" : { "x" : [ 1.0, 2 ] , "\u0061" : "\u00e9\/" }`,
			'"Version":\t1.10',
			'"Account":{ "kept": {"home_account_id":"someone.else","environment":"login.microsoftonline.com","realm":"r","local_account_id":"l","username":"kept@contoso.com","authority_type":"MSSTS","foreign" : {"n":1.00}} }',
		];
		home.writeSettled(`{${foreign.join(',')}}\n`, 'app/cache.json');
		const entra = await startServer(t, [ann]);
		const app = new MsalApp(t, createCachePlugin(options), entra);
		await app.signIn(tokenOf(ann), vault);
		await app.silent(ann.username, storage);
		const written = readFileSync(cachePath, 'utf8');
		for (const piece of foreign) {
			// Without the closing brace, because our records follow.
			t.true(written.includes(piece.replace(/\s*\}$/, '')), piece);
		}

		t.deepEqual(accountsOf(readCache(cachePath)), [ann.username, 'kept@contoso.com']);
		await app.signOut(ann.username);
		t.deepEqual(readCache(cachePath)['AccessToken'], {odd: {credential_type: 'ACCESSTOKEN', number: 150, deep: {a: [1, {b: null}]}}});
		t.deepEqual((await app.app.getTokenCache().getAllAccounts()).map(({homeAccountId}) => homeAccountId), ['someone.else']);
	});

	declare('works beside the plugin of MSAL\'s extensions', async t => {
		const {home, cachePath, options} = ownCache(t, variant);
		const [ours, theirs] = [users('ours', 5), users('theirs', 5)];
		const entra = await startServer(t, [...ours, ...theirs]);
		mkdirSync(dirname(cachePath), {recursive: true});
		const peer = await MsalProcess.start(t, {plugin: 'extensions', cachePath, server: entra}, environmentOf(home));
		const app = new MsalApp(t, createCachePlugin(options), entra);
		const name = (secret: string) => namer(entra)(secret);
		for (const [index, user] of ours.entries()) {
			const granted = await app.signIn(tokenOf(user), vault);
			// The other plugin finds what we wrote, redeems it, and writes.
			const found = await peer.silent(user.username, vault);
			t.true(found.fromCache);
			t.is(name(found.accessToken), name(granted.accessToken));
			const refreshed = await peer.silent(user.username, storage);
			t.false(refreshed.fromCache);
			await peer.ask({do: 'signIn', refreshTokens: [tokenOf(theirs[index]!)], scopes: [vault]});
			// And we find what the other plugin wrote.
			t.is(name((await app.silent(user.username, storage)).accessToken), name(refreshed.accessToken));
			t.true((await app.silent(theirs[index]!.username, vault)).fromCache);
		}

		const all = usernames([...ours, ...theirs]);
		t.deepEqual(await app.usernames(), all);
		t.deepEqual(await peer.accounts(), all);
		await peer.ask({do: 'signOut', username: theirs[0]!.username});
		t.deepEqual(await app.usernames(), all.filter(username => username !== theirs[0]!.username));
		// In this order: the other plugin keeps accounts in memory after a foreign sign-out and writes them again.
		await app.signOut(ours[0]!.username);
		const left = usernames([...ours.slice(1), ...theirs.slice(1)]);
		t.deepEqual(await app.usernames(), left);
		t.deepEqual(accountsOf(readCache(cachePath)), left);
	});

	declare('waits for a lock', async t => {
		const {cachePath, options} = ownCache(t, variant);
		const entra = await startServer(t, [ann]);
		const holder = await holdLock(t, cachePath);
		const app = new MsalApp(t, createCachePlugin(options), entra);
		const signedIn = app.signIn(tokenOf(ann), vault);
		await sleep(700);
		t.false(existsSync(cachePath));
		t.is(await holder.ask('unlock'), 'unlocked');
		t.truthy((await signedIn).accessToken);
		t.deepEqual(accountsOf(readCache(cachePath)), [ann.username]);
	});

	declare('a lock that is never released costs no token, and the grant is written later', async t => {
		const {cachePath, options} = ownCache(t, variant);
		const entra = await startServer(t, [ann]);
		const holder = await holdLock(t, cachePath);
		const app = new MsalApp(t, createCachePlugin({...options, lockTimeoutInMs: 200}), entra);
		const granted = await app.signIn(tokenOf(ann), vault);
		t.truthy(granted.accessToken);
		t.false(existsSync(cachePath));
		t.deepEqual(await app.usernames(), [ann.username]);
		const again = await app.silent(ann.username, vault);
		t.true(again.fromCache, 'kept in memory');
		t.true(again.accessToken === granted.accessToken);
		t.truthy((await app.silent(ann.username, storage)).accessToken);
		t.is(entra.grants.length, 2);
		await t.throwsAsync(app.signOut(ann.username), {name: 'StoreError', code: 'STC_LOCK_TIMEOUT'}, 'a sign-out that is not written is no sign-out');
		t.deepEqual(await app.usernames(), []);
		await app.signIn(tokenOf(ann), vault);

		t.is(await holder.ask('unlock'), 'unlocked');
		t.deepEqual(await app.usernames(), [ann.username]);
		t.deepEqual(countsOf(readCache(cachePath)), {
			Account: 1, AccessToken: 1, RefreshToken: 1, IdToken: 1,
		});
		checkNothingLeft(t, cachePath);
	});

	declare('a damaged cache is an error if no token depends on it, and is not changed', async t => {
		const {cachePath, options, home} = ownCache(t, variant);
		const damaged = '{"Account":{"x":{"home_account_id":"FAKE-secret","envi';
		home.writeSettled(damaged, 'app/cache.json');
		const entra = await startServer(t, [ann]);
		const app = new MsalApp(t, createCachePlugin(options), entra);
		const check = async (action: () => Promise<unknown>) => {
			const error = await t.throwsAsync<Error & {code?: string}>(action, {name: 'StoreError'});
			t.is(error.code, 'STC_CACHE_CORRUPT');
			t.false(`${error.stack} ${String(error.cause)}`.includes('FAKE'));
		};

		await check(async () => app.usernames());
		t.truthy((await app.signIn(tokenOf(ann), vault)).accessToken);
		await check(async () => app.usernames());
		t.is(readFileSync(cachePath, 'utf8'), damaged);
		// The owner repairs the cache: the tokens in memory are written.
		writeFileSync(cachePath, '{"Account":{}}');
		t.deepEqual(await app.usernames(), [ann.username]);
		t.deepEqual(accountsOf(readCache(cachePath)), [ann.username]);
	});

	declare('a cache that MSAL for Node cannot parse is an error that quotes nothing of it', async t => {
		const {cachePath, options, home} = ownCache(t, variant);
		const odd = '{"Account":{"x":{"home_account_id":"a.b","environment":"e","tenantProfiles":["FAKE-secret {"]}}}';
		home.writeSettled(odd, 'app/cache.json');
		const app = new MsalApp(t, createCachePlugin(options), await startServer(t, [ann]));
		const error = await t.throwsAsync<Error & {code?: string}>(app.usernames(), {name: 'StoreError'});
		t.is(error.code, 'STC_CACHE_CORRUPT');
		t.false(`${error.stack} ${String(error.cause)}`.includes('FAKE'));
		t.truthy((await app.signIn(tokenOf(ann), vault)).accessToken);
		t.true(readFileSync(cachePath, 'utf8').startsWith('{"Account":{"x":{"home_account_id":"a.b","environment":"e","tenantProfiles":["FAKE-secret {"]}'));
	});

	declare('a cache that is empty for a moment deletes nothing', async t => {
		const {cachePath, options} = ownCache(t, variant);
		const entra = await startServer(t, [ann]);
		const app = new MsalApp(t, createCachePlugin(options), entra);
		await app.signIn(tokenOf(ann), vault);
		const whole = readFileSync(cachePath);
		for (const part of [0, 10, whole.length - 1]) {
			for (let isMoment = false; !isMoment;) {
				const startMs = performance.now();
				// As a library that writes in place does.
				writeFileSync(cachePath, whole.subarray(0, part));
				const seen = app.usernames();
				await sleep(10);
				writeFileSync(cachePath, whole);
				// After two seconds it is no writer any more. A busy machine may suspend the test for so long.
				isMoment = performance.now() - startMs < 1000;
				t.true(!isMoment || isDeepStrictEqual(await seen, [ann.username]), `${part} bytes`);
				await seen.catch(() => undefined);
			}
		}
	});

	declare('a cache that disappears counts as empty', async t => {
		const {cachePath, options} = ownCache(t, variant);
		const entra = await startServer(t, [ann, bob]);
		const app = new MsalApp(t, createCachePlugin(options), entra);
		await app.signIn(tokenOf(ann), vault);
		renameSync(cachePath, `${cachePath}.old`);
		t.deepEqual(await app.usernames(), []);
		await app.signIn(tokenOf(bob), vault);
		t.deepEqual(accountsOf(readCache(cachePath)), [bob.username]);
	});

	declare('tokens that another library overwrote are restored automatically', async t => {
		const {cachePath, options} = ownCache(t, variant);
		const entra = await startServer(t, [ann, bob]);
		const app = new MsalApp(t, createCachePlugin(options), entra);
		await app.signIn(tokenOf(ann), vault);
		const stale = readFileSync(cachePath);
		await app.silent(ann.username, storage);
		t.deepEqual(countsOf(readCache(cachePath))['AccessToken'], 2);
		const written = readCache(cachePath);
		writeFileSync(cachePath, stale);
		await until(() => !readFileSync(cachePath).equals(stale));

		t.deepEqual(readCache(cachePath)['AccessToken'], written['AccessToken']);
		t.deepEqual(readCache(cachePath)['RefreshToken'], written['RefreshToken']);
		// Another library signs the account out, which is final.
		await app.silent(ann.username, 'https://third.example/.default');
		writeFileSync(cachePath, '{"Account":{},"AccessToken":{},"RefreshToken":{}}');
		await sleep(2500);
		t.is(readFileSync(cachePath, 'utf8'), '{"Account":{},"AccessToken":{},"RefreshToken":{}}');
	});

	declare('one plugin serves several applications', async t => {
		const {options} = ownCache(t, variant);
		const entra = await startServer(t, [ann, bob]);
		const plugin = createCachePlugin(options);
		const [one, other] = [new MsalApp(t, plugin, entra), new MsalApp(t, plugin, entra)];
		await Promise.all([one.signIn(tokenOf(ann), vault), other.signIn(tokenOf(bob), vault)]);
		const both = usernames([ann, bob]);
		t.deepEqual(await one.usernames(), both);
		t.deepEqual(await other.usernames(), both);
		t.true((await one.silent(bob.username, vault)).fromCache);
		await one.signOut(bob.username);
		t.deepEqual(await other.usernames(), [ann.username]);
	});
}

testWhere(test, [lackOf('msal-node'), lackOfAddon(), missingKeyring()], 'the default is the keyring item that Azure SDKs share', async t => {
	const home = new TestHome(t);
	const keyring = await startKeyring();
	t.teardown(async () => keyring.close());
	const environment = environmentOf(home, keyring.environment);
	const entra = await startServer(t, [ann, bob]);
	const [one, other] = await Promise.all([1, 2].map(async () => MsalProcess.start(t, {plugin: 'ours', server: entra}, environment)));
	await Promise.all([
		one!.ask({do: 'signIn', refreshTokens: [tokenOf(ann)], scopes: [vault]}),
		other!.ask({do: 'signIn', refreshTokens: [tokenOf(bob)], scopes: [vault]}),
	]);
	t.deepEqual(await one!.accounts(), usernames([ann, bob]));
	t.true((await other!.silent(ann.username, vault)).fromCache);
	await one!.ask({do: 'signOut', username: ann.username});
	t.deepEqual(await other!.accounts(), [bob.username]);

	const report = await readInProcess({
		variant: 'native', query, server: {port: entra.port, ca: entra.ca}, options: {}, requests: [{scope: vault}],
	}, environment);
	t.deepEqual(report.sources.filter(({slice}) => slice && slice.accounts.length > 0).map(({label}) => label), ['keyring item of Python (msal.cache.nocae)']);
	t.true('token' in report.tokens[0]!);
	t.is(entra.grants.length, 2);
	t.is(await one!.end(), 0);
	t.deepEqual(readdirSync(join(home.path, '.IdentityService')), ['.signed-out', 'msal.cache.nocae'], 'the mark of a sign-out, and the file that notifies other processes of a change');
	t.true(statSync(join(home.path, '.IdentityService', 'msal.cache.nocae')).size <= 2);
});

testWhere(test, [lackOf('msal-node')], 'without a keyring, and without permission for a plaintext file, tokens are returned and nothing is written', async t => {
	const home = new TestHome(t);
	const entra = await startServer(t, [ann]);
	const process = await MsalProcess.start(t, {plugin: 'ours', server: entra}, environmentOf(home));
	await t.throwsAsync(process.accounts(), {code: 'STC_STORE_UNAVAILABLE', message: /unsafeAllowUnencryptedStorage/});
	t.is((await process.ask<unknown[]>({do: 'signIn', refreshTokens: [tokenOf(ann)], scopes: [vault]})).length, 1);
	t.deepEqual(readdirSync(home.path), []);
});

for (const variant of variants) {
	test(`${variant}: G13: a token cache that is nested too deeply is reported with a code, and nothing is written`, async t => {
		const {cachePath, options} = ownCache(t, variant);
		const plugin = createCachePlugin(options);
		let value: unknown = 1;
		for (let level = 0; level < 200_000; level++) {
			value = [value];
		}

		// Deep before the access, and only after it.
		for (const isLater of [false, true]) {
			let isDeep = !isLater;
			const tokenCache = {
				serialize: () => JSON.stringify(isDeep ? {Account: {key: {home_account_id: 'a.b', value}}} : {}),
				deserialize: () => undefined,
			};
			const context = {tokenCache, cacheHasChanged: true, hasChanged: true} as unknown as Parameters<CachePlugin['beforeCacheAccess']>[0];
			await t.throwsAsync(async () => {
				await plugin.beforeCacheAccess(context);
				isDeep = true;
				await plugin.afterCacheAccess(context);
			}, {code: 'STC_CACHE_CORRUPT'}, `${isLater}`);
		}

		t.false(existsSync(cachePath));
	});
}

test('options are checked at once', t => {
	const plaintext = {unsafeAllowUnencryptedStorage: true};
	for (const [options, message] of [
		[{cachePath: '/a/cache.json'}, /unsafeAllowUnencryptedStorage/],
		[{cachePath: 'cache.json', tokenCachePersistenceOptions: plaintext}, /cachePath must be the absolute path/],
		[{cachePath: 1, tokenCachePersistenceOptions: plaintext}, /cachePath must be the absolute path/],
		[{tokenCachePersistenceOptions: {name: '../x'}}, /name must be a plain file name/],
		[{enableCae: 'yes'}, /enableCae/],
		[{lockTimeoutInMs: -1}, /lockTimeoutInMs/],
		[{keyringTimeoutInMs: 'x'}, /keyringTimeoutInMs/],
		[{useNativeAddon: 1}, /useNativeAddon/],
		[null, /options must be an object/],
	] as const) {
		t.throws(() => createCachePlugin(options as CachePluginOptions), {instanceOf: TypeError, message, code: 'STC_INVALID_ARGUMENT'});
	}

	const plugin: CachePlugin = createCachePlugin();
	t.deepEqual(Object.keys(plugin), ['beforeCacheAccess', 'afterCacheAccess']);
});
