/** Errors if no account was found: what is there, what is missing, the one thing to do; places and accounts in the details. */

import test from 'ava';
import {explainFailure, maskUserNames} from '../../dist/lookup/account-errors.js';
import type {AccountEntry, CacheSlice, RefreshTokenEntry} from '../../dist/backend/backend.js';
import type {SourceReading} from '../../dist/cache/source-reading.js';
import {type ErrorCode, StoreError} from '../../dist/errors.js';
import {logTextOf} from '../../dist/runtime/log-text.js';
import {plaintextFile} from '../../dist/cache/cache-source.js';

const environment = 'login.microsoftonline.com';
const asked: Parameters<typeof explainFailure>[2] = {
	criteria: {tenantOnlyDisambiguates: false}, showUserNames: false, environments: [environment], clientId: 'client-1', variables: [],
};
const stamp = {value: '', readable: true};
const slice: CacheSlice = {
	stamp: '', modifiedMs: 0, sizeBytes: 100, accounts: [], accountsLeftOut: 0, refreshTokens: [], accessTokens: [], appMetadata: [],
};

const at = (path: string) => ({...plaintextFile(path), label: path});
const read = (path: string, sizeBytes = 100, rest: Partial<CacheSlice> = {}): SourceReading => ({
	source: at(path), slice: {...slice, sizeBytes, ...rest}, error: undefined, stamp,
});
const absent = (path: string): SourceReading => ({
	source: at(path), slice: null, error: undefined, stamp,
});
const broken = (path: string, code: ErrorCode, message: string): SourceReading => ({
	source: at(path), slice: null, error: new StoreError(code, message, {osDomain: 'g-io-error-quark', osCode: 0}), stamp,
});
const explain = (readings: readonly SourceReading[], failed?: Parameters<typeof explainFailure>[0], how = asked, overview: readonly SourceReading[] = []) => explainFailure(failed ?? {kind: 'empty'}, readings, how, overview);
const account = (homeAccountId: string, username: string, rest: Partial<AccountEntry> = {}): AccountEntry => ({
	homeAccountId, environment, username, ...rest,
});
const token = (homeAccountId: string, rest: Partial<RefreshTokenEntry> = {}): RefreshTokenEntry => ({
	homeAccountId, environment, clientId: 'client-1', ...rest,
});
const candidate = (entry: AccountEntry) => ({account: entry, usernames: [entry.username ?? ''], refreshTokens: [token(entry.homeAccountId)]});
const fill = 'Sign in with a program that fills it: Azure PowerShell (Connect-AzAccount), Git Credential Manager, or an Azure SDK with a persistent cache; az login does not.';

test('D2: without a cache, the error says first how to fill it, then why the keyring was not searched; places are in the details', t => {
	const error = explain([absent('/one'), absent('/two')]);
	t.like(error, {code: 'STC_CACHE_NOT_FOUND', message: `SharedTokenCacheCredential: Shared token cache unavailable: no cache was found. ${fill}`});
	t.deepEqual(error.details, [{place: '/one', text: 'no file'}, {place: '/two', text: 'no file'}]);
	const missing = broken('keyring', 'STC_STORE_UNAVAILABLE', 'there is no bus.');
	const alone = explain([missing, absent('/two')]);
	t.like(alone, {code: 'STC_CACHE_NOT_FOUND', cause: missing.error, osDomain: 'g-io-error-quark'});
	t.true(alone.message.endsWith(`${fill} The keyring was not searched: there is no session bus.`), alone.message);
	t.deepEqual(alone.details?.[0], {place: 'keyring', text: 'there is no bus.', code: 'STC_STORE_UNAVAILABLE'});
	const named = explain([missing, absent('/two')], undefined, {...asked, cacheName: 'my-app'});
	t.regex(named.message, /: no cache named "my-app" was found\. Sign in with a program that fills the cache of this name, or leave tokenCachePersistenceOptions\.name out\. The keyring/);
	// Nothing could be looked at: nobody knows whether there is a cache.
	t.is(explain([missing]).code, 'STC_STORE_UNAVAILABLE');
});

