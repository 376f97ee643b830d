/** Which account of a cache is meant. Pure: no files, no clock. */

import type {AccountEntry, CacheSlice, RefreshTokenEntry} from '../backend/backend.js';
import {homeTenantOf} from '../settings/tenants.js';

/** An account that could be chosen: it has a refresh token that this client may redeem. */
export type Candidate = {
	account: AccountEntry;
	/** Those that may be redeemed, in the order in which to try them. */
	refreshTokens: RefreshTokenEntry[];
};

export type AccountCriteria = {
	/** An authentication record names the account exactly; everything else is ignored then. */
	homeAccountId?: string | undefined;
	username?: string | undefined;
	/** Home tenant. */
	tenantId?: string | undefined;
	/** `tenantId` counts only where several accounts remain. */
	tenantOnlyDisambiguates: boolean;
};

export type Selection =
	| {kind: 'one'; candidate: Candidate}
	/** No account can be chosen whatever the criteria. */
	| {kind: 'empty'}
	| {kind: 'no-match'; candidates: Candidate[]}
	| {kind: 'several'; candidates: Candidate[]};

/**
 * The accounts of a slice that have a refresh token of the family or of the slice's client; one per home account id, whose case does not
 * matter.
 *
 * The last record of an account counts, as in the seed, but one with a user name goes before one without: Python's credential
 * blanks user names.
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

	// By account first: a search through all tokens for each account would take its square, and 4.5 MB for compiling so hot a loop.
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
	// The sort is stable, so the file's order decides among equals.
	return tokens.toSorted((a, b) => (b.lastModificationTime ?? 0) - (a.lastModificationTime ?? 0));
}

function equalIgnoringCase(a: string | undefined, b: string): boolean {
	return a?.toLowerCase() === b.toLowerCase();
}
