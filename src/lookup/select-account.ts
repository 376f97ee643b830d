/** Chooses the account of a cache. No I/O, no clock. */

import type {AccountEntry, CacheSlice, RefreshTokenEntry} from '../backend/backend.js';
import {foldAscii, isSame} from '../runtime/fold-case.js';
import {homeTenantOf} from '../settings/tenants.js';

/** An account with a refresh token that this client may redeem. */
export type Candidate = {
	/** The record that is shown, and whose fields a grant uses: see {@link chooseRecord}. */
	account: AccountEntry;
	/** The user names of all records of the account. A guest has another one in each tenant. */
	usernames: readonly string[];
	/** The redeemable refresh tokens, in the order in which to try them. */
	refreshTokens: RefreshTokenEntry[];
	/** The cache has no record of this account: an authentication record names it. */
	isWithoutRecord?: true;
};

/** The account of an authentication record, which needs no record in the cache. */
export type NamedAccount = {readonly homeAccountId: string; readonly username: string};

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
 * @param named Counts as an account if it has a refresh token, although the cache has no record of it. .NET accepts that, too.
 */
export function findCandidates(slice: Pick<CacheSlice, 'accounts' | 'refreshTokens' | 'appMetadata'>, clientId: string, named?: NamedAccount): Candidate[] {
	const accounts = recordsByAccount(slice.accounts);
	// Grouped by account first, so that the time grows linearly with the number of accounts.
	const tokensOf = new Map<string, RefreshTokenEntry[]>();
	for (const token of slice.refreshTokens) {
		const id = foldAscii(token.homeAccountId);
		const known = tokensOf.get(id);
		if (known) {
			known.push(token);
		} else {
			tokensOf.set(id, [token]);
		}
	}

	const isOutsideFamily = slice.appMetadata.length > 0 && slice.appMetadata.every(entry => !entry.familyId);
	const candidates: Candidate[] = [];
	const namedId = named && foldAscii(named.homeAccountId);
	if (named && namedId !== undefined && !accounts.has(namedId)) {
		accounts.set(namedId, []);
	}

	for (const [id, records] of accounts) {
		const own = tokensOf.get(id);
		if (!own) {
			continue;
		}

		const familyTokens: RefreshTokenEntry[] = [];
		const clientTokens: RefreshTokenEntry[] = [];
		for (const token of own) {
			if (token.familyId) {
				familyTokens.push(token);
			} else if (isSame(token.clientId ?? '', clientId)) {
				clientTokens.push(token);
			}
		}

		sortNewestFirst(familyTokens);
		sortNewestFirst(clientTokens);
		const refreshTokens = isOutsideFamily ? [...clientTokens, ...familyTokens] : [...familyTokens, ...clientTokens];
		const [first] = refreshTokens;
		if (!first) {
			continue;
		}

		candidates.push(records.length > 0
			? {account: chooseRecord(records), usernames: records.map(({username = ''}) => username), refreshTokens}
			: {
				account: {homeAccountId: first.homeAccountId, environment: first.environment, username: named!.username}, usernames: [named!.username], refreshTokens, isWithoutRecord: true,
			});
	}

	return candidates;
}

/** The records of each account, by its home account ID in lower case. */
export function recordsByAccount(accounts: readonly AccountEntry[]): Map<string, AccountEntry[]> {
	const records = new Map<string, AccountEntry[]>();
	for (const account of accounts) {
		const id = foldAscii(account.homeAccountId);
		const known = records.get(id);
		if (known) {
			known.push(account);
		} else {
			records.set(id, [account]);
		}
	}

	return records;
}

/**
 * Of several records of an account, the one of its home tenant: a guest has another user name in each tenant. Records without a user name
 * count last: azure-identity for Python writes such. Of equal ones, the last counts.
 */
export function chooseRecord(records: readonly AccountEntry[]): AccountEntry {
	let best = records[0]!;
	for (let index = 1; index < records.length; index++) {
		if (rankOf(records[index]!) >= rankOf(best)) {
			best = records[index]!;
		}
	}

	return best;
}

function rankOf({username, realm = '', homeAccountId}: AccountEntry): number {
	return username ? (isSame(realm, homeTenantOf(homeAccountId) ?? 'none') ? 2 : 1) : 0;
}

export function selectAccount(candidates: Candidate[], criteria: AccountCriteria): Selection {
	if (candidates.length === 0) {
		return {kind: 'empty'};
	}

	const {homeAccountId, username, tenantId} = criteria;
	let left = candidates;
	if (homeAccountId) {
		left = left.filter(({account}) => isSame(account.homeAccountId, homeAccountId));
	} else {
		if (username) {
			left = left.filter(({usernames}) => usernames.some(each => isSame(each, username)));
		}

		if (tenantId && (!criteria.tenantOnlyDisambiguates || left.length > 1)) {
			left = ofHomeTenant(left, tenantId);
		}
	}

	const [candidate] = left;
	if (!candidate) {
		return {kind: 'no-match', candidates};
	}

	return left.length === 1 ? {kind: 'one', candidate} : {kind: 'several', candidates: left};
}

export function ofHomeTenant(candidates: readonly Candidate[], tenantId: string): Candidate[] {
	return candidates.filter(({account}) => isSame(homeTenantOf(account.homeAccountId) ?? '', tenantId));
}

function sortNewestFirst(tokens: RefreshTokenEntry[]): void {
	if (tokens.length > 1) {
		// The sort is stable: records of the same age keep the order of the file.
		tokens.sort((a, b) => (b.lastModificationTime ?? 0) - (a.lastModificationTime ?? 0));
	}
}
