/** The edits that a grant makes, and the resulting cache. */

import test from 'ava';
import type {AccountEntry, CacheChange, RefreshTokenEntry} from '../../dist/backend/backend.js';
import {editsOfSignOut} from '../../dist/cache/sign-out-edits.js';
import {editsOfEviction, editsOfGrant, type Grant} from '../../dist/grant/grant-edits.js';
import {jsBackend} from '../../dist/backend/js/js-backend.js';
import {
	ann, type CacheSections, clientId, homeAccountId, publicCloud, scope,
} from '../helpers/home.js';
import {query} from '../helpers/peers/written-cache.js';

const {environments} = query;
const hostAlias = 'login.windows.net';
const otherClient = '872cd9fa-d31f-45e0-9eab-6e460a02d1f1';
const guestTenant = 'cccccccc-0000-4000-8000-0000000000cc';
const atSec = 1_800_000_000;

const account: AccountEntry = {
	homeAccountId: homeAccountId(ann), environment: publicCloud, realm: ann.utid, localAccountId: ann.uid, username: ann.username, authorityType: 'MSSTS',
};
const redeemed: RefreshTokenEntry = {
	homeAccountId: homeAccountId(ann), environment: publicCloud, clientId, familyId: '1', secret: 'FAKE-sent',
};

/** A complete grant, as Entra sends it to a family client. */
const grant: Grant = {
	response: {
		accessToken: 'FAKE-access',
		expiresOnSec: atSec + 3600,
		refreshOnSec: atSec + 1800,
		extendedExpiresOnSec: atSec + 7200,
		scope: 'https://vault.azure.net/user_impersonation',
		refreshToken: 'FAKE-received',
		familyId: '1',
		idToken: 'FAKE-id',
		clientInfo: 'FAKE-client-info',
		tenantId: ann.utid,
		localAccountId: ann.uid,
		username: ann.username,
		homeAccountId: homeAccountId(ann),
	},
	account,
	environment: publicCloud,
	environments,
	clientId,
	isAdfs: false,
	scopes: [scope],
	realm: ann.utid,
	redeemed,
	isOwnCache: true,
	nowSec: atSec,
};

type Changes = Partial<Omit<Grant, 'response'>> & {response?: Partial<Grant['response']>; without?: ReadonlyArray<keyof Grant['response']>};

function grantWith({response, without = [], ...rest}: Changes): Grant {
	const fields = Object.entries({...grant.response, ...response}).filter(([name]) => !without.includes(name as keyof Grant['response']));
	return {...grant, ...rest, response: Object.fromEntries(fields) as Grant['response']};
}

const editOf = (change: CacheChange, section: string) => {
	const edits = change.edits.filter(edit => edit.section === section && edit.action !== 'remove');
	if (edits.length > 1) {
		throw new Error(`There are several edits of ${section}.`);
	}

	return edits[0];
};

/** The cache after the change, parsed by JSON.parse. */
function applied(cache: CacheSections | string, change: CacheChange): CacheSections | 'no-account' {
	const text = typeof cache === 'string' ? cache : JSON.stringify(cache);
	const result = jsBackend.edit(Buffer.from(text), change);
	if (result.outcome === 'no-account') {
		return 'no-account';
	}

	return JSON.parse(result.outcome === 'changed' ? Buffer.from(result.bytes).toString('utf8') : text) as CacheSections;
}

const recordsOf = (cache: CacheSections | 'no-account', section: string) => cache === 'no-account' ? [] : Object.values(cache[section] ?? {});
const secretsOf = (cache: CacheSections | 'no-account', section: string) => recordsOf(cache, section).map(({secret}) => String(secret));

const accountOnly: CacheSections = {Account: {a: {home_account_id: homeAccountId(ann), environment: publicCloud}}};

