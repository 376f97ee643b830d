/** The tenant for which a token is requested and cached: from options, record, environment or request. */

import test, {type ExecutionContext} from 'ava';
import {loadLoggerWith} from '../../dist/runtime/log.js';
import type {SharedTokenCacheCredentialOptions} from '../../dist/types.js';
import * as faults from '../helpers/authority/entra-faults.js';
import {startEntraServer} from '../helpers/authority/entra-server.js';
import {
	accessTokenRecord, accountRecord, ann, bob, cacheOf, clientId, homeAccountId, publicCloud, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {until} from '../helpers/until.js';

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

/** @param environment Variables that are set while the credential is created, which is when it reads them. */
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
	['the record\'s, also for a guest', byRecord, {authenticationRecord, ...guest}],
	['the record\'s before the environment\'s', byRecord, {authenticationRecord}, environmentTenant],
	['the record\'s before the environment\'s, also for a guest', byRecord, {authenticationRecord, ...guest}, environmentTenant],
	['the option\'s before the record\'s', byOption, {authenticationRecord, tenantId: byOption}, environmentTenant],
	['the option\'s before the record\'s, also for a guest', byOption, {authenticationRecord, tenantId: byOption, ...guest}, environmentTenant],
	['the option\'s before the environment\'s', byOption, {tenantId: byOption, ...guest}, environmentTenant],
	['the environment\'s', byEnvironment, guest, environmentTenant],
	['the request\'s before all others', byRequest, {
		authenticationRecord, tenantId: byOption, additionallyAllowedTenants: ['*'], ...guest,
	}, environmentTenant, {tenantId: byRequest}],
	['the option\'s, if the environment disables tenants of requests', byOption, {tenantId: byOption, ...guest}, {AZURE_IDENTITY_DISABLE_MULTITENANTAUTH: '1'}, {tenantId: byRequest}],
];

for (const [name, asked, options, environment, request] of cases) {
	test.serial(`the requested tenant is ${name}`, async t => {
		const {entra, home} = await setUp(t);
		const credential = credentialWith(home, entra, options, environment);
		const {token} = await credential.getToken(scope, request);
		t.deepEqual(entra.tokenRequests.map(({path}) => path), [`/${asked}/oauth2/v2.0/token`]);
		// Another process finds the token under the same tenant.
		const other = credentialWith(home, entra, {...options, cacheCheckIntervalInMs: 999}, environment);
		t.is((await other.getToken(scope, request)).token, token);
		t.is(entra.grants.length, 1);
	});
}

test.serial('a request\'s tenant that the environment disables is ignored, not refused', async t => {
	const {entra, home} = await setUp(t);
	const options = {tenantId: ann.utid, additionallyAllowedTenants: [byOption]};
	await t.throwsAsync(credentialWith(home, entra, options).getToken(scope, {tenantId: byRequest}), {code: 'STC_TENANT_NOT_ALLOWED'});
	await t.notThrowsAsync(credentialWith(home, entra, options, {AZURE_IDENTITY_DISABLE_MULTITENANTAUTH: 'true'}).getToken(scope, {tenantId: byRequest}));
	t.deepEqual(entra.tokenRequests.map(({path}) => path), ['/organizations/oauth2/v2.0/token']);
});

test.serial('C1: the tenant of a request may be any one, unless a list names the allowed ones', async t => {
	const {entra, home} = await setUp(t);
	const lines: string[] = [];
	loadLoggerWith(async () => {
		const write = Object.assign((line: string) => {
			lines.push(line);
		}, {enabled: true});
		return {
			createClientLogger: () => ({
				error: write, warning: write, info: write, verbose: write,
			}),
		};
	});
	const ask = async (options: SharedTokenCacheCredentialOptions, tenantId: string, environment?: Record<string, string>) => {
		try {
			await credentialWith(home, entra, {tokenCachePersistenceOptions: {readOnly: true}, ...options}, environment).getToken(scope, {tenantId});
			return entra.tokenRequests.at(-1)!.path.split('/')[1];
		} catch (error) {
			return (error as {code?: string}).code;
		}
	};

	const refused = 'STC_TENANT_NOT_ALLOWED';
	// A guest's Key Vault answers with a challenge that names its tenant.
	t.is(await ask({tenantId: ann.utid}, byRequest), byRequest);
	t.is(await ask({}, byRequest, {AZURE_TENANT_ID: ann.utid}), byRequest);
	t.is(await ask({tenantId: ann.utid}, 'organizations'), 'organizations');
	t.is(await ask({authenticationRecord}, byRequest), byRequest);
	t.is(await ask({tenantId: byOption, ...guest}, byRequest), byRequest);
	for (const options of [{}, {tenantId: ann.utid}, {authenticationRecord}, {tenantId: byOption, ...guest}]) {
		const listed = {...options, additionallyAllowedTenants: [byEnvironment]};
		t.is(await ask(listed, byEnvironment), byEnvironment);
		t.is(await ask(listed, byRequest), refused);
		t.is(await ask({...options, additionallyAllowedTenants: [byEnvironment, '*']}, byRequest), byRequest);
	}

	const listed = {additionallyAllowedTenants: [byEnvironment]};
	// The tenant that tokens come from, by its ID and by its words.
	t.is(await ask(listed, ann.utid), ann.utid);
	t.is(await ask({...listed, tenantId: ann.utid}, ann.utid.toUpperCase()), ann.utid.toUpperCase());
	t.is(await ask(listed, 'common'), 'organizations');
	t.is(await ask({...listed, authenticationRecord}, byRecord), byRecord);
	t.is(await ask({...listed, tenantId: byOption, ...guest}, byOption), byOption);
	t.is(await ask({...listed, tenantId: byOption, ...guest}, 'organizations'), refused);
	await until(() => lines.some(line => line.includes(`getToken() => ERROR. Scopes: ${scope}. Error message: SharedTokenCacheCredential: The current credential is not configured to acquire tokens for tenant ${byRequest}.`)));
});

