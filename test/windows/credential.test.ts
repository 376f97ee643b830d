/** The credential with the shared cache of Windows, next to Microsoft's own library. */

import {Buffer} from 'node:buffer';
import {
	mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync,
} from 'node:fs';
import {createRequire} from 'node:module';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import process from 'node:process';
import test, {type ExecutionContext} from 'ava';
import {type CredentialUnavailableError, SharedTokenCache, SharedTokenCacheCredential} from '../../dist/index.js';
import type {SharedTokenCacheCredentialOptions} from '../../dist/types.js';
import {storeOf} from '../../dist/backend/stores.js';
import {native} from '../helpers/caches/backends.js';
import {loopbackDispatcher} from '../helpers/authority/dispatcher.js';
import {startEntraServer} from '../helpers/authority/entra-server.js';
import {
	accessTokenRecord, accountRecord, ann, type CacheSections, cacheOf, clientId, homeAccountId, publicCloud, refreshTokenRecord, scope,
} from '../helpers/home.js';
import {until} from '../helpers/until.js';

type Persistence = {save(text: string): Promise<void>; load(): Promise<string | null>};
type Extensions = {
	FilePersistenceWithDataProtection: {create(path: string, scope: string): Promise<Persistence>};
	PersistenceCachePlugin: new(persistence: Persistence) => object;
	DataProtectionScope: {CurrentUser: string};
};
type Msal = {
	PublicClientApplication: new(configuration: object) => {
		getTokenCache(): {getAllAccounts(): Promise<Array<{username: string}>>};
		acquireTokenSilent(request: object): Promise<{accessToken: string; fromCache: boolean}>;
	};
};

// The library loads keytar in any case. keytar is not compiled here, so an empty module replaces it.
const require = createRequire(import.meta.url);
const keytar = require.resolve('keytar');
require.cache[keytar] = {
	id: keytar, filename: keytar, loaded: true, exports: {}, children: [], paths: [],
} as unknown as NodeJS.Module;
const extensions = require('@azure/msal-node-extensions') as Extensions;
const msal = require('@azure/msal-node') as Msal;

/** Gives this process a local application data folder with a non-ASCII user name. */
function localData(t: ExecutionContext): string {
	const home = mkdtempSync(join(tmpdir(), 'stc-Zoë 名前 😀-'));
	const before = process.env['LOCALAPPDATA'];
	process.env['LOCALAPPDATA'] = join(home, 'AppData', 'Local');
	mkdirSync(process.env['LOCALAPPDATA'], {recursive: true});
	t.teardown(() => {
		process.env['LOCALAPPDATA'] = before;
		rmSync(home, {
			recursive: true, force: true, maxRetries: 10, retryDelay: 50,
		});
	});
	return process.env['LOCALAPPDATA'];
}

test('without %LOCALAPPDATA%, the known folder of the system is used', async t => {
	const before = process.env['LOCALAPPDATA']!;
	t.teardown(() => {
		process.env['LOCALAPPDATA'] = before;
	});
	delete process.env['LOCALAPPDATA'];
	// Not from the profile, which other systems would use.
	const profile = process.env['USERPROFILE'];
	process.env['USERPROFILE'] = String.raw`C:\nobody`;
	t.teardown(() => {
		process.env['USERPROFILE'] = profile;
	});
	const error = await t.throwsAsync(new SharedTokenCacheCredential().getToken(scope), {name: 'CredentialUnavailableError'});
	const places = (error as CredentialUnavailableError).details?.map(({place}) => place) ?? [];
	t.true(places.includes(join(before, '.IdentityService', 'msal.cache.nocae')), places.join(', '));
	t.false(`${error.message} ${places.join(' ')}`.includes('nobody'));
});

const cachePathIn = (data: string, suffix = '.nocae') => join(data, '.IdentityService', `msal.cache${suffix}`);

/** The file as Microsoft's library stores it. */
async function persistenceOf(path: string): Promise<Persistence> {
	return extensions.FilePersistenceWithDataProtection.create(path, extensions.DataProtectionScope.CurrentUser);
}

async function saveWithPeer(path: string, cache: CacheSections): Promise<void> {
	mkdirSync(join(path, '..'), {recursive: true});
	const persistence = await persistenceOf(path);
	await persistence.save(JSON.stringify(cache));
}

function credential(t: ExecutionContext, options: SharedTokenCacheCredentialOptions = {}): SharedTokenCacheCredential {
	const made = new SharedTokenCacheCredential(options);
	t.teardown(async () => made.close());
	return made;
}

const cached = (secret: string) => cacheOf({
	accounts: [accountRecord(ann)],
	refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh')],
	accessTokens: [accessTokenRecord(ann, secret, 3600)],
});

test.serial('a token that Microsoft\'s library cached is found without options', async t => {
	const path = cachePathIn(localData(t));
	await saveWithPeer(path, cached('FAKE-access'));
	t.false(readFileSync(path).includes('FAKE'));
	const {token} = await credential(t).getToken(scope);
	t.is(token, 'FAKE-access');
	t.deepEqual(readdirSync(join(path, '..')), ['msal.cache.nocae'], 'reading creates no file');
});

test.serial('each kind has its own cache, and the other caches are read after it', async t => {
	// A separate folder for each, because an entry that was found once stays in memory.
	await saveWithPeer(cachePathIn(localData(t), ''), cached('FAKE-bare'));
	t.is((await credential(t).getToken(scope)).token, 'FAKE-bare');
	const data = localData(t);
	await saveWithPeer(cachePathIn(data, ''), cached('FAKE-bare'));
	await saveWithPeer(cachePathIn(data, '.cae'), cached('FAKE-cae'));
	await saveWithPeer(cachePathIn(data, '.nocae'), cached('FAKE-nocae'));
	t.is((await credential(t).getToken(scope, {enableCae: true})).token, 'FAKE-cae');
	t.is((await credential(t).getToken(scope)).token, 'FAKE-nocae');
});

