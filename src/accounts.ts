/** Which account of a cache is meant. Pure: no files, no clock. */

import type {AccountEntry, CacheSlice, RefreshTokenEntry} from './backend.js';
import {homeTenantOf} from './tenants.js';

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
 * The accounts of a slice that have a refresh token of the family or of the slice's client; one per home account id.
 *
 * The last record of an account counts, as in the seed, but one with a user name goes before one without: Python's credential
 * blanks user names.
 */
export function findCandidates(slice: CacheSlice, clientId: string): Candidate[] {
	const accounts = new Map<string, AccountEntry>();
	for (const account of slice.accounts) {
		const known = accounts.get(account.homeAccountId);
		if (!known || account.username || !known.username) {
			accounts.set(account.homeAccountId, account);
		}
	}

	const isOutsideFamily = slice.appMetadata.length > 0 && slice.appMetadata.every(entry => !entry.familyId);
	const candidates: Candidate[] = [];
	for (const account of accounts.values()) {
		const own = slice.refreshTokens.filter(token => token.homeAccountId === account.homeAccountId);
		const familyTokens = newestFirst(own.filter(token => token.familyId));
		const clientTokens = newestFirst(own.filter(token => !token.familyId && token.clientId?.toLowerCase() === clientId.toLowerCase()));
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

/** The message of a selection that found no account, with the seed's wording and what to do. */
export function explainSelection(
	selection: Exclude<Selection, {kind: 'one'}>,
	criteria: AccountCriteria,
	showUserNames: boolean,
): string {
	const prefix = 'SharedTokenCacheCredential authentication unavailable.';
	if (selection.kind === 'empty') {
		return `${prefix} No accounts were found in the cache. Sign in with a developer tool that fills the shared token cache.`;
	}

	const {candidates} = selection;
	const listed = candidates.slice(0, maxListedAccounts).map(({account}) => describeAccount(account, showUserNames)).join(', ');
	const unlisted = candidates.length > maxListedAccounts ? `, and ${candidates.length - maxListedAccounts} more` : '';
	const found = `Found: ${listed}${unlisted}.`;
	if (criteria.homeAccountId) {
		return `${prefix} The cache contains no account matching the given AuthenticationRecord. ${found} Sign in again, or leave authenticationRecord out.`;
	}

	const username = criteria.username ? ` username: ${criteria.username}` : '';
	const tenant = criteria.tenantId ? ` tenantId: ${criteria.tenantId}` : '';
	if (selection.kind === 'no-match') {
		return `${prefix} No account matching the specified${username}${tenant} was found in the cache. ${found} Set username (or AZURE_USERNAME) and tenantId (or AZURE_TENANT_ID) to one of them.`;
	}

	const which = username || tenant
		? `Multiple accounts matching the specified${username}${tenant} were found in the cache.`
		: 'Multiple accounts were found in the cache. Use username and tenant id to disambiguate.';
	return `${prefix} ${which} ${found} Set username (or AZURE_USERNAME), or tenantId (or AZURE_TENANT_ID), or authenticationRecord.`;
}

/** An error text names no more accounts than this. */
const maxListedAccounts = 5;

function describeAccount(account: AccountEntry, showUserNames: boolean): string {
	return `${showUserNames ? account.username ?? '' : maskUserName(account.username ?? '')} (home tenant ${homeTenantOf(account.homeAccountId) ?? 'unknown'})`;
}

/** `someone@contoso.com` becomes `s***@contoso.com`: enough to recognise one's own account in a log. */
export function maskUserName(username: string): string {
	const at = username.lastIndexOf('@');
	return `${username.slice(0, 1)}***${at > 0 ? username.slice(at) : ''}`;
}

function newestFirst(tokens: RefreshTokenEntry[]): RefreshTokenEntry[] {
	// The sort is stable, so the file's order decides among equals.
	return tokens.toSorted((a, b) => (b.lastModificationTime ?? 0) - (a.lastModificationTime ?? 0));
}

function equalIgnoringCase(a: string | undefined, b: string): boolean {
	return a?.toLowerCase() === b.toLowerCase();
}
