import test from 'ava';
import {
	allowedRequestTenant, checkTenantId, homeTenantOf, namedTenant,
} from '../../dist/settings/tenants.js';

const rules = {configured: undefined, additionallyAllowed: [], requestsIgnored: false};

test('without a configured tenant a request may name any tenant', t => {
	t.is(allowedRequestTenant('x', rules), 'x');
	t.is(allowedRequestTenant(undefined, rules), undefined);
	t.is(allowedRequestTenant('', rules), undefined);
});

test('with a configured tenant a request may name only that one and the allowed ones', t => {
	const configured = {...rules, configured: 'home', additionallyAllowed: ['friend']};
	t.is(allowedRequestTenant('HOME', configured), 'HOME');
	t.is(allowedRequestTenant('Friend', configured), 'Friend');
	const error = t.throws(() => allowedRequestTenant('stranger', configured), {name: 'CredentialUnavailableError'});
	t.is((error as {code?: unknown}).code, 'STC_TENANT_NOT_ALLOWED');
	t.regex(error.message, /not configured to acquire tokens for tenant stranger/);
	t.is(allowedRequestTenant('stranger', {...configured, additionallyAllowed: ['*']}), 'stranger');
});

test('tenants of requests can be ignored', t => {
	t.is(allowedRequestTenant('x', {...rules, requestsIgnored: true}), undefined);
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
