/**
 * The credential with real files: selection of cache, account and token, and freshness. Runs with each backend that
 * loads.
 */

import {
	existsSync, readdirSync, rmSync, statSync,
} from 'node:fs';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {inspect} from 'node:util';
import test, {type ExecutionContext} from 'ava';
import type {CredentialUnavailableError} from '../../dist/errors.js';
import {SharedTokenCacheCredential} from '../../dist/index.js';
import type {SharedTokenCacheCredentialOptions} from '../../dist/types.js';
import {startEntraServer} from '../helpers/authority/entra-server.js';
import {
	accessTokenRecord, accountRecord, ann, bob, cacheOf, homeAccountId, nowSec, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {until} from '../helpers/until.js';

const annWithToken = (secret: string, lifeSec = 3600) => cacheOf({
	accounts: [accountRecord(ann)],
	refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh-ann')],
	accessTokens: [accessTokenRecord(ann, secret, lifeSec)],
});

const files = {
	nocae: '.IdentityService/msal.cache.nocae',
	cae: '.IdentityService/msal.cache.cae',
	bare: '.IdentityService/msal.cache',
	dotnet: '.local/share/.IdentityService/msal.cache.nocae',
	gcm: '.local/.IdentityService/msal.cache',
};

for (const useNativeAddon of [true, false]) {
	const variant = useNativeAddon ? 'native' : 'pure';
	const credentialIn = (home: TestHome, options: SharedTokenCacheCredentialOptions = {}, server?: Parameters<TestHome['credential']>[1]) =>
		home.credential({useNativeAddon, ...options}, server);

	/** The code of the error with which a call fails. */
	const codeOf = async (t: ExecutionContext, credential: SharedTokenCacheCredential, options = {}) => {
		const error = await t.throwsAsync<CredentialUnavailableError>(credential.getToken(scope, options), {name: 'CredentialUnavailableError'});
		t.notRegex(error.message, /\n|FAKE/);
		return error.code;
	};

	test(`${variant}: finds a cached token without any option`, async t => {
		const home = new TestHome(t);
		home.write(annWithToken('FAKE-cached'));
		const token = await credentialIn(home).getToken(scope);
		t.is(token.token, 'FAKE-cached');
		t.is(token.tokenType, 'Bearer');
		t.true(Math.abs((token.expiresOnTimestamp / 1000) - nowSec() - 3600) < 5);
		t.true(Object.isFrozen(token));
	});

	test(`${variant}: reading creates and changes no file`, async t => {
		const home = new TestHome(t);
		const path = home.write(annWithToken('FAKE-cached'));
		const before = statSync(path, {bigint: true});
		await credentialIn(home).getToken(scope);
		t.deepEqual(readdirSync(join(home.path, '.IdentityService')), ['msal.cache.nocae']);
		t.is(statSync(path, {bigint: true}).mtimeNs, before.mtimeNs);

		const empty = new TestHome(t);
		await codeOf(t, credentialIn(empty));
		t.false(existsSync(join(empty.path, '.IdentityService')));
	});

	test(`${variant}: a CAE request uses the .cae cache and no access token of another cache`, async t => {
		const entra = await startEntraServer({refreshTokens: {'FAKE-refresh-ann': ann}});
		t.teardown(async () => entra.close());
		const home = new TestHome(t);
		home.write(annWithToken('FAKE-nocae'), files.nocae);
		const credential = credentialIn(home, {cacheCheckIntervalInMs: 0}, entra);
		t.is((await credential.getToken(scope)).token, 'FAKE-nocae');
		const granted = await credential.getToken(scope, {enableCae: true});
		t.is(granted.token, entra.grants[0]!.accessToken);
		home.write(annWithToken('FAKE-cae'), files.cae);
		const other = credentialIn(home, {cacheCheckIntervalInMs: 1}, entra);
		t.is((await other.getToken(scope, {enableCae: true})).token, 'FAKE-cae');
		t.is((await other.getToken(scope)).token, 'FAKE-nocae');
	});

	for (const [source, tokenIsUsed] of [['bare', true], ['dotnet', true], ['gcm', true], ['cae', false]] as const) {
		test(`${variant}: reads the additional source ${files[source]} if the first has no account`, async t => {
			const entra = await startEntraServer({refreshTokens: {'FAKE-refresh-ann': ann}});
			t.teardown(async () => entra.close());
			const home = new TestHome(t);
			home.writeSettled('{}', files.nocae);
			home.write(annWithToken('FAKE-other'), files[source]);
			const {token} = await credentialIn(home, {}, entra).getToken(scope);
			t.is(token, tokenIsUsed ? 'FAKE-other' : entra.grants[0]!.accessToken);
			t.is(entra.grants.length, tokenIsUsed ? 0 : 1);
		});
	}

	test(`${variant}: the first source that has the account wins; another cache name uses other files`, async t => {
		const home = new TestHome(t);
		home.write(annWithToken('FAKE-first'), files.nocae);
		home.write(annWithToken('FAKE-second'), files.bare);
		home.write(cacheOf({
			accounts: [accountRecord(bob)],
			refreshTokens: [refreshTokenRecord(bob, 'FAKE-rb')],
			accessTokens: [accessTokenRecord(bob, 'FAKE-bob', 3600)],
		}), files.gcm);
		home.write(annWithToken('FAKE-named'), '.IdentityService/mine.nocae');
		t.is((await credentialIn(home).getToken(scope)).token, 'FAKE-first');
		t.is((await credentialIn(home, {username: 'BOB@fabrikam.com'}).getToken(scope)).token, 'FAKE-bob');
		t.is((await credentialIn(home, {tokenCachePersistenceOptions: {name: 'mine'}}).getToken(scope)).token, 'FAKE-named');
	});

	test(`${variant}: finds .NET's caches below XDG_DATA_HOME`, async t => {
		const home = new TestHome(t);
		home.write(annWithToken('FAKE-dotnet'), 'data/.IdentityService/msal.cache.nocae');
		process.env['XDG_DATA_HOME'] = join(home.path, 'data');
		const credential = credentialIn(home);
		delete process.env['XDG_DATA_HOME'];
		t.is((await credential.getToken(scope)).token, 'FAKE-dotnet');
	});

	test(`${variant}: an error names the unreadable cache and the remedy`, async t => {
		const cases: Array<[string | Uint8Array, string, RegExp]> = [
			['not json', 'STC_CACHE_CORRUPT', /msal\.cache\.nocae/],
			['[]', 'STC_CACHE_CORRUPT', /msal\.cache\.nocae/],
			['{"Account":{', 'STC_CACHE_CORRUPT', /msal\.cache\.nocae/],
			['eyJhbGciOiJkaXIi.a.b.c.d', 'STC_CACHE_FORMAT', /msal\.cache\.nocae/],
			[Buffer.from('01000000d08c9ddf0115d1118c7a00c04fc297eb', 'hex'), 'STC_CACHE_FORMAT', /msal\.cache\.nocae/],
		];
		for (const [content, code, message] of cases) {
			const home = new TestHome(t);
			home.writeSettled(content);
			const error = await t.throwsAsync<CredentialUnavailableError>(credentialIn(home).getToken(scope), {name: 'CredentialUnavailableError', message}, String(content));
			t.is(error.code, code as CredentialUnavailableError['code'], String(content));
		}
	});

	test(`${variant}: handles an empty cache, a signal file, and no cache`, async t => {
		const home = new TestHome(t);
		const missing = await codeOf(t, credentialIn(home, {cacheCheckIntervalInMs: 0}));
		t.true(['STC_CACHE_NOT_FOUND', 'STC_STORE_UNAVAILABLE', 'STC_ADDON_MISSING'].includes(missing));
		home.writeSettled('{"Account":{}}');
		t.is(await codeOf(t, credentialIn(home, {cacheCheckIntervalInMs: 1})), 'STC_NO_ACCOUNT');
	});

	test(`${variant}: selects one of several accounts by user name, tenant or record`, async t => {
		const home = new TestHome(t);
		home.write(cacheOf({
			accounts: [accountRecord(ann), accountRecord(bob)],
			refreshTokens: [refreshTokenRecord(ann, 'FAKE-ra'), refreshTokenRecord(bob, 'FAKE-rb')],
			accessTokens: [accessTokenRecord(ann, 'FAKE-ann', 3600), accessTokenRecord(bob, 'FAKE-bob', 3600)],
		}));
		const tokenWith = async (options: SharedTokenCacheCredentialOptions) => (await credentialIn(home, options).getToken(scope)).token;
		t.is(await codeOf(t, credentialIn(home)), 'STC_AMBIGUOUS_ACCOUNT');
		t.is(await codeOf(t, credentialIn(home, {username: 'eve@contoso.com'})), 'STC_NO_ACCOUNT');
		t.is(await tokenWith({username: 'Ann@Contoso.com'}), 'FAKE-ann');
		t.is(await tokenWith({tenantId: bob.utid}), 'FAKE-bob');
		t.is(await tokenWith({
			authenticationRecord: {
				authority: 'login.windows.net', homeAccountId: homeAccountId(bob), clientId: '04b07795-8ddb-461a-bbee-02f9e1bf7b46', tenantId: bob.utid, username: 'x',
			},
		}), 'FAKE-bob');
	});

	test(`${variant}: if no account matches, the error names the sources that could not be read`, async t => {
		const home = new TestHome(t);
		home.write(annWithToken('FAKE-cached'), files.nocae);
		home.writeSettled('{', files.gcm);
		const error = await t.throwsAsync<CredentialUnavailableError>(credentialIn(home, {username: 'bob@fabrikam.com'}).getToken(scope), {name: 'CredentialUnavailableError'});
		t.is(error.code, 'STC_NO_ACCOUNT');
		t.regex(error.message, /No account matching the specified username: bob@fabrikam\.com was found in the cache\. Sign in as that user, or set username to one that listAccounts\(\) returns\. Found: a\*\*\*@contoso\.com/);
		t.true(error.message.endsWith(`Not readable: ${join(home.path, files.gcm)} (STC_CACHE_CORRUPT).`), error.message);
	});

	test(`${variant}: compares home account IDs ignoring case, among few and many accounts`, async t => {
		const entra = await startEntraServer({refreshTokens: {'FAKE-refresh-ann': ann}});
		t.teardown(async () => entra.close());
		for (const others of [[], Array.from({length: 20}, (_, index) => ({uid: `uid-${index}`, utid: 'other', username: `user${index}@contoso.com`}))]) {
			const home = new TestHome(t);
			home.write(cacheOf({
				accounts: [accountRecord(ann, {home_account_id: homeAccountId(ann).toUpperCase()}), ...others.map(user => accountRecord(user))],
				refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh-ann')],
				accessTokens: [accessTokenRecord(ann, 'FAKE-cached', 3600)],
			}));
			const credential = credentialIn(home, {}, entra);
			t.is((await credential.getToken(scope)).token, 'FAKE-cached');
			t.like((await credential.listAccounts()).find(({username}) => username === ann.username), {usable: true});
			const {token} = await credential.getToken('other/.default');
			t.is((await home.stored(token))['secret'], token, 'written, too');
		}
	});

	test(`${variant}: finds one of twenty accounts, although the first query returns no secrets`, async t => {
		const home = new TestHome(t);
		const users = Array.from({length: 20}, (_, index) => ({uid: `uid-${index}`, utid: `tenant-${index}`, username: `user${index}@contoso.com`}));
		home.write(cacheOf({
			accounts: users.map(user => accountRecord(user)),
			refreshTokens: [refreshTokenRecord(users[7]!, 'FAKE-r7')],
			accessTokens: users.map(user => accessTokenRecord(user, `FAKE-${user.uid}`, 3600)),
		}));
		t.is((await credentialIn(home).getToken(scope)).token, 'FAKE-uid-7');
	});

	test(`${variant}: 1,000 concurrent calls with an expired token make one grant`, async t => {
		const entra = await startEntraServer({refreshTokens: {'FAKE-refresh-ann': ann}, delayMs: 100});
		t.teardown(async () => entra.close());
		const home = new TestHome(t);
		home.write(annWithToken('FAKE-expired', -10));
		const options = {dispatcher: home.dispatcher(entra)};
		const credentials = [credentialIn(home, options), credentialIn(home, options), credentialIn(home, options)];
		const tokens = await Promise.all(Array.from({length: 1000}, async (_, index) => credentials[index % 3]!.getToken(index % 2 ? scope : [scope])));
		t.is(new Set(tokens.map(({token}) => token)).size, 1);
		t.is(entra.tokenRequests.length, 1);
	});

	test(`${variant}: another scope of the account needs no further read, and a changed cache is noticed`, async t => {
		const home = new TestHome(t);
		const both = (secret: string) => cacheOf({
			accounts: [accountRecord(ann)],
			refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh-ann')],
			accessTokens: [accessTokenRecord(ann, `${secret}-1`, 3600), accessTokenRecord(ann, `${secret}-2`, 3600, {target: 'other/.default'})],
		});
		const path = home.write(both('FAKE-a'));
		const credential = credentialIn(home, {cacheCheckIntervalInMs: 60_000});
		t.is((await credential.getToken(scope)).token, 'FAKE-a-1');
		rmSync(path);
		t.is((await credential.getToken('other/.default')).token, 'FAKE-a-2', 'the cache is not checked within the interval');
		t.is((await credential.getToken(scope)).token, 'FAKE-a-1');

		home.write(both('FAKE-b'));
		const watching = credentialIn(home, {cacheCheckIntervalInMs: 20});
		t.is((await watching.getToken(scope)).token, 'FAKE-b-1');
		home.write(both('FAKE-c'));
		await until(async () => (await watching.getToken(scope)).token === 'FAKE-c-1');
		t.is((await watching.getToken(scope)).token, 'FAKE-c-1');
	});

	test(`${variant}: a sign-out takes effect, also for a token from a grant`, async t => {
		const entra = await startEntraServer({refreshTokens: {'FAKE-refresh-ann': ann}});
		t.teardown(async () => entra.close());
		const home = new TestHome(t);
		home.writeAccount(ann, 'FAKE-refresh-ann');
		const credential = credentialIn(home, {cacheCheckIntervalInMs: 20}, entra);
		const {token} = await credential.getToken(scope);
		t.is(token, entra.grants[0]!.accessToken);
		// Another program changes something else: the token stays in memory, and no further grant is made.
		home.write(cacheOf({accounts: [accountRecord(ann), accountRecord(bob)], refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh-ann')]}));
		await sleep(50);
		await credential.getToken(scope);
		await sleep(50);
		t.is((await credential.getToken(scope)).token, token);
		t.is(entra.grants.length, 1);
		home.write(cacheOf({accounts: [accountRecord(bob)]}));
		await until(async () => {
			try {
				await credential.getToken(scope);
				return false;
			} catch {
				return true;
			}
		});
		t.is(await codeOf(t, credential), 'STC_NO_ACCOUNT');
	});

	test(`${variant}: a cache that becomes unreadable does not count as a sign-out`, async t => {
		const home = new TestHome(t);
		home.write(annWithToken('FAKE-good'));
		const credential = credentialIn(home, {cacheCheckIntervalInMs: 5});
		await credential.getToken(scope);
		home.writeSettled('{"Account":');
		for (let call = 0; call < 20; call++) {
			t.is((await credential.getToken(scope)).token, 'FAKE-good');
			await sleep(5);
		}

		home.write(annWithToken('FAKE-better'));
		await until(async () => (await credential.getToken(scope)).token === 'FAKE-better');
		t.is((await credential.getToken(scope)).token, 'FAKE-better');
	});

	test(`${variant}: after refresh_on, the cached token is served while one refresh runs in the background`, async t => {
		const entra = await startEntraServer({refreshTokens: {'FAKE-refresh-ann': ann}, delayMs: 30});
		t.teardown(async () => entra.close());
		const home = new TestHome(t);
		home.write(cacheOf({
			accounts: [accountRecord(ann)],
			refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh-ann')],
			// Almost no time is left between refresh_on and expiry, so the random delay of the refresh is only a
			// fraction of a second.
			accessTokens: [accessTokenRecord(ann, 'FAKE-aging', 400, {refresh_on: String(nowSec() - 100)})],
		}));
		const credential = credentialIn(home, {}, entra);
		t.is((await credential.getToken(scope)).token, 'FAKE-aging');
		const served = await Promise.all(Array.from({length: 100}, async () => credential.getToken(scope)));
		t.true(served.every(({token}) => token === 'FAKE-aging'));
		await until(async () => (await credential.getToken(scope)).token !== 'FAKE-aging');
		t.is((await credential.getToken(scope)).token, entra.grants[0]!.accessToken);
		t.is(entra.grants.length, 1);
	});

	test(`${variant}: a failed background refresh is not repeated at once and is not visible to callers`, async t => {
		const entra = await startEntraServer();
		t.teardown(async () => entra.close());
		const home = new TestHome(t);
		home.write(cacheOf({
			accounts: [accountRecord(ann)],
			refreshTokens: [refreshTokenRecord(ann, 'FAKE-refused')],
			accessTokens: [accessTokenRecord(ann, 'FAKE-aging', 400, {refresh_on: String(nowSec() - 100)})],
		}));
		const credential = credentialIn(home, {}, entra);
		await until(async () => {
			t.is((await credential.getToken(scope)).token, 'FAKE-aging');
			return entra.tokenRequests.length > 0;
		});
		for (let call = 0; call < 20; call++) {
			t.is((await credential.getToken(scope)).token, 'FAKE-aging');
			await sleep(5);
		}

		t.is(entra.tokenRequests.length, 1);
	});

	test(`${variant}: listAccounts returns the accounts of all caches without secrets`, async t => {
		const home = new TestHome(t);
		home.write(annWithToken('FAKE-cached'), files.nocae);
		home.write(cacheOf({accounts: [accountRecord(bob)]}), files.gcm);
		const accounts = await credentialIn(home).listAccounts();
		t.like(accounts.find(({usable}) => usable), {
			homeAccountId: homeAccountId(ann), tenantId: ann.utid, localAccountId: ann.uid, username: ann.username, environment: 'login.microsoftonline.com', source: join(home.path, files.nocae),
		});
		t.like(accounts.find(({usable}) => !usable), {homeAccountId: homeAccountId(bob), source: join(home.path, files.gcm)});
		t.is(accounts.length, 2);
		t.notRegex(JSON.stringify(accounts), /FAKE/);
	});
}

test('invalid arguments of getToken are refused by name', async t => {
	const home = new TestHome(t);
	home.write(annWithToken('FAKE-cached'));
	const credential = home.credential();
	await credential.getToken(scope);
	const cases: Array<[unknown, unknown, RegExp]> = [
		[undefined, undefined, /requires scopes/],
		[[], undefined, /at least one scope/],
		['', undefined, /at least one scope/],
		[[5], undefined, /requires scopes/],
		['a"b', undefined, /characters that no scope has/],
		['ä', undefined, /characters that no scope has/],
		[scope, {claims: 'eyJhIjoxfQ=='}, /claims of getToken must be a JSON object/],
		[scope, {claims: '[]'}, /claims of getToken must be a JSON object/],
		[scope, {tenantId: 'a/b'}, /tenantId of getToken is not a tenant/],
		[scope, {requestOptions: {timeout: -1}}, /requestOptions\.timeout/],
		[scope, {abortSignal: {}}, /^abortSignal must be an AbortSignal/],
		[scope, {abortSignal: 5}, /^abortSignal must be an AbortSignal/],
		[scope, {abortSignal: {aborted: false, addEventListener: Boolean}}, /^abortSignal must be an AbortSignal/],
		[scope, {proofOfPossessionOptions: {nonce: 'x'}}, /proofOfPossessionOptions is not supported/],
		[scope, 5, /options must be an object/],
	];
	for (const [scopes, options, message] of cases) {
		const error = await t.throwsAsync(credential.getToken(scopes as string, options as object), {instanceOf: TypeError, message}, JSON.stringify([scopes, options]));
		t.is((error as {code?: unknown}).code, 'STC_INVALID_ARGUMENT');
	}
});

test('a tenant that is not allowed is refused; an allowed one gets its own token', async t => {
	const home = new TestHome(t);
	home.write(cacheOf({
		accounts: [accountRecord(ann)],
		refreshTokens: [refreshTokenRecord(ann, 'FAKE-r')],
		accessTokens: [accessTokenRecord(ann, 'FAKE-home', 3600), accessTokenRecord(ann, 'FAKE-guest', 3600, {realm: 'guest-tenant'})],
	}));
	const credential = home.credential({tenantId: ann.utid, additionallyAllowedTenants: ['guest-tenant']});
	t.is((await credential.getToken(scope)).token, 'FAKE-home');
	t.is((await credential.getToken(scope, {tenantId: 'GUEST-tenant'})).token, 'FAKE-guest');
	t.is((await credential.getToken(scope, {tenantId: 'guest-tenant'})).token, 'FAKE-guest');
	t.is((await credential.getToken(scope)).token, 'FAKE-home');
	await t.throwsAsync(credential.getToken(scope, {tenantId: 'stranger'}), {name: 'CredentialUnavailableError', message: /not configured to acquire tokens for tenant stranger/});
});

// Serial: other tests set HOME, too.
test.serial('both forms of the constructor, supported(), close() and await using work', async t => {
	const home = new TestHome(t);
	home.write(annWithToken('FAKE-cached'));
	process.env['HOME'] = home.path;
	const credential = new SharedTokenCacheCredential('ANN@contoso.com', {cacheCheckIntervalInMs: 999});
	t.is((await credential.getToken(scope)).token, 'FAKE-cached');
	await t.throwsAsync(new SharedTokenCacheCredential('eve').getToken(scope), {name: 'CredentialUnavailableError'});
	const unnamed = new SharedTokenCacheCredential('', {username: 'eve'});
	await t.throwsAsync(unnamed.getToken(scope), {name: 'CredentialUnavailableError', message: /username: eve/}, 'an empty user name counts as absent');
	t.is((await new SharedTokenCacheCredential('ann@contoso.com', {username: 'eve'}).getToken(scope)).token, 'FAKE-cached');
	t.true(SharedTokenCacheCredential.supported());
	await credential.close();
	await credential.close();
	await t.throwsAsync(credential.getToken(scope), {message: /the credential is closed/, code: 'STC_CLOSED'});
	await t.throwsAsync(credential.listAccounts(), {message: /the credential is closed/, code: 'STC_CLOSED'});
	const disposed = new SharedTokenCacheCredential();
	await disposed[Symbol.asyncDispose]();
	await t.throwsAsync(disposed.getToken(scope), {message: /the credential is closed/});
});

test('constructor arguments of the wrong type are refused', t => {
	for (const [first, second] of [['ann', 5], ['ann', 'x'], ['ann', []], [undefined, 'x'], [{}, {username: 'ann'}], [[], undefined], [5, undefined], [() => undefined, undefined], [0, undefined], [false, undefined]]) {
		const error = t.throws(() => new SharedTokenCacheCredential(first as string, second as object), {instanceOf: TypeError}, inspect([first, second]));
		t.is((error as {code?: unknown}).code, 'STC_INVALID_ARGUMENT');
	}

	t.notThrows(() => new SharedTokenCacheCredential(undefined, undefined));
	t.notThrows(() => new SharedTokenCacheCredential({username: 'ann'} as unknown as string, undefined));
	t.notThrows(() => new SharedTokenCacheCredential('ann', null as unknown as undefined));
});

test('invalid arguments are refused also if the token is in memory', async t => {
	const home = new TestHome(t);
	home.write(cacheOf({
		accounts: [accountRecord(ann)],
		refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh-ann')],
		accessTokens: [accessTokenRecord(ann, 'FAKE-home', 3600), accessTokenRecord(ann, 'FAKE-guest', 3600, {realm: bob.utid})],
	}));
	const credential = home.credential();
	const cases: Array<[unknown, unknown]> = [
		[[[scope]], undefined],
		[`${bob.utid}\n${scope}`, undefined],
		[`\n${bob.utid}\n${scope}`, undefined],
		[{toString: () => scope}, undefined],
		[[{toString: () => scope}], undefined],
		[[Object.create(null)], undefined],
		[[Symbol('scope'), scope], undefined],
		[scope, {claims: null}],
		[scope, {claims: 0}],
		[scope, {abortSignal: {}}],
		[scope, {abortSignal: {aborted: false, addEventListener: Boolean}}],
	];
	for (const state of ['cold', 'warm']) {
		for (const [scopes, options] of cases) {
			// Rejects the promise instead of throwing synchronously.
			const error = await t.throwsAsync(credential.getToken(scopes as string, options as object), {instanceOf: TypeError}, `${state}: ${inspect([scopes, options])}`);
			t.is((error as {code?: unknown}).code, 'STC_INVALID_ARGUMENT');
		}

		t.is((await credential.getToken(scope)).token, 'FAKE-home');
		t.is((await credential.getToken(scope, {tenantId: bob.utid})).token, 'FAKE-guest');
		t.is((await credential.getToken(scope, {abortSignal: null} as unknown as object)).token, 'FAKE-home');
	}
});

test('a token of a tenant where the user is a guest is not used for the home tenant', async t => {
	const entra = await startEntraServer({refreshTokens: {'FAKE-refresh-ann': ann}});
	t.teardown(async () => entra.close());
	for (const tenantId of [ann.utid, undefined]) {
		const home = new TestHome(t);
		home.write(cacheOf({
			accounts: [accountRecord(ann, {realm: bob.utid, local_account_id: 'guest'}), accountRecord(ann)],
			refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh-ann')],
			accessTokens: [accessTokenRecord(ann, 'FAKE-guest', 5000, {realm: bob.utid})],
		}));
		t.not((await home.credential({...(tenantId && {tenantId})}, entra).getToken(scope)).token, 'FAKE-guest');
	}

	t.is(entra.grants.length, 2);
});

test('closing one credential does not affect another one on the same cache', async t => {
	const home = new TestHome(t);
	home.write(annWithToken('FAKE-cached'));
	const [first, second] = [home.credential(), home.credential()];
	await first.getToken(scope);
	await first.close();
	t.is((await second.getToken(scope)).token, 'FAKE-cached');
});

test('close() aborts a request in progress', async t => {
	const entra = await startEntraServer({refreshTokens: {'FAKE-refresh-ann': ann}, delayMs: 60_000});
	t.teardown(async () => entra.close());
	const home = new TestHome(t);
	home.writeAccount(ann, 'FAKE-refresh-ann');
	const credential = home.credential({}, entra);
	const pending = t.throwsAsync(credential.getToken(scope), {name: 'AbortError', message: /closed/});
	await until(() => entra.requests.length > 0);
	await credential.close();
	await pending;
});
