/** Redeeming a refresh token over real TLS, against everything that an authority, a proxy or the network can do. */

import {Buffer} from 'node:buffer';
import {once} from 'node:events';
import {type AddressInfo, createServer} from 'node:net';
import {createServer as createTlsServer} from 'node:tls';
import test, {type ExecutionContext} from 'ava';
import {Agent, interceptors} from 'undici';
import type {AuthenticationError, CredentialUnavailableError} from '../../dist/errors.js';
import type {SharedTokenCacheCredentialOptions} from '../../dist/types.js';
import {makeServerCertificate} from '../helpers/authority/certificates.js';
import {loopbackDispatcher} from '../helpers/authority/dispatcher.js';
import {clientInfo, type JsonObject} from '../helpers/authority/entra-answers.js';
import * as faults from '../helpers/authority/entra-faults.js';
import {
	type Behaviour, type EntraServer, type EntraServerOptions, startEntraServer,
} from '../helpers/authority/entra-server.js';
import {
	accessTokenRecord, accountRecord, ann, bob, cacheOf, clientId, homeAccountId, nowSec, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {patienceMs, until, withResolvers} from '../helpers/until.js';

const refreshToken = 'FAKE-refresh-token-of-ann';

async function server(t: ExecutionContext, options: EntraServerOptions = {}): Promise<EntraServer> {
	const started = await startEntraServer({refreshTokens: {[refreshToken]: ann}, ...options});
	t.teardown(async () => started.close());
	return started;
}

const idToken = (claims: object) => `x.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.FAKE`;

const quick = {retryOptions: {maxRetries: 2, retryDelayInMs: 5, maxRetryDelayInMs: 1500}};

async function setUp(t: ExecutionContext, {behaviours = [], ...options}: SharedTokenCacheCredentialOptions & {behaviours?: Behaviour[]} = {}) {
	const entra = await server(t);
	entra.script(...behaviours);
	const home = new TestHome(t);
	home.writeAccount(ann, refreshToken);
	return {entra, home, credential: home.credential({...quick, ...options}, entra)};
}

test('sends the request, byte for byte', async t => {
	const {entra, credential} = await setUp(t);
	const startSec = nowSec();
	const {token, expiresOnTimestamp, tokenType} = await credential.getToken(scope);
	t.is(token, entra.grants[0]!.accessToken);
	t.is(tokenType, 'Bearer');
	t.true(expiresOnTimestamp >= (startSec + 3600) * 1000 && expiresOnTimestamp <= (nowSec() + 3600) * 1000);

	const [request] = entra.tokenRequests;
	t.is(entra.requests.length, 1);
	t.is(request?.serverName, 'login.microsoftonline.com');
	t.is(`${request?.method} ${request?.path}`, 'POST /organizations/oauth2/v2.0/token');
	t.is(
		request?.body.toString('utf8'),
		'grant_type=refresh_token'
		+ `&refresh_token=${refreshToken}`
		+ `&client_id=${clientId}`
		+ '&scope=https%3A%2F%2Fvault.azure.net%2F.default+offline_access+openid+profile'
		+ '&client_info=1',
	);
	const correlationId = request?.headers['client-request-id'] ?? '';
	t.regex(correlationId, /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
	t.deepEqual(request?.rawHeaders, [
		'host',
		'login.microsoftonline.com',
		'connection',
		'keep-alive',
		'content-type',
		'application/x-www-form-urlencoded;charset=utf-8',
		'accept',
		'application/json',
		'user-agent',
		request?.headers['user-agent'],
		'client-request-id',
		correlationId,
		'return-client-request-id',
		'true',
		'x-client-sku',
		'azure-shared-token-cache',
		'x-client-ver',
		'1.0.0-beta.1',
		'x-anchormailbox',
		`Oid:${ann.uid}@${ann.utid}`,
		'content-length',
		String(request?.body.length),
	]);
});

test('every character of a refresh token and of claims arrives; an unpaired surrogate, from a damaged cache, causes no other error', async t => {
	const {entra, home, credential} = await setUp(t);
	home.writeAccount(ann, 'FAKE &=+%20 \u{1F511} \u00FC \uD800.');
	const claims = JSON.stringify({access_token: {note: {value: 'a b&c=d+e%20 \u00E9'}}});
	// The endpoint does not know the token and says so.
	await t.throwsAsync(credential.getToken(scope, {claims}), {code: 'STC_INTERACTION_REQUIRED'});
	const form = new URLSearchParams(entra.tokenRequests[0]?.body.toString('utf8'));
	t.is(form.get('refresh_token'), 'FAKE &=+%20 \u{1F511} \u00FC \uFFFD.');
	t.is(form.get('claims'), claims);
	t.deepEqual([...form.keys()], ['grant_type', 'refresh_token', 'client_id', 'scope', 'client_info', 'claims']);
});

test('sends several scopes, and OpenID scopes of the caller only once', async t => {
	const {entra, credential} = await setUp(t);
	await credential.getToken(['User.Read', 'openid']);
	t.is(entra.tokenRequests[0]?.form.get('scope'), 'User.Read openid offline_access profile');
});

test('sends claims unchanged, and merges them with the client capability for CAE', async t => {
	const {entra, home, credential} = await setUp(t);
	home.write(cacheOf({accounts: [accountRecord(ann)], refreshTokens: [refreshTokenRecord(ann, refreshToken)]}), '.IdentityService/msal.cache.cae');
	const claims = '{"access_token": {"nbf": {"essential": true, "value": "1"}, "xms_cc": {"values": ["X"]}}, "id_token": {"a": null}}';
	await credential.getToken(scope, {claims});
	await credential.getToken(scope, {claims, enableCae: true});
	await credential.getToken('other/.default', {enableCae: true});
	t.deepEqual(entra.tokenRequests.map(({form}) => form.get('claims')), [
		claims,
		'{"access_token":{"nbf":{"essential":true,"value":"1"},"xms_cc":{"values":["CP1"]}},"id_token":{"a":null}}',
		'{"access_token":{"xms_cc":{"values":["CP1"]}}}',
	]);
});

test('sends the requested tenant, the guest tenant, or consumers for a personal account', async t => {
	const entra = await server(t);
	const personal = {...ann, utid: '9188040d-6c67-4c5b-b112-36a304b66dad'};
	entra.refreshTokens.set('FAKE-personal', personal);
	const home = new TestHome(t);
	home.writeAccount(ann, refreshToken);
	await home.credential({}, entra).getToken(scope, {tenantId: 'Contoso.onmicrosoft.com'});
	await home.credential({tenantId: bob.utid, enableGuestTenantAuthentication: true}, entra).getToken(scope);
	const personalHome = new TestHome(t);
	personalHome.writeAccount(personal, 'FAKE-personal');
	await personalHome.credential({}, entra).getToken(scope);
	t.deepEqual(entra.tokenRequests.map(({path}) => path), [
		'/Contoso.onmicrosoft.com/oauth2/v2.0/token',
		`/${bob.utid}/oauth2/v2.0/token`,
		'/9188040d-6c67-4c5b-b112-36a304b66dad/oauth2/v2.0/token',
	]);
});

test('rotation: the new refresh token is sent next, although the cache still has the old one', async t => {
	const entra = await server(t, {rotation: 'revoke-old'});
	const home = new TestHome(t);
	home.writeAccount(ann, refreshToken);
	const credential = home.credential(quick, entra);
	await credential.getToken(scope);
	await credential.getToken('https://storage.azure.com/.default');
	await credential.getToken('https://management.azure.com/.default');
	t.is(entra.grants.length, 3);
	t.is(entra.grants[1]?.redeemed, entra.grants[0]?.refreshToken);
	t.is(entra.grants[2]?.redeemed, entra.grants[1]?.refreshToken);
});

test('connections are kept alive', async t => {
	const {entra} = await setUp(t);
	const home = new TestHome(t);
	home.writeAccount(ann, refreshToken);
	const credential = home.credential({}, entra);
	for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) {
		await credential.getToken(`https://${name}.example/.default`);
	}

	t.is(entra.grants.length, 6);
	// undici opens a second one if a request follows within the same turn of the event loop.
	t.true(entra.connectionCount <= 2);
});

test('invalid_grant: the error has AADSTS number, correlation ID and remedy; a dead cache costs one request until it changes', async t => {
	const {entra, home, credential} = await setUp(t, {cacheCheckIntervalInMs: 0});
	entra.scriptAll(faults.invalidGrant());
	for (let call = 0; call < 3; call++) {
		const error = await t.throwsAsync<CredentialUnavailableError>(credential.getToken(scope), {name: 'CredentialUnavailableError'});
		t.is(error.code, 'STC_INTERACTION_REQUIRED');
		t.regex(error.message, /^SharedTokenCacheCredential: The sign-in of a\*\*\*@contoso\.com has ended\. The user has to sign in again .* invalid_grant, AADSTS50173 \(correlation id [\da-f-]{36}\)\. Account in \S+msal\.cache\.nocae; client [\da-f-]{36}\./);
		t.notRegex(error.message, /\n/);
		t.deepEqual(error.errorResponse?.errorCodes, [50_173]);
	}

	await t.throwsAsync(credential.getToken('https://storage.azure.com/.default'), {name: 'CredentialUnavailableError'});
	t.is(entra.tokenRequests.length, 1);

	entra.scriptAll();
	home.write(cacheOf({accounts: [accountRecord(ann)], refreshTokens: [refreshTokenRecord(ann, refreshToken, {target: 'changed'})]}));
	t.truthy(await credential.getToken(scope));
	t.is(entra.tokenRequests.length, 2);
});

test('a refusal for one scope does not invalidate the refresh token for others', async t => {
	const {entra, credential} = await setUp(t, {behaviours: [faults.consentRequired()]});
	await t.throwsAsync(credential.getToken(scope), {message: /AADSTS65001/});
	t.truthy(await credential.getToken('https://storage.azure.com/.default'));
	await t.throwsAsync(credential.getToken(scope), {message: /AADSTS65001/});
	t.is(entra.tokenRequests.length, 2);
});

for (const code of [50_020, 50_034, 50_072, 50_074, 50_078, 50_097, 70_043, 90_072, 500_011]) {
	test(`a refusal for one tenant does not invalidate the refresh token for others, and is remembered (AADSTS${code})`, async t => {
		const {entra, credential} = await setUp(t, {behaviours: [faults.invalidGrant({code})]});
		const elsewhere = {tenantId: bob.utid};
		await t.throwsAsync(credential.getToken(scope, elsewhere), {name: 'CredentialUnavailableError'});
		t.is((await credential.getToken(scope)).token, entra.grants[0]!.accessToken);
		const error = await t.throwsAsync<CredentialUnavailableError>(credential.getToken(scope, elsewhere), {name: 'CredentialUnavailableError'});
		t.deepEqual(error.errorResponse?.errorCodes, [code]);
		t.deepEqual(entra.tokenRequests.map(({path}) => path.split('/')[1]), [bob.utid, 'organizations']);
	});
}

for (const error of ['login_required', 'interaction_required', 'consent_required']) {
	test(`${error}: unavailable, with one request per resource`, async t => {
		const {entra, credential} = await setUp(t);
		entra.scriptAll(faults.oauthError({error, code: 50_058, text: 'The user has to sign in.'}));
		for (let call = 0; call < 3; call++) {
			const failure = await t.throwsAsync<CredentialUnavailableError>(credential.getToken(scope), {name: 'CredentialUnavailableError'});
			t.is(failure.code, 'STC_INTERACTION_REQUIRED');
			t.is(failure.errorResponse?.error, error);
		}

		t.is(entra.tokenRequests.length, 1);
		await t.throwsAsync(credential.getToken('other/.default'), {name: 'CredentialUnavailableError'});
		t.is(entra.tokenRequests.length, 2);
	});
}

test('a dead rotated refresh token: the cached one, which another program may still use, is sent', async t => {
	const entra = await server(t);
	const home = new TestHome(t);
	home.writeAccount(ann, refreshToken);
	// Nothing is written, so the cache keeps the first one.
	const credential = home.credential({...quick, tokenCachePersistenceOptions: {readOnly: true}}, entra);
	await credential.getToken('a/.default');
	const rotated = entra.grants[0]!.refreshToken!;
	entra.refreshTokens.delete(rotated);
	t.is((await credential.getToken('b/.default')).token, entra.grants[1]!.accessToken);
	t.deepEqual(entra.tokenRequests.map(({form}) => form.get('refresh_token')), [refreshToken, rotated, refreshToken]);

	const second = entra.grants[1]!.refreshToken!;
	entra.refreshTokens.clear();
	for (const name of ['c/.default', 'd/.default', 'c/.default']) {
		await t.throwsAsync(credential.getToken(name), {name: 'CredentialUnavailableError'});
	}

	t.deepEqual(entra.tokenRequests.slice(3).map(({form}) => form.get('refresh_token')), [second, refreshToken], 'each is sent once');
});

test('a rotated refresh token that is refused for one request: the cached one from the same sign-in is not sent', async t => {
	const {entra, credential} = await setUp(t);
	await credential.getToken('a/.default');
	entra.scriptAll(faults.invalidGrant({code: 50_076, suberror: 'basic_action'}));
	await t.throwsAsync(credential.getToken('b/.default'), {name: 'CredentialUnavailableError'});
	t.is(entra.tokenRequests.length, 2);
});

test('the next refresh token is tried: family first, newest first', async t => {
	const entra = await server(t);
	const home = new TestHome(t);
	home.write(cacheOf({
		accounts: [accountRecord(ann)],
		refreshTokens: [
			refreshTokenRecord(ann, 'FAKE-own', {family_id: ''}),
			refreshTokenRecord(ann, 'FAKE-family-old', {client_id: 'x', last_modification_time: '100'}),
			refreshTokenRecord(ann, 'FAKE-family-new', {client_id: 'y', last_modification_time: '200'}),
			refreshTokenRecord(ann, 'FAKE-foreign', {client_id: 'z', family_id: ''}),
		],
	}));
	entra.refreshTokens.set('FAKE-own', ann);
	t.truthy(await home.credential({}, entra).getToken(scope));
	t.deepEqual(entra.tokenRequests.map(({form}) => form.get('refresh_token')), ['FAKE-family-new', 'FAKE-family-old', 'FAKE-own']);
});

test('with claims, the error is an AuthenticationRequiredError with scopes and suberror', async t => {
	const {credential} = await setUp(t, {behaviours: [faults.interactionRequired()]});
	const error = await t.throwsAsync(credential.getToken(scope, {claims: '{"a":1}'}), {name: 'AuthenticationRequiredError'});
	t.like(error, {code: 'STC_INTERACTION_REQUIRED', scopes: [scope], suberror: 'basic_action'});
});

for (const [form, retryAfter] of [['seconds', () => 1], ['an HTTP date', () => new Date((Math.ceil(Date.now() / 1000) + 1) * 1000)]] as const) {
	test(`429 with Retry-After in ${form}: waits, then retries`, async t => {
		const {entra, credential} = await setUp(t, {retryOptions: {maxRetries: 2, retryDelayInMs: 1, maxRetryDelayInMs: 5000}});
		entra.script(async exchange => faults.throttled(retryAfter())(exchange));
		t.truthy(await credential.getToken(scope));
		const [first, second] = entra.tokenRequests;
		t.is(entra.tokenRequests.length, 2);
		t.true((second?.receivedMs ?? 0) - (first?.receivedMs ?? 0) >= 900);
	});
}

test('429 with a Retry-After that is too long: an error at once, and no request before it is over', async t => {
	const {entra, credential} = await setUp(t, {behaviours: [faults.throttled(120)]});
	const startMs = performance.now();
	for (let call = 0; call < 3; call++) {
		const error = await t.throwsAsync<AuthenticationError>(credential.getToken(scope), {name: 'AuthenticationError'});
		t.is(error.code, 'STC_TOKEN_REQUEST_FAILED');
		t.is(error.statusCode, 429);
		t.true((error.retryAfterInMs ?? 0) >= 120_000 - (performance.now() - startMs) && (error.retryAfterInMs ?? 0) <= 120_000);
	}

	t.is(entra.tokenRequests.length, 1);
});

test('a Retry-After that is too long: an error without a request has the status of the response that sent it', async t => {
	const {entra, credential} = await setUp(t, {behaviours: [faults.bareStatus(503, {'retry-after': '120'})]});
	for (let call = 0; call < 2; call++) {
		const error = await t.throwsAsync<AuthenticationError>(credential.getToken(scope), {name: 'AuthenticationError'});
		t.is(error.statusCode, 503);
	}

	t.is(entra.tokenRequests.length, 1);
});

test('remembered Retry-After times are limited: after a hundred others the first is forgotten', async t => {
	const {entra, credential} = await setUp(t);
	entra.scriptAll(faults.throttled(120));
	const ask = async (name: number) => {
		await t.throwsAsync(credential.getToken(`${name}/.default`), {name: 'AuthenticationError'});
		return entra.tokenRequests.length;
	};

	t.is(await ask(0), 1);
	t.is(await ask(0), 1);
	for (let name = 1; name <= 100; name++) {
		await ask(name);
	}

	t.is(await ask(100), 101);
	t.is(await ask(0), 102);
});

test('reaching the maximum retry delay does not end the retries', async t => {
	// Jitter would exceed it half of the time.
	const {entra, credential} = await setUp(t, {retryOptions: {maxRetries: 12, retryDelayInMs: 20, maxRetryDelayInMs: 20}});
	entra.scriptAll(faults.bareStatus(503));
	await t.throwsAsync(credential.getToken(scope), {name: 'AuthenticationError', message: /after 13 tries/});
});

for (const retryAfter of ['0', '-5', '1.5', '5, 10', 'Mon, 01 Jan 2001 00:00:00 GMT']) {
	test(`Retry-After: ${retryAfter} does not remove the delay between attempts`, async t => {
		const {entra, credential} = await setUp(t, {retryOptions: {maxRetries: 1, retryDelayInMs: 400}});
		entra.scriptAll(faults.bareStatus(503, {'retry-after': retryAfter}));
		await t.throwsAsync(credential.getToken(scope), {name: 'AuthenticationError'});
		const [first, second] = entra.tokenRequests;
		t.true(second!.receivedMs - first!.receivedMs >= 290);
	});
}

for (const status of [500, 503, 504]) {
	test(`${status} is retried and succeeds`, async t => {
		const {entra, credential} = await setUp(t, {behaviours: [faults.bareStatus(status), faults.html(status)]});
		t.truthy(await credential.getToken(scope));
		t.is(entra.tokenRequests.length, 3);
	});
}

test('repeated 5xx: AuthenticationError with status and number of attempts', async t => {
	const {entra, credential} = await setUp(t);
	entra.scriptAll(faults.html(502));
	const error = await t.throwsAsync<AuthenticationError>(credential.getToken(scope), {name: 'AuthenticationError'});
	t.like(error, {code: 'STC_TOKEN_REQUEST_FAILED', statusCode: 502});
	t.regex(error.message, /after 3 tries with HTTP 502: an answer that is not JSON \(text\/html\)/);
	t.notRegex(error.message, /Welcome/);
	t.is(entra.tokenRequests.length, 3);
});

test('a token that is still valid is served while the authority is down, without a request per call', async t => {
	const entra = await server(t);
	entra.scriptAll(faults.bareStatus(503));
	const home = new TestHome(t);
	home.write(cacheOf({
		accounts: [accountRecord(ann)],
		refreshTokens: [refreshTokenRecord(ann, refreshToken)],
		accessTokens: [accessTokenRecord(ann, 'FAKE-nearly-over', 200)],
	}));
	const credential = home.credential(quick, entra);
	for (let call = 0; call < 5; call++) {
		t.is((await credential.getToken(scope)).token, 'FAKE-nearly-over');
	}

	t.is(entra.tokenRequests.length, 3);
});

const connectionFaults: Array<[string, () => Behaviour]> = [
	['reset before the headers', faults.resetBeforeHeaders],
	['reset after the headers', faults.resetAfterHeaders],
	['reset in the body', faults.resetInBody],
	['a body that ends too early', faults.truncatedBody],
	...faults.httpBreaks.map((name): [string, () => Behaviour] => [name, () => faults.brokenHttp(name)]),
];

for (const [name, fault] of connectionFaults) {
	test(`${name}: retried once, then fatal`, async t => {
		const {entra, credential} = await setUp(t, {behaviours: [fault()]});
		t.truthy(await credential.getToken(scope));
		t.is(entra.tokenRequests.length, 2);
		entra.scriptAll(fault());
		const error = await t.throwsAsync<AuthenticationError>(credential.getToken('https://storage.azure.com/.default'), {name: 'AuthenticationError'});
		t.like(error, {code: 'STC_NETWORK', statusCode: 0});
	});
}

for (const name of faults.httpBreaks) {
	test(`a response that is not HTTP is reported as such: ${name}`, async t => {
		const {credential} = await setUp(t, {behaviours: [faults.brokenHttp(name)], retryOptions: {maxRetries: 0}});
		await t.throwsAsync(credential.getToken(scope), {name: 'AuthenticationError', message: /no token from login\.microsoftonline\.com: the answer is not HTTP\. /});
	});
}

const unusable: Array<[string, Behaviour, RegExp]> = [
	['HTML with 200', faults.html(), /not JSON \(text\/html\)/],
	['invalid JSON', faults.invalidJson(), /not JSON \(application\/json\)/],
	['an empty body', faults.emptyBody(), /not JSON/],
	['a JSON array', faults.jsonArray(), /not JSON/],
	['a 2 MiB body', faults.oversizedBody(), /longer than 1048576 bytes/],
	['no access_token', faults.grantWithout('access_token'), /no access_token/],
	['no expires_in', faults.grantWithout('expires_in'), /neither expires_in nor expires_on/],
	['an expiry of now', faults.changedGrant(json => ({...json, expires_in: 0})), /expiry is not in the future/],
	['an expiry in 30 million years', faults.changedGrant(json => ({...json, expires_in: 1e15})), /expiry is more than ten years in the future/],
	['another account', faults.grantForAnotherAccount(), /another account/],
	['an OAuth error', faults.oauthError({error: 'invalid_scope', code: 70_011, text: 'The provided scope is not valid.'}), /HTTP 400: invalid_scope, AADSTS70011: The provided scope is not valid/],
];

for (const [name, behaviour, message] of unusable) {
	test(`${name}: AuthenticationError at once`, async t => {
		const {entra, credential} = await setUp(t, {behaviours: [behaviour]});
		const error = await t.throwsAsync<AuthenticationError>(credential.getToken(scope), {name: 'AuthenticationError', message});
		t.is(error.code, 'STC_TOKEN_REQUEST_FAILED');
		t.notRegex(error.message, /FAKE|\n/);
		t.truthy(error.correlationId ?? error.cause);
		t.is(entra.tokenRequests.length, 1);
	});
}

test('reads expires_on, and numbers as strings', async t => {
	const {credential} = await setUp(t, {behaviours: [faults.grantWithExpiresOn(), faults.grantWithStringNumbers()]});
	for (const name of ['a/.default', 'b/.default']) {
		const startSec = nowSec();
		const {expiresOnTimestamp} = await credential.getToken(name);
		t.true(expiresOnTimestamp >= (startSec + 3600) * 1000 && expiresOnTimestamp <= (nowSec() + 3600) * 1000);
	}
});

for (const status of [301, 302, 303, 307, 308]) {
	test(`a redirect (${status}) is refused: the refresh token goes to no other host`, async t => {
		const elsewhere = await server(t);
		const {entra, credential} = await setUp(t, {behaviours: [faults.redirect(status, `${elsewhere.origin}/organizations/oauth2/v2.0/token`)]});
		await t.throwsAsync(credential.getToken(scope), {name: 'AuthenticationError', message: /redirect/});
		t.is(entra.tokenRequests.length, 1);
		t.is(elsewhere.requests.length, 0);
	});
}

for (const status of [301, 302, 303, 307, 308]) {
	test(`a redirect (${status}) is refused even if an interceptor of the injected dispatcher follows redirects`, async t => {
		const entra = await server(t);
		const elsewhere = await server(t, {extraNames: ['login.elsewhere.example']});
		entra.scriptAll(faults.redirect(status, 'https://login.elsewhere.example/organizations/oauth2/v2.0/token'));
		const agent = loopbackDispatcher(entra, {'login.elsewhere.example': elsewhere});
		t.teardown(async () => agent.destroy());
		const home = new TestHome(t);
		home.writeAccount(ann, refreshToken);
		const dispatcher = agent.compose(interceptors.redirect({maxRedirections: 5}));
		await t.throwsAsync(home.credential({...quick, dispatcher}).getToken(scope), {name: 'AuthenticationError', message: /redirect/});
		t.is(entra.tokenRequests.length, 1);
		t.is(elsewhere.requests.length, 0);
	});
}

for (const [what, certificateOptions, message] of [
	['has expired', {untilMs: -3_600_000}, /: its certificate has expired \(CERT_HAS_EXPIRED\)\. Check the clock of this machine\. If it is right, the operator of the host/],
	['is not valid yet', {fromMs: 3_600_000}, /: its certificate is not valid yet \(CERT_NOT_YET_VALID\)\. Check the clock of this machine\./],
	['is for another name', {onlyNames: ['other.example']}, /: its certificate is for another host name \(ERR_TLS_CERT_ALTNAME_INVALID\)\. Check authorityHost and DNS/],
] as const) {
	test(`D4: a server whose certificate ${what}: no request, no retry, and its own cure`, async t => {
		const entra = await server(t, {certificate: await makeServerCertificate([], certificateOptions)});
		const home = new TestHome(t);
		home.writeAccount(ann, refreshToken);
		const error = await t.throwsAsync<AuthenticationError>(home.credential(quick, entra).getToken(scope), {name: 'AuthenticationError', message});
		t.is(error.code, 'STC_NETWORK');
		t.notRegex(error.message, /NODE_EXTRA_CA_CERTS|tries/);
		t.is(entra.requests.length, 0);
	});
}

for (const [what, answer] of [['plain HTTP', 'HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n'], ['a line of text', '220 mail.example ESMTP ready for everybody\r\n']] as const) {
	test(`D4: a port that answers with ${what}: the error says that it has no TLS`, async t => {
		const plain = createServer(socket => {
			socket.on('error', () => undefined);
			socket.once('data', () => {
				socket.end(answer);
			});
		});
		plain.listen(0, '127.0.0.1');
		await once(plain, 'listening');
		t.teardown(() => {
			plain.close();
		});
		const {port} = plain.address() as AddressInfo;
		const home = homeAt(t, `127.0.0.1:${port}`);
		const error = await t.throwsAsync<AuthenticationError>(home.credential({...quick, authorityHost: `https://127.0.0.1:${port}`}).getToken(scope), {name: 'AuthenticationError'});
		t.is(error.code, 'STC_NETWORK');
		t.regex(error.message, /: it does not answer with TLS \(\w+\)\. Check the host and port in authorityHost/);
		t.notRegex(error.message, /NODE_EXTRA_CA_CERTS|tries/);
	});
}

test('D4: a server that has another TLS version only', async t => {
	const {cert, key, ca} = await makeServerCertificate();
	const strict = createTlsServer({cert, key, maxVersion: 'TLSv1.2'}, socket => {
		socket.on('error', () => undefined);
	});
	strict.on('tlsClientError', () => undefined);
	strict.listen(0, '127.0.0.1');
	await once(strict, 'listening');
	t.teardown(() => {
		strict.close();
	});
	const dispatcher = new Agent({connect: {ca, minVersion: 'TLSv1.3'}});
	t.teardown(async () => dispatcher.destroy());
	const {port} = strict.address() as AddressInfo;
	const home = homeAt(t, `localhost:${port}`);
	const message = /: it and Node cannot agree on TLS \(ERR_SSL_\w+\)\. Check the TLS version/;
	await t.throwsAsync(home.credential({...quick, authorityHost: `https://localhost:${port}`, dispatcher}).getToken(scope), {name: 'AuthenticationError', code: 'STC_NETWORK', message});
});

test('a certificate of an unknown authority: no request, no retry, and a remedy', async t => {
	const entra = await server(t);
	const home = new TestHome(t);
	home.write(cacheOf({
		accounts: [accountRecord(ann, {environment: 'localhost'})],
		refreshTokens: [refreshTokenRecord(ann, refreshToken, {environment: 'localhost'})],
	}));
	const error = await t.throwsAsync<AuthenticationError>(home.credential({authorityHost: entra.origin}).getToken(scope), {name: 'AuthenticationError', message: /NODE_EXTRA_CA_CERTS/});
	t.is(error.code, 'STC_NETWORK');
	t.is(entra.requests.length, 0);
});

test('a closed port: STC_NETWORK with the cause', async t => {
	// Nothing listens there. The port of a server that was closed may soon be another one's.
	const origin = 'https://localhost:1';
	const home = new TestHome(t);
	home.write(cacheOf({
		accounts: [accountRecord(ann, {environment: 'localhost'})],
		refreshTokens: [refreshTokenRecord(ann, refreshToken, {environment: 'localhost'})],
	}));
	const error = await t.throwsAsync<AuthenticationError>(home.credential({...quick, authorityHost: origin}).getToken(scope), {name: 'AuthenticationError', message: /ECONNREFUSED/});
	t.is(error.code, 'STC_NETWORK');
	t.truthy(error.cause);
});

test('no free socket: the remedy is that of too many open files, not that of a network failure', async t => {
	const home = new TestHome(t);
	home.writeAccount(ann, refreshToken);
	const dispatcher = {
		dispatch: () => true,
		async request() {
			throw Object.assign(new Error('connect EMFILE 127.0.0.1:443'), {code: 'EMFILE', syscall: 'connect'});
		},
	};
	const error = await t.throwsAsync<AuthenticationError>(home.credential({retryOptions: {maxRetries: 0}, dispatcher}).getToken(scope), {name: 'AuthenticationError'});
	t.is(error.code, 'STC_NETWORK');
	t.regex(error.message, /: EMFILE\. Too many files are open: close some, or raise the limit \(ulimit -n\)\. Correlation id /);
});

test('requestOptions.timeout applies to a slow body; a caller with a longer time-out gets the token', async t => {
	const {promise: mayEnd, resolve: end} = withResolvers();
	const {entra, credential} = await setUp(t, {behaviours: [faults.slowBody(mayEnd)]});
	const patient = credential.getToken(scope);
	const error = await t.throwsAsync<AuthenticationError>(credential.getToken(scope, {requestOptions: {timeout: 100}}), {name: 'AuthenticationError', message: /timeout of 100 ms/});
	t.is(error.code, 'STC_TIMEOUT');
	end();
	t.truthy(await patient);
	t.is(entra.tokenRequests.length, 1);
});

test('requestOptions.timeout with a silent authority: a token that is still valid is served', async t => {
	const entra = await server(t);
	entra.scriptAll(faults.noAnswer());
	const home = new TestHome(t);
	home.write(cacheOf({
		accounts: [accountRecord(ann)],
		refreshTokens: [refreshTokenRecord(ann, refreshToken)],
		accessTokens: [accessTokenRecord(ann, 'FAKE-nearly-over', 200), accessTokenRecord(ann, 'FAKE-over', -1, {target: 'over/.default'})],
	}));
	const credential = home.credential(quick, entra);
	const requestOptions = {timeout: 200};
	t.is((await credential.getToken(scope, {requestOptions})).token, 'FAKE-nearly-over');
	t.is((await credential.getToken(scope)).token, 'FAKE-nearly-over', 'no call waits again');
	for (const [other, options] of [['over/.default', {}], [scope, {claims: '{"a":1}'}], [scope, {tenantId: bob.utid}]] as const) {
		await t.throwsAsync(credential.getToken(other, {requestOptions, ...options}), {name: 'AuthenticationError', message: /timeout of 200 ms/});
	}
});

test('a time-out that ends the last wait aborts the request', async t => {
	const {entra, credential} = await setUp(t);
	const requests = {arrived: 0, aborted: 0};
	entra.scriptAll(({response}) => {
		requests.arrived++;
		response.once('close', () => {
			requests.aborted++;
		});
	});
	// A busy machine may need longer for the request alone, and a request that was aborted may arrive late.
	for (let timeout = 500; requests.arrived === 0; timeout *= 4) {
		await t.throwsAsync(credential.getToken(scope, {requestOptions: {timeout}}), {message: new RegExp(`timeout of ${timeout} ms`)});
	}

	await until(() => requests.aborted === requests.arrived);
	t.is(entra.grants.length, 0);
	entra.scriptAll();
	t.truthy(await credential.getToken(scope, {requestOptions: {timeout: patienceMs}}));
});

test('abortSignal: AbortError with the reason, for that caller only', async t => {
	const {promise: mayEnd, resolve: end} = withResolvers();
	const {entra, credential} = await setUp(t, {behaviours: [faults.slowBody(mayEnd)]});
	const controller = new AbortController();
	const aborted = t.throwsAsync(credential.getToken(scope, {abortSignal: controller.signal}), {name: 'AbortError'});
	const other = credential.getToken(scope);
	setTimeout(() => {
		controller.abort(new Error('enough'));
	}, 50);
	t.is(((await aborted)?.cause as Error).message, 'enough');
	end();
	t.truthy(await other);
	t.is(entra.tokenRequests.length, 1);
	await t.throwsAsync(credential.getToken(scope, {abortSignal: AbortSignal.abort()}), {name: 'AbortError'}, 'aborted before the call, although it is a hit');
});

test('a cache that names a foreign environment never causes a refresh token to be sent', async t => {
	const entra = await server(t);
	const home = new TestHome(t);
	for (const environment of ['evil.example', 'login.microsoftonline.com.evil.example', 'login.microsoftonline.com:8443', 'login.microsoftonline.us', `localhost:${entra.port}`, 'login.microsoftonline.com/x']) {
		home.write(cacheOf({
			accounts: [accountRecord(ann, {environment})],
			refreshTokens: [refreshTokenRecord(ann, refreshToken, {environment})],
			accessTokens: [accessTokenRecord(ann, 'FAKE-foreign', 3600, {environment})],
		}));
		const error = await t.throwsAsync<CredentialUnavailableError>(home.credential({cacheCheckIntervalInMs: 0}, entra).getToken(scope), {name: 'CredentialUnavailableError'});
		t.is(error.code, 'STC_NO_ACCOUNT');
	}

	t.is(entra.requests.length, 0);
});

test('a refresh token with another environment than its account is not sent', async t => {
	const entra = await server(t);
	const home = new TestHome(t);
	home.write(cacheOf({accounts: [accountRecord(ann)], refreshTokens: [refreshTokenRecord(ann, refreshToken, {environment: 'evil.example'})]}));
	await t.throwsAsync(home.credential({}, entra).getToken(scope), {message: /No usable account was found in the cache: a\*{3}@contoso\.com in .* has no refresh token/});
	t.is(entra.requests.length, 0);
});

/** A home directory with one account of this authority. */
function homeAt(t: ExecutionContext, environment: string): TestHome {
	const home = new TestHome(t);
	home.write(cacheOf({accounts: [accountRecord(ann, {environment})], refreshTokens: [refreshTokenRecord(ann, refreshToken, {environment})]}));
	return home;
}

for (const environment of ['login.partner.microsoftonline.cn', 'login.chinacloudapi.cn', 'login.microsoftonline.us', 'login.usgovcloudapi.net', 'login.windows.net', 'login.sovcloud-identity.fr']) {
	test(`a cloud that needs no instance discovery: ${environment}`, async t => {
		const entra = await server(t, {extraNames: [environment]});
		const home = homeAt(t, environment);
		const credential = home.credential({authorityHost: environment}, entra);
		const {token} = await credential.getToken(scope);
		t.is(token, entra.grants[0]!.accessToken);
		t.deepEqual(entra.requests.map(({method, serverName, path}) => `${method} ${serverName} ${path}`), [`POST ${environment} /organizations/oauth2/v2.0/token`]);
		t.is(entra.tokenRequests[0]!.form.get('refresh_token'), refreshToken);
		const stored = await home.stored(token);
		t.like(stored, {environment, realm: ann.utid});
	});
}

test('AD FS: uses its own path and ignores the tenant of a request', async t => {
	const entra = await server(t, {extraNames: ['adfs.contoso.example']});
	const home = new TestHome(t);
	const environment = 'adfs.contoso.example';
	home.write(cacheOf({accounts: [accountRecord(ann, {environment})], refreshTokens: [refreshTokenRecord(ann, refreshToken, {environment})]}));
	t.truthy(await home.credential({authorityHost: 'https://adfs.contoso.example/adfs'}, entra).getToken(scope, {tenantId: 'other'}));
	t.is(entra.tokenRequests[0]?.path, '/adfs/oauth2/token');
	t.is(entra.tokenRequests[0]?.headers['x-anchormailbox'], `Oid:${homeAccountId(ann).replace('.', '@')}`);
});

test('AD FS: an account without a tenant keeps its realm; no placeholder for "any tenant" is written', async t => {
	const environment = 'adfs.contoso.example';
	for (const [realm, written] of [['adfs', 'adfs'], [undefined, 'adfs']] as const) {
		const entra = await server(t, {extraNames: [environment]});
		// AD FS returns neither a tenant nor client_info.
		entra.scriptAll(faults.grantWithout('id_token', 'client_info'));
		const home = new TestHome(t);
		const record = {environment, home_account_id: 'subject-of-ann'};
		home.write(cacheOf({accounts: [accountRecord(ann, {...record, realm})], refreshTokens: [refreshTokenRecord(ann, refreshToken, record)]}));
		const credential = home.credential({authorityHost: `https://${environment}/adfs`}, entra);
		const {token} = await credential.getToken(scope);
		t.is(entra.tokenRequests[0]?.headers['x-anchormailbox'], undefined);
		const stored = await home.stored(token);
		t.is(stored?.['realm'], written);
		t.is((await credential.getToken(scope)).token, token);
	}
});

for (const [what, tenantId, realm] of [['requested by its ID', 'dddddddd-0000-4000-8000-0000000000dd', 'dddddddd-0000-4000-8000-0000000000dd'], ['not asked for', undefined, ann.utid]] as const) {
	test(`a response without a tenant, requested for ${what}: the realm in the cache`, async t => {
		const {entra, home, credential} = await setUp(t);
		entra.scriptAll(faults.grantWithout('id_token', 'scope'));
		const {token} = await credential.getToken(scope, {...(tenantId && {tenantId})});
		const stored = await home.stored(token);
		t.like(stored, {realm, target: scope});
	});
}

test('the next call waits for a Retry-After, as long as its caller does', async t => {
	const {entra, credential} = await setUp(t, {behaviours: [faults.throttled(12)], retryOptions: {maxRetries: 0}});
	await t.throwsAsync(credential.getToken(scope), {name: 'AuthenticationError'});
	await t.throwsAsync(credential.getToken(scope, {requestOptions: {timeout: 50}}));
	t.is(entra.tokenRequests.length, 1);
	t.is((await credential.getToken(scope)).token, entra.grants[0]!.accessToken);
	const [first, second] = entra.tokenRequests;
	t.is(entra.tokenRequests.length, 2);
	t.true((second?.receivedMs ?? 0) - (first?.receivedMs ?? 0) >= 11_900);
});

test('JSON that is not an OAuth error: the AuthenticationError says so', async t => {
	const {credential} = await setUp(t, {behaviours: [faults.body('{"message":"no such resource"}', {status: 404})]});
	const error = await t.throwsAsync<AuthenticationError>(credential.getToken(scope), {name: 'AuthenticationError'});
	t.regex(error.message, /with HTTP 404: an answer without an OAuth error\./);
});

test('remembered refusals are limited: after a hundred others the first is requested again', async t => {
	const {entra, credential} = await setUp(t);
	entra.scriptAll(faults.interactionRequired());
	const ask = async (claim: number) => {
		await t.throwsAsync(credential.getToken(scope, {claims: JSON.stringify({claim})}), {name: 'AuthenticationRequiredError'});
		return entra.tokenRequests.length;
	};

	t.is(await ask(0), 1);
	t.is(await ask(0), 1);
	for (let claim = 1; claim <= 100; claim++) {
		await ask(claim);
	}

	t.is(await ask(100), 101);
	t.is(await ask(0), 102);
});

for (const [suberror, isEvicted] of [['bad_token', true], [undefined, false]] as const) {
	test(`a refresh token that is refused as ${suberror ?? 'expired'} ${isEvicted ? 'is removed from' : 'stays in'} the cache, and others stay`, async t => {
		const {entra, home, credential} = await setUp(t);
		const others = refreshTokenRecord(bob, 'FAKE-refresh-token-of-bob');
		home.write(cacheOf({accounts: [accountRecord(ann), accountRecord(bob)], refreshTokens: [refreshTokenRecord(ann, refreshToken), others]}));
		entra.scriptAll(faults.invalidGrant(suberror ? {suberror} : {}));
		const chosen = home.credential({...quick, username: ann.username}, entra);
		await t.throwsAsync(chosen.getToken(scope), {name: 'CredentialUnavailableError'});
		await Promise.all([chosen.close(), credential.close()]);
		const left = Object.values(home.read()['RefreshToken'] ?? {}).map(({secret}) => secret);
		t.deepEqual(left, isEvicted ? ['FAKE-refresh-token-of-bob'] : [refreshToken, 'FAKE-refresh-token-of-bob']);
	});
}

test('B7: after a 429 without Retry-After, the calls of one key share the back-off', async t => {
	const {entra, credential} = await setUp(t, {retryOptions: {maxRetries: 0, retryDelayInMs: 60_000, maxRetryDelayInMs: 120_000}});
	entra.scriptAll(faults.throttled());
	for (let call = 0; call < 10; call++) {
		const error = await t.throwsAsync<AuthenticationError>(credential.getToken(scope), {name: 'AuthenticationError'});
		t.like(error, {code: 'STC_TOKEN_REQUEST_FAILED', statusCode: 429});
		t.is(error.retryAfterInMs === undefined, call === 0, 'only a remembered pause has a length');
		t.regex(error.message, call === 0 ? /HTTP 429: temporarily_unavailable/ : /no request was sent/);
	}

	t.is(entra.tokenRequests.length, 1);
	await t.throwsAsync(credential.getToken('other/.default'), {name: 'AuthenticationError'});
	t.is(entra.tokenRequests.length, 2, 'another key');
});

test('B7: when the shared back-off is over, the next call sends one request; a good answer ends it', async t => {
	const {entra, credential} = await setUp(t, {cacheCheckIntervalInMs: 0, retryOptions: {maxRetries: 1, retryDelayInMs: 20, maxRetryDelayInMs: 40}});
	entra.scriptAll(faults.throttled());
	await t.throwsAsync(credential.getToken(scope));
	t.is(entra.tokenRequests.length, 2);
	await until(async () => {
		await t.throwsAsync(credential.getToken(scope), {name: 'AuthenticationError'});
		return entra.tokenRequests.length > 2;
	});
	t.is(entra.tokenRequests.length, 3);
	entra.scriptAll();
	await until(async () => credential.getToken(scope).then(() => true, () => false));
	t.is(entra.tokenRequests.length, 4);
});

for (const status of [400, 401, 403, 404]) {
	test(`Retry-After of a ${status} is a pause`, async t => {
		const {entra, credential} = await setUp(t);
		entra.scriptAll(faults.answer({error: 'invalid_scope', error_description: 'AADSTS70011: The provided scope is not valid.'}, {status, headers: {'retry-after': '120'}}));
		const error = await t.throwsAsync<AuthenticationError>(credential.getToken(scope), {name: 'AuthenticationError', message: /AADSTS70011/});
		t.is(error.retryAfterInMs, 120_000);
		const again = await t.throwsAsync<AuthenticationError>(credential.getToken(scope), {name: 'AuthenticationError'});
		t.is(again.statusCode, status);
		t.is(entra.tokenRequests.length, 1);
	});
}

test('C10: each request has a User-Agent in the form of the Azure SDK, after the application\'s ID', async t => {
	const own = String.raw`azsdk-js-azure-shared-token-cache/[\w.-]+ Node/${process.versions.node.replaceAll('.', String.raw`\.`)} OS/\(\w+-\w+-[^ ()]+\)`;
	for (const [options, prefix] of [
		[{}, ''],
		[{applicationId: 'my-app/1.0'}, 'my-app/1.0 '],
		[{userAgentOptions: {userAgentPrefix: 'my app (beta) lib/2'}}, String.raw`my app \(beta\) lib/2 `],
		[{userAgentOptions: {}}, ''],
	] as const) {
		const {entra, credential} = await setUp(t, options);
		await credential.getToken(scope);
		t.regex(entra.tokenRequests[0]!.headers['user-agent'] ?? '', new RegExp(`^${prefix}${own}$`));
	}
});

for (const [what, change] of [
	['without client_info, with the ID token of another account', (json: JsonObject) => ({...json, client_info: undefined, id_token: idToken({tid: bob.utid, oid: bob.uid})})],
	['without client_info, with the ID token of another user of the tenant', (json: JsonObject) => ({...json, client_info: undefined, id_token: idToken({tid: ann.utid, oid: bob.uid})})],
	['without client_info, with an ID token without a tenant, of another user', (json: JsonObject) => ({...json, client_info: undefined, id_token: idToken({oid: bob.uid})})],
	['without client_info, with a tenant that is none, of another user', (json: JsonObject) => ({...json, client_info: undefined, id_token: idToken({tid: 'common', oid: bob.uid})})],
	['with the right client_info, but the ID token of another user', (json: JsonObject) => ({...json, id_token: idToken({tid: ann.utid, oid: bob.uid})})],
	['with the client_info of another account, and the right ID token', (json: JsonObject) => ({...json, client_info: clientInfo(bob)})],
	['with the client_info of the same user ID in another tenant', (json: JsonObject) => ({...json, client_info: clientInfo({...ann, utid: bob.utid})})],
] as const) {
	test(`G8: an answer ${what} is refused, and the refresh token in the cache stays`, async t => {
		const {entra, home, credential} = await setUp(t, {behaviours: [faults.changedGrant(change)]});
		const error = await t.throwsAsync<AuthenticationError>(credential.getToken(scope), {name: 'AuthenticationError', message: /another account/});
		t.is(error.code, 'STC_TOKEN_REQUEST_FAILED');
		t.is(entra.tokenRequests.length, 1);
		t.deepEqual(Object.values(home.read()['RefreshToken']!).map(({secret}) => secret), [refreshToken]);
	});
}

test('G8: a token of another tenant than the one asked for is refused', async t => {
	for (const fields of [{}, {client_info: undefined}]) {
		const {credential} = await setUp(t, {behaviours: [faults.changedGrant(json => ({...json, ...fields, id_token: idToken({tid: ann.utid, oid: ann.uid})}))]});
		await t.throwsAsync(credential.getToken(scope, {tenantId: bob.utid}), {name: 'AuthenticationError', message: /another tenant/});
	}
});

test('G8: what identifies the account in another way is accepted', async t => {
	const other = 'dddddddd-0000-4000-8000-0000000000dd';
	for (const [change, options] of [
		// In a guest tenant, the user has another ID.
		[(json: JsonObject) => ({...json, id_token: idToken({tid: bob.utid, oid: other})}), {tenantId: bob.utid}],
		[(json: JsonObject) => ({...json, client_info: undefined, id_token: idToken({tid: bob.utid, oid: other})}), {tenantId: bob.utid.toUpperCase()}],
		// A domain may belong to any tenant.
		[(json: JsonObject) => ({...json, client_info: undefined, id_token: idToken({tid: other, oid: other})}), {tenantId: 'fabrikam.example'}],
		// The tenant of the refresh token's sign-in, confirmed by client_info.
		[(json: JsonObject) => ({...json, id_token: idToken({tid: other, oid: other})}), {}],
		[(json: JsonObject) => ({...json, client_info: undefined, id_token: idToken({tid: ann.utid.toUpperCase(), oid: ann.uid.toUpperCase()})}), {}],
		// Without the scope `profile`, there is no oid, and the subject is another one for each client.
		[(json: JsonObject) => ({...json, client_info: undefined, id_token: idToken({tid: ann.utid, sub: 'FAKE-pairwise'})}), {}],
		[(json: JsonObject) => ({...json, id_token: undefined}), {}],
		[(json: JsonObject) => ({...json, id_token: undefined, client_info: undefined}), {}],
	] as const) {
		const {credential} = await setUp(t, {behaviours: [faults.changedGrant(change)]});
		t.truthy(await credential.getToken(scope, options));
	}
});

test('G8: AD FS identifies a user by subject and name: an answer in which both are another\'s is refused', async t => {
	const environment = 'adfs.contoso.example';
	for (const [claims, isAccepted] of [
		[{sub: 'subject-of-ann', upn: ann.username}, true],
		[{sub: 'other', upn: ann.username.toUpperCase()}, true],
		[{sub: 'subject-of-ann', upn: 'renamed@contoso.com'}, true],
		[{sub: 'other', upn: bob.username}, false],
	] as const) {
		const entra = await server(t, {extraNames: [environment]});
		entra.scriptAll(faults.changedGrant(json => ({...json, client_info: undefined, id_token: idToken(claims)})));
		const home = new TestHome(t);
		const record = {environment, home_account_id: 'subject-of-ann', realm: 'adfs'};
		home.write(cacheOf({accounts: [accountRecord(ann, record)], refreshTokens: [refreshTokenRecord(ann, refreshToken, record)]}));
		const credential = home.credential({authorityHost: `https://${environment}/adfs`}, entra);
		await (isAccepted ? t.notThrowsAsync(credential.getToken(scope)) : t.throwsAsync(credential.getToken(scope), {name: 'AuthenticationError', message: /another account/}));
	}
});

test('D7: the claims of a conditional-access error are in its error response', async t => {
	const claims = '{"access_token":{"capolids":{"essential":true,"values":["FAKE-policy"]}}}';
	const {credential} = await setUp(t, {behaviours: [faults.interactionRequired(claims)]});
	const error = await t.throwsAsync<CredentialUnavailableError>(credential.getToken(scope), {name: 'CredentialUnavailableError'});
	t.is(error.errorResponse?.claims, claims);
});

test('D14: a refresh token that the authority returns as the type of an answer that is not JSON', async t => {
	const {entra, home} = await setUp(t);
	home.writeAccount(ann, 'FAKE.refresh-token');
	entra.scriptAll(faults.body('no', {status: 400, contentType: 'FAKE.refresh-token'}));
	const error = await t.throwsAsync<AuthenticationError>(home.credential(quick, entra).getToken(scope), {name: 'AuthenticationError'});
	t.notRegex(error.message, /refresh-token/);
});
