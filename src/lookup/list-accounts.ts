/** The accounts of the caches, for the public API. */

import {sourcesOf} from '../cache/locations/index.js';
import type {SourceReading} from '../cache/source-reading.js';
import type {CredentialUnavailableError} from '../errors.js';
import {foldAscii} from '../runtime/fold-case.js';
import {log} from '../runtime/log.js';
import type {Settings} from '../settings/settings.js';
import {homeTenantOf} from '../settings/tenants.js';
import type {SharedTokenCacheAccount} from '../types.js';
import {
	failureOf, isSignificant, ofEnvironments, rankedErrors, reasonOf, unusableIn,
} from './account-errors.js';
import type {AccountReader} from './account-reader.js';
import {distinctSources, overviewQuery, readSources} from './overview.js';
import {chooseRecord, findCandidates, recordsByAccount} from './select-account.js';

/**
 * @param readings For the accounts of every authority: see `overviewQuery`.
 * @param settings An account is usable if its authority is this one, and it has a refresh token of this client or of the family of Microsoft's
 * clients.
 * @throws {CredentialUnavailableError} if there is no account and `getToken` would report a cache that cannot be read.
 */
export function listAccounts(readings: readonly SourceReading[], {authority, clientId, cacheName}: Pick<Settings, 'authority' | 'clientId' | 'cacheName'>): SharedTokenCacheAccount[] {
	const {environments} = authority;
	const accounts: SharedTokenCacheAccount[] = [];
	for (const {source, slice} of readings) {
		if (!slice) {
			continue;
		}

		const usable = new Set(findCandidates(ofEnvironments(slice, environments), clientId).map(({account}) => foldAscii(account.homeAccountId)));
		const reasons = new Map(unusableIn(slice, clientId, environments, source.label).map(each => [`${foldAscii(each.account.homeAccountId)} ${each.host ?? ''}`, reasonOf(each)]));
		for (const [id, records] of recordsByAccount(slice.accounts)) {
			for (const host of new Set(records.map(({environment}) => foldAscii(environment)))) {
				const {homeAccountId, localAccountId, username = '', environment} = chooseRecord(records.filter(each => foldAscii(each.environment) === host));
				const tenantId = homeTenantOf(homeAccountId);
				const isOwn = environments.includes(host);
				const isUsable = isOwn && usable.has(id);
				const reason = isUsable ? undefined : reasons.get(`${id} ${isOwn ? '' : host}`);
				accounts.push(Object.freeze({
					homeAccountId,
					...(tenantId && {tenantId}),
					...(localAccountId && {localAccountId}),
					username,
					environment,
					usable: isUsable,
					...(reason !== undefined && {reason}),
					source: source.label,
				}));
			}
		}
	}

	const failure: CredentialUnavailableError | undefined = accounts.length === 0 ? failureOf(readings, {cacheName}) : undefined;
	if (failure) {
		throw failure;
	}

	for (const {source, error} of rankedErrors(readings)) {
		// A missing keyring is normal beside a plaintext cache.
		log[isSignificant(error!) ? 'warning' : 'info'](() => `listAccounts() left out ${source.label}, which cannot be read (${error!.code}): ${error!.message}`);
	}

	return accounts;
}

/** Readings of all sources of both kinds: the accounts of every authority, without secrets. */
export async function readAll({cache, settings}: AccountReader): Promise<SourceReading[]> {
	const sources = (['nocae', 'cae'] as const).map(kind => sourcesOf(settings, kind)).flatMap(({primary, extra}) => [...primary, ...extra]);
	return readSources(cache, distinctSources(sources), overviewQuery(settings.clientId, true));
}