test('a grant in an empty cache creates all records as MSAL writes them', t => {
	const id = homeAccountId(ann);
	t.deepEqual(applied('', editsOfGrant(grantWith({isOwnCache: false}), false)), {
		AccessToken: {
			[`${id}-${publicCloud}-accesstoken-${clientId}-${ann.utid}-https://vault.azure.net/user_impersonation https://vault.azure.net/.default`]: {
				credential_type: 'AccessToken',
				home_account_id: id,
				environment: publicCloud,
				client_id: clientId,
				realm: ann.utid,
				target: 'https://vault.azure.net/user_impersonation https://vault.azure.net/.default',
				token_type: 'Bearer',
				secret: 'FAKE-access',
				cached_at: '1800000000',
				expires_on: '1800003600',
				extended_expires_on: '1800007200',
				refresh_on: '1800001800',
			},
		},
		RefreshToken: {
			[`${id}-${publicCloud}-refreshtoken-1--`]: {
				credential_type: 'RefreshToken', home_account_id: id, environment: publicCloud, client_id: clientId, family_id: '1', secret: 'FAKE-received', last_modification_time: '1800000000',
			},
		},
		IdToken: {
			[`${id}-${publicCloud}-idtoken-${clientId}-${ann.utid}-`]: {
				credential_type: 'IdToken', home_account_id: id, environment: publicCloud, client_id: clientId, realm: ann.utid, secret: 'FAKE-id',
			},
		},
		Account: {
			[`${id}-${publicCloud}-${ann.utid}`]: {
				home_account_id: id, environment: publicCloud, realm: ann.utid, local_account_id: ann.uid, username: ann.username, authority_type: 'MSSTS', client_info: 'FAKE-client-info',
			},
		},
		AppMetadata: {[`appmetadata-${publicCloud}-${clientId}`]: {client_id: clientId, environment: publicCloud, family_id: '1'}},
	});
});

test('a grant does not restore an account that was removed from its cache meanwhile', t => {
	const change = editsOfGrant(grant, false);
	t.deepEqual(change.requiredAccount, {homeAccountId: homeAccountId(ann), environments});
	t.is(applied('', change), 'no-account');
	t.is(applied({Account: {a: {home_account_id: homeAccountId(ann), environment: 'login.partner.microsoftonline.cn'}}}, change), 'no-account');
	t.deepEqual(secretsOf(applied({Account: {a: {home_account_id: homeAccountId(ann).toUpperCase(), environment: hostAlias}}}, change), 'AccessToken'), ['FAKE-access']);
	t.is(editsOfGrant(grantWith({isOwnCache: false}), false).requiredAccount, undefined, 'it is new in another cache');
});

test('a repair adds no account and needs an existing one, in every cache', t => {
	for (const isOwnCache of [true, false]) {
		const change = editsOfGrant(grantWith({isOwnCache}), true);
		t.deepEqual(change.requiredAccount, {homeAccountId: homeAccountId(ann), environments});
		t.is(editOf(change, 'Account'), undefined);
		t.is(editOf(change, 'IdToken')?.action, 'add', 'another library\'s newer ID token is kept');
	}
});

test('a repair keeps newer records, a grant replaces them', t => {
	const newer = {
		...accountOnly,
		AccessToken: {
			other: {
				...Object.fromEntries(Object.entries(editOf(editsOfGrant(grant, false), 'AccessToken')!.fill!).map(([name, json]) => [name, JSON.parse(json)])), secret: 'FAKE-newer', cached_at: String(atSec + 60), expires_on: String(atSec + 3660),
			},
		},
		RefreshToken: {
			other: {
				home_account_id: homeAccountId(ann), environment: publicCloud, client_id: clientId, family_id: '1', secret: 'FAKE-newer', last_modification_time: String(atSec + 60),
			},
		},
	};
	const repaired = applied(newer, editsOfGrant(grant, true));
	t.deepEqual([...secretsOf(repaired, 'AccessToken'), ...secretsOf(repaired, 'RefreshToken')], ['FAKE-newer', 'FAKE-newer']);
	// The record's times may come from a wrong clock: nothing is newer than the authority's response.
	const granted = applied(newer, editsOfGrant(grant, false));
	t.deepEqual([...secretsOf(granted, 'AccessToken'), ...secretsOf(granted, 'RefreshToken')], ['FAKE-access', 'FAKE-received']);
});

