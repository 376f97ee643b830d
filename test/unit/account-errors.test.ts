/** Errors if no account was found: one line that names the caches that were read, the problem and the remedy. */

import test from 'ava';
import {explainFailure} from '../../dist/lookup/account-errors.js';
import type {AccountEntry, CacheSlice} from '../../dist/backend/backend.js';
import type {SourceReading} from '../../dist/cache/source-reading.js';
import {type ErrorCode, StoreError} from '../../dist/errors.js';
import {plaintextFile} from '../../dist/cache/cache-source.js';

const asked = {criteria: {tenantOnlyDisambiguates: false}, showUserNames: false};
const stamp = {value: '', readable: true};
const slice: CacheSlice = {
	stamp: '', modifiedMs: 0, sizeBytes: 100, accounts: [], refreshTokens: [], accessTokens: [], appMetadata: [],
};

const at = (path: string) => ({...plaintextFile(path), label: path});
const read = (path: string, sizeBytes = 100): SourceReading => ({
	source: at(path), slice: {...slice, sizeBytes}, error: undefined, stamp,
});
const absent = (path: string): SourceReading => ({
	source: at(path), slice: null, error: undefined, stamp,
});
const broken = (path: string, code: ErrorCode, message: string): SourceReading => ({
	source: at(path), slice: null, error: new StoreError(code, message), stamp,
});
const explain = (readings: readonly SourceReading[], failed?: Parameters<typeof explainFailure>[0], how = asked) => explainFailure(failed ?? {kind: 'empty'}, readings, how);

test('without a cache, the error names the locations that were checked', t => {
	const error = explain([absent('/one'), absent('/two')]);
	t.is(error.code, 'STC_CACHE_NOT_FOUND');
	t.regex(error.message, /no cache was found\. Looked at \/one, \/two\./);
});

test('reports a cache without accounts, and the empty file that other libraries leave beside a keyring', t => {
	t.is(explain([read('/one'), absent('/two')]).code, 'STC_NO_ACCOUNT');
	t.is(explain([read('/one', 2), absent('/two')]).code, 'STC_NO_ACCOUNT');
	const missing = broken('keyring', 'STC_STORE_UNAVAILABLE', 'there is no bus.');
	// A cache with content takes precedence over a missing service. An empty file does not.
	t.is(explain([read('/one'), missing]).code, 'STC_NO_ACCOUNT');
	t.is(explain([read('/one', 2), missing]).code, 'STC_STORE_UNAVAILABLE');
});

test('of several unreadable caches, the error reports the most specific problem and the other locations where that helps', t => {
	const missing = broken('keyring', 'STC_STORE_UNAVAILABLE', 'there is no bus.');
	const locked = broken('other keyring', 'STC_STORE_LOCKED', 'it is locked.');
	const corrupt = broken('/one', 'STC_CACHE_CORRUPT', '/one is not JSON.');
	t.like(explain([missing, locked, corrupt]), {code: 'STC_CACHE_CORRUPT', message: 'SharedTokenCacheCredential: Shared token cache unavailable: /one is not JSON.'});
	t.like(explain([missing, locked, absent('/two')]), {code: 'STC_STORE_LOCKED', message: 'SharedTokenCacheCredential: Shared token cache unavailable: other keyring: it is locked.'});
	t.like(explain([missing, absent('/two')]), {code: 'STC_STORE_UNAVAILABLE', message: 'SharedTokenCacheCredential: Shared token cache unavailable: keyring: there is no bus. There is no cache at /two.'});
	// The unreadable cache may contain the accounts that the others lack.
	t.is(explain([read('/one'), locked]).code, 'STC_STORE_LOCKED');
});

test('if no account matches, the error names the existing accounts and the caches that could not be read', t => {
	const account: AccountEntry = {homeAccountId: 'subject', environment: 'login.microsoftonline.com'};
	const failed = {kind: 'no-match' as const, candidates: [{account, refreshTokens: []}]};
	const criteria = {username: 'ann@contoso.com', tenantOnlyDisambiguates: false};
	const {code, message} = explain([read('/one'), broken('keyring', 'STC_STORE_LOCKED', 'it is locked.'), broken('other', 'STC_STORE_UNAVAILABLE', 'none.')], failed, {criteria, showUserNames: false});
	t.is(code, 'STC_NO_ACCOUNT');
	t.regex(message, /Found: \*{3} \(home tenant unknown\)\..* Not readable: keyring \(STC_STORE_LOCKED\)\.$/);
	t.notRegex(message, /\n/);
	t.regex(explain([read('/one')], failed, {criteria, showUserNames: true}).message, /Found: {2}\(home tenant unknown\)/);
});