test('D11: an empty cache is named as empty, with and without a keyring', t => {
	const missing = broken('keyring', 'STC_STORE_UNAVAILABLE', 'there is no bus.');
	for (const size of [0, 2]) {
		t.like(explain([absent('/two'), read('/one', size)]), {
			code: 'STC_NO_ACCOUNT', message: `SharedTokenCacheCredential authentication unavailable. No accounts were found in the cache. /one is empty. ${fill}`,
		});
		const {code, message, details} = explain([missing, read('/one', size), absent('/two')]);
		t.is(code, 'STC_NO_ACCOUNT');
		t.regex(message, /\/one is empty\. .* The keyring was not searched: there is no session bus\.$/);
		t.deepEqual(details?.[1], {place: '/one', text: 'empty'});
	}

	// A cache with content takes precedence over a missing service.
	t.regex(explain([read('/one'), missing]).message, /No accounts were found in the cache\. \/one has access tokens at most, no account and no refresh token\./);
});

test('E2: a place with more accounts than are handed over is described with the number of the others', t => {
	const accounts = [account('u1.t', 'ann@contoso.com'), account('u2.t', 'bob@contoso.com')];
	const details = (accountsLeftOut: number) => explain([read('/one', 100, {accounts, accountsLeftOut}), broken('/two', 'STC_CACHE_CORRUPT', '/two is not JSON.')]).details;
	t.is(details(0)?.[0]?.text, '2 accounts of this authority');
	t.is(details(1)?.[0]?.text, '3 accounts of this authority, 1 of them not listed');
	t.is(details(9998)?.[0]?.text, '10000 accounts of this authority, 9998 of them not listed');
});

test('D8: of several unreadable caches, the error reports the most specific problem, and the details all of them', t => {
	const missing = broken('keyring', 'STC_STORE_UNAVAILABLE', 'there is no bus.');
	const locked = broken('other keyring', 'STC_STORE_LOCKED', 'it is locked.');
	const corrupt = broken('/one', 'STC_CACHE_CORRUPT', '/one is not JSON.');
	const error = explain([missing, locked, corrupt]);
	t.like(error, {code: 'STC_CACHE_CORRUPT', message: 'SharedTokenCacheCredential: Shared token cache unavailable: /one is not JSON.'});
	t.deepEqual(error.details?.map(({place, code}) => [place, code]), [['keyring', 'STC_STORE_UNAVAILABLE'], ['other keyring', 'STC_STORE_LOCKED'], ['/one', 'STC_CACHE_CORRUPT']]);
	t.like(explain([missing, locked, absent('/two')]), {code: 'STC_STORE_LOCKED', message: 'SharedTokenCacheCredential: Shared token cache unavailable: other keyring: it is locked.'});
	// The unreadable cache may contain the accounts that the others lack.
	t.is(explain([read('/one'), locked]).code, 'STC_STORE_LOCKED');
});

test('if no account matches, the error names the existing accounts and the caches that could not be read', t => {
	const failed = {kind: 'no-match' as const, candidates: [candidate(account('subject', ''))]};
	const how = {...asked, criteria: {username: 'ann@contoso.com', tenantOnlyDisambiguates: false}};
	const {code, message} = explain([read('/one'), broken('keyring', 'STC_STORE_LOCKED', 'it is locked.'), broken('other', 'STC_STORE_UNAVAILABLE', 'none.')], failed, how);
	t.is(code, 'STC_NO_ACCOUNT');
	t.regex(message, /Found: \*{3} \(home tenant unknown\)\. Not readable: keyring \(STC_STORE_LOCKED\)\.$/);
	t.notRegex(message, /\n/);
});

