/** Random caches, options and requests. The same seed gives the same cases. */

import {
	type CacheContent, type CacheRecord, chinaHosts, consumers, governmentHosts, inSeconds, type Json, otherClient, ourClient, publicHosts, scopes, smallerCaches, tenants, unknownHost, userNames,
} from '../caches.js';
import type {Random} from '../random.js';

export type AnswerKind =
	/** A grant. `other-account`: its client_info belongs to another account. */
	| 'granted' | 'rotated' | 'other-account'
	| 'invalid_grant' | 'interaction_required' | 'invalid_client' | 'unauthorized_client' | 'undescribed-error' | 'unavailable-503'
	| 'html' | 'broken-json' | 'empty-object' | 'no-access-token' | 'no-expiry';

export type Call = {scopes: string[]; tenantId?: string; claims?: string; enableCae?: boolean};

export type Case = {
	/** Whether both must do the same, without a rule. */
	isPlain: boolean;
	/** `null`: there is no file. A string: the text of a file that is not a cache. */
	cache: CacheContent | string | null;
	/** The cache for calls with `enableCae`. */
	caeCache: CacheContent | string | null;
	options: {username?: string; tenantId?: string; authority?: string; additionallyAllowedTenants?: string[]};
	environment: Partial<Record<'AZURE_USERNAME' | 'AZURE_TENANT_ID' | 'AZURE_AUTHORITY_HOST' | 'AZURE_IDENTITY_DISABLE_MULTITENANTAUTH', string>>;
	/** Made by one credential, one after the other. */
	calls: Call[];
	/** Whether the keys of records are those of MSAL for Python. */
	hasPythonKeys: boolean;
	/** By home account ID, what the authority's id tokens say. */
	names: Record<string, string>;
	/** By refresh token. `granted` for tokens without an entry. */
	answers: Record<string, AnswerKind>;
};

