/** Chooses the cached access token for a request. No I/O, no clock. */

import type {AccessTokenEntry, AccountEntry} from '../backend/backend.js';
import {foldAscii, isSame} from '../runtime/fold-case.js';
import {isNationalCloud} from '../settings/authority.js';
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
	const isGraphDefault = !criteria.isAdfs && !isNationalCloud(criteria.environments);
	const scopes = scopesOf(criteria.scopes, isGraphDefault);
	const clientId = foldAscii(criteria.clientId);
	let best: Entry | undefined;
	for (const entry of entries) {
		if (
			entry.expiresOn - clockSkewSec(entry, nowSec) - criteria.lifetimeSec > nowSec
			&& clockSkewSec(entry, nowSec) <= toleratedClockSkewSec
			&& isSame(entry.homeAccountId, account.homeAccountId)
			&& criteria.environments.includes(foldAscii(entry.environment))
			&& foldAscii(entry.clientId) === clientId
			&& realms.has(foldAscii(entry.realm ?? ''))
			&& isGrantedFor(scopes, entry, isGraphDefault)
			&& (!best || entry.expiresOn - clockSkewSec(entry, nowSec) > best.expiresOn - clockSkewSec(best, nowSec))
			&& isVisibleAscii(entry.secret)
		) {
			best = entry;
		}
	}

	return best;
}

/** Anything else would break, or forge, the header of a request. */
function isVisibleAscii(secret: string): boolean {
	return /^[\u0021-\u007E]*$/.test(secret);
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
	return new Set(realms.map(realm => foldAscii(realm)));
}

/**
 * Whether a token has all of the scopes, or was granted for exactly these: then the authority would grant the same again. For a part of them
 * it might grant something else.
 */
function isGrantedFor(scopes: ReadonlySet<string>, {target, requestedScopes = ''}: AccessTokenEntry, isGraphDefault: boolean): boolean {
	if (isContained(scopes, scopesOf(target.split(' '), isGraphDefault))) {
		return true;
	}

	const requested = scopesOf(requestedScopes.split(' ').filter(Boolean), isGraphDefault);
	return requested.size === scopes.size && isContained(scopes, requested);
}

function isContained(scopes: ReadonlySet<string>, others: ReadonlySet<string>): boolean {
	return [...scopes].every(scope => others.has(scope));
}

const graphResource = 'https://graph.microsoft.com/';

/**
 * The scopes, lower case.
 *
 * @param isGraphDefault Whether scopes without a resource are those of Microsoft Graph. Source: Microsoft identity platform, "Scopes and
 * permissions".
 */
function scopesOf(scopes: readonly string[], isGraphDefault: boolean): Set<string> {
	return new Set(scopes.map(scope => {
		const folded = foldAscii(scope);
		return isGraphDefault && folded.startsWith(graphResource) ? folded.slice(graphResource.length) : folded;
	}));
}
