/**
 * The seam between policy and bytes: what `cache.ts` asks of whoever reads caches. Two backends implement it, the C++ addon
 * (`native.ts`) and the pure-JS variant (`pure.ts`); `test/conformance` holds both to the same answers.
 *
 * `null` means "we looked and nothing is there". A rejection means "we could not look".
 */

/** Where a cache's bytes are kept: a file as MSAL writes it, or an item of the Secret Service. */
export type StoreName = 'plaintext' | 'libsecret';

/** Which cache of a store. A store ignores the fields that it does not use. */
export type StoreLocation = {
	/** Absolute path of the cache file (`plaintext`). */
	path?: string;
	/** `xdg:schema` of the item (`libsecret`). */
	schema?: string;
	/** Attributes that the item must carry with these values (`libsecret`). */
	attributes?: Readonly<Record<string, string>>;
	/** Attributes that the item must not carry: tells two languages' items apart where one's attributes include the other's. */
	absentAttributes?: readonly string[];
};

/**
 * What to take out of a cache.
 *
 * A record is matched on its fields, never on its key, because every library builds keys differently. A malformed record is
 * skipped; a cache that is not well-formed JSON is refused as a whole.
 *
 * Secrets are handed out only for accounts that can still be chosen. If `homeAccountId` is given, that is the one account.
 * Otherwise it is every account record that passes the `username` and `homeTenantId` hints, unless more than
 * {@link maxAccountsWithSecrets} accounts pass: then nobody's. Hints narrow; they do not select. `accounts.ts` selects.
 */
export type CacheQuery = {
	/** Hosts whose records count, lower case (an authority's aliases). Compared ignoring ASCII case. */
	environments: readonly string[];
	/** Client id of the access tokens and app metadata wanted. Compared ignoring ASCII case. */
	clientId: string;
	/** Unix seconds. Access tokens with `expires_on` at or before it are left out. */
	nowSec: number;
	/** The one account wanted. Compared ignoring ASCII case. */
	homeAccountId?: string;
	/** Hint: compared ignoring ASCII case; an account whose name, or a hint that, is not pure ASCII passes. */
	username?: string;
	/** Hint: the second of the exactly two dot-separated parts of a home account id. Compared ignoring ASCII case. */
	homeTenantId?: string;
};

/** With more accounts than this passing a query's hints, the slice carries no secrets: ask again for one `homeAccountId`. */
export const maxAccountsWithSecrets = 8;

/**
 * Caches larger than this are refused (`STC_CACHE_CORRUPT`); the pure-JS variant refuses those that V8 cannot hold as one string, about
 * half of it. MSAL itself becomes unusable long before. Bytes.
 */
export const maxCacheSizeBytes = 1024 * 1024 * 1024;

export type AccountEntry = {
	homeAccountId: string;
	environment: string;
	realm?: string;
	localAccountId?: string;
	username?: string;
	authorityType?: string;
};

export type RefreshTokenEntry = {
	homeAccountId: string;
	environment: string;
	clientId?: string;
	/** Present and not empty: a family refresh token. */
	familyId?: string;
	target?: string;
	/** Unix seconds. */
	lastModificationTime?: number;
	/** Absent where the query narrowed this account away. */
	secret?: string;
};

export type AccessTokenEntry = {
	homeAccountId: string;
	environment: string;
	clientId: string;
	realm?: string;
	/** Space-separated scopes as stored. */
	target: string;
	secret: string;
	/** Unix seconds. */
	cachedAt?: number;
	/** Unix seconds. */
	expiresOn: number;
	/** Unix seconds. */
	refreshOn?: number;
};

export type AppMetadataEntry = {
	environment: string;
	clientId: string;
	/** Present and not empty: the client belongs to that family. */
	familyId?: string;
};

/**
 * The part of a cache that a query matched. Order is the file's, save that of two records under one key the later one counts
 * (as in `JSON.parse`), at its own place.
 */
export type CacheSlice = {
	/** Changes whenever the store's bytes may have changed; equal to what {@link CacheBackend.stamp} gives. */
	stamp: string;
	/** When the store was last written, Unix milliseconds; 0 where the store does not tell. */
	modifiedMs: number;
	/** Size of the plaintext in bytes. 0: the store is there and empty (a signal file). */
	sizeBytes: number;
	accounts: AccountEntry[];
	refreshTokens: RefreshTokenEntry[];
	accessTokens: AccessTokenEntry[];
	appMetadata: AppMetadataEntry[];
};

export interface CacheBackend {
	readonly kind: 'native' | 'pure';
	/** The stores that this backend can read. */
	readonly stores: readonly StoreName[];

	/**
	 * Reads, decodes and scans one cache off the main thread and returns what the query matched.
	 *
	 * A store that may stall does not hold the event loop: whoever waits has to.
	 *
	 * @param timeoutMs Deadline for a store that may stall (`libsecret`); a file has none.
	 * @returns `null` when the cache was never written.
	 * @throws {StoreError} `STC_CACHE_CORRUPT` (not a JSON object of MSAL's shape), `STC_CACHE_FORMAT` (a format of another
	 * platform or library that cannot be read here), `STC_CACHE_CHANGED` (a writer was at work: read again), `STC_STORE_UNAVAILABLE`,
	 * `STC_STORE_LOCKED`, `STC_STORE_DENIED`, `STC_STORE_TIMEOUT`, `STC_IO`.
	 */
	query(store: StoreName, at: StoreLocation, query: CacheQuery, timeoutMs: number): Promise<CacheSlice | null>;

	/**
	 * The cheap change test: a string that differs when the store was written, without reading a secret.
	 *
	 * @returns `null` when the cache was never written.
	 * @throws {StoreError} as {@link CacheBackend.query}, but for the `STC_CACHE_` codes.
	 */
	stamp(store: StoreName, at: StoreLocation, timeoutMs: number): Promise<string | null>;

	/**
	 * The scanner alone, synchronous and pure: for tests, fuzzing and benchmarks. `stamp` is empty and `modifiedMs` 0.
	 *
	 * @throws {StoreError} `STC_CACHE_CORRUPT`, `STC_CACHE_FORMAT`.
	 */
	scan(bytes: Uint8Array, query: CacheQuery): CacheSlice;
}
