import test from 'ava';
import {explainSelection, maskUserName} from '../../dist/lookup/account-errors.js';
import {
	type AccountCriteria, findCandidates, selectAccount,
} from '../../dist/lookup/select-account.js';
import type {
	AccountEntry, AppMetadataEntry, CacheSlice, RefreshTokenEntry,
} from '../../dist/backend/backend.js';

const clientId = 'client-1';
const environment = 'login.microsoftonline.com';

function slice(parts: {accounts?: AccountEntry[]; refreshTokens?: RefreshTokenEntry[]; appMetadata?: AppMetadataEntry[]}): CacheSlice {
	return {
		stamp: '', modifiedMs: 0, sizeBytes: 1, accounts: [], accountsLeftOut: 0, refreshTokens: [], accessTokens: [], appMetadata: [], ...parts,
	};
}

function account(homeAccountId: string, username?: string): AccountEntry {
	return {homeAccountId, environment, ...(username !== undefined && {username})};
}

function token(homeAccountId: string, secret: string, rest: Partial<RefreshTokenEntry> = {}): RefreshTokenEntry {
	return {
		homeAccountId, environment, secret, clientId: 'other', familyId: '1', ...rest,
	};
}

const any: AccountCriteria = {tenantOnlyDisambiguates: false};

const two = findCandidates(slice({
	accounts: [account('a.home1', 'ann@contoso.com'), account('b.home2', 'bob@contoso.com')],
	refreshTokens: [token('a.home1', 'ra'), token('b.home2', 'rb')],
}), clientId);

test('an account without a refresh token that this client may redeem is not a candidate', t => {
	const candidates = findCandidates(slice({
		accounts: [account('none.x'), account('foreign.x'), account('family.x'), account('own.x')],
		refreshTokens: [
			token('foreign.x', 'r1', {familyId: ''}),
			token('family.x', 'r2'),
			token('own.x', 'r3', {familyId: '', clientId: 'CLIENT-1'}),
			token('unknown.x', 'r4'),
		],
	}), clientId);
	t.deepEqual(candidates.map(candidate => candidate.account.homeAccountId), ['family.x', 'own.x']);
});

test('matches an account and its refresh tokens ignoring case', t => {
	const candidates = findCandidates(slice({
		accounts: [account('UID.home'), account('uid.HOME', 'ann@contoso.com')],
		refreshTokens: [token('Uid.Home', 'r1'), token('uid.home', 'r2', {lastModificationTime: 1})],
	}), clientId);
	t.is(candidates.length, 1);
	t.is(candidates[0]?.account.username, 'ann@contoso.com');
	t.deepEqual(candidates[0]?.refreshTokens.map(({secret}) => secret), ['r2', 'r1']);
});

test('family tokens come first, newest first, then the client\'s own; equal ones keep the order of the file', t => {
	const [candidate] = findCandidates(slice({
		accounts: [account('a.b')],
		refreshTokens: [
			token('a.b', 'own-old', {familyId: '', clientId, lastModificationTime: 1}),
			token('a.b', 'family-undated-1'),
			token('a.b', 'family-new', {lastModificationTime: 20}),
			token('a.b', 'family-undated-2'),
			token('a.b', 'own-new', {familyId: '', clientId, lastModificationTime: 30}),
		],
	}), clientId);
	t.deepEqual(candidate?.refreshTokens.map(({secret}) => secret), ['family-new', 'family-undated-1', 'family-undated-2', 'own-new', 'own-old']);
});

test('a client that is known to be outside the family tries its own tokens first', t => {
	const refreshTokens = [token('a.b', 'family'), token('a.b', 'own', {familyId: '', clientId})];
	const order = (familyId?: string) => findCandidates(slice({
		accounts: [account('a.b')],
		refreshTokens,
		appMetadata: [{environment, clientId, ...(familyId && {familyId})}],
	}), clientId)[0]?.refreshTokens.map(({secret}) => secret);
	t.deepEqual(order(), ['own', 'family']);
	t.deepEqual(order('1'), ['family', 'own']);
});

