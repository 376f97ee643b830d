/** Random caches as the MSAL libraries write them, and random requests. */

import {
	type CacheContent, type CacheRecord, chinaHosts, governmentHosts, inSeconds, openIdScopes, otherClient, ourClient, publicHosts, scopes, type SectionName, smallerCaches, tenants, userNames,
} from '../caches.js';
import type {Random} from '../random.js';

/** What an application stores about an account: MSAL's AccountInfo and the fields of an authentication record. */
export type KnownAccount = {homeAccountId: string; environment: string; tenantId: string; username: string; localAccountId: string};

export type Call = {scopes: string[]; enableCae?: boolean};

export type Case = {
	/** Whether both must do the same, without a rule. */
	isPlain: boolean;
	/** All records are well formed. */
	cache: CacheContent;
	/** The cache for calls with `enableCae`. */
	caeCache: CacheContent;
	authorityHost: string;
	account: KnownAccount;
	/** Made by one application, one after the other. Several in plain cases alone. */
	calls: Call[];
	/** Whether each grant has a new refresh token. */
	isRotating: boolean;
	/** By home account ID, what the authority's id tokens say. */
	names: Record<string, string>;
};

/** A record with this field has a key that MSAL for Node does not create. */
const foreignMark = 'FAKE_foreign_key';

export function makeCase(random: Random): Case {
	const {chance, pick, shuffle} = random;
	const hosts = random.weighted<readonly string[]>([[publicHosts, 10], [governmentHosts, 1], [chinaHosts, 1]]);
	const cache: CacheContent = {
		Account: [], RefreshToken: [], AccessToken: [], AppMetadata: [],
	};
	let serial = 0;
	const accounts: KnownAccount[] = [];
	for (let index = random.weighted([[1, 5], [2, 3], [4, 1]]); index > 0; index--) {
		const tenant = pick(tenants);
		const homeAccountId = `uid-${index}.${tenant}`;
		const environment = () => chance(0.8) ? hosts[0]! : (chance(0.9) ? pick(hosts) : hosts[0]!.toUpperCase());
		const mark = () => ({...(chance(0.08) && {[foreignMark]: serial++})});
		const account = {
			homeAccountId, environment: pick(hosts), tenantId: chance(0.8) ? tenant : pick(tenants), username: pick(userNames), localAccountId: `uid-${index}`,
		};
		accounts.push(account);
		if (!chance(0.05)) {
			cache.Account.push({
				home_account_id: homeAccountId, environment: environment(), realm: account.tenantId, local_account_id: account.localAccountId, username: account.username, authority_type: 'MSSTS', ...mark(),
			});
		}

		for (let count = random.weighted([[0, 1], [1, 6], [2, 4], [3, 2]]); count > 0; count--) {
			cache.RefreshToken.push({
				credential_type: 'RefreshToken',
				secret: `FAKE-refresh-${serial++}`,
				home_account_id: homeAccountId,
				environment: environment(),
				client_id: chance(0.7) ? ourClient : otherClient,
				...(chance(0.6) && {family_id: '1'}),
				...(chance(0.5) && {last_modification_time: inSeconds(-random.integer(1, 9) * 1000)}),
				...mark(),
			});
		}

		for (let count = random.weighted([[0, 3], [1, 5], [2, 4], [4, 2]]); count > 0; count--) {
			cache.AccessToken.push({
				credential_type: 'AccessToken',
				secret: `FAKE-access-${serial++}`,
				home_account_id: homeAccountId,
				environment: environment(),
				client_id: chance(0.9) ? ourClient : otherClient,
				realm: chance(0.75) ? account.tenantId : pick([...tenants, 'organizations']),
				target: shuffle([...scopes, 'openid', 'profile']).slice(0, random.integer(1, 4)).join(' '),
				token_type: 'Bearer',
				cached_at: inSeconds(chance(0.94) ? -600 : pick([400, 5000])),
				expires_on: inSeconds(pick([-500, 200, 3600, 3600, 3600, 50_000])),
				extended_expires_on: inSeconds(60_000),
				...(chance(0.04) && {[pick(['requestedClaimsHash', 'userAssertionHash'])]: 'hash'}),
				...(chance(0.02) && {credential_type: 'AccessToken_With_AuthScheme', token_type: 'pop', key_id: 'key'}),
				...mark(),
			});
		}
	}

	if (chance(0.7)) {
		cache.AppMetadata.push({client_id: ourClient, environment: hosts[0]!, ...(chance(0.75) && {family_id: '1'})});
	}

	for (const section of Object.values(cache)) {
		shuffle(section);
	}

	const makeCall = (): Call => ({
		scopes: random.weighted<string[]>([[[pick(scopes)], 10], [shuffle([...scopes]).slice(0, 2), 2], [[pick(scopes).toUpperCase()], 1], [[pick(scopes), 'openid'], 1]]),
	});
	return {
		isPlain: false,
		cache,
		caeCache: forCae(cache),
		authorityHost: chance(0.8) ? hosts[0]! : pick(hosts),
		account: pick(accounts),
		calls: [makeCall()],
		isRotating: chance(0.5),
		names: Object.fromEntries(accounts.map(({homeAccountId, username}) => [homeAccountId, username])),
	};
}