test('realm: organizations and common never appear in a key or record', t => {
	const {edits} = editsOfGrant(grantWith({isOwnCache: false}), false);
	const written = JSON.stringify(edits.map(({match: _match, ...rest}) => rest));
	t.false(written.includes('organizations'));
	t.false(written.includes('"common"'));
	// Python's record for the same scopes under such a tenant name is a separate record and is kept.
	const pythons = {...accountOnly, AccessToken: {python: {...recordsOf(applied('', editsOfGrant(grantWith({isOwnCache: false}), false)), 'AccessToken')[0], realm: 'organizations', secret: 'FAKE-python'}}};
	t.deepEqual(secretsOf(applied(pythons, editsOfGrant(grant, false)), 'AccessToken').toSorted(), ['FAKE-access', 'FAKE-python']);
});

test('a guest tenant gets its own access token, ID token and account realm; the refresh token belongs to the account', t => {
	const change = editsOfGrant(grantWith({realm: guestTenant, isOwnCache: false, response: {tenantId: guestTenant, localAccountId: 'guest-id'}}), false);
	t.like(recordsOf(applied('', change), 'AccessToken')[0], {realm: guestTenant});
	t.like(recordsOf(applied('', change), 'IdToken')[0], {realm: guestTenant});
	t.like(recordsOf(applied('', change), 'Account')[0], {realm: guestTenant, local_account_id: 'guest-id', home_account_id: homeAccountId(ann)});
	t.false(JSON.stringify(recordsOf(applied('', change), 'RefreshToken')).includes(guestTenant));
});

test('C8: a guest grant adds an account record of the guest tenant, with the name that the user has here, and changes no other', t => {
	const guest = (changes: Changes = {}) => editsOfGrant(grantWith({
		realm: guestTenant, ...changes, response: {
			tenantId: guestTenant, localAccountId: 'guest-id', username: 'ann_contoso.com#EXT#@fabrikam.example', ...changes.response,
		},
	}), false);
	const home = {...accountOnly['Account']!['a'], realm: ann.utid, username: ann.username};
	const added = {
		home_account_id: homeAccountId(ann), environment: publicCloud, realm: guestTenant, local_account_id: 'guest-id', username: ann.username,
	};
	const known = {Account: {home}};
	const [kept, written, ...others] = recordsOf(applied(known, guest()), 'Account');
	t.deepEqual(kept, home);
	t.like(written, added);
	t.deepEqual(others, []);
	// It is written once, and a name that another library gave it stays.
	const both = {Account: {home, guest: {...added, username: 'theirs'}}};
	t.deepEqual(recordsOf(applied(both, guest()), 'Account'), Object.values(both.Account));
	// Without the object ID of that tenant there is no record to write.
	t.deepEqual(recordsOf(applied(known, guest({without: ['localAccountId']})), 'Account'), [home]);
});

test('C8: a grant for the home tenant adds the home record beside a guest one, but not beside one under another name of the home tenant', t => {
	const change = editsOfGrant(grant, false);
	const guest = {...accountOnly['Account']!['a'], realm: guestTenant};
	t.deepEqual(recordsOf(applied({Account: {guest}}, change), 'Account').map(({realm}) => realm), [guestTenant, ann.utid]);
	for (const realm of ['organizations', 'common', 'consumers', '', ann.utid.toUpperCase()]) {
		const known = {Account: {home: {...guest, realm}}};
		t.deepEqual(recordsOf(applied(known, change), 'Account'), Object.values(known.Account), realm);
	}
});

