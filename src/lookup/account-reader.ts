/** Reads one cache for the configured account, or for one that was chosen. */

import type {AccessTokenEntry, CacheQuery, CacheSlice} from '../backend/backend.js';
import type {CacheSource} from '../cache/cache-source.js';
import type {SharedCache} from '../cache/shared-cache.js';
import type {SourceReading} from '../cache/source-reading.js';
import type {CredentialUnavailableError} from '../errors.js';
import {isSame} from '../runtime/fold-case.js';
import type {Settings} from '../settings/settings.js';
import {namedTenant} from '../settings/tenants.js';
import {type AccountCriteria, type Candidate, findCandidates} from './select-account.js';

/** The account that was chosen, and what its cache holds for it. */
export type ResolvedAccount = {
	candidate: Candidate;
	/** The cache in which the account was found. */
	source: CacheSource;
	accessTokens: readonly AccessTokenEntry[];
};

/** The account, or the reason why there is none. */
export type Resolution = ResolvedAccount | CredentialUnavailableError;

export class AccountReader {
	readonly cache: SharedCache;
	readonly settings: Settings;
	/** What the options say about the account. */
	readonly criteria: AccountCriteria;

	constructor({settings, cache}: {settings: Settings; cache: SharedCache}) {
		this.cache = cache;
		this.settings = settings;
		this.criteria = {
			homeAccountId: settings.record?.homeAccountId,
			username: settings.username,
			tenantId: settings.tenantId && namedTenant(settings.tenantId),
			tenantOnlyDisambiguates: settings.enableGuestTenantAuthentication,
		};
	}

	/** Asks for the configured account, or for another one. */
	query(homeAccountId = this.settings.record?.homeAccountId): CacheQuery {
		const {authority, clientId} = this.settings;
		const {username, tenantId, tenantOnlyDisambiguates} = this.criteria;
		const query: CacheQuery = {environments: authority.environments, clientId, nowSec: Math.floor(Date.now() / 1000)};
		if (homeAccountId) {
			query.homeAccountId = homeAccountId;
		} else {
			if (username) {
				query.username = username;
			}

			if (tenantId && !tenantOnlyDisambiguates) {
				query.homeTenantId = tenantId;
			}
		}

		return query;
	}

	async read(source: CacheSource, query: CacheQuery): Promise<SourceReading> {
		// Each reading of a Keychain item may ask the user, so one reading takes what a later grant needs.
		return this.cache.read(source, source.store === 'keychain' ? {...query, refreshTokenSecrets: true} : query);
	}

	/** @param refreshTokenSecrets Whether to read the secrets of refresh tokens, too, although the cache does not ask the user. */
	async readAccount(source: CacheSource, homeAccountId: string, refreshTokenSecrets = false): Promise<SourceReading & {account: ResolvedAccount | undefined}> {
		const reading = await this.read(source, {...this.query(homeAccountId), refreshTokenSecrets});
		const candidate = reading.slice && this.candidatesIn(reading.slice).find(({account}) => isSame(account.homeAccountId, homeAccountId));
		return {...reading, account: candidate ? {candidate, source, accessTokens: reading.slice!.accessTokens} : undefined};
	}

	candidatesIn(slice: CacheSlice): Candidate[] {
		return findCandidates(slice, this.settings.clientId, this.settings.record);
	}
}
