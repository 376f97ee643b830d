/** AD FS: a single authority without tenants. Its accounts and tokens name no tenant. */

import test from 'ava';
import type {SharedTokenCacheCredentialOptions} from '../../dist/types.js';
import * as faults from '../helpers/authority/entra-faults.js';
import {startEntraServer} from '../helpers/authority/entra-server.js';
import {
	accountRecord, ann, cacheOf, clientId, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';

const environment = 'fs.contoso.example';
const account = {
	environment, home_account_id: 'subject-of-ann', authority_type: 'ADFS', realm: 'adfs',
};
const record = {
	authority: environment, homeAccountId: account.home_account_id, clientId, tenantId: 'adfs', username: ann.username,
};
const tenant = '0a000000-0000-4000-8000-000000000001';
const host = {authorityHost: environment};
const url = {authorityHost: `https://${environment}/adfs`};

type Case = [name: string, options: SharedTokenCacheCredentialOptions, account?: Record<string, unknown>, environment?: Record<string, string>];

const cases: Case[] = [
	['its URL', url],
	['the tenant adfs', {...host, tenantId: 'adfs'}],
	['the tenant ADFS, for a guest', {...host, tenantId: 'ADFS', enableGuestTenantAuthentication: true}],
	['the tenant of the environment', host, {}, {AZURE_TENANT_ID: 'adfs'}],
	['its URL and a tenant, which is ignored', {...url, tenantId: tenant}],
	['its URL and a guest\'s tenant', {...url, tenantId: tenant, enableGuestTenantAuthentication: true}],
	['its URL and a tenant of the environment', url, {}, {AZURE_TENANT_ID: tenant}],
	['a record of @azure/identity, with a host', {authenticationRecord: record}],
	['a record with its URL', {authenticationRecord: {...record, authority: `https://${environment}/adfs`}}],
	['a record, and a tenant', {authenticationRecord: record, tenantId: tenant}],
	['an account that names no realm', url, {realm: undefined}],
	['an account whose realm is empty', url, {realm: ''}],
	['an account whose realm is empty, of a record', {authenticationRecord: record}, {realm: ''}],
];

for (const [name, options, rest, variables = {}] of cases) {
	test.serial(`AD FS selected by ${name}: uses the AD FS path, and another process finds the token`, async t => {
		const entra = await startEntraServer({refreshTokens: {'FAKE-refresh-ann': ann}, extraNames: [environment]});
		t.teardown(async () => entra.close());
		// AD FS returns neither a tenant nor client_info.
		entra.scriptAll(faults.grantWithout('id_token', 'client_info'));
		const home = new TestHome(t);
		home.write(cacheOf({
			accounts: [accountRecord(ann, {...account, ...rest})],
			refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh-ann', {environment, home_account_id: account.home_account_id})],
		}));
		Object.assign(process.env, variables);
		t.teardown(() => {
			for (const variable of Object.keys(variables)) {
				delete process.env[variable];
			}
		});
		const {token} = await home.credential(options, entra).getToken(scope, {tenantId: tenant});
		t.deepEqual(entra.requests.map(({path}) => path), ['/adfs/oauth2/token']);
		await home.stored(token);
		t.deepEqual(Object.values(home.read()['AccessToken'] ?? {}).map(({realm}) => realm), ['adfs']);
		t.is((await home.credential({...options, cacheCheckIntervalInMs: 999}, entra).getToken(scope)).token, token);
		t.is(entra.grants.length, 1);
	});
}
