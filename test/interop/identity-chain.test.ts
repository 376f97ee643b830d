/** The credential in a chain of `@azure/identity`: which errors let the chain continue, and which end it. */

import {createRequire} from 'node:module';
import type {AccessToken, GetTokenOptions, TokenCredential} from '@azure/core-auth';
import test, {type ExecutionContext} from 'ava';
import type {AuthenticationError} from '../../dist/errors.js';
import type {SharedTokenCacheCredentialOptions} from '../../dist/types.js';
import * as faults from '../helpers/authority/entra-faults.js';
import {type EntraServer, startEntraServer} from '../helpers/authority/entra-server.js';
import {
	accessTokenRecord, accountRecord, ann, bob, cacheOf, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {lackOf, peersFolder, testWhere} from '../helpers/peers/peers.js';

/** The parts of `@azure/identity` that the test uses. */
type Identity = {
	ChainedTokenCredential: new (...sources: TokenCredential[]) => TokenCredential;
};

const refreshToken = 'FAKE-refresh-token-of-ann';
const fallbackToken = 'FAKE-token-of-the-next-credential';
const withIdentity = (title: string, run: (t: ExecutionContext) => Promise<void>) => {
	testWhere(test, [lackOf('identity')], title, run);
};

/** The next credential of the chain, which counts its calls. */
class NextCredential implements TokenCredential {
	calls = 0;

	async getToken(): Promise<AccessToken> {
		this.calls++;
		return {token: fallbackToken, expiresOnTimestamp: Date.now() + 3_600_000};
	}
}

type Setting = {home: TestHome; entra: EntraServer; next: NextCredential; getToken: (options?: GetTokenOptions) => Promise<AccessToken | null>};

async function chain(t: ExecutionContext, options: SharedTokenCacheCredentialOptions = {}): Promise<Setting> {
	const {ChainedTokenCredential} = createRequire(peersFolder)('@azure/identity') as Identity;
	const entra = await startEntraServer({refreshTokens: {[refreshToken]: ann}});
	t.teardown(async () => entra.close());
	const home = new TestHome(t);
	const next = new NextCredential();
	const own = home.credential({retryOptions: {maxRetries: 0}, ...options}, entra);
	const chained = new ChainedTokenCredential(own, next);
	return {
		home, entra, next, getToken: async getTokenOptions => chained.getToken(scope, getTokenOptions),
	};
}

async function goesOn(t: ExecutionContext, {next, getToken}: Setting, options?: GetTokenOptions): Promise<void> {
	const answer = await getToken(options);
	t.is(answer?.token, fallbackToken);
	t.is(next.calls, 1);
}

async function stops(t: ExecutionContext, {next, getToken}: Setting): Promise<AuthenticationError> {
	const error = await t.throwsAsync<AuthenticationError>(async () => getToken());
	t.is(next.calls, 0, 'the next credential was called');
	t.is(error.name, 'AuthenticationError');
	return error;
}

withIdentity('a cached token: the chain calls no other credential', async t => {
	const setting = await chain(t);
	setting.home.write(cacheOf({
		accounts: [accountRecord(ann)],
		refreshTokens: [refreshTokenRecord(ann, refreshToken)],
		accessTokens: [accessTokenRecord(ann, 'FAKE-access-token-in-cache', 3000)],
	}));
	t.is((await setting.getToken())?.token, 'FAKE-access-token-in-cache');
	t.is(setting.next.calls, 0);
	t.is(setting.entra.requests.length, 0);
});

withIdentity('a redeemed refresh token: the chain calls no other credential', async t => {
	const setting = await chain(t);
	setting.home.writeAccount(ann, refreshToken);
	const answer = await setting.getToken();
	t.is(answer?.token, setting.entra.grants[0]?.accessToken);
	t.is(setting.next.calls, 0);
});

withIdentity('no cache: the chain continues', async t => {
	await goesOn(t, await chain(t));
});

withIdentity('a cache without accounts: the chain continues', async t => {
	const setting = await chain(t);
	setting.home.writeSettled('{}');
	await goesOn(t, setting);
});

withIdentity('a corrupt cache: the chain continues', async t => {
	const setting = await chain(t);
	setting.home.writeSettled('{"Account": {');
	await goesOn(t, setting);
	t.is(setting.entra.requests.length, 0);
});

withIdentity('several accounts and no selection: the chain continues', async t => {
	const setting = await chain(t);
	setting.home.write(cacheOf({
		accounts: [accountRecord(ann), accountRecord(bob)],
		refreshTokens: [refreshTokenRecord(ann, refreshToken), refreshTokenRecord(bob, 'FAKE-refresh-token-of-bob')],
	}));
	await goesOn(t, setting);
	t.is(setting.entra.requests.length, 0);
});

withIdentity('no account with the given user name: the chain continues', async t => {
	const setting = await chain(t, {username: bob.username});
	setting.home.writeAccount(ann, refreshToken);
	await goesOn(t, setting);
	t.is(setting.entra.requests.length, 0);
});

withIdentity('a tenant that the options do not allow: the chain continues', async t => {
	const setting = await chain(t, {tenantId: ann.utid, additionallyAllowedTenants: ['eeeeeeee-0000-4000-8000-0000000000ee']});
	setting.home.writeAccount(ann, refreshToken);
	await goesOn(t, setting, {tenantId: bob.utid});
	t.is(setting.entra.requests.length, 0);
});

withIdentity('invalid_grant, so the user must sign in again: the chain continues', async t => {
	const setting = await chain(t);
	setting.home.writeAccount(ann, 'FAKE-refresh-token-that-expired');
	await goesOn(t, setting);
	t.is(setting.entra.tokenRequests.length, 1);
});

withIdentity('interaction_required for a claims challenge: the chain continues', async t => {
	const setting = await chain(t);
	setting.home.writeAccount(ann, refreshToken);
	setting.entra.scriptAll(faults.interactionRequired());
	await goesOn(t, setting, {claims: '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'});
	t.is(setting.entra.tokenRequests.length, 1);
});

withIdentity('an authority that fails: the chain stops', async t => {
	const setting = await chain(t);
	setting.home.writeAccount(ann, refreshToken);
	setting.entra.scriptAll(faults.bareStatus(503));
	const {code, statusCode} = await stops(t, setting);
	t.is(code, 'STC_TOKEN_REQUEST_FAILED');
	t.is(statusCode, 503);
});

withIdentity('an authority that refuses the client: the chain continues', async t => {
	const setting = await chain(t);
	setting.home.writeAccount(ann, refreshToken);
	setting.entra.scriptAll(faults.oauthError({error: 'unauthorized_client', code: 700_016, text: 'Application was not found in the directory.'}));
	await goesOn(t, setting);
	t.is(setting.entra.tokenRequests.length, 1);
});

withIdentity('an authority that refuses the scope: the chain stops', async t => {
	const setting = await chain(t);
	setting.home.writeAccount(ann, refreshToken);
	setting.entra.scriptAll(faults.oauthError({error: 'invalid_scope', code: 70_011, text: 'The provided value for the input parameter \'scope\' is not valid.'}));
	const {code, errorResponse} = await stops(t, setting);
	t.is(code, 'STC_TOKEN_REQUEST_FAILED');
	t.is(errorResponse?.error, 'invalid_scope');
	t.deepEqual(errorResponse?.errorCodes, [70_011]);
});

withIdentity('a broken connection: the chain stops', async t => {
	const setting = await chain(t);
	setting.home.writeAccount(ann, refreshToken);
	setting.entra.scriptAll(faults.resetBeforeHeaders());
	t.is((await stops(t, setting)).code, 'STC_NETWORK');
});

withIdentity('a page instead of a token response: the chain stops', async t => {
	const setting = await chain(t);
	setting.home.writeAccount(ann, refreshToken);
	setting.entra.scriptAll(faults.html());
	t.is((await stops(t, setting)).code, 'STC_TOKEN_REQUEST_FAILED');
});

withIdentity('a chain of unavailable credentials reports the reason of each', async t => {
	const {ChainedTokenCredential} = createRequire(peersFolder)('@azure/identity') as Identity;
	const home = new TestHome(t);
	const chained = new ChainedTokenCredential(home.credential(), home.credential({username: ann.username}));
	const error = await t.throwsAsync<Error & {errors: Error[]}>(async () => chained.getToken(scope));
	t.is(error.name, 'AggregateAuthenticationError');
	t.deepEqual(error.errors.map(each => each.name), ['CredentialUnavailableError', 'CredentialUnavailableError']);
	t.true(error.errors.every(each => error.message.includes(each.message)));
});
