/** What the authority refuses: how often it is asked, what callers get, and what a cached token is still good for. */

import test, {type ExecutionContext} from 'ava';
import type {AuthenticationRequiredError, CredentialUnavailableError} from '../../dist/errors.js';
import type {SharedTokenCacheCredentialOptions} from '../../dist/types.js';
import * as faults from '../helpers/authority/entra-faults.js';
import {type Behaviour, startEntraServer} from '../helpers/authority/entra-server.js';
import {
	accessTokenRecord, accountRecord, ann, cacheOf, type CachedRecord, clientId, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';

const refreshToken = 'FAKE-refresh-ann';
const quick = {retryOptions: {maxRetries: 0, retryDelayInMs: 5}};

async function setUp(t: ExecutionContext, {behaviour, accessTokens = [], refreshTokens = [refreshTokenRecord(ann, refreshToken)], ...options}: SharedTokenCacheCredentialOptions & {
	behaviour?: Behaviour; accessTokens?: CachedRecord[]; refreshTokens?: CachedRecord[];
} = {}) {
	const entra = await startEntraServer({refreshTokens: {[refreshToken]: ann}});
	t.teardown(async () => entra.close());
	entra.scriptAll(behaviour);
	const home = new TestHome(t);
	const path = home.write(cacheOf({accounts: [accountRecord(ann)], refreshTokens, accessTokens}));
	return {
		entra, home, path, credential: home.credential({...quick, ...options}, entra),
	};
}

const refused = (error: string, code: number, suberror?: string) => faults.oauthError({
	error, code, text: 'No.', ...(suberror !== undefined && {suberror}),
});

for (const [error, code, name] of [
	['unauthorized_client', 700_016, 'CredentialUnavailableError'],
	['invalid_client', 70_002, 'CredentialUnavailableError'],
	['invalid_grant', 50_173, 'CredentialUnavailableError'],
	['invalid_grant', 65_001, 'CredentialUnavailableError'],
	['interaction_required', 50_076, 'CredentialUnavailableError'],
	['invalid_request', 90_002, 'AuthenticationError'],
	['invalid_scope', 70_011, 'AuthenticationError'],
	['invalid_resource', 500_011, 'AuthenticationError'],
	['some_new_error', 1, 'AuthenticationError'],
] as const) {
	test(`B1: 50 calls while the authority answers ${error} ${code}: one request`, async t => {
		const {entra, credential} = await setUp(t, {behaviour: refused(error, code), cacheCheckIntervalInMs: 0});
		for (let call = 0; call < 50; call++) {
			const failure = await t.throwsAsync<CredentialUnavailableError>(credential.getToken(scope), {name});
			t.deepEqual(failure.errorResponse?.errorCodes, [code]);
		}

		t.is(entra.tokenRequests.length, 1);
		await t.throwsAsync(credential.getToken('other/.default'), {name});
		t.true(entra.tokenRequests.length <= 2, 'another request is another question');
	});
}

for (const [status, requests] of [[401, 1], [403, 1], [404, 1], [408, 3], [500, 3]] as const) {
	test(`B1: HTTP ${status} without a body: ${requests === 1 ? 'remembered' : 'asked again'}`, async t => {
		const {entra, credential} = await setUp(t, {behaviour: faults.bareStatus(status)});
		for (let call = 0; call < 3; call++) {
			await t.throwsAsync(credential.getToken(scope), {name: 'AuthenticationError'});
		}

		t.is(entra.tokenRequests.length, requests);
	});
}

for (const [error, code] of [['unauthorized_client', 700_016], ['invalid_client', 70_002]] as const) {
	test(`B2: ${error} for the first of two refresh tokens: the second one is tried`, async t => {
		const {entra, credential} = await setUp(t, {
			refreshTokens: [refreshTokenRecord(ann, 'FAKE-first', {last_modification_time: '2'}), refreshTokenRecord(ann, refreshToken, {last_modification_time: '1', client_id: 'other'})],
		});
		entra.script(refused(error, code));
		const {token} = await credential.getToken(scope);
		t.is(token, entra.grants[0]!.accessToken);
		t.deepEqual(entra.tokenRequests.map(({form}) => form.get('refresh_token')), ['FAKE-first', refreshToken]);
	});

	test(`B2: ${error} for the only refresh token: unavailable, so that a chain goes on`, async t => {
		const {credential} = await setUp(t, {behaviour: refused(error, code)});
		for (const claims of [undefined, '{"access_token":{}}']) {
			const failure = await t.throwsAsync<CredentialUnavailableError>(credential.getToken(scope, {...(claims && {claims})}), {name: 'CredentialUnavailableError'});
			t.is(failure.code, 'STC_CLIENT_NOT_ALLOWED');
			t.regex(failure.message, /^SharedTokenCacheCredential: The client cannot be used with a\*\*\*@contoso\.com\. Set clientId /);
			t.true(failure.message.length <= 400);
		}
	});
}

for (const [title, behaviour] of [
	['invalid_scope', refused('invalid_scope', 70_011)],
	['unauthorized_client', refused('unauthorized_client', 700_016)],
	['invalid_grant', refused('invalid_grant', 50_173)],
	['401', faults.bareStatus(401)],
	['a grant for another account', faults.grantForAnotherAccount()],
	['a redirect', faults.redirect(302, 'https://login.microsoftonline.com/')],
] as const) {
	test(`C4: a token in its last minutes is no answer to ${title}`, async t => {
		const {credential} = await setUp(t, {behaviour, accessTokens: [accessTokenRecord(ann, 'FAKE-old', 200)]});
		await t.throwsAsync(credential.getToken(scope));
		await t.throwsAsync(credential.getToken(scope));
	});
}

for (const [title, behaviour] of [
	['a reset', faults.resetBeforeHeaders()],
	['408', faults.bareStatus(408)],
	['429', faults.throttled()],
	['503', faults.bareStatus(503)],
	['429 with a long pause', faults.throttled(3600)],
] as const) {
	test(`C4: a token in its last minutes is served while the authority is down: ${title}`, async t => {
		const {credential} = await setUp(t, {behaviour, accessTokens: [accessTokenRecord(ann, 'FAKE-old', 200)]});
		t.is((await credential.getToken(scope)).token, 'FAKE-old');
	});
}

test('D7: the claims of a policy and the options of an interactive sign-in are on the error', async t => {
	const claims = '{"access_token":{"capolids":{"essential":true,"values":["FAKE-policy"]}}}';
	const {credential} = await setUp(t, {behaviour: faults.interactionRequired(claims)});
	const error = await t.throwsAsync<CredentialUnavailableError>(credential.getToken(scope), {name: 'CredentialUnavailableError'});
	t.is(error.claims, claims);
	t.is(error.errorResponse?.claims, claims);
	t.deepEqual(error.getTokenOptions, {claims, enableCae: false});

	const elsewhere = await t.throwsAsync<CredentialUnavailableError>(credential.getToken(scope, {tenantId: 'fabrikam.com', enableCae: true}), {name: 'CredentialUnavailableError'});
	t.deepEqual(elsewhere.getTokenOptions, {claims, tenantId: 'fabrikam.com', enableCae: true});

	const required = await t.throwsAsync<AuthenticationRequiredError>(credential.getToken(scope, {claims: '{"access_token":{}}'}), {name: 'AuthenticationRequiredError'});
	t.is(required.claims, claims);
	t.deepEqual(required.getTokenOptions, {claims, enableCae: false});
	t.deepEqual(required.scopes, [scope]);

	const plain = await setUp(t, {behaviour: refused('invalid_grant', 50_076)});
	const without = await t.throwsAsync<AuthenticationRequiredError>(plain.credential.getToken(scope, {claims: '{"access_token":{"a":null}}'}));
	t.is(without.claims, undefined);
	t.deepEqual(without.getTokenOptions, {claims: '{"access_token":{"a":null}}', enableCae: false});
});

for (const [title, behaviour, expected] of [
	['a sign-in that has ended', refused('invalid_grant', 700_082, 'bad_token'), 'The sign-in of a***@contoso.com has ended. The user has to sign in again with a program that fills this cache. invalid_grant (bad_token), AADSTS700082'],
	['consent', faults.consentRequired(), `Nobody has consented that the client uses ${scope} for a***@contoso.com. Sign in with this client and consent, or ask an administrator. invalid_grant (consent_required), AADSTS65001`],
	['a policy', faults.interactionRequired(), 'A policy requires more of a***@contoso.com than the cached sign-in. Sign in interactively, with getTokenOptions of this error. interaction_required (basic_action), AADSTS50076'],
	['a tenant', refused('invalid_grant', 50_020), 'The tenant organizations does not know a***@contoso.com, or not what was asked for. Set tenantId to a tenant that does, or username to another account. invalid_grant, AADSTS50020'],
] as const) {
	test(`D16: ${title}: the text says what is missing, what to do, and names account, cache and client`, async t => {
		const {credential, path} = await setUp(t, {behaviour});
		const {message, code, details} = await t.throwsAsync<CredentialUnavailableError>(credential.getToken(scope), {name: 'CredentialUnavailableError'});
		t.is(code, 'STC_INTERACTION_REQUIRED');
		t.true(message.startsWith(`SharedTokenCacheCredential: ${expected} (correlation id `), message);
		t.regex(message, new RegExp(String.raw`Account in \S+/msal\.cache\.nocae; client ${clientId}\.`));
		t.true(message.length <= 400);
		t.deepEqual(details, [{place: path, text: `a***@contoso.com, client ${clientId}`}]);
	});
}

test('D16: an account without a refresh token that can be sent', async t => {
	const {home, entra, credential} = await setUp(t);
	await credential.getToken(scope);
	entra.scriptAll(refused('invalid_grant', 700_082, 'bad_token'));
	await t.throwsAsync(credential.getToken('other/.default'), {message: /The sign-in of a\*\*\*@contoso\.com has ended/});
	t.truthy(home.path);
});