export function makeCase(random: Random): Case {
	const {chance, pick, shuffle} = random;
	// The cloud of most records, and of the request.
	const hosts = random.weighted<readonly string[]>([[publicHosts, 16], [governmentHosts, 2], [chinaHosts, 1], [[unknownHost], 1]]);
	const [host = ''] = hosts;
	const cache: CacheContent = {
		Account: [], RefreshToken: [], AccessToken: [], AppMetadata: [],
	};
	const answers: Case['answers'] = {};
	const count = random.weighted([[0, 0.3], [1, 9], [2, 5], [3, 3], [4, 1], [5, 1], [6, 1]]);
	const users = Array.from({length: count}, (_, index) => ({
		// Two guests may be the same user.
		uid: chance(0.1) ? 'uid-0' : `uid-${index}`,
		tenant: chance(0.06) ? consumers : pick(tenants),
		username: pick(userNames),
	}));
	let serial = 0;
	for (const {uid, tenant, username} of users) {
		const homeAccountId = chance(0.04) ? uid : `${uid}.${tenant}`;
		const environment = () => chance(0.75) ? host : (chance(0.85) ? pick(hosts) : pick([...publicHosts, ...chinaHosts, ...governmentHosts, unknownHost, host.toUpperCase()]));
		const identity = () => ({home_account_id: homeAccountId, environment: environment()});
		if (!chance(0.03)) {
			cache.Account.push({
				...identity(), realm: tenant, local_account_id: uid, username, authority_type: 'MSSTS',
			});
		}

		if (chance(0.12)) {
			// Without a user name, as Python leaves such a record.
			cache.Account.push({
				...identity(), realm: 'organizations', local_account_id: null, username: '', authority_type: 'MSSTS',
			});
		}

		if (chance(0.06)) {
			cache.Account.push({
				...identity(), realm: pick(tenants), local_account_id: uid, username: pick(userNames), authority_type: 'MSSTS',
			});
		}

		for (let index = random.weighted([[0, 1], [1, 14], [2, 5], [3, 1]]); index > 0; index--) {
			const secret = `FAKE-refresh-${serial++}`;
			const isFamily = chance(0.85);
			cache.RefreshToken.push({
				credential_type: 'RefreshToken',
				secret,
				...identity(),
				client_id: chance(isFamily ? 0.6 : 0.5) ? ourClient : otherClient,
				...(isFamily && {family_id: chance(0.96) ? '1' : pick([null, '', 7])}),
				...(chance(0.5) && {last_modification_time: inSeconds(-random.integer(1, 9) * 1000)}),
				...(chance(0.3) && {target: pick(scopes)}),
			});
			answers[secret] = random.weighted<AnswerKind>([
				['granted', 12],
				['rotated', 10],
				['other-account', 0.5],
				['invalid_grant', 2.5],
				['interaction_required', 1],
				['invalid_client', 0.7],
				['unauthorized_client', 0.7],
				['undescribed-error', 0.7],
				['unavailable-503', 2.5],
				['html', 0.6],
				['broken-json', 0.6],
				['empty-object', 0.6],
				['no-access-token', 0.5],
				['no-expiry', 0.5],
			]);
		}

		for (let index = random.weighted([[0, 8], [1, 8], [2, 3], [3, 1]]); index > 0; index--) {
			cache.AccessToken.push({
				credential_type: 'AccessToken',
				secret: `FAKE-access-${serial++}`,
				...identity(),
				client_id: chance(0.9) ? ourClient : otherClient,
				realm: chance(0.6) ? tenant : (chance(0.8) ? 'organizations' : pick(tenants)),
				target: chance(0.5) ? pick(scopes) : shuffle([...scopes]).slice(0, random.integer(1, 3)).join(' '),
				token_type: chance(0.96) ? 'Bearer' : pick(['bearer', 'pop']),
				cached_at: inSeconds(chance(0.93) ? -600 : pick([400, 5000])),
				expires_on: inSeconds(chance(0.02) ? 40_000_000_000 : pick([-500, 200, 200, 3600, 3600, 50_000])),
				extended_expires_on: inSeconds(60_000),
				...(chance(0.03) && {requestedClaimsHash: 'hash'}),
				...(chance(0.02) && {key_id: 'key'}),
			});
		}
	}

	if (chance(0.15)) {
		cache.AppMetadata.push({client_id: ourClient, environment: host, ...(chance(0.6) && {family_id: '1'})});
	}

	if (chance(0.06)) {
		damage(cache, random);
	}

	for (const section of Object.values(cache)) {
		shuffle(section);
	}

	const whole = chance(0.005) ? pick(['{"Account": ', '[1, 2]', 'no cache']) : (chance(0.01) ? null : cache);
	const call = makeRequest(random);
	const calls = [call];
	for (let further = random.weighted([[0, 6], [1, 3], [2, 1]]); further > 0; further--) {
		// After claims, tokens from before them no longer count.
		const {claims: _, ...rest} = makeRequest(random);
		calls.unshift(chance(0.3) ? {...rest, scopes: call.scopes} : (chance(0.3) ? withoutClaims(call) : rest));
	}

	return {
		isPlain: false,
		hasPythonKeys: chance(0.5),
		cache: whole,
		caeCache: whole === null || typeof whole === 'string' ? whole : forCae(whole),
		options: makeOptions(random, {host, hosts, users}),
		environment: {
			...(chance(0.03) && {AZURE_USERNAME: pick(userNames)}),
			...(chance(0.03) && {AZURE_TENANT_ID: chance(0.9) ? pick(tenants) : 'no tenant'}),
			...(chance(0.03) && {AZURE_AUTHORITY_HOST: pick([...publicHosts, ...governmentHosts])}),
			...(chance(0.03) && {AZURE_IDENTITY_DISABLE_MULTITENANTAUTH: 'true'}),
		},
		calls,
		answers: {...answers, ...Object.fromEntries(Object.entries(answers).map(([secret, answer]) => [`${secret}${caeMark}`, answer]))},
		names: Object.fromEntries(users.map(({uid, tenant, username}) => [`${uid}.${tenant}`, username])),
	};
}

const caeMark = '-cae';

function withoutClaims({claims: _, ...call}: Call): Call {
	return call;
}

/** The same records with other secrets. */
function forCae(cache: CacheContent): CacheContent {
	return Object.fromEntries(Object.entries(cache).map(([name, records]) => [
		name, records.map(record => typeof record !== 'string' && typeof record['secret'] === 'string' ? {...record, secret: `${record['secret']}${caeMark}`} : record),
	])) as CacheContent;
}