test.serial('C7: of several accounts, the tenant of a request chooses the one whose home it is', async t => {
	const {entra, home} = await setUp(t);
	const many = Array.from({length: 12}, (_, index) => ({uid: `uid-${index}`, utid: `many-${index}`, username: `user${index}@contoso.com`}));
	for (const others of [[], many]) {
		home.write(cacheOf({
			accounts: [ann, bob, ...others].map(user => accountRecord(user)),
			refreshTokens: [ann, bob, ...others].map(user => refreshTokenRecord(user, `FAKE-refresh-${user.username.slice(0, 3)}`)),
			accessTokens: [accessTokenRecord(ann, 'FAKE-ann', 3600), accessTokenRecord(bob, 'FAKE-bob', 3600)],
		}));
		const credential = credentialWith(home, entra, {tokenCachePersistenceOptions: {readOnly: true}, cacheCheckIntervalInMs: others.length});
		await t.throwsAsync(credential.getToken(scope), {code: 'STC_AMBIGUOUS_ACCOUNT'});
		t.is((await credential.getToken(scope, {tenantId: bob.utid.toUpperCase()})).token, 'FAKE-bob');
		t.is((await credential.getToken(scope, {tenantId: ann.utid})).token, 'FAKE-ann');
		await credential.getToken('https://other.example/.default', {tenantId: bob.utid});
		t.is(entra.grants.at(-1)?.user.username, bob.username);
		for (const tenantId of [byRequest, 'organizations', 'consumers']) {
			await t.throwsAsync(credential.getToken(scope, {tenantId}), {code: 'STC_AMBIGUOUS_ACCOUNT'}, tenantId);
		}

		await t.throwsAsync(credential.getToken(scope), {code: 'STC_AMBIGUOUS_ACCOUNT'});
	}
});

test.serial('account and authority come from the option, then the record, then the environment', async t => {
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

test.serial('a token for a tenant given by domain name stays in memory, for that tenant only, if the response contains no tenant ID', async t => {
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

test.serial('a token for a tenant given by domain name is cached under the tenant ID of the response', async t => {
	const {entra, home} = await setUp(t);
	const idToken = ['e30', Buffer.from(JSON.stringify({oid: ann.uid, tid: byRequest, preferred_username: ann.username})).toString('base64url'), 'FAKE'].join('.');
	entra.scriptAll(faults.changedGrant(json => ({...json, id_token: idToken})));
	const {token} = await credentialWith(home, entra, {}).getToken(scope, {tenantId: 'contoso.example'});
	await home.stored(token);
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
		test.serial(`the tenant "${word}" in ${place} means the home tenant: its cached and new tokens are found`, async t => {
			const {entra, home} = await setUp(t);
			entra.refreshTokens.set('FAKE-refresh', user);
			const cache = {accounts: [accountRecord(user)], refreshTokens: [refreshTokenRecord(user, 'FAKE-refresh')]};
			home.write(cacheOf({...cache, accessTokens: [accessTokenRecord(user, 'FAKE-home', 3000), accessTokenRecord(user, 'FAKE-guest', 3600, {realm: byRequest})]}));
			t.is((await credentialWith(home, entra, options).getToken(scope, request)).token, 'FAKE-home');
			home.write(cacheOf(cache));
			const granting = credentialWith(home, entra, {...options, cacheCheckIntervalInMs: 998});
			const {token} = await granting.getToken(scope, request);
			t.is((await granting.getToken([scope, scope], request)).token, token, 'from memory');
			t.is((await credentialWith(home, entra, {...options, cacheCheckIntervalInMs: 999}).getToken(scope, request)).token, token, 'from the cache');
			t.is(entra.grants.length, 1);
		});
	}
}

test.serial('"organizations" and "common" do not narrow the accounts; "consumers" narrows them to personal accounts', async t => {
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
