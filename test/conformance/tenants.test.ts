/** Which tenant a token is asked of and found under: options, record, environment, request. */

import test, {type ExecutionContext} from 'ava';
import type {SharedTokenCacheCredentialOptions} from '../../dist/types.js';
import * as faults from '../helpers/authority/entra-faults.js';
import {startEntraServer} from '../helpers/authority/entra-server.js';
import {
	accessTokenRecord, accountRecord, ann, bob, cacheOf, clientId, homeAccountId, publicCloud, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';

const byOption = '0a000000-0000-4000-8000-000000000001';
const byRecord = '0b000000-0000-4000-8000-000000000002';
const byEnvironment = '0c000000-0000-4000-8000-000000000003';
const byRequest = '0d000000-0000-4000-8000-000000000004';

const authenticationRecord = {
	authority: publicCloud, homeAccountId: homeAccountId(ann), clientId, tenantId: byRecord, username: ann.username,
};

async function setUp(t: ExecutionContext) {
	const entra = await startEntraServer({refreshTokens: {'FAKE-refresh-ann': ann, 'FAKE-refresh-bob': bob}, extraNames: ['login.windows.net', 'sts.windows.net']});
	t.teardown(async () => entra.close());
	const home = new TestHome(t);
	home.writeAccount(ann, 'FAKE-refresh-ann');
	return {entra, home};
}

/** @param environment Set while the credential is made; credentials read it then. */
function credentialWith(home: TestHome, entra: Awaited<ReturnType<typeof startEntraServer>>, options: SharedTokenCacheCredentialOptions, environment: Record<string, string> = {}) {
	Object.assign(process.env, environment);
	try {
		return home.credential(options, entra);
	} finally {
		for (const name of Object.keys(environment)) {
			delete process.env[name];
		}
	}
}

type Case = [name: string, asked: string, options: SharedTokenCacheCredentialOptions, environment?: Record<string, string>, request?: {tenantId: string}];

const guest = {enableGuestTenantAuthentication: true};
const environmentTenant = {AZURE_TENANT_ID: byEnvironment};
const cases: Case[] = [
	['the record\'s', byRecord, {authenticationRecord}],
	['the record\'s, for a guest too', byRecord, {authenticationRecord, ...guest}],
	['the record\'s before the environment\'s', byRecord, {authenticationRecord}, environmentTenant],
	['the record\'s before the environment\'s, for a guest too', byRecord, {authenticationRecord, ...guest}, environmentTenant],
	['the option\'s before the record\'s', byOption, {authenticationRecord, tenantId: byOption}, environmentTenant],
	['the option\'s before the record\'s, for a guest too', byOption, {authenticationRecord, tenantId: byOption, ...guest}, environmentTenant],
	['the option\'s before the environment\'s', byOption, {tenantId: byOption, ...guest}, environmentTenant],
	['the environment\'s', byEnvironment, guest, environmentTenant],
	['the request\'s before all others', byRequest, {
		authenticationRecord, tenantId: byOption, additionallyAllowedTenants: ['*'], ...guest,
	}, environmentTenant, {tenantId: byRequest}],
	['no tenant of a request, where the environment forbids it', byOption, {tenantId: byOption, ...guest}, {AZURE_IDENTITY_DISABLE_MULTITENANTAUTH: '1'}, {tenantId: byRequest}],
];

for (const [name, asked, options, environment, request] of cases) {
	test.serial(`the tenant that is asked: ${name}`, async t => {
		const {entra, home} = await setUp(t);
		const credential = credentialWith(home, entra, options, environment);
		const {token} = await credential.getToken(scope, request);
		t.deepEqual(entra.tokenRequests.map(({path}) => path), [`/${asked}/oauth2/v2.0/token`]);
		// Another process finds it under the same tenant.
		const other = credentialWith(home, entra, {...options, cacheCheckIntervalInMs: 999}, environment);
		t.is((await other.getToken(scope, request)).token, token);
		t.is(entra.grants.length, 1);
	});
}

test.serial('requests\' tenants that the environment forbids are not even refused', async t => {
	const {entra, home} = await setUp(t);
	const options = {tenantId: ann.utid};
	await t.throwsAsync(credentialWith(home, entra, options).getToken(scope, {tenantId: byRequest}), {code: 'STC_TENANT_NOT_ALLOWED'});
	await t.notThrowsAsync(credentialWith(home, entra, options, {AZURE_IDENTITY_DISABLE_MULTITENANTAUTH: 'true'}).getToken(scope, {tenantId: byRequest}));
	t.deepEqual(entra.tokenRequests.map(({path}) => path), ['/organizations/oauth2/v2.0/token']);
});

test.serial('account and authority: option before record before environment', async t => {
	const {entra, home} = await setUp(t);
	home.write(cacheOf({
		accounts: [accountRecord(ann), accountRecord(bob)],
		refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh-ann'), refreshTokenRecord(bob, 'FAKE-refresh-bob')],
	}));
	const environment = {AZURE_USERNAME: bob.username, AZURE_AUTHORITY_HOST: 'login.windows.net'};
	const redeemed = async (options: SharedTokenCacheCredentialOptions) => {
		await credentialWith(home, entra, {tokenCachePersistenceOptions: {readOnly: true}, ...options}, environment).getToken(scope);
		return [entra.grants.at(-1)?.user.username, entra.tokenRequests.at(-1)?.serverName];
	};

	t.deepEqual(await redeemed({}), [bob.username, 'login.windows.net']);
	t.deepEqual(await redeemed({username: ann.username}), [ann.username, 'login.windows.net']);
	t.deepEqual(await redeemed({authenticationRecord}), [ann.username, publicCloud]);
	t.deepEqual(await redeemed({authenticationRecord, authorityHost: 'sts.windows.net'}), [ann.username, 'sts.windows.net']);
});

test.serial('a token of a tenant that is named by domain, where the answer does not tell its id: in memory alone, and for that tenant', async t => {
	const {entra, home} = await setUp(t);
	entra.scriptAll(faults.grantWithout('id_token'));
	const credential = credentialWith(home, entra, {});
	const foreign = await credential.getToken(scope, {tenantId: 'fabrikam.example'});
	t.deepEqual(home.read()['AccessToken'], {});
	t.is((await credential.getToken([scope, scope], {tenantId: 'FABRIKAM.example'})).token, foreign.token);
	t.is(entra.grants.length, 1);
	for (const other of [credential, credentialWith(home, entra, {cacheCheckIntervalInMs: 999})]) {
		t.not((await other.getToken(scope)).token, foreign.token);
		t.not((await other.getToken(scope, {tenantId: ann.utid})).token, foreign.token);
		t.not((await other.getToken(scope, {tenantId: 'organizations'})).token, foreign.token);
	}
});

test.serial('a token of a tenant that is named by domain is written under the id that the answer tells', async t => {
	const {entra, home} = await setUp(t);
	const idToken = ['e30', Buffer.from(JSON.stringify({oid: ann.uid, tid: byRequest, preferred_username: ann.username})).toString('base64url'), 'FAKE'].join('.');
	entra.scriptAll(faults.changedGrant(json => ({...json, id_token: idToken})));
	const {token} = await credentialWith(home, entra, {}).getToken(scope, {tenantId: 'contoso.example'});
	t.like(Object.values(home.read()['AccessToken'] ?? {})[0], {secret: token, realm: byRequest});
	t.is((await credentialWith(home, entra, {cacheCheckIntervalInMs: 999}).getToken(scope, {tenantId: byRequest})).token, token);
});

const personal = {uid: '00000000-0000-0000-0000-00000000000c', utid: '9188040d-6c67-4c5b-b112-36a304b66dad', username: 'cat@outlook.example'};

for (const [word, user] of [['organizations', ann], ['common', ann], ['Organizations', ann], ['consumers', personal]] as const) {
	const where: Array<[string, SharedTokenCacheCredentialOptions, {tenantId: string} | undefined]> = [
		['a request', {}, {tenantId: word}],
		['the options', {tenantId: word}, undefined],
		['the options, for a guest', {tenantId: word, ...guest}, undefined],
		['the options, with a record', {tenantId: word, authenticationRecord: {...authenticationRecord, homeAccountId: homeAccountId(user)}}, undefined],
	];
	for (const [place, options, request] of where) {
		test.serial(`the tenant "${word}" of ${place} means the home tenant: its cached tokens are found, and its new ones too`, async t => {
			const {entra, home} = await setUp(t);
			entra.refreshTokens.set('FAKE-refresh', user);
			const cache = {accounts: [accountRecord(user)], refreshTokens: [refreshTokenRecord(user, 'FAKE-refresh')]};
			home.write(cacheOf({...cache, accessTokens: [accessTokenRecord(user, 'FAKE-home', 3000), accessTokenRecord(user, 'FAKE-guest', 3600, {realm: byRequest})]}));
			t.is((await credentialWith(home, entra, options).getToken(scope, request)).token, 'FAKE-home');
			home.write(cacheOf(cache));
			const granting = credentialWith(home, entra, {...options, cacheCheckIntervalInMs: 998});
			const {token} = await granting.getToken(scope, request);
			t.is((await granting.getToken([scope, scope], request)).token, token, 'in memory');
			t.is((await credentialWith(home, entra, {...options, cacheCheckIntervalInMs: 999}).getToken(scope, request)).token, token, 'in the cache');
			t.is(entra.grants.length, 1);
		});
	}
}

test.serial('a word for any tenant narrows no accounts; "consumers" narrows them to personal ones', async t => {
	const {entra, home} = await setUp(t);
	home.write(cacheOf({
		accounts: [accountRecord(ann), accountRecord(personal)],
		refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh-ann'), refreshTokenRecord(personal, 'FAKE-refresh')],
		accessTokens: [accessTokenRecord(ann, 'FAKE-ann', 3000), accessTokenRecord(personal, 'FAKE-personal', 3000)],
	}));
	for (const tenantId of ['organizations', 'common']) {
		await t.throwsAsync(credentialWith(home, entra, {tenantId}).getToken(scope), {code: 'STC_AMBIGUOUS_ACCOUNT'});
		await t.throwsAsync(credentialWith(home, entra, {tenantId, ...guest}).getToken(scope), {code: 'STC_AMBIGUOUS_ACCOUNT'});
		t.is((await credentialWith(home, entra, {tenantId, username: ann.username}).getToken(scope)).token, 'FAKE-ann');
	}

	t.is((await credentialWith(home, entra, {tenantId: 'consumers'}).getToken(scope)).token, 'FAKE-personal');
});
