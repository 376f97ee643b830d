/**
 * Predicts what is found in a cache for an account: with all rules off by MSAL for Node's acquireTokenSilent, with all
 * rules on by our credential with an authentication record of that account. Written from `@azure/msal-common`'s
 * CacheManager and RefreshTokenClient, and from docs/differences.md.
 */

import {
	type CacheRecord, chinaHosts, governmentHosts, ourClient, publicHosts, secondsOf, type SectionName, type WrittenCache,
} from '../caches.js';
import {type Case, writtenRecords} from './cases.js';
import type {RuleName} from './rules.js';

/** A cached access token, a redeemed refresh token, or nothing: the user must sign in. */
export type CallOutcome = {cached: string} | {redeemed: string} | {nothing: true};

export type Outcome = {
	calls: CallOutcome[];
	/** In a plain case, the caches afterwards, without CAE and with: see {@link normalised}. */
	files: unknown[];
};

/** What a plain case does not compare in the records of the caches afterwards. docs/differences.md lists the same names. */
const normalisers = {
	'written host': ({environment: _, ...record}: CacheRecord) => record,
	'account profiles': ({tenantProfiles: _, ...record}: CacheRecord) => record,
	'extended expiry': ({extended_expires_on: _, ...record}: CacheRecord) => record,
	'time of refresh tokens': ({last_modification_time: _, ...record}: CacheRecord) => record,
} as const;

export type NormaliserName = keyof typeof normalisers;

export const normaliserNames = Object.keys(normalisers) as NormaliserName[];

/** The records of a cache as {@link normalisers} leave them, without the keys, which contain the host. */
export function normalised(cache: WrittenCache, names: readonly NormaliserName[] = normaliserNames): unknown {
	if (cache === null || typeof cache === 'string') {
		return cache;
	}

	const normalise = (record: CacheRecord) => {
		let rest = record;
		for (const name of names) {
			rest = normalisers[name](rest);
		}

		return JSON.stringify(Object.entries(rest).toSorted(([a], [b]) => a < b ? -1 : 1));
	};

	return Object.fromEntries(Object.entries(cache).map(([section, records]) => [section, [...new Set((Object.values(records) as CacheRecord[]).map(record => normalise(record)))].toSorted()]));
}

const minimumLifetimeSec = 300;
const toleratedSkewSec = 900;
const openIdScopes: ReadonlySet<string> = new Set(['openid', 'profile', 'offline_access']);

export function predict(testCase: Case, isOn: (rule: RuleName) => boolean): Outcome {
	return {calls: testCase.calls.map(({scopes}) => predictCall(testCase, scopes, isOn)), files: []};
}

function predictCall({cache, authorityHost, account}: Case, scopes: readonly string[], isOn: (rule: RuleName) => boolean): CallOutcome {
	const aliases: readonly string[] = [publicHosts, chinaHosts, governmentHosts].find(hosts => (hosts as readonly string[]).includes(authorityHost))!;
	const isOfAuthority = ({environment}: CacheRecord) => aliases.includes(isOn('ignoring case: environment') ? (environment as string).toLowerCase() : environment as string);
	/** The account's records whose key contains all of these parts. */
	const recordsOf = (section: SectionName, keyParts: readonly string[]) => writtenRecords(cache, section)
		.filter(({key}) => isOn('records under any key') || keyParts.every(part => key.includes(part.toLowerCase())))
		.map(({record}) => record)
		.filter(record => record['home_account_id'] === account.homeAccountId && isOfAuthority(record));

	const isOurs = ({client_id: client}: CacheRecord) => client === ourClient;
	const isOfFamily = ({family_id: family}: CacheRecord) => family !== undefined;
	const isMissing = !writtenRecords(cache, 'RefreshToken').some(({record}) => record['home_account_id'] === account.homeAccountId && isOfAuthority(record) && (isOfFamily(record) || isOurs(record)));
	if (isOn('refresh token in the cache') && isMissing) {
		return {nothing: true};
	}

	const wanted = scopes.filter(scope => isOn('OpenID scopes') || !openIdScopes.has(scope)).map(scope => scope.toLowerCase());
	const matching = recordsOf('AccessToken', [ourClient, account.homeAccountId, account.tenantId, ...wanted]).filter(token =>
		isOurs(token)
		&& token['credential_type'] === 'AccessToken'
		&& token['realm'] === account.tenantId
		&& wanted.every(scope => (token['target'] as string).toLowerCase().split(' ').includes(scope))
		&& !(isOn('bound access tokens') && (token['requestedClaimsHash'] ?? token['userAssertionHash'])));
	const aheadSec = (token: CacheRecord) => Math.max(0, secondsOf(token['cached_at'])!);
	const lifeSec = (token: CacheRecord) => secondsOf(token['expires_on'])! - (isOn('clocks ahead') ? aheadSec(token) : 0);
	const isAlive = (token: CacheRecord) => lifeSec(token) > minimumLifetimeSec && aheadSec(token) <= (isOn('clocks ahead') ? toleratedSkewSec : 0);
	const candidates = isOn('several access tokens') ? matching.filter(token => isAlive(token)) : (matching.length === 1 ? matching : []);
	const [best] = candidates.toSorted((a, b) => lifeSec(b) - lifeSec(a));
	if (best && isAlive(best)) {
		return {cached: best['secret'] as string};
	}

	const metadata = writtenRecords(cache, 'AppMetadata').map(({record}) => record).find(record => isOurs(record) && isOfAuthority(record));
	let tokens: CacheRecord[];
	if (isOn('family refresh tokens')) {
		const own = recordsOf('RefreshToken', [account.homeAccountId]);
		const family = newestFirst(own.filter(token => isOfFamily(token)), isOn);
		const others = newestFirst(own.filter(token => !isOfFamily(token) && isOurs(token)), isOn);
		tokens = metadata && !isOfFamily(metadata) ? [...others, ...family] : [...family, ...others];
	} else {
		const family = metadata && isOfFamily(metadata) ? recordsOf('RefreshToken', [account.homeAccountId]).filter(token => isOfFamily(token) && isOurs(token)) : [];
		const own = recordsOf('RefreshToken', [account.homeAccountId, ourClient]).filter(token => isOurs(token));
		tokens = family.length > 0 ? newestFirst(family, isOn) : newestFirst(own, isOn);
	}

	return tokens[0] ? {redeemed: tokens[0]['secret'] as string} : {nothing: true};
}

function newestFirst(tokens: CacheRecord[], isOn: (rule: RuleName) => boolean): CacheRecord[] {
	const modified = (token: CacheRecord) => secondsOf(token['last_modification_time']) ?? -1e9;
	return isOn('newest refresh token') ? tokens.toSorted((a, b) => modified(b) - modified(a)) : tokens;
}
