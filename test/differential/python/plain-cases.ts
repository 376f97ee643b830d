/**
 * Plain cases: caches as azure-identity for Python and MSAL for Python write them, and calls as Azure's clients make them. Both credentials
 * must do the same, request the same, and leave the same files.
 */

import {
	type CacheContent, type CacheRecord, chinaHosts, governmentHosts, inSeconds, openIdScopes, ourClient, publicHosts, scopes, type SectionName, tenants, unknownHost,
} from '../caches.js';
import type {Random} from '../random.js';
import type {AnswerKind, Call, Case} from './cases.js';

const names = ['ann@contoso.com', 'bob@fabrikam.example', 'jörg@contoso.com', '李雷@例え.jp', 'dave+"x"@contoso.com', 'eve@contoso.com'] as const;

export function makePlainCase(random: Random): Case {
	const {chance, pick, shuffle} = random;
	const host = random.weighted<string>([[publicHosts[0], 10], [governmentHosts[0], 2], [chinaHosts[0], 1], [unknownHost, 1]]);
	const users = shuffle([...names]).slice(0, random.weighted([[0, 1], [1, 10], [2, 6], [3, 3], [4, 1]])).map((username, index) => ({
		uid: `${index}0000000-0000-4000-8000-00000000000${index}`, tenant: pick(tenants), username,
	}));
	const wanted = users.length > 0 && !chance(0.06) ? pick(users) : undefined;
	const tenant = wanted?.tenant ?? (users.length === 1 ? users[0]!.tenant : undefined);
	const calls = Array.from({length: random.weighted([[1, 6], [2, 4], [3, 3], [4, 1]])}, (): Call => makeCall(random, tenant));
	// A refusal is remembered, and a failed authority is asked again.
	const answer = random.weighted<AnswerKind>([['rotated', 12], ['unavailable-503', calls.length === 1 ? 2 : 0], ['no-expiry', calls.length === 1 ? 0.5 : 0]]);
	const answers: Case['answers'] = {};
	const makeCache = (suffix: string): CacheContent => {
		const cache: CacheContent = {
			Account: [], RefreshToken: [], AccessToken: [], AppMetadata: [],
		};
		for (const {uid, tenant, username} of users) {
			const identity = {home_account_id: `${uid}.${tenant}`, environment: host};
			const secret = `FAKE-refresh-${uid}${suffix}`;
			cache.Account.push({
				...identity, realm: tenant, local_account_id: uid, username, authority_type: 'MSSTS',
			});
			cache.RefreshToken.push({
				credential_type: 'RefreshToken',
				secret,
				...identity,
				client_id: ourClient,
				target: [pick(scopes), ...openIdScopes].toSorted().join(' '),
				last_modification_time: inSeconds(-random.integer(1, 90) * 1000),
				family_id: '1',
			});
			answers[secret] = answer;
			for (const [index, target] of shuffle([...scopes]).slice(0, random.weighted([[0, 4], [1, 5], [2, 3], [3, 1]])).entries()) {
				cache.AccessToken.push({
					credential_type: 'AccessToken',
					secret: `FAKE-access-${uid}-${index}${suffix}`,
					...identity,
					client_id: ourClient,
					target: (chance(0.6) ? [target, ...openIdScopes] : [target]).toSorted().join(' '),
					realm: tenant,
					token_type: 'Bearer',
					cached_at: inSeconds(-3000),
					...times(random),
				});
			}
		}

		if (users.length > 0) {
			cache.AppMetadata.push({client_id: ourClient, environment: host, family_id: '1'});
		}

		return cache;
	};

	const username = wanted && (users.length > 1 || chance(0.6)) ? wanted.username : (chance(0.1) ? 'nobody@contoso.com' : undefined);
	return {
		isPlain: true,
		hasPythonKeys: true,
		names: Object.fromEntries(users.map(({uid, tenant: home, username: name}) => [`${uid}.${home}`, name])),
		cache: makeCache(''),
		caeCache: makeCache('-cae'),
		options: {
			...(username !== undefined && {username}),
			...(wanted && chance(0.2) && {tenantId: wanted.tenant}),
			...(host !== publicHosts[0] && {authority: chance(0.5) ? host : `https://${host}`}),
			...(wanted && chance(0.15) && {additionallyAllowedTenants: chance(0.5) ? ['*'] : [wanted.tenant]}),
		},
		environment: chance(0.1) && host !== unknownHost ? {AZURE_AUTHORITY_HOST: host} : {},
		calls,
		answers,
	};
}

/** A call by an Azure client after a challenge that names the tenant. It asks for OpenID scopes, as a first sign-in does. */
function makeCall({chance, pick}: Random, tenant: string | undefined): Call {
	return {
		scopes: [pick(scopes), ...openIdScopes],
		...(tenant !== undefined && {tenantId: tenant}),
		...(chance(0.1) && {claims: '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'}),
		...(chance(0.35) && {enableCae: true}),
	};
}

/** No token has expired: Python's class deletes expired tokens of everybody, which is a difference of its own. */
function times(random: Random): CacheRecord {
	const lifeSec = random.weighted([[3600, 6], [50_000, 2], [600, 1]]);
	return {
		expires_on: inSeconds(lifeSec), extended_expires_on: inSeconds(lifeSec), ...(lifeSec === 50_000 && {refresh_on: inSeconds(20_000)}),
	};
}

/** The key that MSAL for Python makes. */
export function pythonKey(section: SectionName, record: CacheRecord | string, index: number): string {
	if (typeof record === 'string') {
		return `text-${index}`;
	}

	const text = (name: string) => typeof record[name] === 'string' ? record[name] : '';
	const parts: Record<SectionName, string[]> = {
		Account: ['home_account_id', 'environment', 'realm'].map(name => text(name)),
		RefreshToken: [text('home_account_id'), text('environment'), 'RefreshToken', text('client_id'), '', text('target')],
		AccessToken: [text('home_account_id'), text('environment'), 'AccessToken', text('client_id'), text('realm'), text('target')],
		AppMetadata: ['appmetadata', text('environment'), text('client_id')],
	};
	return parts[section].join('-').toLowerCase();
}
