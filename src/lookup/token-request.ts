/** What is asked for when a token is acquired, and what comes back. */

import type {CacheKind} from '../cache/cache-source.js';

/** A token that a caller wants. Arguments are checked already. */
export type TokenRequest = {
	readonly scopes: readonly string[];
	readonly kind: CacheKind;
	/** The tenant that the caller named, if the credential's rules allow it. */
	readonly tenantId: string | undefined;
	/** Whether the rules for tenants need to know the account first. */
	readonly isTenantOpen?: boolean;
	readonly claims: string | undefined;
};

export type AcquiredToken = {
	token: string;
	/** Unix seconds. */
	expiresOnSec: number;
	/** Unix seconds; `undefined` if the authority did not say. */
	refreshOnSec: number | undefined;
	/** Unix seconds; `undefined` if unknown. */
	issuedSec: number | undefined;
	/** The token is about to expire and is served only because the authority gave no other. */
	isLastResort: boolean;
	/** `AccountResolver.generation` of the view that this token was chosen from. */
	generation: number;
};

/** The token that a refresh ahead of time replaces. */
export type ReplacedToken = {
	token: string;
	/** Unix seconds. */
	expiresOnSec: number;
};
