/** Which accounts can be selected, and what `listAccounts` says of the others: native and JS. */

import {mkdirSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {SharedTokenCache} from '../../dist/index.js';
import {loadLoggerWith} from '../../dist/runtime/log.js';
import type {CredentialUnavailableError} from '../../dist/errors.js';
import type {SharedTokenCacheCredentialOptions} from '../../dist/types.js';
import * as faults from '../helpers/authority/entra-faults.js';
import {startEntraServer} from '../helpers/authority/entra-server.js';
import {
	accessTokenRecord, accountRecord, ann, bob, cacheOf, clientId, homeAccountId, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {until} from '../helpers/until.js';

const guestTenant = 'cccccccc-0000-4000-8000-0000000000cc';
const guestName = 'ann_contoso.com#EXT#@fabrikam.com';
const otherClient = 'aebc6443-996d-45c2-90f0-388ff96faa56';
const usGovernment = 'login.microsoftonline.us';
const lines: string[] = [];

test.before(() => {
	const write = Object.assign((line: string) => {
		lines.push(line);
	}, {enabled: true});
	loadLoggerWith(async () => ({
		createClientLogger: () => ({
			error: write, warning: write, info: write, verbose: write,
		}),
	}));
});

for (const useNativeAddon of [undefined, false]) {
	const variant = useNativeAddon === false ? 'pure' : 'native';
	const credentialIn = (home: TestHome, options: SharedTokenCacheCredentialOptions = {}, entra?: Parameters<TestHome['credential']>[1]) => home.credential({
		...(useNativeAddon !== undefined && {useNativeAddon}), ...options,
	}, entra);
	const unavailable = async (t: ExecutionContext, promise: Promise<unknown>) => t.throwsAsync<CredentialUnavailableError>(promise, {name: 'CredentialUnavailableError'});

	test(`C2: ${variant}: an account with a record in a guest's tenant is found by either name, and listed by that of its home`, async t => {
		const home = new TestHome(t);
		const records = [accountRecord(ann), accountRecord(ann, {realm: guestTenant, username: guestName, local_account_id: 'guest-oid'})];
		for (const [index, accounts] of [records, records.toReversed()].entries()) {
			home.write(cacheOf({
				accounts: [...accounts, accountRecord(bob)],
				refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh-ann'), refreshTokenRecord(bob, 'FAKE-refresh-bob')],
				accessTokens: [accessTokenRecord(ann, 'FAKE-ann', 3600)],
			}));
			for (const username of [ann.username, guestName.toLowerCase()]) {
				t.is((await credentialIn(home, {username, cacheCheckIntervalInMs: index}).getToken(scope)).token, 'FAKE-ann', username);
			}

			const listed = await credentialIn(home).listAccounts();
			t.deepEqual(listed.map(({username, localAccountId, usable}) => [username, localAccountId, usable]), [[ann.username, ann.uid, true], [bob.username, bob.uid, true]]);
			const {message} = await unavailable(t, credentialIn(home, {username: 'eve@contoso.com', cacheCheckIntervalInMs: index}).getToken(scope));
			t.notRegex(message, /EXT|ann_/);
		}
	});

	test(`C6: ${variant}: an authentication record with a refresh token in the cache needs no account there`, async t => {
		const entra = await startEntraServer({refreshTokens: {'FAKE-refresh-ann': ann}});
		t.teardown(async () => entra.close());
		const home = new TestHome(t);
		const authenticationRecord = {
			authority: 'login.microsoftonline.com', homeAccountId: homeAccountId(ann), clientId, tenantId: ann.utid, username: ann.username,
		};
		home.write(cacheOf({accounts: [accountRecord(bob)], refreshTokens: [refreshTokenRecord(bob, 'FAKE-refresh-bob'), refreshTokenRecord(ann, 'FAKE-refresh-ann')]}));
		const {token} = await credentialIn(home, {authenticationRecord}, entra).getToken(scope);
		t.truthy(token);
		t.is(entra.grants.length, 1);
		// Without a refresh token, the record names nobody.
		home.write(cacheOf({accounts: [accountRecord(bob)], refreshTokens: [refreshTokenRecord(bob, 'FAKE-refresh-bob')]}));
		const {code, message} = await unavailable(t, credentialIn(home, {authenticationRecord, cacheCheckIntervalInMs: 1}, entra).getToken(scope));
		t.is(code, 'STC_NO_ACCOUNT');
		t.regex(message, /no account matching the given AuthenticationRecord/);
	});

	test(`D1: ${variant}: an account of another client or cloud is named with the option that takes it, and listed with the reason`, async t => {
		const home = new TestHome(t);
		const path = home.write(cacheOf({accounts: [accountRecord(ann)], refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh', {family_id: undefined, client_id: otherClient})]}));
		const client = await unavailable(t, credentialIn(home).getToken(scope));
		t.is(client.code, 'STC_NO_ACCOUNT');
		t.true(client.message.includes(path) && client.message.includes(`belongs to the client ${otherClient}. Set clientId to that`), client.message);
		t.like((await credentialIn(home).listAccounts())[0], {username: ann.username, usable: false, reason: `Its refresh token belongs to the client ${otherClient}: set clientId to that.`});
		const [taken] = await credentialIn(home, {clientId: otherClient}).listAccounts();
		t.true(taken!.usable && !('reason' in taken!));

		home.write(cacheOf({accounts: [accountRecord(ann, {environment: usGovernment})], refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh', {environment: usGovernment})]}));
		const cloud = await unavailable(t, credentialIn(home, {cacheCheckIntervalInMs: 1}).getToken(scope));
		t.regex(cloud.message, /a\*{3}@contoso\.com in .* is an account of login\.microsoftonline\.us\. Set authorityHost \(or AZURE_AUTHORITY_HOST\) to "login\.microsoftonline\.us"/);
		t.like((await credentialIn(home).listAccounts())[0], {environment: usGovernment, usable: false, reason: 'It is an account of login.microsoftonline.us: set authorityHost to this host.'});
		t.true((await credentialIn(home, {authorityHost: usGovernment}).listAccounts())[0]!.usable);

		home.write(cacheOf({accessTokens: [accessTokenRecord(ann, 'FAKE-cached', 3600)]}));
		t.regex((await unavailable(t, credentialIn(home, {cacheCheckIntervalInMs: 2}).getToken(scope))).message, /has access tokens at most, no account and no refresh token\./);
		home.write(cacheOf({accounts: [accountRecord(ann)], accessTokens: [accessTokenRecord(ann, 'FAKE-cached', 3600)]}));
		t.regex((await unavailable(t, credentialIn(home, {cacheCheckIntervalInMs: 3}).getToken(scope))).message, /a\*{3}@contoso\.com in .* has no refresh token\. Sign in again/);
		t.like((await credentialIn(home).listAccounts())[0], {usable: false, reason: 'The cache has no refresh token of it: sign in again.'});
		home.write(cacheOf({refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh')]}));
		t.regex((await unavailable(t, credentialIn(home, {cacheCheckIntervalInMs: 4}).getToken(scope))).message, /has a refresh token without an account\./);
	});

	test(`D2: ${variant}: where nobody has signed in, the error says how to, also without a session bus`, async t => {
		const home = new TestHome(t);
		mkdirSync(join(home.path, '.IdentityService'));
		const error = await unavailable(t, credentialIn(home).getToken(scope));
		t.is(error.code, 'STC_CACHE_NOT_FOUND');
		t.regex(error.message, /unavailable: no cache was found\. Sign in with a program that fills it: Azure PowerShell \(Connect-AzAccount\), .*; az login does not\. The keyring was not searched: /);
		t.true(error.details!.some(({place}) => place === join(home.path, '.IdentityService', 'msal.cache.nocae')));
		t.true((error.cause as {code: string}).code.startsWith('STC_'));
		t.is((await unavailable(t, credentialIn(home).listAccounts())).message, error.message);
	});

	test(`D8: ${variant}: listAccounts ranks failures as getToken does, and logs the caches that it leaves out`, async t => {
		const home = new TestHome(t);
		const path = home.writeSettled('{"Account": ');
		const asked = await unavailable(t, credentialIn(home).getToken(scope));
		t.is(asked.code, 'STC_CACHE_CORRUPT');
		const listing = await unavailable(t, credentialIn(home).listAccounts());
		t.like(listing, {code: 'STC_CACHE_CORRUPT', message: asked.message});
		// An empty file beside it has no account either.
		home.writeSettled('', '.IdentityService/msal.cache.cae');
		t.like(await unavailable(t, credentialIn(home).listAccounts()), {code: 'STC_CACHE_CORRUPT'});
		home.writeSettled(cacheOf({accounts: [accountRecord(ann)]}), '.IdentityService/msal.cache.cae');
		t.is((await credentialIn(home).listAccounts()).length, 1);
		await until(() => lines.some(line => line.startsWith(`listAccounts() left out ${path}, which cannot be read (STC_CACHE_CORRUPT): `)));
	});

	test(`D11: ${variant}: an empty cache file is named as empty`, async t => {
		const home = new TestHome(t);
		const path = home.writeSettled('');
		const error = await unavailable(t, credentialIn(home).getToken(scope));
		t.is(error.code, 'STC_NO_ACCOUNT');
		t.true(error.message.includes(`${path} is empty. Sign in with a program that fills it`), error.message);
		t.true(error.details!.some(({place, text}) => place === path && text === 'empty'));
	});

	test(`D9: ${variant}: the log has no user name, the error only the configured one`, async t => {
		const home = new TestHome(t);
		home.write(cacheOf({accounts: [accountRecord(ann)], refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh')]}));
		const username = `eve-${variant}@contoso.com`;
		const {message} = await unavailable(t, credentialIn(home, {username}).getToken(scope));
		t.true(message.includes(username) && !message.includes(ann.username), message);
		await until(() => lines.some(line => line.includes('username: e***@contoso.com was found')));
		await t.throwsAsync(credentialIn(home, {username, loggingOptions: {allowLoggingAccountIdentifiers: true}}).getToken(scope), {message: /Found: ann@contoso\.com/});
		await until(() => lines.some(line => line.includes(`username: ${username} was found`)));
		t.false(lines.some(line => line.includes(username) && !line.includes('Found: ann@contoso.com')));
	});
}

test('D9: a name in the authority\'s words is masked in error and log', async t => {
	const entra = await startEntraServer({refreshTokens: {'FAKE-refresh': ann}});
	t.teardown(async () => entra.close());
	entra.scriptAll(faults.invalidGrant({code: 50_020, text: 'User account \'ann-of-the-authority@contoso.com\' does not exist in tenant \'Contoso\'.'}));
	const home = new TestHome(t);
	home.writeAccount(ann, 'FAKE-refresh');
	const {message} = await t.throwsAsync<CredentialUnavailableError>(home.credential({}, entra).getToken(scope), {name: 'CredentialUnavailableError'});
	t.notRegex(message, /ann-of/);
	await until(() => lines.some(line => line.startsWith('A refresh token was refused: ') && line.includes('AADSTS50020')));
	await until(() => lines.some(line => line.includes('getToken() => ERROR') && line.includes('AADSTS50020')));
	t.false(lines.some(line => line.includes('ann-of')));
});

test('D1: the cache API lists accounts of other clouds, too, and signs them out only when they are named', async t => {
	const home = new TestHome(t);
	const path = home.write(cacheOf({
		accounts: [accountRecord(ann), accountRecord(ann, {environment: usGovernment})], refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh')],
	}));
	const cache = new SharedTokenCache({cachePath: path, tokenCachePersistenceOptions: {unsafeAllowUnencryptedStorage: true}});
	t.deepEqual((await cache.listAccounts()).map(({environment, usable}) => [environment, usable]), [['login.microsoftonline.com', true], [usGovernment, false]]);
});
