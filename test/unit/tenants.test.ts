import test from 'ava';
import {allowedRequestTenant, checkTenantOfAccount} from '../../dist/settings/tenant-checks.js';
import {checkTenantId, homeTenantOf, namedTenant} from '../../dist/settings/tenants.js';

const rules = {own: undefined, additionallyAllowed: [], requestsIgnored: false};
const refusal = {name: 'CredentialUnavailableError', code: 'STC_TENANT_NOT_ALLOWED', message: /not configured to acquire tokens for tenant stranger\. Add this tenant to the additionallyAllowedTenants option/};

test('C1: an empty list allows every tenant, with a tenant in the options and without', t => {
	for (const own of [undefined, 'home']) {
		t.deepEqual(allowedRequestTenant('stranger', {...rules, own}), {tenantId: 'stranger', isOpen: false});
		t.deepEqual(allowedRequestTenant('organizations', {...rules, own}), {tenantId: 'organizations', isOpen: false});
	}

	t.deepEqual(allowedRequestTenant(undefined, rules), {tenantId: undefined, isOpen: false});
	t.deepEqual(allowedRequestTenant('', rules), {tenantId: undefined, isOpen: false});
});

test('C1: a list that is not empty is enforced, besides the tenant that tokens come from', t => {
	const listed = {...rules, own: 'home', additionallyAllowed: ['friend', 'consumers']};
	for (const tenantId of ['HOME', 'Friend', '9188040d-6c67-4c5b-b112-36a304b66dad', 'Consumers']) {
		t.deepEqual(allowedRequestTenant(tenantId, listed), {tenantId, isOpen: false});
	}

	t.throws(() => allowedRequestTenant('stranger', listed), refusal);
	t.deepEqual(allowedRequestTenant('stranger', {...listed, additionallyAllowed: ['*']}), {tenantId: 'stranger', isOpen: false});
});

test('C1: without a tenant in the options, tokens come from the home tenant, which the account tells', t => {
	const listed = {...rules, additionallyAllowed: ['friend']};
	t.deepEqual(allowedRequestTenant('Friend', listed), {tenantId: 'Friend', isOpen: false});
	t.deepEqual(allowedRequestTenant('common', listed), {tenantId: 'common', isOpen: false});
	t.deepEqual(allowedRequestTenant('stranger', listed), {tenantId: 'stranger', isOpen: true});
	t.notThrows(() => {
		checkTenantOfAccount('stranger', 'Stranger', listed);
	});
	for (const home of ['home', undefined]) {
		t.throws(() => {
			checkTenantOfAccount('stranger', home, listed);
		}, refusal);
	}
});

test('C1: for a guest, the home tenant is another tenant: its words and its ID must be listed', t => {
	const listed = {...rules, own: 'guest', additionallyAllowed: ['friend']};
	t.deepEqual(allowedRequestTenant('organizations', listed), {tenantId: 'organizations', isOpen: true});
	t.throws(() => {
		checkTenantOfAccount('organizations', 'home', listed);
	}, {code: 'STC_TENANT_NOT_ALLOWED'});
	const words = {...listed, additionallyAllowed: ['organizations']};
	t.false(allowedRequestTenant('common', words).isOpen);
	t.true(allowedRequestTenant('home', words).isOpen);
	for (const tenant of ['home', 'common', 'guest']) {
		t.notThrows(() => {
			checkTenantOfAccount(tenant, 'home', words);
		}, tenant);
	}

	t.throws(() => {
		checkTenantOfAccount('stranger', 'home', words);
	}, refusal);
});

test('tenants of requests can be ignored', t => {
	t.deepEqual(allowedRequestTenant('x', {own: 'z', additionallyAllowed: ['y'], requestsIgnored: true}), {tenantId: undefined, isOpen: false});
});

test('accepts and refuses tenant IDs', t => {
	for (const good of ['contoso.onmicrosoft.com', '9188040d-6c67-4c5b-b112-36a304b66dad', 'organizations']) {
		t.notThrows(() => {
			checkTenantId(good, 'tenantId');
		});
	}

	for (const bad of ['', 'a/b', 'a b', '..', '.', 'a?b', 'ä', 5, null]) {
		t.throws(() => {
			checkTenantId(bad, 'tenantId');
		}, {instanceOf: TypeError, message: /^tenantId /}, String(bad));
	}
});

test('the home tenant is the second part of the home account ID', t => {
	t.is(homeTenantOf('uid.utid'), 'utid');
	for (const odd of ['uid', 'a.b.c', '']) {
		t.is(homeTenantOf(odd), undefined);
	}
});

test('"organizations" and "common" name no tenant, "consumers" names that of personal accounts', t => {
	for (const word of ['organizations', 'Organizations', 'common', 'COMMON']) {
		t.is(namedTenant(word), undefined);
	}

	t.is(namedTenant('Consumers'), '9188040d-6c67-4c5b-b112-36a304b66dad');
	t.is(namedTenant('Contoso.example'), 'Contoso.example');
});
