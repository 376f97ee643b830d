/**
 * The seam between the cache logic and the bytes. `cache/` reads and writes a cache through a {@link CacheStore}; `stores.ts` lists all
 * stores. Two {@link CacheBackend}s make most of them: the C++ addon (`native-backend.ts`) and plain JavaScript (`js/js-backend.ts`).
 * `test/conformance` holds all of them to this description.
 *
 * `null` means that a look found no cache. A rejection means that nobody knows.
 */

import type {StoreError} from '../errors.js';

/**
 * What a store does when it is asked. `file`: answers at once; other programs may write in place, so a reading may meet a write. `keyring`:
 * may wait for a service or for the user; gives whole items. `remote`: may wait for the network; gives whole values.
 */
export type StoreKind = 'file' | 'keyring' | 'remote';

/** Which cache of a store. A store ignores the fields that it does not use. */
export type StoreLocation = {
	/** Absolute path of the cache file (`file` stores). */
	path?: string;
	/** `xdg:schema` of the item (`libsecret`). */
	schema?: string;
	/** Attributes that the item must carry with these values (`libsecret`); `service` and `account` of the item (`keychain`). */
	attributes?: Readonly<Record<string, string>>;
	/** Attributes that the item must not carry: tells two languages' items apart if one's attributes include the other's. */
	absentAttributes?: readonly string[];
	/** Fail if the user would have to be asked (`keychain`; no other store asks). Default false. */
	noPrompts?: boolean;
	/** The client of a `remote` store, and which of its caches. */
	remote?: object;
};

/**
 * What to take out of a cache.
 *
 * A record is matched on its fields, never on its key, because every library builds keys differently. A malformed record is
 * skipped; a cache that is not well-formed JSON is refused as a whole.
 *
 * Secrets are handed out for one account only: the chosen one. That is `homeAccountId`, if it is given. Otherwise it is the one account that
 * passes the `username` and `homeTenantId` hints and has a refresh token that the client may redeem; if there are several, nobody's secrets
 * are. Hints narrow; they do not select. `lookup/select-account.ts` selects.
 */
export type CacheQuery = {
	/** Hosts whose records count, lower case (an authority's aliases). Compared ignoring ASCII case. Empty: records of every host count. */
	environments: readonly string[];
	/** Client id of the access tokens and app metadata wanted. Compared ignoring ASCII case. */
	clientId: string;
	/** Unix seconds. Access tokens with `expires_on` at or before it are left out. */
	nowSec: number;
	/** The one account wanted. Compared ignoring ASCII case. */
	homeAccountId?: string;
	/** Hint: the name of any of the account's records. Compared ignoring ASCII case. */
	username?: string;
	/** Hint: the second of the exactly two dot-separated parts of a home account id. Compared ignoring ASCII case. */
	homeTenantId?: string;
	/** Whether the secrets of the chosen account's refresh tokens are wanted, too: when a grant is due. Default false. */
	refreshTokenSecrets?: boolean;
	/** Whether all accounts are wanted, however many. Default false: at most {@link maxListedAccounts}. */
	allAccounts?: boolean;
};

/**
 * Most accounts whose records a slice has: first those that pass the hints and have a refresh token for the client, then those that pass
 * the hints, then others. In `native/cache/cache_scanner.h`, too.
 */
export const maxListedAccounts = 200;

/**
 * Caches with more records of the section `Account`, or for which a slice would have more records of another kind, are refused
 * (`STC_CACHE_CORRUPT`): they would take much memory, and time of the event loop.
 */
export const maxRecords = 10_000;

/** An access token that expires later than this is left out: its writer counted in another unit. Seconds. */
export const maxLifetimeSec = 10 * 365 * 24 * 3600;

/**
 * Larger caches are refused (`STC_CACHE_CORRUPT`). The JS backend's limit is the longest string of V8, about half of this. MSAL becomes
 * unusable at much smaller sizes. Bytes.
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
	/** Absent unless the account is the chosen one and the query wants the secrets of refresh tokens. */
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
	/**
	 * Space-separated scopes of the request that this package redeemed a refresh token for: an authority may name others in its response. In
	 * the field `requested_scopes`, which other libraries ignore.
	 */
	requestedScopes?: string;
};

export type AppMetadataEntry = {
	environment: string;
	clientId: string;
	/** Present and not empty: the client belongs to that family. */
	familyId?: string;
};

/**
 * The part of a cache that a query matched, in the order of the file. Of two records with one key, the later one counts, in the place of
 * the first.
 */