test('target: the granted scopes and .default, which no authority grants by that name; the requested scopes if the response has none', t => {
	const targetOf = (changes: Changes) => recordsOf(applied('', editsOfGrant(grantWith({...changes, isOwnCache: false}), false)), 'AccessToken')[0]?.['target'];
	t.is(targetOf({}), 'https://vault.azure.net/user_impersonation https://vault.azure.net/.default');
	t.is(targetOf({response: {scope: 'a b'}, scopes: ['a', 'b']}), 'a b');
	t.is(targetOf({response: {scope: ' a  b '}, scopes: ['a']}), 'a b');
	t.is(targetOf({without: ['scope'], scopes: ['a', 'b']}), 'a b');
	t.is(targetOf({response: {scope: 'https://vault.azure.net/.default'}}), scope, 'once');
	t.is(targetOf({response: {scope: 'x'}, scopes: ['https://vault.azure.net/.DEFAULT']}), 'x https://vault.azure.net/.DEFAULT');
});

test('an access token replaces one for the same scopes, in any order and case, under any key and alias', t => {
	const old = {
		credential_type: 'AccessToken',
		home_account_id: homeAccountId(ann).toUpperCase(),
		environment: hostAlias,
		client_id: clientId.toUpperCase(),
		realm: ann.utid,
		target: 'HTTPS://vault.azure.net/.default https://vault.azure.net/user_impersonation',
		token_type: 'Bearer',
		secret: 'FAKE-old',
		foreign: {kept: true},
	};
	const cache = applied({...accountOnly, AccessToken: {'any key': old}}, editsOfGrant(grant, false));
	t.deepEqual(recordsOf(cache, 'AccessToken'), [{
		...old, secret: 'FAKE-access', cached_at: '1800000000', expires_on: '1800003600', extended_expires_on: '1800007200', refresh_on: '1800001800',
	}]);
});

test('an access token does not replace one that is bound to more, or is for other scopes, clients, tenants or clouds', t => {
	const own = recordsOf(applied('', editsOfGrant(grantWith({isOwnCache: false}), false)), 'AccessToken')[0]!;
	const others = [
		{token_type: 'pop'},
		{key_id: 'k'},
		{ext_cache_key: 'e'},
		{requestedClaimsHash: 'h'},
		{userAssertionHash: 'u'},
		{target: scope},
		{target: `${String(own['target'])} more`},
		{client_id: otherClient},
		{realm: guestTenant},
		{environment: 'login.microsoftonline.us'},
	].map((difference, index) => ({...own, secret: `FAKE-other-${index}`, ...difference}));
	const cache = applied({...accountOnly, AccessToken: Object.fromEntries(others.map((record, index) => [`key-${index}`, record]))}, editsOfGrant(grant, false));
	t.deepEqual(secretsOf(cache, 'AccessToken').toSorted(), ['FAKE-access', ...others.map(({secret}) => secret)].toSorted());
});

test('the refresh_on of an older token is removed if the new token has none', t => {
	const change = editsOfGrant(grantWith({without: ['refreshOnSec', 'extendedExpiresOnSec']}), false);
	t.deepEqual(editOf(change, 'AccessToken')?.unset, ['refresh_on']);
	const before = applied(accountOnly, editsOfGrant(grant, false)) as CacheSections;
	const [record] = recordsOf(applied(before, change), 'AccessToken');
	t.false('refresh_on' in record!);
	t.is(record?.['extended_expires_on'], '1800003600', 'not longer than the token itself');
	t.is(editOf(editsOfGrant(grant, false), 'AccessToken')?.unset, undefined);
});

test('a family refresh token replaces only the redeemed record, under the key of its library', t => {
	const pythons = {
		family: {
			credential_type: 'RefreshToken', home_account_id: homeAccountId(ann), environment: publicCloud, client_id: otherClient, target: 'a b', family_id: '1', secret: 'FAKE-sent', last_modification_time: '1',
		},
		own: {
			credential_type: 'RefreshToken', home_account_id: homeAccountId(ann), environment: publicCloud, client_id: clientId, target: 'c', family_id: '1', secret: 'FAKE-other',
		},
	};
	const sent = {...redeemed, clientId: otherClient, target: 'a b'};
	const cache = applied({...accountOnly, RefreshToken: pythons}, editsOfGrant(grantWith({redeemed: sent}), false)) as CacheSections;
	t.deepEqual(cache['RefreshToken'], {family: {...pythons.family, secret: 'FAKE-received', last_modification_time: '1800000000'}, own: pythons.own});
});

