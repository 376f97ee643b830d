/** Chooses the cached access token for a request. No I/O, no clock. */

import type {AccessTokenEntry, AccountEntry} from '../backend/backend.js';
import {foldAscii, isSame} from '../runtime/fold-case.js';
import {isNationalCloud} from '../settings/read-authority.js';
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
	const {account, environments, nowSec} = criteria;
	const realms = realmsOf(criteria);
	let best: Entry | undefined;
	for (const entry of entries) {
		if (
			entry.expiresOn - clockSkewSec(entry, nowSec) - criteria.lifetimeSec > nowSec
			&& clockSkewSec(entry, nowSec) <= toleratedClockSkewSec
			&& isSame(entry.homeAccountId, account.homeAccountId)
			// Most names are written as they are asked for: those are not folded, which would cost start-up time (bench P3).
			&& (environments.includes(entry.environment) || environments.includes(foldAscii(entry.environment)))
			&& isSame(entry.clientId, criteria.clientId)
			&& (realms.includes(entry.realm ?? '') || realms.some(realm => isSame(realm, entry.realm ?? '')))
			&& isGrantedFor(criteria, entry)
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
 * The realms under which libraries store tokens for the requested tenant. Without a requested tenant, that is the home tenant;
 * MSAL for Python stores the tenant name of its request, such as `organizations`.
 */
function realmsOf({account, tenantId, isAdfs}: TokenCriteria): string[] {
	const tenant = tenantId && namedTenant(tenantId);
	return tenant
		? [tenant]
		: [homeTenantOf(account.homeAccountId) ?? account.realm ?? '', organizationsTenant, 'common', ...(isAdfs ? [adfsTenant] : [])];
}

/**
 * Whether a token has all of the scopes, or was granted for exactly these: then the authority would grant the same again. For a part of them
 * it might grant something else.
 */
function isGrantedFor({scopes, environments, isAdfs}: TokenCriteria, {target, requestedScopes = ''}: AccessTokenEntry): boolean {
	const targets = target.split(' ');
	if (containsAll(targets, scopes)) {
		return true;
	}

	const isGraphDefault = !isAdfs && !isNationalCloud(environments);
	const wanted = scopesOf(scopes, isGraphDefault);
	if (containsAll(scopesOf(targets, isGraphDefault), wanted)) {
		return true;
	}

	const requested = scopesOf(requestedScopes.split(' ').filter(Boolean), isGraphDefault);
	return requested.length === wanted.length && containsAll(requested, wanted);
}

function containsAll(scopes: readonly string[], wanted: readonly string[]): boolean {
	return wanted.every(scope => scopes.includes(scope));
}

const graphResource = 'https://graph.microsoft.com/';

/**
 * The scopes in lower case, each once.
 *
 * @param isGraphDefault Whether scopes without a resource are those of Microsoft Graph. Source: Microsoft identity platform, "Scopes and
 * permissions".
 */
function scopesOf(scopes: readonly string[], isGraphDefault: boolean): string[] {
	return [...new Set(scopes.map(scope => {
		const folded = foldAscii(scope);
		return isGraphDefault && folded.startsWith(graphResource) ? folded.slice(graphResource.length) : folded;
	}))];
}
