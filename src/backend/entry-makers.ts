/** Builds the entries of a slice. The addon calls a JavaScript function for each entry, which is faster than setting properties from C++. */

import type {
	AccessTokenEntry, AccountEntry, AppMetadataEntry, RefreshTokenEntry,
} from './backend.js';

/**
 * One function for each kind of entry, with the fields in the order in which the addon passes them (`ToJs(CacheSlice)`). An entry has no
 * property for a missing field, as with the JS backend.
 */
export const entryMakers = [
	// eslint-disable-next-line max-params
	(homeAccountId: string, environment: string, realm?: string, localAccountId?: string, username?: string, authorityType?: string): AccountEntry => ({
		homeAccountId,
		environment,
		...(realm !== undefined && {realm}),
		...(localAccountId !== undefined && {localAccountId}),
		...(username !== undefined && {username}),
		...(authorityType !== undefined && {authorityType}),
	}),
	// eslint-disable-next-line max-params
	(homeAccountId: string, environment: string, clientId?: string, familyId?: string, target?: string, lastModificationTime?: number, secret?: string): RefreshTokenEntry => ({
		homeAccountId,
		environment,
		...(clientId !== undefined && {clientId}),
		...(familyId !== undefined && {familyId}),
		...(target !== undefined && {target}),
		...(lastModificationTime !== undefined && {lastModificationTime}),
		...(secret !== undefined && {secret}),
	}),
	(
		homeAccountId: string,
		environment: string,
		clientId: string,
		realm: string | undefined,
		target: string,
		secret: string,
		cachedAt: number | undefined,
		expiresOn: number,
		refreshOn?: number,
		requestedScopes?: string,
		// eslint-disable-next-line max-params
	): AccessTokenEntry => ({
		homeAccountId,
		environment,
		clientId,
		...(realm !== undefined && {realm}),
		target,
		secret,
		...(cachedAt !== undefined && {cachedAt}),
		expiresOn,
		...(refreshOn !== undefined && {refreshOn}),
		...(requestedScopes !== undefined && {requestedScopes}),
	}),
	(environment: string, clientId: string, familyId?: string): AppMetadataEntry => ({environment, clientId, ...(familyId !== undefined && {familyId})}),
] as const;