export type CacheSlice = {
	/** Changes whenever the store's bytes may have changed; the same as {@link CacheStore.stamp} returns. */
	stamp: string;
	/** Time of the last write, Unix milliseconds; 0 if the store does not tell. */
	modifiedMs: number;
	/** Size of the plaintext in bytes. 0: the cache exists and is empty (a signal file). */
	sizeBytes: number;
	/** The home account ID of the account whose secrets the slice has. See {@link CacheQuery}. */
	chosenAccount?: string;
	accounts: AccountEntry[];
	/** How many accounts are not in `accounts`, because there are more than {@link maxListedAccounts}. */
	accountsLeftOut: number;
	/** Those of the listed accounts, and those without an account. */
	refreshTokens: RefreshTokenEntry[];
	/** Those of the chosen account. */
	accessTokens: AccessTokenEntry[];
	appMetadata: AppMetadataEntry[];
};

/**
 * Fields by which an edit finds records. `secret` is compared exactly; `target` and `requested_scopes` as sets of scopes, ignoring ASCII
 * case, order and repetition; `family_id` as the text of a string or of a whole number; the others ignoring ASCII case. A field that is
 * missing or of another type compares as the empty text.
 */
export type MatchField =
	| 'home_account_id' | 'environment' | 'client_id' | 'realm' | 'target' | 'family_id' | 'secret'
	| 'credential_type' | 'token_type' | 'requested_scopes'
	// Fields that bind a token to something, in every spelling that libraries use.
	| 'key_id' | 'kid' | 'keyid' | 'ext_cache_key' | 'ext' | 'requestedClaims' | 'requestedClaimsHash' | 'userAssertionHash' | 'user_assertion_hash';

/** Fields with a time in Unix seconds. */
export type TimeField = 'cached_at' | 'expires_on' | 'last_modification_time';

/**
 * One edit of the records of one section. Of two records with one key, or two sections with one name, only the later one counts, as in
 * `JSON.parse`. A record belongs to the first edit of a change that matches it.
 *
 * A record matches if its key is `key`, or if `match` names fields and each of them has one of the given values. A value that is not an
 * object matches only by its key, and is replaced as a whole. No record is added under a key that an earlier edit keeps.
 */
export type RecordEdit = {
	/** Such as `AccessToken`. */
	section: string;
	/**
	 * `put`: apply `set` and `unset` to every record that matches; if none does, add a record of `set` under `key`. `update`: the same,
	 * but add none. `add`: add a record only if none matches, and change none. `remove`: remove every record that matches.
	 */
	action: 'put' | 'update' | 'add' | 'remove';
	/** Required for `put` and `add`. */
	key?: string;
	match?: Readonly<Partial<Record<MatchField, readonly string[]>>>;
	/** Well-formed JSON text of each field's value, by name. All other fields keep their bytes. */
	set?: Readonly<Record<string, string>>;
	/** More fields for a record that is added. They come before those of `set`. */
	fill?: Readonly<Record<string, string>>;
	/** Fields to remove, unless `set` has them. */
	unset?: readonly string[];
	/** Records in which this field is at least `value` (Unix seconds) count as a match, but stay as they are. */
	unlessNewer?: {field: TimeField; value: number};
	/** So do records in which this field is missing, malformed, or at least `value`. */
	onlyIfOlder?: {field: TimeField; value: number};
	/**
	 * Compare and set: records whose `secret` is none of these count as a match, but stay as they are. A record without a secret, or with an
	 * empty one, has nothing to lose, so the edit applies to it.
	 */
	onlyIfSecret?: readonly string[];
};

/** What to change in a cache. Everything else keeps its bytes. */
export type CacheChange = {
	edits: readonly RecordEdit[];
	/** Change nothing unless the section `Account` has a record of this account. Compared ignoring ASCII case. */
	requiredAccount?: {homeAccountId: string; environments: readonly string[]};
};

/**
 * A file that another process replaces to stop commits, such as the mark of a sign-out. It is compared while the lock files are held: a
 * process that replaces it first, and then takes the lock files, finds in the cache whatever was committed before.
 */
export type CommitGuard = {
	/** Absolute. */
	path: string;
	/** A value of `guardStamp` (`guard-stamp.ts`). `null`: there was no file. */
	stamp: string | null;
};

export type CommitRequest = {
	change: CacheChange;
	/** Lock files to hold while committing, in this order. */
	lockPaths: readonly string[];
	/** Create the cache if there is none. Otherwise the outcome is `absent`. */
	create: boolean;
	/** Commit only if the store's stamp is this one (`null`: there is no cache). */
	expectedStamp?: string | null;
	/**
	 * Return only when the change survives a power loss, which costs some milliseconds more. Default false: after a power loss within the
	 * next half minute the cache may be the one from before. A keyring stores its items as it does.
	 */
	durable?: boolean;
	/**
	 * The same for the text of a keyring item: a version of {@link CacheText}, or of an earlier commit. A keyring counts the times of writes in
	 * whole seconds, so two writes within a second have one stamp.
	 */
	expectedVersion?: string;
	/** Commit only if another process has not asked to stop. Otherwise the outcome is `guarded`. */
	guard?: CommitGuard;
	/** A file to touch after a keyring item was written, so that other programs read the item again. Created if missing. */
	signalPath?: string;
};