function makeOptions(random: Random, {host, hosts, users}: {host: string; hosts: readonly string[]; users: ReadonlyArray<{tenant: string; username: string}>}): Case['options'] {
	const {chance, pick} = random;
	const user = users.length > 0 ? pick(users) : {tenant: tenants[0], username: userNames[0]};
	// A user with several accounts names one.
	const username = random.weighted<string | undefined>([[undefined, users.length > 1 ? 3 : 12], [user.username, 9], [user.username.toUpperCase(), 1.2], [pick(userNames), 1], ['nobody@contoso.com', 0.6]]);
	const tenantId = random.weighted<string | undefined>([[undefined, 15], [user.tenant, 4], [user.tenant.toUpperCase(), 0.7], [pick(tenants), 0.8], ['contoso.onmicrosoft.com', 0.3], ['no tenant', 0.2]]);
	const authority = host === publicHosts[0] && chance(0.8)
		? undefined
		: random.weighted([[host, 8], [`https://${host}/`, 2], [pick(hosts), 2], [host.toUpperCase(), 0.5], [`http://${host}`, 0.15]]);
	return {
		...(username !== undefined && {username}),
		...(tenantId !== undefined && {tenantId}),
		...(authority !== undefined && {authority}),
		...(chance(0.12) && {additionallyAllowedTenants: chance(0.6) ? ['*'] : [pick(tenants)]}),
	};
}

function makeRequest(random: Random): Call {
	const {chance, pick, shuffle} = random;
	const wanted = random.weighted<string[]>([
		[[pick(scopes)], 20], [shuffle([...scopes]).slice(0, 2), 4], [[pick(scopes).toUpperCase()], 0.7], [[shuffle([...scopes]).slice(0, 2).join(' ')], 2], [[], 0.3], [['a"b'], 0.15], [[pick(scopes), 'openid'], 0.3],
	]);
	return {
		scopes: wanted,
		...(chance(0.15) && {tenantId: random.weighted([[pick(tenants), 10], ['organizations', 1], ['common', 0.5], ['some tenant/../x', 0.6], [pick(tenants).toUpperCase(), 1]])}),
		...(chance(0.25) && {enableCae: true}),
		...(chance(0.06) && {claims: chance(0.8) ? '{"access_token":{"nbf":{"essential":true,"value":"1"}}}' : pick(['no JSON', '[1]'])}),
	};
}

/** Damages one record. */
function damage(cache: CacheContent, {pick, chance}: Random): void {
	const section = pick(['Account', 'RefreshToken', 'AccessToken', 'AccessToken'] as const);
	const records = cache[section];
	if (records.length === 0 || chance(0.15)) {
		records.push('no record');
		return;
	}

	const record = pick(records) as CacheRecord;
	const fields: Record<typeof section, ReadonlyArray<[string, Json | undefined]>> = {
		Account: [['home_account_id', undefined], ['environment', undefined], ['username', undefined], ['username', null]],
		RefreshToken: [['home_account_id', undefined], ['environment', undefined], ['secret', undefined], ['client_id', undefined]],
		AccessToken: [
			['expires_on', undefined],
			['expires_on', 'soon'],
			['target', undefined],
			['target', null],
			['client_id', undefined],
			['realm', undefined],
			['token_type', undefined],
			['environment', undefined],
			['expires_on', '1e99'],
		],
	};
	const [name, value] = pick(fields[section]);
	if (value === undefined) {
		delete record[name];
	} else {
		record[name] = value;
	}
}

/** All cases with one item less. */
export function * smallerCases(testCase: Case): Generator<Case> {
	const {cache} = testCase;
	if (cache !== null && typeof cache !== 'string') {
		for (const smaller of smallerCaches(cache)) {
			yield {...testCase, cache: smaller, caeCache: forCae(smaller)};
		}
	}

	const {calls} = testCase;

	for (const part of ['environment', 'options', 'answers'] as const) {
		for (const name of Object.keys(testCase[part])) {
			yield {...testCase, [part]: Object.fromEntries(Object.entries(testCase[part]).filter(([each]) => each !== name))};
		}
	}

	for (const index of calls.keys()) {
		if (calls.length > 1) {
			yield {...testCase, calls: calls.toSpliced(index, 1)};
		}

		const call = calls[index]!;
		for (const name of ['tenantId', 'claims', 'enableCae'] as const) {
			if (name in call) {
				const {[name]: _, ...rest} = call;
				yield {...testCase, calls: calls.with(index, rest)};
			}
		}

		for (const place of call.scopes.length > 1 ? call.scopes.keys() : []) {
			yield {...testCase, calls: calls.with(index, {...call, scopes: call.scopes.toSpliced(place, 1)})};
		}
	}
}