test('one candidate per home account ID: the last record, but one with a user name takes precedence', t => {
	const refreshTokens = [token('a.b', 'r')];
	const name = (...names: Array<string | undefined>) => findCandidates(slice({
		accounts: names.map(username => account('a.b', username)),
		refreshTokens,
	}), clientId).map(candidate => candidate.account.username);
	t.deepEqual(name('first', 'second'), ['second']);
	t.deepEqual(name('named', ''), ['named']);
	t.deepEqual(name('', 'named', undefined), ['named']);
	t.deepEqual(name(undefined, ''), ['']);
});

test('selection', t => {
	const select = (criteria: Partial<AccountCriteria>) => {
		const selection = selectAccount(two, {...any, ...criteria});
		return selection.kind === 'one' ? selection.candidate.account.homeAccountId : selection.kind;
	};

	t.is(selectAccount([], {...any, username: 'x'}).kind, 'empty');
	t.is(select({}), 'several');
	t.is(select({username: 'ANN@Contoso.com'}), 'a.home1');
	t.is(select({username: 'ann'}), 'no-match');
	t.is(select({tenantId: 'HOME2'}), 'b.home2');
	t.is(select({tenantId: 'elsewhere'}), 'no-match');
	t.is(select({username: 'ann@contoso.com', tenantId: 'home2'}), 'no-match');
	t.is(select({homeAccountId: 'B.HOME2', username: 'ann@contoso.com', tenantId: 'elsewhere'}), 'b.home2');
	t.is(select({homeAccountId: 'c.home3'}), 'no-match');
});

test('a guest tenant narrows the accounts only if several remain', t => {
	const guest = {...any, tenantOnlyDisambiguates: true};
	const kind = (criteria: AccountCriteria) => selectAccount(two, criteria).kind;
	t.is(kind({...guest, tenantId: 'elsewhere', username: 'ann@contoso.com'}), 'one');
	t.is(kind({...guest, tenantId: 'home1'}), 'one');
	t.is(kind({...guest, tenantId: 'elsewhere'}), 'no-match');
});

test('an ID without exactly two parts matches no tenant', t => {
	for (const homeAccountId of ['home1', 'a.b.home1', '.', '']) {
		const candidates = [{account: account(homeAccountId), usernames: [], refreshTokens: [token(homeAccountId, 'r')]}];
		t.is(selectAccount(candidates, {...any, tenantId: 'home1'}).kind, 'no-match');
		t.is(selectAccount(candidates, any).kind, 'one');
	}
});

test('error texts have Azure Identity\'s wording, the remedy, and the accounts found, on one line', t => {
	const explain = (criteria: Partial<AccountCriteria>, showUserNames = false) => {
		const all = {...any, ...criteria};
		const selection = selectAccount(two, all);
		return selection.kind === 'one' ? '' : explainSelection(selection, {criteria: all, showUserNames});
	};

	const prefix = 'SharedTokenCacheCredential authentication unavailable. ';
	t.true(explainSelection({kind: 'empty'}, {criteria: any, showUserNames: false}).startsWith(`${prefix}No accounts were found in the cache.`));
	t.is(explain({}), `${prefix}Multiple accounts were found in the cache. Use username and tenant id to disambiguate. Set username (or AZURE_USERNAME) to one that listAccounts() returns. Found: a***@contoso.com (home tenant home1), b***@contoso.com (home tenant home2).`);
	t.true(explain({}, true).includes('ann@contoso.com'));
	t.false(explain({}).includes('ann@'));
	t.true(explain({username: 'eve', tenantId: 'x'}).startsWith(`${prefix}No account matching the specified username: eve tenantId: x was found in the cache.`));
	t.true(explain({tenantId: 'x'}).startsWith(`${prefix}No account matching the specified tenantId: x was found in the cache.`));
	t.true(explain({homeAccountId: 'x'}).startsWith(`${prefix}The cache contains no account matching the given AuthenticationRecord.`));
	const criteria = {...any, username: 'ann@contoso.com'};
	const both = selectAccount([...two, ...two], criteria);
	t.is(both.kind, 'several');
	t.true(both.kind === 'several' && explainSelection(both, {criteria, showUserNames: false})
		.startsWith(`${prefix}Multiple accounts matching the specified username: ann@contoso.com were found in the cache.`));
	for (const text of [explain({}), explain({username: 'eve'}), explain({homeAccountId: 'x'})]) {
		t.notRegex(text, /\n/);
		t.regex(text, /username|authenticationRecord/);
	}
});

