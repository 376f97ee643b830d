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

test('B3: a token is found by the scopes that were asked for, if exactly these are asked for again', t => {
	const granted = {target: 'openid User.Read', requestedScopes: 'https://vault.azure.net/.default Mail.Read'};
	t.true(fits(granted, {scopes: ['https://vault.azure.net/.default', 'mail.read']}));
	t.true(fits(granted, {scopes: ['MAIL.READ', 'https://vault.azure.net/.default', 'Mail.Read']}));
	t.true(fits(granted, {scopes: ['user.read']}), 'the target counts as before');
	t.false(fits(granted, {scopes: ['mail.read']}), 'the authority may have granted the other one alone');
	t.false(fits(granted, {scopes: ['https://vault.azure.net/.default', 'mail.read', 'openid']}));
	t.false(fits(granted, {scopes: ['user.read', 'mail.read']}));
	t.false(fits({target: 'openid', requestedScopes: ''}, {scopes: ['user.read']}));
	t.true(fits({target: '', requestedScopes: ' Mail.Read  openid '}, {scopes: ['openid', 'mail.read']}));
});

test('B3: a scope of Microsoft Graph is the same with and without its resource', t => {
	const graph = 'https://graph.microsoft.com/';
	for (const [asked, cached] of [[`${graph}User.Read`, 'User.Read'], ['user.read', `${graph}User.Read`], [`${graph.toUpperCase()}USER.READ`, 'openid User.Read']] as const) {
		t.true(fits({target: cached}, {scopes: [asked]}), asked);
		t.true(fits({target: 'x', requestedScopes: cached.replace('openid ', '')}, {scopes: [asked]}), asked);
	}

	t.true(fits({target: `${graph}User.Read ${graph}Mail.Read`}, {scopes: ['mail.read', `${graph}User.Read`]}));
	t.true(fits({target: 'x', requestedScopes: `${graph}User.Read openid`}, {scopes: [`${graph}openid`, 'User.Read']}));
	for (const other of ['https://vault.azure.net/', 'http://graph.microsoft.com/', 'https://graph.microsoft.com.example/', 'https://graph.microsoft.us/', 'https://graph.microsoft.com']) {
		t.false(fits({target: 'User.Read'}, {scopes: [`${other}User.Read`]}), other);
		t.false(fits({target: `${other}User.Read`}, {scopes: ['User.Read']}), other);
	}

	for (const environment of ['login.microsoftonline.us', 'login.chinacloudapi.cn', 'login.microsoftonline.de']) {
		const request = {environments: [environment], scopes: [`${graph}User.Read`]};
		t.false(fits({environment, target: 'User.Read'}, request), 'a national cloud has a Graph of its own');
		t.true(fits({environment, target: `${graph}User.Read`}, request));
	}

	t.true(fits({environment: '127.0.0.1:1', target: 'User.Read'}, {environments: ['127.0.0.1:1'], scopes: [`${graph}User.Read`]}));
	t.false(fits({target: 'User.Read'}, {isAdfs: true, scopes: [`${graph}User.Read`]}), 'AD FS knows no Graph');
});

test('G7: a token with anything but visible ASCII characters is not selected', t => {
	for (const bad of [' ', '\r\n', '\n', '\r', '\t', '\0', '\u007F', '\u001F', '\u0080', 'ü', '\u00A0', '\u2028', '\u{1F600}', '\uD83D']) {
		for (const secret of [bad, `FAKE${bad}`, `${bad}FAKE`, `FA${bad}KE`]) {
			t.false(fits({secret}), JSON.stringify(secret));
		}

		t.is(findAccessToken([entry({secret: `FAKE${bad}`, expiresOn: nowSec + 7200}), entry({secret: 'good'})], criteria)?.secret, 'good', 'another one is');
	}

	t.true(fits({secret: Array.from({length: 0x7E - 0x20}, (_, index) => String.fromCharCode(0x21 + index)).join('')}));
});

test('G13: only A to Z are compared without their case', t => {
	t.false(fits({target: '\u212A'}, {scopes: ['k']}), 'the Kelvin sign lower-cases to k');
	t.false(fits({target: 'k'}, {scopes: ['\u212A']}));
	t.false(fits({target: '\u0130'}, {scopes: ['i\u0307']}), 'the capital I with a dot lower-cases to two characters');
	t.false(fits({clientId: '\u212A'}, {clientId: 'k'}));
	t.false(fits({homeAccountId: '\u212A.home'}, {account: {...criteria.account, homeAccountId: 'k.home'}}));
	t.false(fits({realm: '\u212A'}, {tenantId: 'k'}));
	t.false(fits({environment: '\u212A'}, {environments: ['k']}));
	t.true(fits({target: 'ÄK'}, {scopes: ['Äk']}));
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