test('the family comes from the response, otherwise from the redeemed refresh token', t => {
	const added = (changes: Changes) => recordsOf(applied('', editsOfGrant(grantWith({...changes, isOwnCache: false}), false)), 'RefreshToken')[0];
	t.like(added({}), {family_id: '1', client_id: clientId});
	t.like(added({without: ['familyId']}), {family_id: '1', client_id: clientId});
	// A family token that was issued to another client remains that client's.
	t.like(added({without: ['familyId'], redeemed: {...redeemed, clientId: otherClient}}), {family_id: '1', client_id: otherClient});
	const {familyId, ...withoutFamily} = redeemed;
	t.is(familyId, '1');
	const own = added({without: ['familyId'], redeemed: withoutFamily});
	t.false('family_id' in own!);
	t.is(own?.['client_id'], clientId);
	t.is(editOf(editsOfGrant(grantWith({without: ['familyId']}), false), 'AppMetadata'), undefined, 'fields that the response lacks are not written');
});

test('a client\'s own refresh token does not replace a family token, and vice versa', t => {
	const record = (rest: object) => ({
		credential_type: 'RefreshToken', home_account_id: homeAccountId(ann), environment: publicCloud, client_id: clientId, ...rest,
	});
	const both = {...accountOnly, RefreshToken: {family: record({family_id: '1', secret: 'FAKE-family'}), own: record({secret: 'FAKE-own'})}};
	const {familyId, ...withoutFamily} = redeemed;
	t.is(familyId, '1');
	t.deepEqual(secretsOf(applied(both, editsOfGrant(grantWith({redeemed: withoutFamily, without: ['familyId']}), false)), 'RefreshToken'), ['FAKE-family', 'FAKE-received']);
	t.deepEqual(secretsOf(applied(both, editsOfGrant(grant, false)), 'RefreshToken'), ['FAKE-received', 'FAKE-own']);
});

test('a grant for an account of another library\'s cache: the primary cache gets the account and its tokens and keeps what it knows of the account', t => {
	const change = editsOfGrant(grantWith({isOwnCache: false, redeemed: {...redeemed, environment: hostAlias, target: 'a'}}), false);
	const known = {
		Account: {k: {home_account_id: homeAccountId(ann), environment: hostAlias, username: 'as others have it'}},
		RefreshToken: {
			r: {
				home_account_id: homeAccountId(ann), environment: hostAlias, client_id: otherClient, family_id: 1, secret: 'FAKE-older',
			},
		},
	};
	const cache = applied(known, change) as CacheSections;
	t.deepEqual(cache['Account'], known.Account);
	t.deepEqual(secretsOf(cache, 'RefreshToken'), ['FAKE-received'], 'one family refresh token per account');
});

test('a response without a refresh token keeps the cached one', t => {
	t.is(editOf(editsOfGrant(grantWith({without: ['refreshToken']}), false), 'RefreshToken'), undefined);
});

test('without an ID token, the account is built from known fields and never loses fields', t => {
	const change = editsOfGrant(grantWith({without: ['idToken', 'username', 'localAccountId', 'tenantId', 'clientInfo'], isOwnCache: false}), false);
	t.is(editOf(change, 'IdToken'), undefined);
	t.deepEqual(recordsOf(applied('', change), 'Account'), [{
		home_account_id: homeAccountId(ann), environment: publicCloud, realm: ann.utid, local_account_id: ann.uid, username: ann.username, authority_type: 'MSSTS',
	}]);
	const {username, localAccountId, ...nameless} = account;
	t.deepEqual([username, localAccountId], [ann.username, ann.uid]);
	t.is(editOf(editsOfGrant(grantWith({without: ['idToken', 'username', 'localAccountId'], account: nameless}), false), 'Account'), undefined, 'an account without a user name is useless for other libraries');
	// An existing account does not change, whatever the response contains.
	const cache = {
		Account: {
			k: {
				home_account_id: homeAccountId(ann), environment: hostAlias, username: 'kept', tenantProfiles: ['kept'],
			},
		},
	};
	t.deepEqual((applied(cache, editsOfGrant(grant, false)) as CacheSections)['Account'], cache.Account);
});