test.serial('reports a missing cache and a cache that cannot be opened', async t => {
	const nothing = localData(t);
	await t.throwsAsync(credential(t).getToken(scope), {name: 'CredentialUnavailableError', code: 'STC_CACHE_NOT_FOUND'});
	t.deepEqual(readdirSync(nothing), []);

	const plain = cachePathIn(localData(t));
	mkdirSync(join(plain, '..'));
	writeFileSync(plain, JSON.stringify(cached('FAKE-plain')));
	const error = await t.throwsAsync(credential(t).getToken(scope), {name: 'CredentialUnavailableError', code: 'STC_CACHE_FORMAT'});
	t.notRegex(error.message, /FAKE/);

	const others = cachePathIn(localData(t));
	mkdirSync(join(others, '..'));
	writeFileSync(others, readFileSync(process.env['STC_OTHER_USERS_BLOB']!));
	await t.throwsAsync(credential(t).getToken(scope), {name: 'CredentialUnavailableError', message: /another user/});
	await t.throwsAsync(credential(t, {useNativeAddon: false}).getToken(scope), {name: 'CredentialUnavailableError', code: 'STC_ADDON_MISSING'});
});

test.serial('a new token is written where Microsoft\'s library and MSAL find it', async t => {
	const path = cachePathIn(localData(t));
	const server = await startEntraServer({refreshTokens: {'FAKE-refresh': ann}});
	const dispatcher = loopbackDispatcher(server);
	t.teardown(async () => {
		await dispatcher.destroy();
		await server.close();
	});
	// MSAL looks entries up by their keys.
	await saveWithPeer(path, {
		Account: {[`${homeAccountId(ann)}-${publicCloud}-${ann.utid}`]: accountRecord(ann)},
		RefreshToken: {[`${homeAccountId(ann)}-${publicCloud}-refreshtoken-1--`]: refreshTokenRecord(ann, 'FAKE-refresh')},
	});
	const own = credential(t, {dispatcher});
	const {token} = await own.getToken(scope);
	const persistence = await persistenceOf(path);
	// A caller waits half a second for the write, which goes on after that.
	await until(async () => (await persistence.load() ?? '').includes(token));
	await own.close();
	t.is(server.grants.length, 1);
	t.is(server.grants[0]?.accessToken, token);

	const text = await persistence.load() ?? '';
	const sections = JSON.parse(text) as CacheSections;
	t.true(Object.values(sections['AccessToken'] ?? {}).some(({secret}) => secret === token));
	t.false(readFileSync(path).includes(Buffer.from(token)));

	const app = new msal.PublicClientApplication({
		auth: {clientId, authority: `https://login.microsoftonline.com/${ann.utid}`},
		cache: {cachePlugin: new extensions.PersistenceCachePlugin(persistence)},
	});
	const accounts = await app.getTokenCache().getAllAccounts();
	t.deepEqual(accounts.map(({username}) => username), [ann.username]);
	const silent = await app.acquireTokenSilent({account: accounts[0], scopes: [scope]});
	t.true(silent.fromCache);
	t.is(silent.accessToken, token);

	// A query instead of a second credential, which would share this process's memory.
	const slice = await storeOf(native, 'dpapi').query({path}, {
		environments: ['login.microsoftonline.com'], clientId, nowSec: Math.floor(Date.now() / 1000), homeAccountId: homeAccountId(ann),
	}, 10_000);
	t.true(slice?.accessTokens.some(({secret}) => secret === token));
});

test.serial('accounts are listed and signed out', async t => {
	const path = cachePathIn(localData(t));
	const cache = new SharedTokenCache();
	t.deepEqual(await cache.listAccounts(), []);
	t.deepEqual(await cache.removeAccount({homeAccountId: homeAccountId(ann)}), {removedFrom: [], remainsIn: [], notRead: []}, 'no directory and no cache are created');
	await saveWithPeer(path, cached('FAKE-access'));
	t.deepEqual((await cache.listAccounts()).map(({username}) => username), [ann.username]);
	t.deepEqual(await cache.removeAccount({homeAccountId: homeAccountId(ann)}), {removedFrom: [path], remainsIn: [], notRead: []});
	const persistence = await persistenceOf(path);
	t.notRegex(await persistence.load() ?? '', /FAKE/);
	t.deepEqual(await cache.listAccounts(), []);
});

test.serial('a missing cache is created in the format of Microsoft\'s library', async t => {
	const path = cachePathIn(localData(t));
	const cache = new SharedTokenCache();
	await cache.withCache(text => {
		text['Account'] = {key: accountRecord(ann)};
	});
	const persistence = await persistenceOf(path);
	t.deepEqual(JSON.parse(await persistence.load() ?? ''), {Account: {key: accountRecord(ann)}});
});

for (const useNativeAddon of [true, false]) {
	test.serial(`${useNativeAddon ? 'native' : 'pure'}: uses a plaintext file that the program names`, async t => {
		const path = join(localData(t), 'named.json');
		const cache = new SharedTokenCache({cachePath: path, useNativeAddon, tokenCachePersistenceOptions: {enabled: true, unsafeAllowUnencryptedStorage: true}});
		await cache.withCache(text => {
			text['Account'] = {key: accountRecord(ann)};
		});
		t.deepEqual(JSON.parse(readFileSync(path, 'utf8')), {Account: {key: accountRecord(ann)}});
		t.deepEqual((await cache.listAccounts()).map(({username}) => username), [ann.username]);
		t.deepEqual(readdirSync(join(path, '..')).filter(name => name.startsWith('named')), ['named.json']);
	});
}
