/** What `native/addon` exports. */

import type {ErrorCode} from '../errors.js';
import type {
	CacheChange, CacheQuery, CacheSlice, CacheText, CommitRequest, CommitResult, EditResult, StoreLocation,
} from './backend.js';
import type {entryMakers} from './entry-makers.js';

/** The version of {@link NativeAddon}. A binary of another version is not used. */
export const apiVersion = 3;

/** A failure as the addon reports it. */
export type NativeFailure = {code: ErrorCode; message: string; op: string; osDomain?: string; osCode?: number};

/** A slice whose entries come in parts, because making all of them at once would block the event loop: call `takeRest` until there is no rest. */
export type NativeSlice = CacheSlice & {rest?: object};

export type NativeAddon = {
	readonly apiVersion: number;
	readonly stores: readonly string[];
	/** Must be called once, before the other functions. The addon builds entries with these functions. */
	setEntryMakers(...makers: typeof entryMakers): void;
	probe(store: string): NativeFailure | undefined;
	query(store: string, at: StoreLocation, query: CacheQuery, timeoutMs: number): Promise<NativeSlice | null>;
	stamp(store: string, at: StoreLocation, timeoutMs: number): Promise<string | null>;
	scan(bytes: Uint8Array, query: CacheQuery): NativeSlice | NativeFailure;
	/** Appends further entries to a slice with a `rest`. Returns whether it is complete now. */
	takeRest(slice: NativeSlice): boolean;
	read(store: string, at: StoreLocation, timeoutMs: number): Promise<CacheText | null>;
	/** @param isOwn Nobody but this package creates files of these names: anything else is removed. */
	tryLock(paths: readonly string[], isOwn: boolean): Promise<NativeLock | null>;
	checkLock(lock: NativeLock): Promise<boolean>;
	touchLock(lock: NativeLock): Promise<void>;
	releaseLock(lock: NativeLock): Promise<void>;
	commit(store: string, at: StoreLocation, request: CommitRequest, timeoutMs: number): Promise<CommitResult>;
	edit(bytes: Uint8Array, change: CacheChange): EditResult | NativeFailure;
	/** The payload of a key in the kernel's key service. On Linux alone. */
	readKey?(description: string): Uint8Array | NativeFailure | null;
	/** The user's known folder for local application data. On Windows alone. */
	localAppData?(): string | NativeFailure;
};

/** Opaque. Garbage collection releases the lock as a last resort. */
export type NativeLock = {readonly nativeLock: unique symbol};