test('AD FS: writes records without tenant', t => {
	const {authorityType, ...plain} = account;
	t.is(authorityType, 'MSSTS');
	const change = editsOfGrant(grantWith({
		isAdfs: true, isOwnCache: false, environment: 'adfs.contoso.com', environments: ['adfs.contoso.com'], realm: 'adfs', account: {...plain, environment: 'adfs.contoso.com'}, without: ['familyId', 'clientInfo', 'tenantId'],
	}), false);
	t.like(recordsOf(applied('', change), 'Account')[0], {authority_type: 'ADFS', environment: 'adfs.contoso.com', realm: 'adfs'});
	t.like(recordsOf(applied('', change), 'AccessToken')[0], {environment: 'adfs.contoso.com', realm: 'adfs'});
});

test('eviction removes the one refresh token under every key, and nothing else', t => {
	const record = {home_account_id: homeAccountId(ann), secret: 'FAKE-dead'};
	const cache = {
		RefreshToken: {
			a: record, b: {...record, environment: hostAlias}, c: {...record, secret: 'FAKE-alive'}, d: {...record, home_account_id: 'other.tenant'},
		}, AccessToken: {e: record},
	};
	const after = applied(cache, editsOfEviction(account, 'FAKE-dead')) as CacheSections;
	t.deepEqual(Object.keys(after['RefreshToken']!), ['c', 'd']);
	t.deepEqual(after['AccessToken'], cache.AccessToken);
});

test('a sign-out removes one account completely, in one cloud or in all', t => {
	const record = {home_account_id: homeAccountId(ann), environment: publicCloud};
	const sections = ['Account', 'AccessToken', 'RefreshToken', 'IdToken'];
	const cache = {
		...Object.fromEntries(sections.map(section => [section, {
			a: record, b: {...record, environment: 'login.microsoftonline.us'}, c: {...record, home_account_id: 'other.tenant'},
		}])),
		AppMetadata: {a: record},
	};
	const keysAfter = (change: CacheChange) => sections.map(section => Object.keys((applied(cache, change) as CacheSections)[section]!).join(' '));
	t.deepEqual(keysAfter(editsOfSignOut(homeAccountId(ann).toUpperCase(), environments)), sections.map(() => 'b c'));
	t.deepEqual(keysAfter(editsOfSignOut(homeAccountId(ann))), sections.map(() => 'c'));
	t.deepEqual((applied(cache, editsOfSignOut(homeAccountId(ann))) as CacheSections)['AppMetadata'], cache.AppMetadata);
});

test('secrets with any characters are written unchanged', t => {
	const secret = 'FAKE "\\\u0000\u2028\n' + String.fromCodePoint(0x1_F6_00);
	const cache = applied('', editsOfGrant(grantWith({isOwnCache: false, response: {accessToken: secret, refreshToken: secret}}), false));
	t.deepEqual([...secretsOf(cache, 'AccessToken'), ...secretsOf(cache, 'RefreshToken')], [secret, secret]);
});