test('D1: an account that this credential cannot use is named, with its place and the option that would take it', t => {
	const overview = (rest: Partial<CacheSlice>) => explain([read('/one')], undefined, asked, [read('/one', 100, rest)]);
	const client = overview({accounts: [account('a.home', 'ann@contoso.com')], refreshTokens: [token('A.home', {clientId: 'other-client'})]});
	t.is(client.code, 'STC_NO_ACCOUNT');
	t.is(client.message, 'SharedTokenCacheCredential authentication unavailable. No usable account was found in the cache: the refresh token of a***@contoso.com in /one belongs to the client other-client. Set clientId to that, or sign in with a program that shares its tokens, such as Azure PowerShell.');
	t.deepEqual(client.details?.[0], {place: '/one', text: 'account a***@contoso.com (home tenant home)'});
	const cloud = overview({accounts: [account('a.home', 'ann@contoso.us', {environment: 'Login.MicrosoftOnline.us'})], refreshTokens: [token('a.home', {environment: 'login.microsoftonline.us', familyId: '1'})]});
	t.regex(cloud.message, /No usable account was found in the cache: a\*{3}@contoso\.us in \/one is an account of login\.microsoftonline\.us\. Set authorityHost \(or AZURE_AUTHORITY_HOST\) to "login\.microsoftonline\.us"\.$/);
	const foreign = overview({accounts: [account('a.home', 'ann@contoso.us', {environment: 'fs.example'})], refreshTokens: [token('a.home', {environment: 'fs.example', clientId: 'other-client'})]});
	t.regex(foreign.message, /is an account of fs\.example\. Set authorityHost \(or AZURE_AUTHORITY_HOST\) to "fs\.example", and clientId to other-client\.$/);
	const bare = overview({accounts: [account('a.home', 'ann@contoso.com'), account('b.home', 'bob@contoso.com')]});
	t.regex(bare.message, /a\*{3}@contoso\.com in \/one has no refresh token\. Sign in again .* listAccounts\(\) lists 1 more\.$/);
	t.regex(overview({refreshTokens: [token('a.home')]}).message, /\/one has a refresh token without an account\. Sign in again, or set authenticationRecord\.$/);
	// What an option takes comes before what needs a sign-in.
	t.regex(overview({accounts: [account('b.home', 'bob@contoso.com'), account('a.home', 'ann@contoso.com')], refreshTokens: [token('a.home', {clientId: 'other-client'})]}).message, /the refresh token of a\*{3}@contoso\.com/);
});

test('D1: the account that is asked for is named although others can be used', t => {
	const bob = account('b.home', 'bob@contoso.com');
	const how = {...asked, criteria: {username: 'Ann@contoso.com', tenantOnlyDisambiguates: false}};
	const error = explain([read('/one')], {kind: 'no-match', candidates: [candidate(bob)]}, how, [read('/one', 100, {
		accounts: [bob, account('a.home', 'ann@contoso.com')], refreshTokens: [token('b.home'), token('a.home', {clientId: 'other-client'})],
	})]);
	t.regex(error.message, /the refresh token of ann@contoso\.com in \/one belongs to the client other-client\./);
	t.regex(logTextOf(error), /the refresh token of a\*{3}@contoso\.com in \/one/);
	t.notRegex(logTextOf(error), /ann@/i);
});

test('D5: names that are masked alike are told apart, and the error says how to see them', t => {
	t.deepEqual(maskUserNames(['alice@contoso.com', 'adam@contoso.com', 'Alan@contoso.com', 'al@contoso.com', 'alice@fabrikam.com', '', 'x']), [
		'ali***@contoso.com', 'ad***@contoso.com', 'Ala***@contoso.com', 'al***@contoso.com', 'a***@fabrikam.com', '***', 'x***',
	]);
	t.deepEqual(maskUserNames(['ann@contoso.com', 'ANN@contoso.com']), ['a***@contoso.com', 'A***@contoso.com']);
	const candidates = [candidate(account('a.home', 'alice@contoso.com')), candidate(account('b.home', 'adam@contoso.com'))];
	const {message} = explain([read('/one')], {kind: 'no-match', candidates}, {...asked, criteria: {username: 'eve@contoso.com', tenantOnlyDisambiguates: false}});
	t.regex(message, /set username to one that listAccounts\(\) returns\. Found: al\*{3}@contoso\.com \(home tenant home\), ad\*{3}@contoso\.com \(home tenant home\)\.$/);
});

