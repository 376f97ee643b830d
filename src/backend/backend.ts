/**
 * The seam between policy and bytes: what `cache.ts` asks of whoever reads caches. Two backends implement it, the C++ addon
 * (`native.ts`) and the pure-JS variant (`pure.ts`); `test/conformance` holds both to the same answers.
 *
 * `null` means "we looked and nothing is there". A rejection means "we could not look".
 */

import type {StoreError} from '../errors.js';

/** Where a cache's bytes are kept: a file as MSAL writes it, a file that Windows or Go encrypted, an item of the macOS Keychain or of the Secret Service. */
export type StoreName = 'plaintext' | 'dpapi' | 'jwe' | 'keychain' | 'libsecret';

/** The stores whose caches are files: written by several libraries in place, so that a reader may meet a write. */
export const fileStores: ReadonlySet<StoreName> = new Set(['plaintext', 'dpapi', 'jwe']);

/** Which cache of a store. A store ignores the fields that it does not use. */
export type StoreLocation = {
	/** Absolute path of the cache file (`plaintext`, `dpapi`, `jwe`). */
	path?: string;
	/** `xdg:schema` of the item (`libsecret`). */
	schema?: string;
	/** Attributes that the item must carry with these values (`libsecret`); `service` and `account` of the item (`keychain`). */
	attributes?: Readonly<Record<string, string>>;
	/** Attributes that the item must not carry: tells two languages' items apart where one's attributes include the other's. */
	absentAttributes?: readonly string[];
	/** Fail where the user would have to be asked (`keychain`; no other store asks). Default false. */
	noPrompts?: boolean;
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

/**
 * Fields by which an edit finds records. `secret` is compared exactly; `target` as a set of scopes, ignoring ASCII case, order and
 * repetition; `family_id` as the text of a string or of a whole number; the others ignoring ASCII case. A field that is missing or of
 * another type compares as the empty text.
 */
export type MatchField =
	| 'home_account_id' | 'environment' | 'client_id' | 'realm' | 'target' | 'family_id' | 'secret'
	| 'token_type' | 'key_id' | 'ext_cache_key' | 'requestedClaimsHash' | 'userAssertionHash';

/**
 * One edit of the records of one section. Only records that count in `JSON.parse`'s sense are looked at (of two with one key the
 * later one, of two sections with one name the later one). A record belongs to the first edit of a change that matches it.
 *
 * A record matches if its key is `key`, or if `match` names fields and each of them has one of the values given there. What is
 * no object matches by its key alone, and is replaced as a whole. No record is added under a key that stays, because it belongs to
 * an earlier edit.
 */
export type RecordEdit = {
	/** Such as `AccessToken`. */
	section: string;
	/**
	 * `put`: write `set` and `unset` into every record that matches; without one add a record of `set` under `key`. `update`: the
	 * same, but add none. `add`: leave records that match alone; without one add. `remove`: take out every record that matches.
	 */
	action: 'put' | 'update' | 'add' | 'remove';
	/** Required for `put` and `add`. */
	key?: string;
	match?: Readonly<Partial<Record<MatchField, readonly string[]>>>;
	/** Well-formed JSON text of each field's value, by name. Fields that are not named here stay as they are, byte for byte. */
	set?: Readonly<Record<string, string>>;
	/** More fields, in front of those of `set`, that only a record gets which is added. */
	fill?: Readonly<Record<string, string>>;
	/** Fields to take out, unless `set` has them. */
	unset?: readonly string[];
	/** Records in which this field is a time of at least `value` (Unix seconds) are left alone, and count as a match. */
	unlessNewer?: {field: 'cached_at' | 'expires_on' | 'last_modification_time'; value: number};
};

/** What to change in a cache; everything else survives byte for byte. */
export type CacheChange = {
	edits: readonly RecordEdit[];
	/** Change nothing unless the section `Account` has a record of this account. Compared ignoring ASCII case. */
	requiredAccount?: {homeAccountId: string; environments: readonly string[]};
};

export type CommitRequest = {
	change: CacheChange;
	/** Lock files to hold while committing, in this order. */
	lockPaths: readonly string[];
	/** Write the cache if there is none. Otherwise that is the outcome `absent`. */
	create: boolean;
	/** Commit only if the store's stamp is this one (`null`: there is no cache). */
	expectedStamp?: string | null;
	/** A file to touch after a keyring item was written, made if missing, so that peers look at the item again. */
	signalPath?: string;
};

export type CommitResult =
	/** A lock file is held by another, or was taken from us before anything was written: wait, and try again. */
	| {outcome: 'locked'}
	/** The store is not what `expectedStamp` says, or a writer that goes by no lock came in between: try again. */
	| {outcome: 'changed'}
	/** There is no cache, and none was to be made. */
	| {outcome: 'absent'}
	/** The required account is not there: nothing was written. */
	| {outcome: 'no-account'}
	/** The cache says already what the change wants. */
	| {outcome: 'unchanged'; stamp: string}
	| {
		outcome: 'written';
		/** The stamp just before; `null`: there was no cache. */
		baseStamp: string | null;
		stamp: string;
		/** A lock file was taken from us while we wrote, or a peer has written over it: look soon whether the change is still there. */
		lockLost: boolean;
	};

/** What a merge comes to. */
export type EditResult = {outcome: 'no-account' | 'unchanged'} | {outcome: 'changed'; bytes: Uint8Array};

/** A cache as MSAL takes it. */
export type CacheText = {
	/** JSON. Empty: the store is there and empty. */
	text: string;
	/** As in {@link CacheSlice}. */
	stamp: string;
	modifiedMs: number;
};

/** Lock files that are held. The operating system frees them when the process dies. */
export interface HeldLock {
	/** Whether the lock files are still ours; one that a peer deleted is put back. */
	check(): Promise<boolean>;
	/** Sets the lock files' time stamps to now, as a sign of life. */
	touch(): Promise<void>;
	/** Deletes the lock files that are still ours and frees the locks. May be called again. */
	release(): Promise<void>;
}

export interface CacheBackend {
	readonly kind: 'native' | 'pure';
	/** The stores that this backend can read. */
	readonly stores: readonly StoreName[];

	/**
	 * Whether a store is here at all, as far as that can be told at once: in microseconds, without asking anybody.
	 *
	 * @returns what every call would fail with, or `undefined`.
	 */
	probe(store: StoreName): StoreError | undefined;

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
	 * Reads and decodes one cache as a whole, for those who hand it to MSAL. The text cannot be wiped: {@link query} keeps it native.
	 *
	 * @returns `null` when the cache was never written.
	 * @throws {StoreError} as {@link CacheBackend.query}.
	 */
	read(store: StoreName, at: StoreLocation, timeoutMs: number): Promise<CacheText | null>;

	/**
	 * Tries to take lock files, all of them or none. Never waits.
	 *
	 * @param paths Absolute; taken in this order. Their directory has to be there.
	 * @returns `null` if one is held.
	 * @throws {StoreError} `STC_STORE_DENIED`, `STC_IO`.
	 */
	tryLock(paths: readonly string[]): Promise<HeldLock | null>;

	/**
	 * Takes the lock files, reads the cache anew, merges the change into what it holds now, writes that in place of it and lets the
	 * lock files go, in one go. What was there before is intact after any failure and at any moment. Never waits for a lock.
	 *
	 * @throws {StoreError} as {@link CacheBackend.query}: what cannot be read is not overwritten.
	 */
	commit(store: StoreName, at: StoreLocation, request: CommitRequest, timeoutMs: number): Promise<CommitResult>;

	/**
	 * The merge alone, synchronous and pure: for tests and fuzzing.
	 *
	 * @throws {StoreError} `STC_CACHE_CORRUPT`, `STC_CACHE_FORMAT`.
	 */
	edit(bytes: Uint8Array, change: CacheChange): EditResult;

	/**
	 * The scanner alone, synchronous and pure: for tests, fuzzing and benchmarks. `stamp` is empty and `modifiedMs` 0.
	 *
	 * @throws {StoreError} `STC_CACHE_CORRUPT`, `STC_CACHE_FORMAT`.
	 */
	scan(bytes: Uint8Array, query: CacheQuery): CacheSlice;
}