test('G4: a grant removes the expired access tokens of its account and client, and no others', t => {
	const record = (rest: Record<string, unknown>) => ({
		home_account_id: homeAccountId(ann), environment: publicCloud, client_id: clientId, realm: guestTenant, target: 'other', secret: 'FAKE-other', expires_on: String(atSec), ...rest,
	});
	const kept = {
		living: record({expires_on: String(atSec + 1)}),
		theirs: record({client_id: otherClient}),
		elses: record({home_account_id: 'x.y'}),
		elsewhere: record({environment: 'login.microsoftonline.us'}),
		malformed: record({expires_on: 'soon'}),
		timeless: record({expires_on: undefined}),
		milliseconds: record({expires_on: String(atSec * 1000)}),
	};
	const cache = {
		...accountOnly,
		AccessToken: {
			...kept, expired: record({}), bound: record({key_id: 'k'}), alias: record({environment: hostAlias, realm: 'x', expires_on: atSec - 5}),
		},
	};
	const after = applied(cache, editsOfGrant(grant, false)) as CacheSections;
	const [own, ...others] = Object.keys(after['AccessToken']!).toReversed();
	t.deepEqual(others.toReversed(), Object.keys(kept));
	t.is(after['AccessToken']![own!]!['secret'], 'FAKE-access');
	// A repair restores only what was there.
	t.false(editsOfGrant(grant, true).edits.some(({action}) => action === 'remove'));
});

test('B3: the scopes that were asked for are kept if the answer does not name them', t => {
	const recordOf = (changes: Changes) => recordsOf(applied('', editsOfGrant(grantWith({isOwnCache: false, ...changes}), false)), 'AccessToken')[0]!;
	t.is(recordOf({scopes: ['https://vault.azure.net/.default']})['requested_scopes'], undefined);
	t.is(recordOf({scopes: ['https://graph.microsoft.com/User.Read'], response: {scope: 'openid profile user.read'}})['requested_scopes'], undefined, 'with and without the resource');
	t.is(recordOf({scopes: ['a', 'b'], response: {scope: 'a'}})['requested_scopes'], 'a b');
	t.is(recordOf({scopes: ['a/.x'], response: {scope: 'openid'}})['requested_scopes'], 'a/.x');
});

test('B3: tokens that an authority answers with "openid" do not replace each other, and each is renewed in place', t => {
	const change = (scope: string, secret: string) => editsOfGrant(grantWith({isOwnCache: false, scopes: [scope], response: {scope: 'openid', accessToken: secret}}), false);
	let cache = applied('', change('one', 'FAKE-1'));
	for (const [scope, secret] of [['two', 'FAKE-2'], ['one', 'FAKE-3']] as const) {
		cache = applied(cache, change(scope, secret));
	}

	t.deepEqual(recordsOf(cache, 'AccessToken').map(({secret}) => secret), ['FAKE-3', 'FAKE-2']);
});

test('A4: a refresh token replaces the one that was redeemed or an ancestor of it, and no other', t => {
	const change = (changes: Changes = {}, isLate = false) => editsOfGrant(grantWith({replaceable: ['FAKE-sent', 'FAKE-ancestor'], ...changes}), false, isLate);
	const cacheWith = (secret: string) => ({
		...accountOnly, RefreshToken: {
			r: {
				home_account_id: homeAccountId(ann), environment: publicCloud, client_id: clientId, family_id: '1', secret, last_modification_time: String(atSec + 100),
			},
		},
	});
	const secretsOf = (cache: CacheSections | 'no-account') => recordsOf(cache, 'RefreshToken').map(({secret}) => secret);
	for (const isLate of [false, true]) {
		t.deepEqual(secretsOf(applied(cacheWith('FAKE-sent'), change({}, isLate))), ['FAKE-received']);
		t.deepEqual(secretsOf(applied(cacheWith('FAKE-ancestor'), change({}, isLate))), ['FAKE-received'], 'whatever its times say');
		t.deepEqual(secretsOf(applied(cacheWith('FAKE-newer'), change({}, isLate))), ['FAKE-newer']);
	}

	// The first write to another cache than the account's finds nothing that could be newer.
	t.deepEqual(secretsOf(applied(cacheWith('FAKE-old'), change({isOwnCache: false}))), ['FAKE-received']);
	t.deepEqual(secretsOf(applied(cacheWith('FAKE-newer'), change({isOwnCache: false}, true))), ['FAKE-newer']);
});
