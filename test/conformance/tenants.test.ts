/** Which tenant a token is asked of and found under: options, record, environment, request. */

import test, {type ExecutionContext} from 'ava';
import type {SharedTokenCacheCredentialOptions} from '../../dist/types.js';
import {startEntraServer} from '../helpers/entra-server.js';
import {
	accountRecord, ann, bob, cacheOf, clientId, homeAccountId, publicCloud, refreshTokenRecord, scope, TestHome,
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
