/** Claims challenges and refusals: their effect on cached tokens, and how long the credential remembers them. */

import {setTimeout as sleep} from 'node:timers/promises';
import {mock} from 'node:test';
import test, {type ExecutionContext} from 'ava';
import type {CredentialUnavailableError} from '../../dist/errors.js';
import type {SharedTokenCacheCredential} from '../../dist/index.js';
import * as faults from '../helpers/authority/entra-faults.js';
import {
	type Behaviour, type EntraServerOptions, sendJson, startEntraServer,
} from '../helpers/authority/entra-server.js';
import {
	accessTokenRecord, accountRecord, ann, cacheOf, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {until} from '../helpers/until.js';

const claims = '{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}';
const caeFile = '.IdentityService/msal.cache.cae';

async function server(t: ExecutionContext, options: EntraServerOptions = {}) {
	const entra = await startEntraServer({refreshTokens: {'FAKE-refresh-ann': ann}, ...options});
	t.teardown(async () => entra.close());
	return entra;
}

test('a token that a claims challenge invalidated is never served again, however long it lives and however it is requested', async t => {
	const entra = await server(t, {expiresInSec: 3600});
	const home = new TestHome(t);
	const revoked = cacheOf({accounts: [accountRecord(ann)], refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh-ann')], accessTokens: [accessTokenRecord(ann, 'FAKE-revoked', 28 * 3600)]});
	home.writeSettled(revoked, caeFile);
	// The old record stays in the cache, as if the cache were read-only or the record had another library's key.
	const credential = home.credential({tokenCachePersistenceOptions: {readOnly: true}, cacheCheckIntervalInMs: 20}, entra);
	t.is((await credential.getToken(scope, {enableCae: true})).token, 'FAKE-revoked');
	t.is((await credential.getToken([scope, scope], {enableCae: true})).token, 'FAKE-revoked');
	const {token} = await credential.getToken(scope, {enableCae: true, claims});
	t.is(token, entra.grants[0]!.accessToken);
	for (const wanted of [scope, [scope], [scope, scope], `${scope} ${scope}`]) {
		t.is((await credential.getToken(wanted, {enableCae: true})).token, token);
		t.is((await credential.getToken(wanted, {enableCae: true, tenantId: ann.utid})).token, token);
	}

	// Another program writes the cache, so that it is read again.
	home.write({...revoked, Touched: {}}, caeFile);
	await sleep(50);
	await credential.getToken(scope, {enableCae: true});
	await sleep(100);
	t.is((await credential.getToken(scope, {enableCae: true})).token, token);
	t.is(entra.grants.length, 1);
});

test('a grant that started before a challenge and ended after it is served only to the callers that waited for it', async t => {
	const entra = await server(t);
	const home = new TestHome(t);
	home.writeAccount(ann, 'FAKE-refresh-ann');
	const credential = home.credential({}, entra);
	let answerSlow: (() => void) | undefined;
	const slow: Behaviour = async exchange => {
		const {status, json} = exchange.answer();
		await new Promise<void>(resolve => {
			answerSlow = resolve;
		});
		sendJson(exchange, status, json);
	};

	entra.script(slow);
	const waiting = credential.getToken(scope);
	await until(() => answerSlow !== undefined);
	const challenged = await credential.getToken(scope, {claims});
	answerSlow!();
	t.is((await waiting).token, entra.grants[0]!.accessToken);
	t.is((await credential.getToken(scope)).token, challenged.token);
	// Read from the cache by this credential, and then by another one.
	t.is((await home.credential({cacheCheckIntervalInMs: 999}, entra).getToken(scope)).token, challenged.token);
	t.is(entra.grants.length, 2);
});

const refusals: Record<string, Behaviour> = {
	'blocked by conditional access': faults.invalidGrant({code: 53_003, suberror: 'message_only', text: 'Access has been blocked by Conditional Access policies.'}),
	'consent is missing': faults.consentRequired(),
	'the user is not assigned, without a suberror': faults.invalidGrant({code: 50_105, text: 'The signed in user is not assigned to a role for the application.'}),
};

async function outcome(credential: SharedTokenCacheCredential, wanted: string): Promise<string> {
	try {
		await credential.getToken(wanted);
		return 'token';
	} catch (error) {
		return (error as CredentialUnavailableError).code;
	}
}

for (const [name, refusal] of Object.entries(refusals)) {
	test.serial(`a refusal for one resource (${name}) does not affect other resources, and the request is retried after two minutes`, async t => {
		const entra = await server(t);
		const home = new TestHome(t);
		home.writeAccount(ann, 'FAKE-refresh-ann');
		// Refusals are timed with this clock.
		const realNow = performance.now.bind(performance);
		let aheadMs = 0;
		const clock = mock.method(performance, 'now', () => realNow() + aheadMs);
		t.teardown(() => {
			clock.mock.restore();
		});
		const credential = home.credential({tokenCachePersistenceOptions: {readOnly: true}}, entra);
		entra.script(refusal);
		t.is(await outcome(credential, scope), 'STC_INTERACTION_REQUIRED');
		t.is(await outcome(credential, 'https://other.example/.default'), 'token');
		t.is(await outcome(credential, scope), 'STC_INTERACTION_REQUIRED');
		t.is(entra.tokenRequests.length, 2, 'a refused request is not repeated at once');
		aheadMs = 121_000;
		t.is(await outcome(credential, scope), 'token');
		t.is(entra.tokenRequests.length, 3);
	});
}

test('a dead refresh token is not sent again for any resource', async t => {
	const entra = await server(t);
	const home = new TestHome(t);
	home.writeAccount(ann, 'FAKE-refresh-ann');
	const credential = home.credential({}, entra);
	entra.script(faults.invalidGrant());
	t.is(await outcome(credential, scope), 'STC_INTERACTION_REQUIRED');
	t.is(await outcome(credential, 'https://other.example/.default'), 'STC_INTERACTION_REQUIRED');
	t.is(entra.tokenRequests.length, 1);
});

test('a short-lived token, or one with refresh_in 0, costs at most two grants for many calls', async t => {
	for (const [life, options] of Object.entries<EntraServerOptions>({short: {expiresInSec: 240}, 'refreshed at once': {expiresInSec: 3600, refreshInSec: 0}, 'half a minute': {expiresInSec: 40}})) {
		const entra = await server(t, options);
		const home = new TestHome(t);
		home.writeAccount(ann, 'FAKE-refresh-ann');
		const credential = home.credential({}, entra);
		for (let call = 0; call < 200; call++) {
			await credential.getToken(scope);
			await sleep(5);
		}

		t.true(entra.grants.length <= 2, `${life}: ${entra.grants.length} grants for 200 calls`);
	}
});
