import test from 'ava';
import type {AccessTokenEntry} from '../../dist/backend/backend.js';
import {findAccessToken, minimumLifetimeSec, type TokenCriteria} from '../../dist/lookup/select-token.js';

const nowSec = 1_800_000_000;

const criteria: TokenCriteria = {
	account: {homeAccountId: 'uid.home', environment: 'login.microsoftonline.com', realm: 'home'},
	clientId: 'client',
	environments: ['login.microsoftonline.com', 'login.windows.net'],
	scopes: ['https://vault.azure.net/.default'],
	tenantId: undefined,
	isAdfs: false,
	nowSec,
	lifetimeSec: minimumLifetimeSec,
};

function entry(rest: Partial<AccessTokenEntry> = {}): AccessTokenEntry {
	return {
		homeAccountId: 'uid.home',
		environment: 'login.microsoftonline.com',
		clientId: 'client',
		realm: 'home',
		target: 'https://vault.azure.net/.default https://vault.azure.net/user_impersonation',
		secret: 'fake',
		cachedAt: nowSec - 60,
		expiresOn: nowSec + 3600,
		...rest,
	};
}

const fits = (rest: Partial<AccessTokenEntry>, request: Partial<TokenCriteria> = {}) => findAccessToken([entry(rest)], {...criteria, ...request}) !== undefined;

test('a token is selected by account, environment, client, realm and scopes', t => {
	t.true(fits({}));
	t.true(fits({
		environment: 'LOGIN.WINDOWS.NET', homeAccountId: 'UID.HOME', clientId: 'CLIENT', realm: 'HOME',
	}));
	t.false(fits({homeAccountId: 'other.home'}));
	t.false(fits({environment: 'login.microsoftonline.us'}));
	t.false(fits({clientId: 'another'}));
	t.false(fits({realm: 'another-tenant'}));
	t.false(fits({target: 'https://vault.azure.net/user_impersonation'}));
});

test('expiry: 300 s of remaining life are too few, 301 are enough', t => {
	t.false(fits({expiresOn: nowSec + 300}));
	t.true(fits({expiresOn: nowSec + 301}));
	t.true(fits({expiresOn: nowSec + 1}, {lifetimeSec: 0}));
	t.false(fits({expiresOn: nowSec}, {lifetimeSec: 0}));
});

test('with a clock that is ahead, the writer\'s clock counts; a token from too far ahead is ignored', t => {
	t.true(fits({cachedAt: nowSec + 900, expiresOn: nowSec + 900 + 301}));
	t.false(fits({cachedAt: nowSec + 900, expiresOn: nowSec + 900 + 300}));
	t.false(fits({cachedAt: nowSec + 901}));
	t.true(fits({cachedAt: nowSec}));
});

test('scopes: contained in the target in any case and order', t => {
	const target = 'User.Read openid Mail.Read';
	t.true(fits({target}, {scopes: ['mail.read', 'USER.READ']}));
	t.false(fits({target}, {scopes: ['mail.read', 'mail.send']}));
	t.false(fits({target}, {scopes: ['mail']}));
	t.false(fits({target: ''}, {scopes: ['x']}));
});

test('realm: without a tenant, the account\'s own, under each name that libraries store', t => {
	for (const realm of ['home', 'organizations', 'common']) {
		t.true(fits({realm}), realm);
	}

	t.false(fits({realm: 'guest'}));
	t.false(fits({realm: 'guest'}, {account: {...criteria.account, realm: 'guest'}}), 'the record of a guest account names another tenant');
	const account = {...criteria.account, homeAccountId: 'without-a-tenant', realm: 'adfs'};
	t.true(fits({realm: 'adfs', homeAccountId: 'without-a-tenant'}, {account}));
});

test('realm: with a tenant, that one only', t => {
	t.true(fits({realm: 'guest'}, {tenantId: 'GUEST'}));
	t.false(fits({realm: 'home'}, {tenantId: 'guest'}));
	t.false(fits({realm: 'organizations'}, {tenantId: 'guest'}));
});

test('realm: organizations and common mean the account\'s own tenant, consumers means that of personal accounts', t => {
	for (const tenantId of ['organizations', 'COMMON']) {
		for (const realm of ['home', 'organizations', 'common']) {
			t.true(fits({realm}, {tenantId}), `${tenantId} ${realm}`);
		}

		t.false(fits({realm: 'guest'}, {tenantId}));
	}

	t.true(fits({realm: '9188040D-6c67-4c5b-b112-36a304b66dad'}, {tenantId: 'consumers'}));
	t.false(fits({realm: 'home'}, {tenantId: 'consumers'}));
});

test('of several tokens the one with the longest life is selected', t => {
	const entries = [entry({secret: 'a', expiresOn: nowSec + 1000}), entry({secret: 'b', expiresOn: nowSec + 3000}), entry({secret: 'c', expiresOn: nowSec + 2000})];
	t.is(findAccessToken(entries, criteria)?.secret, 'b');
});

test('realm: an account whose ID names no tenant uses that of its record; a token without a realm belongs to no other account', t => {
	const {realm: entryRealm, ...withoutRealm} = entry();
	const account = {homeAccountId: 'uid', environment: 'login.microsoftonline.com'};
	const finds = (record: AccessTokenEntry, of: TokenCriteria['account']) => findAccessToken([{...record, homeAccountId: of.homeAccountId}], {...criteria, account: of}) !== undefined;
	t.is(entryRealm, 'home');
	t.false(finds(withoutRealm, criteria.account));
	t.true(finds(entry({realm: 'adfs'}), {...account, realm: 'ADFS'}));
	t.false(finds(entry({realm: 'adfs'}), account));
	t.truthy(findAccessToken([entry({homeAccountId: 'uid', realm: 'ADFS'})], {...criteria, account, isAdfs: true}));
	t.falsy(findAccessToken([entry({homeAccountId: 'uid', realm: 'another'})], {...criteria, account, isAdfs: true}));
	t.true(finds(withoutRealm, account));
});
