/** Chooses the account of a cache. No I/O, no clock. */

import type {AccountEntry, CacheSlice, RefreshTokenEntry} from '../backend/backend.js';
import {homeTenantOf} from '../settings/tenants.js';

/** An account with a refresh token that this client may redeem. */
export type Candidate = {
	account: AccountEntry;
	/** The redeemable refresh tokens, in the order in which to try them. */
	refreshTokens: RefreshTokenEntry[];
};

export type AccountCriteria = {
	/** From an authentication record. It names the account exactly, so the other criteria are ignored. */
	homeAccountId?: string | undefined;
	username?: string | undefined;
	/** The account's home tenant. */
	tenantId?: string | undefined;
	/** Use `tenantId` only if several accounts match otherwise. */
	tenantOnlyDisambiguates: boolean;
};

export type Selection =
	| {kind: 'one'; candidate: Candidate}
	/** There is no account with a redeemable refresh token. */
	| {kind: 'empty'}
	| {kind: 'no-match'; candidates: Candidate[]}
	| {kind: 'several'; candidates: Candidate[]};

/**
 * The accounts of a slice that have a refresh token of the family or of the client, one for each home account ID. The case of IDs does not
 * matter.
 *
 * Of several records of an account, the last one with a user name is used, otherwise the last one: azure-identity for Python writes records
 * with an empty user name.
 */
export function findCandidates(slice: CacheSlice, clientId: string): Candidate[] {
	const accounts = new Map<string, AccountEntry>();
	for (const account of slice.accounts) {
		const id = account.homeAccountId.toLowerCase();
		const known = accounts.get(id);
		if (!known || account.username || !known.username) {
			accounts.set(id, account);
		}
	}

	// Grouped by account first, so that the time grows linearly with the number of accounts.
	const tokensOf = new Map<string, RefreshTokenEntry[]>();
	for (const token of slice.refreshTokens) {
		const id = token.homeAccountId.toLowerCase();
		const known = tokensOf.get(id);
		if (known) {
			known.push(token);
		} else {
			tokensOf.set(id, [token]);
		}
	}

	const isOutsideFamily = slice.appMetadata.length > 0 && slice.appMetadata.every(entry => !entry.familyId);
	const candidates: Candidate[] = [];
	for (const [id, account] of accounts) {
		const own = tokensOf.get(id);
		if (!own) {
			continue;
		}

		const familyTokens = newestFirst(own.filter(token => token.familyId));
		const clientTokens = newestFirst(own.filter(token => !token.familyId && equalIgnoringCase(token.clientId, clientId)));
		const refreshTokens = isOutsideFamily ? [...clientTokens, ...familyTokens] : [...familyTokens, ...clientTokens];
		if (refreshTokens.length > 0) {
			candidates.push({account, refreshTokens});
		}
	}

	return candidates;
}

export function selectAccount(candidates: Candidate[], criteria: AccountCriteria): Selection {
	if (candidates.length === 0) {
		return {kind: 'empty'};
	}

	const {homeAccountId, username, tenantId} = criteria;
	let left = candidates;
	if (homeAccountId) {
		left = left.filter(({account}) => equalIgnoringCase(account.homeAccountId, homeAccountId));
	} else {
		if (username) {
			left = left.filter(({account}) => equalIgnoringCase(account.username, username));
		}

		if (tenantId && (!criteria.tenantOnlyDisambiguates || left.length > 1)) {
			left = left.filter(({account}) => equalIgnoringCase(homeTenantOf(account.homeAccountId), tenantId));
		}
	}

	const [candidate] = left;
	if (!candidate) {
		return {kind: 'no-match', candidates};
	}

	return left.length === 1 ? {kind: 'one', candidate} : {kind: 'several', candidates: left};
}

function newestFirst(tokens: RefreshTokenEntry[]): RefreshTokenEntry[] {
	// The sort is stable: records of the same age keep the order of the file.
	return tokens.toSorted((a, b) => (b.lastModificationTime ?? 0) - (a.lastModificationTime ?? 0));
}

function equalIgnoringCase(a: string | undefined, b: string): boolean {
	return a?.toLowerCase() === b.toLowerCase();
}
