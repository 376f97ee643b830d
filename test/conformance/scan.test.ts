/** The rules for reading a cache, as test vectors: every backend gives the result that stands beside the input. */

import test, {type ExecutionContext} from 'ava';
import {
	type CacheQuery, type CacheSlice, maxListedAccounts, maxRecords,
} from '../../dist/backend/backend.js';
import {backends, scan} from '../helpers/caches/backends.js';
import {askOracle, differenceOf} from '../helpers/caches/oracle.js';

const environment = 'login.microsoftonline.com';
const query: CacheQuery = {
	environments: [environment, 'login.windows.net'], clientId: 'client-1', nowSec: 1000, homeAccountId: 'uid.home', refreshTokenSecrets: true,
};
/** The same without an account. */
const {homeAccountId: _homeAccountId, ...anyAccount} = query;
type Fields = Record<string, unknown>;

const account = (rest: Fields = {}): Fields => ({
	home_account_id: 'uid.home', environment, username: 'ann@contoso.com', ...rest,
});
const refreshToken = (rest: Fields = {}): Fields => ({
	home_account_id: 'uid.home', environment, secret: 'FAKE-rt', client_id: 'client-1', ...rest,
});
const accessToken = (rest: Fields = {}): Fields => ({
	home_account_id: 'uid.home', environment, client_id: 'client-1', secret: 'FAKE-at', target: 'a b', expires_on: '2000', ...rest,
});

type Sections = {accounts?: Fields[]; refreshTokens?: Fields[]; accessTokens?: Fields[]; appMetadata?: Fields[]};

function textOf({accounts = [account()], refreshTokens = [], accessTokens = [], appMetadata = []}: Sections): string {
	const keyed = (records: Fields[]) => Object.fromEntries(records.map((record, index) => [`k${index}`, record]));
	return JSON.stringify({
		AccessToken: keyed(accessTokens), Account: keyed(accounts), RefreshToken: keyed(refreshTokens), AppMetadata: keyed(appMetadata),
	});
}

function permutations<Item>(items: readonly Item[]): Item[][] {
	return items.length === 0 ? [[]] : items.flatMap((item, index) => permutations(items.toSpliced(index, 1)).map(rest => [item, ...rest]));
}