test('D6: a tenant or name from the environment is called so, and a guest is pointed to the option for guests', t => {
	const candidates = [candidate(account('a.home', 'ann@contoso.com'))];
	const explainWith = (criteria: object, variables: string[]) => explain([read('/one')], {kind: 'no-match', candidates}, {...asked, criteria: {tenantOnlyDisambiguates: false, ...criteria}, variables}).message;
	t.regex(explainWith({tenantId: 'other'}, ['AZURE_TENANT_ID']), /matching the specified tenantId: other was found in the cache\. tenantId comes from AZURE_TENANT_ID\. If the user is a guest there, set enableGuestTenantAuthentication; otherwise correct tenantId\. Found: a/);
	t.regex(explainWith({tenantId: 'other', username: 'ann@contoso.com'}, []), /was found in the cache\. If the user is a guest there, set enableGuestTenantAuthentication/);
	t.notRegex(explainWith({tenantId: 'home', username: 'eve@contoso.com'}, ['AZURE_USERNAME']), /Guest/);
	t.regex(explainWith({username: 'eve@contoso.com'}, ['AZURE_USERNAME']), / username comes from AZURE_USERNAME\. Sign in as that user/);
});

test('D9: an error shows the name that the caller configured, and the log no name', t => {
	const candidates = [candidate(account('a.home', 'bob@contoso.com')), candidate(account('b.home', 'ann@contoso.com'))];
	const how = {...asked, criteria: {username: 'eve@contoso.com', tenantOnlyDisambiguates: false}};
	const error = explain([read('/one')], {kind: 'no-match', candidates}, how);
	t.regex(error.message, /username: eve@contoso\.com was found/);
	t.regex(logTextOf(error), /username: e\*{3}@contoso\.com was found/);
	t.notRegex(`${error.message} ${logTextOf(error)} ${JSON.stringify(error.details)}`, /bob@|ann@/);
	const shown = explain([read('/one')], {kind: 'no-match', candidates}, {...how, showUserNames: true});
	t.regex(logTextOf(shown, true), /username: eve@contoso\.com was found.* Found: bob@contoso\.com/);
});

test('no text is longer than 400 characters, whatever the names, and what to do stays in it', t => {
	const long = 'x'.repeat(2000);
	const accounts = Array.from({length: 50}, (_, index) => account(`${index}${long}.${long}`, `user${index}${long}@contoso.com`));
	const criteria = {username: long, tenantId: long, tenantOnlyDisambiguates: false};
	const overview = [read(`/${long}`, 100, {accounts: [account('a.home', long, {environment: long})], refreshTokens: [token('a.home', {environment: long, clientId: long})]})];
	for (const [error, cure] of [
		[explain([absent(`/${long}`)], undefined, {...asked, cacheName: long}), /leave tokenCachePersistenceOptions\.name out/],
		[explain([read(`/${long}`, 0)]), /az login does not/],
		[explain([read(`/${long}`)]), /az login does not/],
		[explain([read(`/${long}`)], undefined, asked, overview), /Set authorityHost/],
		[explain([read(`/${long}`)], {kind: 'no-match', candidates: accounts.map(entry => candidate(entry))}, {...asked, criteria}), /set username/],
		[explain([read('/one')], {kind: 'no-match', candidates: accounts.map(entry => candidate(entry))}, {...asked, criteria: {...criteria, username: undefined}}), /enableGuestTenantAuthentication/],
	] as const) {
		t.true(error.message.length <= 400, error.message);
		t.regex(error.message, cure);
	}
});