test('an error text names the accounts that it has room for, and the option that tells them apart', t => {
	const several = (accounts: AccountEntry[]) => explainSelection({kind: 'several', candidates: accounts.map(each => ({account: each, usernames: [each.username ?? ''], refreshTokens: [token('a', 'r')]}))}, {criteria: any, showUserNames: true});
	t.regex(several(Array.from({length: 30}, (_, index) => account(`u${index}.t`, `u${index}@x`))), /Set username \(or AZURE_USERNAME\) to one that listAccounts\(\) returns\. Found: u0@x \(home tenant t\), .*, and 2\d more\.$/);
	t.regex(several([account('u.t1', 'u@x'), account('u.t2', 'U@x')]), /Set tenantId \(or AZURE_TENANT_ID\) to the home tenant of one\./);
	t.regex(several([account('u1.t', 'u@x'), account('u2.t', 'u@x')]), /Set username and tenantId, or authenticationRecord/);
});

test('C2: an account matches by the name of any of its records, and the record of its home tenant is the one that is used', t => {
	const home = {...account('a.home1', 'ann@contoso.com'), realm: 'HOME1'};
	const guest = {...account('A.home1', 'ann_contoso.com#EXT#@fabrikam.com'), realm: 'guest'};
	const unnamed = {...account('a.home1', ''), realm: 'home1'};
	for (const accounts of [[home, guest], [guest, home], [home, guest, unnamed], [unnamed, guest, home]]) {
		const candidates = findCandidates(slice({accounts, refreshTokens: [token('a.home1', 'ra')]}), clientId);
		t.is(candidates.length, 1);
		t.is(candidates[0]?.account, home);
		for (const username of ['Ann@contoso.com', 'ann_contoso.com#ext#@fabrikam.com']) {
			t.is(selectAccount(candidates, {...any, username}).kind, 'one', username);
		}

		t.is(selectAccount(candidates, {...any, username: ''}).kind, 'one');
		t.is(selectAccount(candidates, {...any, username: 'eve@contoso.com'}).kind, 'no-match');
	}

	t.is(findCandidates(slice({accounts: [unnamed, guest], refreshTokens: [token('a.home1', 'ra')]}), clientId)[0]?.account, guest);
});

test('C6: the account of an authentication record needs no record in the cache, only a refresh token', t => {
	const named = {homeAccountId: 'C.home3', username: 'cat@contoso.com'};
	const parts = {accounts: [account('a.home1', 'ann@contoso.com')], refreshTokens: [token('a.home1', 'ra'), token('c.HOME3', 'rc')]};
	const selection = selectAccount(findCandidates(slice(parts), clientId, named), {...any, homeAccountId: named.homeAccountId});
	t.like(selection, {kind: 'one', candidate: {account: {homeAccountId: 'c.HOME3', environment, username: 'cat@contoso.com'}, isWithoutRecord: true}});
	t.is(findCandidates(slice(parts), clientId, {...named, homeAccountId: 'd.home4'}).length, 1);
	t.is(findCandidates(slice({...parts, refreshTokens: [token('c.HOME3', 'rc', {familyId: ''})]}), clientId, named).length, 0);
	t.false('isWithoutRecord' in findCandidates(slice(parts), clientId, {homeAccountId: 'A.home1', username: ''})[0]!);
});

test('G13: names and IDs are compared ignoring the case of A to Z alone', t => {
	const candidates = findCandidates(slice({accounts: [account('a.home1', 'kim@contoso.com')], refreshTokens: [token('a.home1', 'ra')]}), clientId);
	t.is(selectAccount(candidates, {...any, username: '\u212Aim@contoso.com'}).kind, 'no-match');
	t.is(selectAccount(candidates, {...any, username: 'KIM@contoso.com'}).kind, 'one');
	t.is(findCandidates(slice({accounts: [account('k.home1')], refreshTokens: [token('\u212A.home1', 'ra')]}), clientId).length, 0);
});

test('masking', t => {
	t.is(maskUserName('someone@contoso.com'), 's***@contoso.com');
	t.is(maskUserName('someone'), 's***');
	t.is(maskUserName(''), '***');
	t.is(maskUserName('@x'), '@***');
});
