/** Chooses the cached access token for a request. No I/O, no clock. */

import type {AccessTokenEntry, AccountEntry} from '../backend/backend.js';
import {
	adfsTenant, homeTenantOf, namedTenant, organizationsTenant,
} from '../settings/tenants.js';

/** A cached token is used only if it lives longer than this, seconds. Source: azure-identity for Python 1.26, `shared_token_cache.py`. */
export const minimumLifetimeSec = 300;

/**
 * How far `cached_at` may lie in the future, seconds. Up to this, the clock of the process that wrote the token is ahead, and all its times
 * are corrected by the difference. Beyond this, a clock was set back, and the token's age is unknown.
 */
const toleratedClockSkewSec = 900;

export type TokenCriteria = {
	account: AccountEntry;
	clientId: string;
	/** The authority's aliases, lower case. */
	environments: readonly string[];
	scopes: readonly string[];
	/** The requested tenant. `undefined` means the account's home tenant. */
	tenantId: string | undefined;
	/** The authority is AD FS. */
	isAdfs: boolean;
	nowSec: number;
	/** Least remaining lifetime, seconds. */
	lifetimeSec: number;
};

/** @returns the matching token that lives longest, or `undefined`. */
export function findAccessToken<Entry extends AccessTokenEntry>(
	entries: readonly Entry[],
	criteria: TokenCriteria,
): Entry | undefined {
	const {account, nowSec} = criteria;
	const realms = realmsOf(criteria);
	const scopes = criteria.scopes.map(scope => scope.toLowerCase());
	let best: Entry | undefined;
	for (const entry of entries) {
		if (
			entry.expiresOn - clockSkewSec(entry, nowSec) - criteria.lifetimeSec > nowSec
			&& clockSkewSec(entry, nowSec) <= toleratedClockSkewSec
			&& entry.homeAccountId.toLowerCase() === account.homeAccountId.toLowerCase()
			&& criteria.environments.includes(entry.environment.toLowerCase())
			&& entry.clientId.toLowerCase() === criteria.clientId.toLowerCase()
			&& realms.has((entry.realm ?? '').toLowerCase())
			&& isContained(scopes, entry.target)
			&& (!best || entry.expiresOn - clockSkewSec(entry, nowSec) > best.expiresOn - clockSkewSec(best, nowSec))
		) {
			best = entry;
		}
	}

	return best;
}

/** How far the clock that wrote a token's times is ahead of ours, seconds. */
export function clockSkewSec({cachedAt = 0}: AccessTokenEntry, nowSec: number): number {
	return Math.max(0, cachedAt - nowSec);
}

/**
 * The realms, lower case, under which libraries store tokens for the requested tenant. Without a requested tenant, that is the home tenant;
 * MSAL for Python stores the tenant name of its request, such as `organizations`.
 */
function realmsOf({account, tenantId, isAdfs}: TokenCriteria): Set<string> {
	const tenant = tenantId && namedTenant(tenantId);
	const realms = tenant
		? [tenant]
		: [homeTenantOf(account.homeAccountId) ?? account.realm ?? '', organizationsTenant, 'common', ...(isAdfs ? [adfsTenant] : [])];
	return new Set(realms.map(realm => realm.toLowerCase()));
}

function isContained(scopes: readonly string[], target: string): boolean {
	const cached = new Set(target.toLowerCase().split(' '));
	return scopes.every(scope => cached.has(scope));
}