export type CommitResult =
	/** Another program holds a lock file, or took it over before anything was written: wait, and try again. */
	| {outcome: 'locked'}
	/** Another program has the cache open, so that it cannot be replaced (Windows): try again. */
	| {outcome: 'busy'}
	/** The stamp is not `expectedStamp`, the text is not `expectedVersion`, or a program without a lock wrote in between: try again. */
	| {outcome: 'changed'}
	/** The guard is not as expected: nothing was written. */
	| {outcome: 'guarded'}
	/** There is no cache, and `create` is false. */
	| {outcome: 'absent'}
	/** The required account is missing: nothing was written. */
	| {outcome: 'no-account'}
	/** The cache already has the change. */
	| {outcome: 'unchanged'; stamp: string; version?: string}
	| {
		outcome: 'written';
		/** The stamp just before; `null`: there was no cache. */
		baseStamp: string | null;
		stamp: string;
		/** As in {@link CacheText}. */
		version?: string;
		/** Another program took over a lock file during the write, or overwrote the change: check soon whether it is still there. */
		lockLost: boolean;
	};

/** The result of a merge. */
export type EditResult = {outcome: 'no-account' | 'unchanged'} | {outcome: 'changed'; bytes: Uint8Array};

/** A cache as MSAL reads it. */
export type CacheText = {
	/** JSON. Empty: the cache exists and is empty. */
	text: string;
	/** As in {@link CacheSlice}. */
	stamp: string;
	/** Of a keyring item: differs if the text differs, for as long as this process lives. */
	version?: string;
	modifiedMs: number;
};

/**
 * Some libraries write in place: for a moment the file is empty or incomplete. A file that was not written for this long is not in the
 * middle of a write. Milliseconds. `native/stores/commit.cc` has the same.
 */
export const settledAfterMs = 2000;

/** Lock files that this process holds. If the process dies, others can take them. */
export interface HeldLock {
	/** Whether this process still holds the lock files. Restores a lock file that another program deleted. */
	check(): Promise<boolean>;
	/** Sets the time stamps of the lock files to now, as a sign of life. */
	touch(): Promise<void>;
	/** Deletes the lock files that this process still holds, and releases the locks. May be called again. */
	release(): Promise<void>;
}

/** One kind of place in which a cache may be. `at` says which cache of it. */
export interface CacheStore {
	/** The store's name in `stores.ts`. */
	readonly name: string;
	readonly kind: StoreKind;
	/** The deadline of each call, milliseconds. Default: the setting `keyringTimeoutMs`. */
	readonly timeoutMs?: number;

	/**
	 * Whether this machine has the store at all. Takes microseconds and asks no service.
	 *
	 * @returns the error with which every call would fail, or `undefined`.
	 */
	probe(): StoreError | undefined;

	/**
	 * Reads, decodes and scans one cache, off the main thread if the store can, and returns what the query matched.
	 *
	 * The call does not keep the event loop alive if the store may wait; the caller must.
	 *
	 * @param timeoutMs Deadline for a store that may wait. A file store ignores it.
	 * @returns `null` if the cache was never written.
	 * @throws {StoreError} `STC_CACHE_CORRUPT` (not a JSON object of MSAL's shape), `STC_CACHE_FORMAT` (a format of another
	 * platform or library that cannot be read here), `STC_CACHE_CHANGED` (a writer was at work: read again), `STC_STORE_UNAVAILABLE`,
	 * `STC_STORE_LOCKED`, `STC_STORE_DENIED`, `STC_STORE_TIMEOUT`, `STC_IO`.
	 */
	query(at: StoreLocation, query: CacheQuery, timeoutMs: number): Promise<CacheSlice | null>;

	/**
	 * The cheap change test: a string that differs after each write, without reading a secret. Must not contain `|`.
	 *
	 * @returns `null` if the cache was never written.
	 * @throws {StoreError} as {@link CacheStore.query}, except for the `STC_CACHE_` codes.
	 */
	stamp(at: StoreLocation, timeoutMs: number): Promise<string | null>;

	/**
	 * Reads and decodes one whole cache, for programs that pass it to MSAL. A string cannot be wiped; {@link query} keeps secrets that
	 * nobody asked for out of JavaScript.
	 *
	 * @returns `null` if the cache was never written.
	 * @throws {StoreError} as {@link CacheStore.query}.
	 */
	read(at: StoreLocation, timeoutMs: number): Promise<CacheText | null>;

