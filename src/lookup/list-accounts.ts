/** The accounts of the caches, for the public API. */

import type {SourceReading} from '../cache/source-reading.js';
import {CredentialUnavailableError} from '../errors.js';
import {homeTenantOf} from '../settings/tenants.js';
import type {SharedTokenCacheAccount} from '../types.js';
import {findCandidates} from './select-account.js';

/**
 * @param clientId An account is usable if it has a refresh token of this client or of the family of Microsoft's clients.
 * @throws {CredentialUnavailableError} if no cache could be read and a store failed.
 */
export function listAccounts(readings: readonly SourceReading[], clientId: string): SharedTokenCacheAccount[] {
	const accounts = new Map<string, SharedTokenCacheAccount>();
	let failure: CredentialUnavailableError | undefined;
	let wasRead = false;
	for (const {source, slice, error} of readings) {
		if (error) {
			failure ??= new CredentialUnavailableError(error.code, `SharedTokenCacheCredential: Shared token cache unavailable: ${source.label}: ${error.message}`, {cause: error});
		}

		if (!slice) {
			continue;
		}

		wasRead = true;
		const usable = new Set(findCandidates(slice, clientId).map(({account}) => account.homeAccountId.toLowerCase()));
		for (const account of slice.accounts) {
			const tenantId = homeTenantOf(account.homeAccountId);
			const key = `${source.label} ${account.homeAccountId} ${account.environment}`;
			if (!accounts.get(key)?.username) {
				accounts.set(key, Object.freeze({
					homeAccountId: account.homeAccountId,
					...(tenantId && {tenantId}),
					...(account.localAccountId && {localAccountId: account.localAccountId}),
					username: account.username ?? '',
					environment: account.environment,
					usable: usable.has(account.homeAccountId.toLowerCase()),
					source: source.label,
				}));
			}
		}
	}

	if (failure && !wasRead) {
		throw failure;
	}

	return [...accounts.values()];
}
