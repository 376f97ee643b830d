/**
 * Clocks that are changed while a credential is in use. Serial, because each test sets the clock of the whole process.
 */

import {setTimeout as sleep} from 'node:timers/promises';
import test from 'ava';
import type {AuthenticationError} from '../../dist/errors.js';
import * as faults from '../helpers/authority/entra-faults.js';
import {startEntraServer} from '../helpers/authority/entra-server.js';
import {
	accessTokenRecord, accountRecord, ann, cacheOf, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {until} from '../helpers/until.js';

const realNow = Date.now;
const clock = {aheadMs: 0};
Date.now = () => realNow() + clock.aheadMs;
const hourMs = 3_600_000;

test.afterEach.always(() => {
	clock.aheadMs = 0;
});

test.serial('clock set back: a token from the wrong clock is not served after its expiry', async t => {
	const entra = await startEntraServer({refreshTokens: {'FAKE-refresh-ann': ann}, expiresInSec: 3600});
	t.teardown(async () => entra.close());
	const home = new TestHome(t);
	home.writeAccount(ann, 'FAKE-refresh-ann');
	const credential = home.credential({cacheCheckIntervalInMs: 50}, entra);
	clock.aheadMs = 2 * hourMs;
	const first = await credential.getToken(scope);
	clock.aheadMs = 0;
	await credential.getToken(scope);
	clock.aheadMs = 65 * 60_000;
	const later = await credential.getToken(scope);
	t.not(later.token, first.token);
	t.is(later.token, entra.grants.at(-1)!.accessToken);
});

test.serial('clock set back: a cache that was checked by the wrong clock is checked again', async t => {
	const home = new TestHome(t);
	const credential = home.credential({cacheCheckIntervalInMs: 50});
	clock.aheadMs = hourMs;
	await t.throwsAsync(credential.getToken(scope), {name: 'CredentialUnavailableError'});
	clock.aheadMs = 0;
	home.writeSettled(cacheOf({accounts: [accountRecord(ann)], refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh-ann')], accessTokens: [accessTokenRecord(ann, 'FAKE-cached', 3000)]}));
	await until(async () => {
		try {
			return (await credential.getToken(scope)).token === 'FAKE-cached';
		} catch {
			return false;
		}
	});
	t.is((await credential.getToken(scope)).token, 'FAKE-cached');
});

test.serial('clock set back: a Retry-After of 100 s is not extended', async t => {
	const entra = await startEntraServer({refreshTokens: {'FAKE-refresh-ann': ann}});
	t.teardown(async () => entra.close());
	const home = new TestHome(t);
	home.writeAccount(ann, 'FAKE-refresh-ann');
	const credential = home.credential({retryOptions: {maxRetries: 0, maxRetryDelayInMs: 10}}, entra);
	clock.aheadMs = 24 * hourMs;
	entra.script(faults.throttled(100));
	const failure = async () => t.throwsAsync<AuthenticationError>(credential.getToken(scope), {name: 'AuthenticationError'});
	await failure();
	clock.aheadMs = 0;
	const {retryAfterInMs} = await failure();
	t.true(retryAfterInMs !== undefined && retryAfterInMs <= 100_000, String(retryAfterInMs));
	t.is(entra.tokenRequests.length, 1);
});

test.serial('clock jumps hours ahead, as after a suspend: the next call waits for a new token', async t => {
	const entra = await startEntraServer({refreshTokens: {'FAKE-refresh-ann': ann}, expiresInSec: 3600});
	t.teardown(async () => entra.close());
	const home = new TestHome(t);
	home.writeAccount(ann, 'FAKE-refresh-ann');
	const credential = home.credential({cacheCheckIntervalInMs: 50}, entra);
	const first = await credential.getToken(scope);
	clock.aheadMs = 8 * hourMs;
	const second = await credential.getToken(scope);
	t.not(second.token, first.token);
	t.true(second.expiresOnTimestamp > Date.now());
	await sleep(100);
	t.is((await credential.getToken(scope)).token, second.token);
	t.is(entra.grants.length, 2);
});

test.serial('clock set back after a challenge: later requests count as later, in memory and in the cache', async t => {
	const entra = await startEntraServer({refreshTokens: {'FAKE-refresh-ann': ann}, expiresInSec: 600});
	t.teardown(async () => entra.close());
	const home = new TestHome(t);
	home.writeAccount(ann, 'FAKE-refresh-ann');
	const credential = home.credential({cacheCheckIntervalInMs: 20}, entra);
	clock.aheadMs = hourMs;
	await credential.getToken(scope, {claims: '{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}'});
	clock.aheadMs = 0;
	// The token that answered the challenge seems to come from the future: another one replaces it.
	await until(async () => {
		await credential.getToken(scope);
		return entra.grants.length > 1;
	});
	const {accessToken} = entra.grants.at(-1)!;
	await until(() => Object.values(home.read()['AccessToken'] ?? {}).some(({secret}) => secret === accessToken));
	t.deepEqual(Object.values(home.read()['AccessToken'] ?? {}).map(({secret}) => secret), [accessToken]);
	await until(async () => (await credential.getToken(scope)).token === accessToken);
	// The cache changes, so that it is read again.
	home.write({...home.read(), Touched: {}});
	await sleep(50);
	await credential.getToken(scope);
	await sleep(100);
	t.is((await credential.getToken(scope)).token, accessToken);
	t.is((await credential.getToken([scope, scope])).token, accessToken);
	t.is(entra.grants.length, 2);
});

test.serial('clock set back after a challenge: the invalidated token stays invalid', async t => {
	const entra = await startEntraServer({refreshTokens: {'FAKE-refresh-ann': ann}});
	t.teardown(async () => entra.close());
	const home = new TestHome(t);
	home.write(cacheOf({accounts: [accountRecord(ann)], refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh-ann')], accessTokens: [accessTokenRecord(ann, 'FAKE-revoked', 28 * 3600)]}));
	const credential = home.credential({tokenCachePersistenceOptions: {readOnly: true}, cacheCheckIntervalInMs: 20}, entra);
	clock.aheadMs = hourMs;
	await credential.getToken(scope, {claims: '{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}'});
	clock.aheadMs = 0;
	await until(async () => {
		const {token} = await credential.getToken(scope);
		t.not(token, 'FAKE-revoked');
		return entra.grants.length > 1;
	});
	for (const wanted of [scope, [scope, scope]]) {
		t.not((await credential.getToken(wanted)).token, 'FAKE-revoked');
	}
});