	/**
	 * Takes the lock files, reads the cache again, merges the change into it, replaces it, and releases the lock files, in one call. The
	 * old cache is intact after any failure and at every moment. Never waits for a lock. Absent: the store is only read.
	 *
	 * @throws {StoreError} as {@link CacheStore.query}: a cache that cannot be read is not overwritten. A keyring that does not answer a
	 * write in time (`STC_STORE_TIMEOUT`) may carry it out later.
	 */
	commit?(at: StoreLocation, request: CommitRequest, timeoutMs: number): Promise<CommitResult>;

	/** As {@link CacheBackend.tryLock}, for readers of a `file` store that may have met a write. Absent: the store has no lock files. */
	tryLock?(paths: readonly string[]): Promise<HeldLock | null>;

	/**
	 * The lease with this name for a cache. Opens nothing and creates nothing. A keyring keeps it as a file: for an item with a signal file,
	 * `path` of `at` is that file's path.
	 *
	 * Absent or `undefined`: no leases, so each process requests its tokens without waiting for the others.
	 */
	lease?(at: StoreLocation, name: string): LeaseStore | undefined;
}

/**
 * A lease: of all processes that share a cache, one at a time holds it. A store that loses its holder (the process dies, the connection
 * ends) frees the lease.
 */
export interface LeaseStore {
	/**
	 * Tries to take the lease. Never waits.
	 *
	 * @returns `null` if another process holds it.
	 * @throws {StoreError} if no lease can be taken here.
	 */
	tryTake(): Promise<HeldLease | null>;

	state(): Promise<LeaseState>;

	/**
	 * Frees the lease of a holder that is stuck, if the state still has this version.
	 *
	 * @returns whether it was freed.
	 * @throws if it cannot be freed.
	 */
	evict(version: string): Promise<boolean>;
}

export type LeaseState = {
	/** `undefined`: nobody holds the lease. */
	held: {
		/** Differs between holders. `undefined`: not known, or not known yet. */
		holder: string | undefined;
		/** Differs after each {@link HeldLease.renew}, and between holders. */
		version: string;
	} | undefined;
	/** What the last holder left for those who wait, for {@link noteLifeMs} at most. */
	note: string | undefined;
};

export interface HeldLease {
	/**
	 * A sign of life: others may evict a holder that gives none.
	 *
	 * @returns whether this process still holds the lease.
	 * @throws if that is not known.
	 */
	renew(): Promise<boolean>;
	/**
	 * Frees the lease. Never rejects.
	 *
	 * @param note For those who wait, who find it as soon as the lease is free. At most {@link maxNoteSizeBytes} of UTF-8. It replaces the
	 * last note; without one, the last note is removed.
	 */
	release(note?: string): Promise<void>;
}

/** The longest note of a lease. Bytes. */
export const maxNoteSizeBytes = 4096;

/** A note is for the processes that wait when it is left. Whoever finds an older one may delete it. Milliseconds. */
export const noteLifeMs = 60_000;

export interface CacheBackend {
	readonly kind: 'native' | 'pure';
	/** The payload of a key in the kernel's key service; `null` if there is none. The addon on Linux alone. */
	readonly readKey?: ((description: string) => Uint8Array | null) | undefined;

	/**
	 * Makes a store of this backend. Use `storeOf` of `stores.ts`, which keeps it.
	 *
	 * @returns `undefined` if the backend has no store of that name.
	 */
	open(name: string, kind: StoreKind): CacheStore | undefined;

	/**
	 * Tries to take lock files, all of them or none. Never waits.
	 *
	 * @param paths Absolute; taken in this order. Their directories must exist.
	 * @returns `null` if another program holds one of them.
	 * @throws {StoreError} `STC_STORE_DENIED`, `STC_IO`.
	 */
	tryLock(paths: readonly string[]): Promise<HeldLock | null>;

	/**
	 * The merge of a commit, synchronous and without side effects: for stores that are written in TypeScript, tests and fuzzing.
	 *
	 * @throws {StoreError} `STC_CACHE_CORRUPT`, `STC_CACHE_FORMAT`.
	 */
	edit(bytes: Uint8Array, change: CacheChange): EditResult;

	/**
	 * The scanner, synchronous and without side effects: for stores that are written in TypeScript, tests, fuzzing and benchmarks.
	 * `stamp` is empty and `modifiedMs` 0.
	 *
	 * @throws {StoreError} `STC_CACHE_CORRUPT`, `STC_CACHE_FORMAT`.
	 */
	scan(bytes: Uint8Array, query: CacheQuery): CacheSlice;
}
