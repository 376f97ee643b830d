/** Which cached access token answers a request. Pure: no files, no clock. */

import type {AccessTokenEntry, AccountEntry} from '../backend/backend.js';
import {
	adfsTenant, homeTenantOf, namedTenant, organizationsTenant,
} from '../settings/tenants.js';

/** A cached token is used only with more life left than this. Source: azure-identity for Python 1.26, `shared_token_cache.py`, 300 s. */
export const minimumLifetimeSec = 300;

/**
 * A token may be cached so far in the future: a process whose clock is ahead wrote it, and its times are those of that clock. More
 * means that a clock was set back, and nothing about the token's age can be known. Seconds.
 */
const toleratedClockSkewSec = 900;

export type TokenCriteria = {
	account: AccountEntry;
	clientId: string;
	/** The authority's aliases, lower case. */
	environments: readonly string[];
	scopes: readonly string[];
	/** The tenant asked for, or `undefined` for the account's own. */
	tenantId: string | undefined;
	/** The authority is AD FS. */
	isAdfs: boolean;
	nowSec: number;
	/** Least life that the token must have left, seconds. */
	lifetimeSec: number;
};

/** @returns the token that fits and lives longest, or `undefined`. */
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

/** How far the clock by which a token's times were written is certainly ahead of ours, seconds. */
export function clockSkewSec({cachedAt = 0}: AccessTokenEntry, nowSec: number): number {
	return Math.max(0, cachedAt - nowSec);
}

/**
 * The realms, lower case, under which libraries store what was asked for. Without a tenant that is the account's home; Python
 * writes the word that it asked for.
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