/** The same records with other secrets. */
function forCae(cache: CacheContent): CacheContent {
	return Object.fromEntries(Object.entries(cache).map(([name, records]) => [
		name, records.map(record => typeof record !== 'string' && typeof record['secret'] === 'string' ? {...record, secret: `${record['secret']}-cae`} : record),
	])) as CacheContent;
}

/**
 * A cache as MSAL for Node writes it: each user signed in once, and has tokens for some resources. MSAL for Node and our credential must do the
 * same with it, and leave the same.
 */
export function makePlainCase(random: Random): Case {
	const {chance, pick, shuffle} = random;
	const [host] = random.weighted<readonly [string, ...string[]]>([[publicHosts, 10], [governmentHosts, 1], [chinaHosts, 1]]);
	// Source: MSAL for JS, `AuthorityMetadata.ts`, preferred_cache of the public cloud.
	const environment = host === publicHosts[0] ? 'login.windows.net' : host;
	const accounts = shuffle([...plainNames]).slice(0, random.weighted([[1, 5], [2, 3], [3, 1]])).map((username, index): KnownAccount => {
		const tenantId = pick(tenants);
		const localAccountId = `${index}0000000-0000-4000-8000-00000000000${index}`;
		return {
			homeAccountId: `${localAccountId}.${tenantId}`, environment, tenantId, username, localAccountId,
		};
	});
	const cache: CacheContent = {
		Account: [], RefreshToken: [], AccessToken: [], AppMetadata: [{client_id: ourClient, environment, family_id: '1'}],
	};
	for (const {homeAccountId, tenantId, username, localAccountId} of accounts) {
		const identity = {home_account_id: homeAccountId, environment};
		cache.Account.push({
			...identity, realm: tenantId, local_account_id: localAccountId, username, authority_type: 'MSSTS',
		});
		cache.RefreshToken.push({
			...identity, credential_type: 'RefreshToken', client_id: ourClient, secret: `FAKE-refresh-${localAccountId}`, family_id: '1',
		});
		for (const [index, scope] of scopes.entries()) {
			if (chance(0.8)) {
				cache.AccessToken.push({
					...identity,
					credential_type: 'AccessToken',
					client_id: ourClient,
					secret: `FAKE-access-${localAccountId}-${index}`,
					realm: tenantId,
					target: [scope, ...openIdScopes].toSorted().join(' '),
					cached_at: inSeconds(-600),
					// No token has expired: both delete expired tokens, but not the same.
					expires_on: inSeconds(chance(0.4) ? 3600 : 200),
					extended_expires_on: inSeconds(60_000),
					token_type: 'Bearer',
				});
			}
		}
	}

	return {
		isPlain: true,
		cache,
		caeCache: forCae(cache),
		authorityHost: host,
		account: pick(accounts),
		calls: Array.from({length: random.weighted([[1, 4], [2, 3], [3, 2]])}, (): Call => ({scopes: [pick(scopes)], ...(chance(0.3) && {enableCae: true})})),
		isRotating: chance(0.6),
		names: Object.fromEntries(accounts.map(({homeAccountId, username}) => [homeAccountId, username])),
	};
}

const plainNames = ['ann@contoso.com', 'bob@fabrikam.example', 'jörg@contoso.com', 'eve@contoso.com'] as const;

/**
 * The key that MSAL for Node builds, in lower case: home account ID, environment, type, client or family, realm,
 * scopes.
 */
export function keyOf(section: SectionName, record: CacheRecord | string, index: number): string {
	const {
		[foreignMark]: mark, home_account_id: home, environment, client_id: client, family_id: family, realm = '', target = '', credential_type: type, token_type: scheme,
	} = record as Record<string, string | undefined>;
	if (mark !== undefined) {
		return `foreign-${section.toLowerCase()}-${mark}`;
	}

	const parts: Record<SectionName, Array<string | undefined>> = {
		Account: [home, environment, realm],
		RefreshToken: [home, environment, type, family ?? client, realm, target, ''],
		AccessToken: [home, environment, type, client, realm, target, '', ...(scheme === 'Bearer' ? [] : [scheme])],
		AppMetadata: ['appmetadata', environment, client],
	};
	return section === 'Account' && home === undefined ? String(index) : parts[section].join('-').toLowerCase();
}

/** The records that a file contains after duplicates of a key are removed: the last one, in the place of the first. */
export function writtenRecords(cache: CacheContent, section: SectionName): Array<{key: string; record: CacheRecord}> {
	const written = new Map<string, CacheRecord>();
	for (const [index, record] of cache[section].entries()) {
		written.set(keyOf(section, record, index), record as CacheRecord);
	}

	return [...written].map(([key, record]) => ({key, record}));
}

export function * smallerCases(testCase: Case): Generator<Case> {
	for (const cache of smallerCaches(testCase.cache)) {
		yield {...testCase, cache, caeCache: forCae(cache)};
	}

	const {calls} = testCase;
	for (const [index, call] of calls.entries()) {
		if (calls.length > 1) {
			yield {...testCase, calls: calls.toSpliced(index, 1)};
		}

		for (const place of call.scopes.length > 1 ? call.scopes.keys() : []) {
			yield {...testCase, calls: calls.with(index, {...call, scopes: call.scopes.toSpliced(place, 1)})};
		}
	}
}