for (const backend of backends) {
	const slice = (text: string | Uint8Array, rest: Partial<CacheQuery> = {}): CacheSlice => backend.scan(Buffer.from(text), {...query, ...rest});
	const of = (sections: Sections, rest?: Partial<CacheQuery>) => slice(textOf(sections), rest);
	/** Also compared with the oracle, so that it cannot differ from the vectors. */
	const code = (text: string | Uint8Array): string | undefined => {
		const answer = scan(backend, Buffer.from(text), query);
		const expected = askOracle(Buffer.from(text), query);
		return 'code' in answer ? ('code' in expected && expected.code === answer.code ? answer.code : `${answer.code}, but the oracle gives another code`) : undefined;
	};

	const agrees = (t: ExecutionContext, text: string, rest: Partial<CacheQuery> = {}) => {
		const bytes = Buffer.from(text);
		t.is(differenceOf(scan(backend, bytes, {...query, ...rest}), askOracle(bytes, {...query, ...rest})), undefined, text.slice(0, 300));
	};

	test(`${backend.kind}: returns all fields of all entries`, t => {
		const result = of({
			accounts: [account({
				realm: 'r', local_account_id: 'l', authority_type: 'MSSTS', other: {nested: [1]},
			})],
			refreshTokens: [refreshToken({family_id: '1', target: 't', last_modification_time: '7'})],
			accessTokens: [accessToken({
				realm: 'r', cached_at: '5', refresh_on: '1500', token_type: 'BEARER', extended_expires_on: '9',
			})],
			appMetadata: [{client_id: 'CLIENT-1', environment, family_id: '1'}],
		});
		t.deepEqual(result, {
			stamp: '',
			modifiedMs: 0,
			sizeBytes: result.sizeBytes,
			accounts: [{
				homeAccountId: 'uid.home', environment, realm: 'r', localAccountId: 'l', username: 'ann@contoso.com', authorityType: 'MSSTS',
			}],
			refreshTokens: [{
				homeAccountId: 'uid.home', environment, clientId: 'client-1', familyId: '1', target: 't', lastModificationTime: 7, secret: 'FAKE-rt',
			}],
			chosenAccount: 'uid.home',
			accountsLeftOut: 0,
			accessTokens: [{
				homeAccountId: 'uid.home', environment, clientId: 'client-1', realm: 'r', target: 'a b', secret: 'FAKE-at', cachedAt: 5, expiresOn: 2000, refreshOn: 1500,
			}],
			appMetadata: [{environment, clientId: 'CLIENT-1', familyId: '1'}],
		});
	});

	test(`${backend.kind}: B3: the scopes that were asked for are read, if the record has them`, t => {
		const requestedScopes = (value: unknown) => of({accessTokens: [accessToken({requested_scopes: value})]}).accessTokens.map(token => token.requestedScopes);
		t.deepEqual(requestedScopes('https://graph.microsoft.com/User.Read openid'), ['https://graph.microsoft.com/User.Read openid']);
		t.deepEqual(requestedScopes('ü \u{1F600}'), ['ü \u{1F600}']);
		for (const value of [undefined, null, '', 5, ['a'], {}]) {
			const [token] = of({accessTokens: [accessToken({requested_scopes: value})]}).accessTokens;
			t.true(token && !('requestedScopes' in token), JSON.stringify(value));
		}

		const doubled = slice(String.raw`{"Account":{"a":${JSON.stringify(account())}},"AccessToken":{"k":${JSON.stringify(accessToken({requested_scopes: 'a'})).slice(0, -1)},"requested\u005fscopes":"b"}}}`);
		t.is(doubled.accessTokens[0]?.requestedScopes, 'b', 'the last of two fields counts, however it is spelt');
	});

	test(`${backend.kind}: leaves out missing optional fields`, t => {
		const {accounts, refreshTokens, accessTokens} = of({
			accounts: [{
				home_account_id: 'uid.home', environment, realm: 5, username: null, local_account_id: ['x'],
			}],
			refreshTokens: [{
				home_account_id: 'uid.home', environment, secret: 'FAKE', client_id: {}, family_id: '', target: 1, last_modification_time: 'x',
			}],
			accessTokens: [accessToken({realm: null, cached_at: '', refresh_on: -1})],
		});
		t.deepEqual(accounts, [{homeAccountId: 'uid.home', environment}]);
		t.deepEqual(refreshTokens, [{homeAccountId: 'uid.home', environment, secret: 'FAKE'}]);
		t.deepEqual(accessTokens, [{
			homeAccountId: 'uid.home', environment, clientId: 'client-1', target: 'a b', secret: 'FAKE-at', expiresOn: 2000,
		}]);
	});

	test(`${backend.kind}: skips only the records without a required field`, t => {
		for (const broken of [undefined, '', 5, null, {}, []]) {
			const result = of({
				accounts: [account({home_account_id: broken}), account({environment: broken}), account()],
				refreshTokens: [refreshToken({home_account_id: broken}), refreshToken({environment: broken}), refreshToken({secret: broken}), refreshToken()],
				accessTokens: [
					accessToken({home_account_id: broken}),
					accessToken({environment: broken}),
					accessToken({secret: broken}),
					accessToken({client_id: broken}),
					accessToken({expires_on: broken}),
					accessToken(),
				],
				appMetadata: [{client_id: broken, environment}, {client_id: 'client-1', environment: broken}, {client_id: 'client-1', environment}],
			});
			t.deepEqual([result.accounts.length, result.refreshTokens.length, result.accessTokens.length, result.appMetadata.length], [1, 1, 1, 1], JSON.stringify(broken));
		}

		t.is(of({accessTokens: [accessToken({target: ''}), accessToken({target: 5})]}).accessTokens.length, 1);
	});

	test(`${backend.kind}: sections and records that are not objects count as missing`, t => {
		for (const odd of ['null', '5', '"x"', '[]', '[{"home_account_id":"a.b","environment":"login.microsoftonline.com"}]', 'true']) {
			t.deepEqual(slice(`{"Account":${odd},"AccessToken":${odd}}`).accounts, [], odd);
			t.deepEqual(slice(`{"Account":{"k":${odd}}}`).accounts, [], odd);
		}
	});

	test(`${backend.kind}: compares environments and client IDs ignoring ASCII case only`, t => {
		t.is(of({accounts: [account({environment: 'LOGIN.Windows.NET'}), account({environment: 'login.microsoftonline.us'}), account({environment: 'login.microsoftonline.com.'})]}).accounts.length, 1);
		t.is(of({accessTokens: [accessToken({client_id: 'CLIENT-1'}), accessToken({client_id: 'client-2'})]}).accessTokens.length, 1);
		// The Kelvin sign lower-cases to k, the long s upper-cases to S.
		t.is(of({accounts: [account({environment: '\u212A'}), account({environment: '\u017F'})]}, {environments: ['k', 's', 'K', 'S']}).accounts.length, 0);
	});

	test(`${backend.kind}: accepts times and family IDs as text and as numbers`, t => {
		const timeOf = (text: string) => slice(`{"Account":{"a":${JSON.stringify(account())}},"RefreshToken":{"r":{"home_account_id":"uid.home","environment":"${environment}","secret":"FAKE","last_modification_time":${text}}}}`).refreshTokens[0]?.lastModificationTime;
		const good: Array<[string, number]> = [['"0"', 0], ['"1700000000"', 1_700_000_000], ['"999999999999999"', 999_999_999_999_999], ['1700000000', 1_700_000_000], ['1e3', 1000], ['1000.0', 1000], ['1E+3', 1000], ['0', 0], ['-0', 0], ['1e15', 1e15], ['"007"', 7], [String.raw`"\u0031"`, 1], ['1e-400', 0]];
		for (const [text, expected] of good) {
			t.is(timeOf(text), expected, text);
		}

		for (const text of ['""', '" 1"', '"1 "', '"+1"', '"-1"', '"1.0"', '"1e3"', '"1234567890123456"', '"x"', '-1', '1.5', '1e16', '1e400', 'null', 'true', '{}', '[1]', '"\u0661"']) {
			t.is(timeOf(text), undefined, text);
		}

		const familyOf = (family: unknown) => of({refreshTokens: [refreshToken({family_id: family})]}).refreshTokens[0]?.familyId;
		t.deepEqual([familyOf('1'), familyOf(7), familyOf('x'), familyOf(''), familyOf(null), familyOf(1.5), familyOf({})], ['1', '7', 'x', undefined, undefined, undefined, undefined]);
	});

	test(`${backend.kind}: leaves out access tokens that have expired, have another type, or are bound to a key or user`, t => {
		const kept = (rest: Fields) => of({accessTokens: [accessToken(rest)]}).accessTokens.length === 1;
		t.true(kept({expires_on: '1001'}));
		t.false(kept({expires_on: '1000'}));
		t.true(kept({token_type: 'bearer'}) && kept({token_type: null}) && kept({token_type: 5}));
		t.false(kept({token_type: 'pop'}) || kept({token_type: ''}));
	});

	test(`${backend.kind}: G6: leaves out access tokens that are bound, in every spelling`, t => {
		const kept = (rest: Fields) => of({accessTokens: [accessToken(rest)]}).accessTokens.length === 1;
		for (const bond of ['userAssertionHash', 'user_assertion_hash', 'key_id', 'kid', 'keyid', 'ext_cache_key', 'ext', 'requestedClaims', 'requestedClaimsHash']) {
			for (const value of ['x', 5, 0, true, {}, {a: 1}, ['x']]) {
				t.false(kept({[bond]: value}), `${bond} ${JSON.stringify(value)}`);
			}

			for (const value of ['', null, false, undefined]) {
				t.true(kept({[bond]: value}), `${bond} ${JSON.stringify(value)}`);
			}
		}

		t.false(kept({credential_type: 'AccessToken_With_AuthScheme'}) || kept({credential_type: 'RefreshToken'}));
		t.true(kept({credential_type: 'AccessToken'}) && kept({credential_type: 'accesstoken'}) && kept({credential_type: ''}) && kept({credential_type: null}));
	});

	test(`${backend.kind}: C3: leaves out access tokens that expire in more than ten years: their writer counted in milliseconds`, t => {
		const tenYears = 1000 + (10 * 365 * 24 * 3600);
		const tokens = (...expiries: unknown[]) => of({accessTokens: expiries.map(expiry => accessToken({expires_on: expiry}))}).accessTokens.map(({expiresOn}) => expiresOn);
		t.deepEqual(tokens('2000', '1700000000000', tenYears + 1, String(tenYears), 1e15, tenYears), [2000, tenYears, tenYears]);
	});

	test(`${backend.kind}: E3: returns secrets for the chosen account only, and those of refresh tokens when they are wanted`, t => {
		const ids = ['a.home1', 'b.home2', 'c.home2'];
		const sections: Sections = {
			accounts: [
				...ids.map((id, index) => account({home_account_id: id, username: `USER${index}@contoso.com`})),
				account({home_account_id: 'A.home1', username: 'guest@fabrikam.com'}),
				account({home_account_id: 'd.home3', username: 'no-token@contoso.com'}),
				account({home_account_id: 'e.home3', username: 'other-client@contoso.com'}),
			],
			refreshTokens: [
				...ids.map((id, index) => refreshToken({home_account_id: id, secret: `FAKE-rt-${id}`, ...(index > 0 && {client_id: 'other', family_id: '1'})})),
				refreshToken({home_account_id: 'e.home3', client_id: 'other'}),
			],
			accessTokens: [...ids, 'd.home3', 'e.home3'].map(id => accessToken({home_account_id: id})),
		};
		const whose = (rest: Partial<CacheQuery>) => {
			for (const refreshTokenSecrets of [true, false]) {
				const request = {...anyAccount, ...rest, refreshTokenSecrets};
				const result = backend.scan(Buffer.from(textOf(sections)), request);
				const secrets = result.refreshTokens.filter(({secret}) => secret !== undefined).map(({homeAccountId}) => homeAccountId.toLowerCase());
				const chosen = result.chosenAccount?.toLowerCase();
				t.is(result.accounts.length, 6);
				t.is(result.refreshTokens.length, 4);
				t.deepEqual(result.accessTokens.map(({homeAccountId}) => homeAccountId), chosen === undefined || chosen === 'x' || rest.clientId !== undefined ? [] : [chosen]);
				t.deepEqual(secrets, refreshTokenSecrets && chosen !== undefined && !['x', 'd.home3'].includes(chosen) ? [chosen] : []);
				t.is(differenceOf(scan(backend, Buffer.from(textOf(sections)), request), askOracle(Buffer.from(textOf(sections)), request)), undefined);
			}

			return backend.scan(Buffer.from(textOf(sections)), {...anyAccount, ...rest}).chosenAccount;
		};

		t.is(whose({}), undefined, 'three accounts can still be chosen');
		t.is(whose({homeAccountId: 'B.HOME2'}), 'B.HOME2');
		t.is(whose({homeAccountId: 'd.home3'}), 'd.home3');
		t.is(whose({homeAccountId: 'x'}), 'x');
		t.is(whose({username: 'user0@CONTOSO.com'}), 'a.home1');
		t.is(whose({username: 'GUEST@fabrikam.com'}), 'a.home1', 'C2: the name of any record');
		t.is(whose({username: 'guest@fabrikam.com', homeTenantId: 'home1'}), 'a.home1');
		t.is(whose({username: 'guest@fabrikam.com', homeTenantId: 'home2'}), undefined);
		t.is(whose({homeTenantId: 'HOME2'}), undefined);
		t.is(whose({homeTenantId: 'home2', username: 'user2@contoso.com'}), 'c.home2');
		t.is(whose({homeTenantId: 'home1'}), 'a.home1');
		t.is(whose({homeTenantId: 'home3'}), undefined, 'neither has a refresh token that this client may redeem');
		t.is(whose({homeTenantId: 'home3', clientId: 'other'}), 'e.home3');
		for (const username of ['nobody', 'usér', 'no-token@contoso.com', '']) {
			t.is(whose({username}), undefined, username);
		}
	});

	test(`${backend.kind}: compares home account IDs of accounts and tokens ignoring ASCII case only`, t => {
		const secretsOf = (accountId: string, tokenId: string, rest: Partial<CacheQuery>) => {
			const text = textOf({
				accounts: [account({home_account_id: accountId})],
				refreshTokens: [refreshToken({home_account_id: accountId}), refreshToken({home_account_id: tokenId, secret: 'FAKE-rt2'})],
				accessTokens: [accessToken({home_account_id: tokenId})],
			});
			agrees(t, text, {...anyAccount, homeAccountId: undefined as unknown as string, ...rest});
			const {refreshTokens, accessTokens} = backend.scan(Buffer.from(text), {...anyAccount, ...rest});
			t.is(refreshTokens.length, 2);
			return [refreshTokens[1]?.secret, accessTokens[0]?.secret];
		};

		const both = ['FAKE-rt2', 'FAKE-at'];
		const long = 'Long-'.repeat(100);
		for (const rest of [{}, {homeTenantId: 'HOME'}, {username: 'ANN@contoso.com'}]) {
			t.deepEqual(secretsOf('UID.Home', 'uid.HOME', rest), both);
			t.deepEqual(secretsOf('änn.Home', 'äNN.HOME', rest), both);
			t.deepEqual(secretsOf(`${long}.home`, `${long.toUpperCase()}.home`, rest), both);
			// Letters that only a directory compares ignoring case, and characters that differ in the same bit as upper
			// and lower case.
			for (const [one, other] of [['Änn.home', 'änn.home'], ['u@d.home', 'u`d.home'], ['u[d.home', 'u{d.home'], [`${long}a.home`, `${long}b.home`]] as const) {
				t.deepEqual(secretsOf(one, other, rest), [undefined, undefined], `${one} ${other}`);
			}
		}

		t.deepEqual(secretsOf('other', 'uid.home', {homeAccountId: 'UID.home'}), both);
	});

	test(`${backend.kind}: G13: a home tenant needs an ID with two parts; a user name hint needs the same name, ignoring the case of A to Z alone`, t => {
		const isChosen = (id: string, rest: Partial<CacheQuery>, name: Fields = {}) =>
			backend.scan(
				Buffer.from(textOf({accounts: [account({home_account_id: id, ...name})], refreshTokens: [refreshToken({home_account_id: id})]})),
				{...anyAccount, ...rest},
			).chosenAccount === id;
		t.false(isChosen('a.b.home', {homeTenantId: 'home'}));
		t.false(isChosen('home', {homeTenantId: 'home'}));
		t.true(isChosen('.home', {homeTenantId: 'home'}));
		t.false(isChosen('a.\u212A', {homeTenantId: 'k'}));
		t.false(isChosen('a.b', {username: 'ann@contoso.com'}, {username: undefined}));
		t.false(isChosen('a.b', {username: 'ann@contoso.com'}, {username: 'änn@contoso.com'}));
		t.true(isChosen('a.b', {username: 'äNN@CONTOSO.com'}, {username: 'änn@contoso.com'}));
		for (const [one, other] of [['\u212A', 'k'], ['\u0130', 'i\u0307'], ['\u0130', 'i'], ['\u017F', 's'], ['Ä', 'ä'], ['\u0131', 'I']] as const) {
			t.false(isChosen('a.b', {username: one}, {username: other}), one);
			t.false(isChosen('a.b', {username: other}, {username: one}), other);
		}
	});

	test(`${backend.kind}: E2: over ${maxListedAccounts} accounts, lists those first that may be chosen, and says how many are left out`, t => {
		const ids = Array.from({length: 450}, (_, index) => `u${index}.home${index % 3}`);
		const sections: Sections = {
			accounts: ids.flatMap(id => [account({home_account_id: id}), account({home_account_id: id.toUpperCase(), username: `${id}@contoso.com`})]),
			refreshTokens: [...ids.filter((_, index) => index !== 3), 'orphan.x'].map(id => refreshToken({home_account_id: id})),
		};
		const result = (rest: Partial<CacheQuery>) => {
			const slice_ = backend.scan(Buffer.from(textOf(sections)), {...anyAccount, ...rest});
			agrees(t, textOf(sections), {homeAccountId: undefined as unknown as string, ...rest});
			const listed = new Set(slice_.accounts.map(({homeAccountId}) => homeAccountId.toLowerCase()));
			t.is(slice_.accounts.length, listed.size * 2);
			t.is(slice_.accountsLeftOut, ids.length - listed.size);
			t.deepEqual(slice_.refreshTokens.filter(({homeAccountId}) => !listed.has(homeAccountId)).map(({homeAccountId}) => homeAccountId), ['orphan.x']);
			return [...listed];
		};

		const usable = ids.filter((_, index) => index !== 3);
		t.deepEqual(result({}), usable.slice(0, maxListedAccounts));
		t.deepEqual(result({allAccounts: true}), ids);
		const others = new Set(ids.filter(id => !id.endsWith('.home2')).slice(0, 50));
		t.deepEqual(result({homeTenantId: 'HOME2'}), ids.filter(id => id.endsWith('.home2') || others.has(id)));
		t.true(result({username: 'u449.home2@contoso.com'}).includes('u449.home2'));
		t.true(result({homeAccountId: 'U449.home2'}).includes('u449.home2'));
		t.is(backend.scan(Buffer.from(textOf(sections)), {...anyAccount, username: 'u449.home2@contoso.com'}).chosenAccount, 'u449.home2');
	});

	test(`${backend.kind}: E2: refuses more than ${maxRecords} records by name`, t => {
		const many = (count: number, record: (index: number) => Fields) => Array.from({length: count}, (_, index) => record(index));
		const cases: Array<[string, (count: number) => Sections]> = [
			['accounts', count => ({accounts: many(count, index => account({home_account_id: `u${index}`}))})],
			['refresh tokens', count => ({refreshTokens: many(count, () => refreshToken())})],
			['access tokens of one account', count => ({accessTokens: many(count, () => accessToken())})],
			['records of one client', count => ({appMetadata: many(count, () => ({client_id: 'client-1', environment}))})],
		];
		for (const [what, sections] of cases) {
			t.notThrows(() => of(sections(maxRecords)), what);
			const error = t.throws<Error & {code: string}>(() => of(sections(maxRecords + 1)), {name: 'StoreError'}, what);
			t.is(error.code, 'STC_CACHE_CORRUPT');
			t.is(error.message, `The cache is too full: more than ${maxRecords} ${what}, which no token cache has. Move it away and sign in again.`);
		}

		t.notThrows(() => of({accounts: [account()], refreshTokens: many(maxRecords + 1, () => refreshToken({environment: 'elsewhere'})), accessTokens: many(maxRecords + 1, () => accessToken({home_account_id: 'other'}))}), 'of others');
		const doubled = `{"Account":{${Array.from({length: maxRecords + 1}, () => `"k":${JSON.stringify(account())}`).join(',')}}}`;
		t.is(slice(doubled).accounts.length, 1, 'one key');
	});

	test(`${backend.kind}: G13: records come in the order of the file, whatever their keys; the last of equal keys in the place of the first`, t => {
		const names = (...records: Array<[key: string, record: unknown]>) => {
			const text = (section: string) => `"${section}":{${records.map(([key, record]) => `${JSON.stringify(key)}:${JSON.stringify(record)}`).join(',')}}`;
			const {accounts, refreshTokens} = slice(`{${text('RefreshToken')},"Account":{"a":{}},${text('Account')}}`);
			t.deepEqual(refreshTokens.map(({target}) => target), accounts.map(({username}) => username));
			return accounts.map(({username}) => username);
		};

		const of_ = (name: string) => ({
			home_account_id: 'uid.home', environment, username: name, target: name, secret: 'FAKE',
		});
		t.deepEqual(names(['b', of_('b')], ['2', of_('2')], ['1', of_('1')], ['a', of_('a')], ['01', of_('01')], ['4294967295', of_('4294967295')], ['0', of_('0')]), ['b', '2', '1', 'a', '01', '4294967295', '0']);
		t.deepEqual(names(['x', of_('x')], ['y', of_('y')], ['x', of_('z')]), ['z', 'y']);
		t.deepEqual(names(['7', of_('x')], ['y', of_('y')], ['3', of_('3')], ['7', of_('z')], ['3', 5]), ['z', 'y']);
		t.deepEqual(names(['x', null], ['y', of_('y')], ['x', of_('x')]), ['x', 'y'], 'the first one need not be a record');
		t.deepEqual(names(['x', of_('w')], ['y', of_('y')], ['x', 5], ['z', of_('z')], ['x', of_('x')]), ['x', 'y', 'z']);
	});

	test(`${backend.kind}: the last of duplicate keys counts: fields, records, sections`, t => {
		const record = (rest: string) => `{"home_account_id":"uid.home","environment":"${environment}"${rest}}`;
		const names = (text: string) => slice(text).accounts.map(({username}) => username);
		t.deepEqual(names(`{"Account":{"k":${record(',"username":"one","username":"two"')}}}`), ['two']);
		t.deepEqual(names(`{"Account":{"k":${record(',"username":"one","username":5')}}}`), [undefined]);
		t.deepEqual(names(`{"Account":{"k":${record(String.raw`,"username":"one","\u0075sername":"two"`)}}}`), ['two']);
		t.deepEqual(names(`{"Account":{"k":${record(',"username":"one"')},"k":${record(',"username":"two"')}}}`), ['two']);
		t.deepEqual(names(String.raw`{"Account":{"k":${record(',"username":"one"')},"\u006b":${record(',"username":"two"')}}}`), ['two']);
		t.deepEqual(names(`{"Account":{"k":${record(',"username":"one"')},"k":null}}`), []);
		t.deepEqual(names(`{"Account":{"k":${record(',"username":"one"')},"k":{"home_account_id":"x","environment":"elsewhere"}}}`), []);
		t.deepEqual(names(`{"Account":{"k":${record('')}},"Account":{"j":${record(',"username":"two"')}}}`), ['two']);
		t.deepEqual(names(String.raw`{"Account":{"k":${record('')}},"\u0041ccount":[]}`), []);
		t.deepEqual(names(`{"Account":{"k":${record('')}},"account":[]}`), [undefined]);
	});

	test(`${backend.kind}: does not confuse different keys`, t => {
		// Keys that a weak hash could confuse: the same bytes in another encoding, lengths, trailing zeros, and bits
		// that cancel each other.
		const families = [
			['AA', '\u4141', 'A\u0000A', 'A'],
			['', '\u0000', '\u0000\u0000', '\u0000'.repeat(8), '\u0000'.repeat(16)],
			['abc\u0141efgh', `abc\u8141ef${String.fromCharCode(0x67 ^ 4)}\u8068`],
			['aaaaaaa0aaaaaaa0', 'aaaaaaapaaaacaap', 'aaaaaaapaaaaaaap'],
			['é', 'e\u0301', '\u00C3\u00A9'],
			['K', 'k', '\u212A'],
			['\uD83D\uDE00', '\uD83D', '\uDE00', '\uDE00\uD83D'],
			['k'.repeat(1024), 'k'.repeat(1025), `${'k'.repeat(1024)}l`, `l${'k'.repeat(1024)}`],
		];
		for (const keys of families) {
			const records = Object.fromEntries(keys.map((key, index) => [key, account({home_account_id: `u${index}.t`})]));
			const text = JSON.stringify({Account: records});
			t.is(slice(text).accounts.length, keys.length, text);
			agrees(t, text);
			// Repeats all keys, so that each record is replaced by its own duplicate only.
			const twice = `{"Account":{${text.slice(12, -2)},${keys.map((key, index) => `${JSON.stringify(key)}:${JSON.stringify(account({home_account_id: `v${index}.t`}))}`).join(',')}}}`;
			t.deepEqual(slice(twice).accounts.map(({homeAccountId}) => homeAccountId).toSorted(), keys.map((_, index) => `v${index}.t`));
			agrees(t, twice);
		}
	});

	test(`${backend.kind}: accepts sections in any order`, t => {
		const sections = Object.entries(JSON.parse(textOf({
			refreshTokens: [refreshToken()], accessTokens: [accessToken()], appMetadata: [{client_id: 'client-1', environment}],
		})) as Fields);
		for (const order of permutations([...sections, ['Other', {k: account()}]])) {
			const result = slice(JSON.stringify(Object.fromEntries(order as Array<[string, unknown]>)));
			t.deepEqual(
				[result.accounts.length, result.refreshTokens[0]?.secret, result.accessTokens[0]?.secret, result.appMetadata.length],
				[1, 'FAKE-rt', 'FAKE-at', 1],
			);
		}
	});

	test(`${backend.kind}: accepts fields in any order, spacing and spelling, different in each record`, t => {
		const fields = Object.entries({
			home_account_id: 'uid.home', environment, secret: 'FAKE', other: {secret: 'FAKE-other'}, client_id: 'client-1',
		});
		const spellings: Array<(name: string) => string> = [
			name => `${JSON.stringify(name)}:`,
			name => ` \t${JSON.stringify(name)}\r\n: `,
			name => String.raw`"\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}":`,
			name => `${JSON.stringify(name)} :`,
			// Another field whose name begins or ends like this one.
			name => `"${name}s":1,${JSON.stringify(name)}:`,
			name => `"":1,"${'x'.repeat(70)}":2,${JSON.stringify(name)}:`,
		];
		const records = permutations(fields).flatMap((order, index) => {
			const spell = spellings[index % spellings.length]!;
			const most = (order as Array<[string, unknown]>).slice(0, index % 7 === 0 ? 4 : 5);
			return [`"k${index}":{${most.map(([name, value]) => spell(name) + JSON.stringify(value)).join(',')}}`, `"e${index}":{}`];
		});
		const text = `{"RefreshToken":{${records.join(',')}},"Account":{"a":${JSON.stringify(account())}}}`;
		t.true(slice(text).refreshTokens.length > 100);
		agrees(t, text);
		for (let first = 0; first < records.length; first += 5) {
			agrees(t, `{"RefreshToken":{${records.slice(first, first + 3).join(',')}},"Account":{"a":${JSON.stringify(account())}}}`);
		}
	});

	test(`${backend.kind}: treats __proto__ and similar names like any other`, t => {
		const one = JSON.stringify(account());
		t.is(slice(`{"__proto__":{"Account":{"k":${one}}},"constructor":1,"Account":{"__proto__":${one},"toString":${one}}}`).accounts.length, 2);
		t.is(slice(`{"Account":{"k":{"__proto__":${one}}}}`).accounts.length, 0);
		t.is(slice(`{"Account":{"k":{"__proto__":{"username":"x"},"home_account_id":"a.b","environment":"${environment}"}}}`).accounts[0]?.username, undefined);
	});

	test(`${backend.kind}: returns strings as JSON.parse does`, t => {
		for (const text of [String.raw`"\ud83d\ude00"`, String.raw`"\ud83d"`, String.raw`"\ude00\ud83d x"`, '"😀"', '"é"', '"名前"', String.raw`"\u0000"`, String.raw`"\"\\\/\b\f\n\r\t"`, '"\u007F"', '"\u0080\u07FF\u0800\uFFFF\u{10000}\u{10FFFF}"', String.raw`"\u00e9\u00E9"`, '""', '"a\u2028b"']) {
			const document = `{"Account":{"k":{"home_account_id":"a.b","environment":"${environment}","username":${text}}}}`;
			t.is(slice(document).accounts[0]?.username, JSON.parse(text) as string, text);
		}
	});

	test(`${backend.kind}: accepts empty caches`, t => {
		for (const text of ['', ' ', '\n\t\r ', '{}', ' { } ', '{"Account":{}}', '{"other":[1,{"a":null}]}']) {
			const result = slice(text);
			t.deepEqual(result.accounts, [], JSON.stringify(text));
			t.is(result.sizeBytes, text.length);
		}
	});

	test(`${backend.kind}: names other formats and reports anything else as corrupt`, t => {
		t.is(code(Buffer.from('01000000d08c9ddf0115d1118c7a00c04fc297eb', 'hex')), 'STC_CACHE_FORMAT');
		t.is(code('eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0..aXY.Y3Q.dGFn'), 'STC_CACHE_FORMAT');
		for (const text of ['[]', 'null', '"x"', '5', 'true', '{', '{}}', '{} x', '{},', '{"a"}', '{"a":}', '{"a":1,}', '{,}', '{"a":01}', '{"a":1.}', '{"a":.5}', '{"a":1e}', '{"a":+1}', '{"a":-}', '{"a":NaN}', '{"a":Infinity}', '{\'a\':1}', '{a:1}', '{"a":"\n"}', '{"a":"\t"}', String.raw`{"a":"\x"}`, String.raw`{"a":"\u12g4"}`, String.raw`{"a":"\u123"}`, '{"a":"', '{"a":"\\', '{"a":[1,]}', '{"a":[1 2]}', '{"a":[}', '{"a":{]}', '{"a":tru}', '{"a":nulll}', '// x\n{}', '{"a":/*x*/1}', '\u000B{}', '\u00A0{}', '\uFEFF{}', '\uFEFF', '{"a":1}\u0000', '\u0000', 'garbage']) {
			t.is(code(text), 'STC_CACHE_CORRUPT', JSON.stringify(text));
		}
	});

	test(`${backend.kind}: reports invalid UTF-8 as corrupt, wherever it occurs`, t => {
		for (const hex of ['80', 'bf', 'c0af', 'c1bf', 'c2', 'c241', 'e080af', 'e08080', 'eda080', 'edbfbf', 'e282', 'f08080af', 'f0828282', 'f4908080', 'f5808080', 'ff', 'fe', 'f09f98']) {
			const bytes = Buffer.from(hex, 'hex');
			for (const [before, after] of [['{"a":"', '"}'], ['{"', '":1}'], ['{"Account":{"', '":{}}}'], ['{"Account":{"k":{"secret":"', '"}}}'], ['{"a":1}', '']] as const) {
				t.is(code(Buffer.concat([Buffer.from(before), bytes, Buffer.from(after)])), 'STC_CACHE_CORRUPT', `${before}${hex}`);
			}
		}
	});

	test(`${backend.kind}: handles nesting of 100,000 levels, closed and not closed`, t => {
		const deep = (open: string, close: string, closed: number) => `{"x":${open.repeat(100_000)}1${close.repeat(closed)},"Account":{"k":${JSON.stringify(account())}}}`;
		t.is(slice(deep('[', ']', 100_000)).accounts.length, 1);
		t.is(slice(deep('{"a":', '}', 100_000)).accounts.length, 1);
		t.is(code(deep('[', ']', 99_999)), 'STC_CACHE_CORRUPT');
		t.is(slice(`{"Account":{"k":{"nested":${'[{"a":'.repeat(50_000)}1${'}]'.repeat(50_000)},${JSON.stringify(account()).slice(1)}}}`).accounts.length, 1);
	});

	test(`${backend.kind}: handles a string of 40 MB and a secret of 3 MB`, t => {
		t.is(slice(`{"x":"${'y'.repeat(40_000_000)}","Account":{"k":${JSON.stringify(account())}}}`).accounts.length, 1);
		const secret = 'z'.repeat(3_000_000);
		t.is(of({refreshTokens: [refreshToken({secret})]}).refreshTokens[0]?.secret, secret);
	});

	test(`${backend.kind}: handles 200,000 tiny records`, t => {
		const tiny = Array.from({length: 200_000}, (_, index) => `"${index}":{}`).join(',');
		agrees(t, `{"Account":{${tiny}},"RefreshToken":{${tiny}},"Other":{${tiny}}}`);
	});

	test(`${backend.kind}: reads the caller's bytes at any offset without changing them`, t => {
		const text = textOf({refreshTokens: [refreshToken()]});
		const room = Buffer.from(`}}{{${text}{}"`);
		const before = Buffer.from(room);
		t.is(backend.scan(room.subarray(4, -3), query).refreshTokens[0]?.secret, 'FAKE-rt');
		t.is(backend.scan(new Uint8Array(room.buffer, room.byteOffset + 4, room.length - 7), query).sizeBytes, text.length);
		t.throws(() => backend.scan(room, query), {name: 'StoreError'});
		t.true(room.equals(before));
	});

	test(`${backend.kind}: refuses arguments of the wrong type`, t => {
		t.throws(() => backend.scan('text' as unknown as Uint8Array, query));
	});
}
