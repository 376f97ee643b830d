/**
 * Reads and writes one cache at a time. Retries reads that may overlap a write, and holds every other library's lock while writing. The
 * rest of the package reaches a store only through this class.
 */

import {readdirSync, statSync} from 'node:fs';
import {sep} from 'node:path';
import type {
	CacheChange, CacheQuery, CacheStore, CacheText, LeaseStore,
} from '../backend/backend.js';
import {chooseStore, storeKind, type StoreName} from '../backend/stores.js';
import {StoreError} from '../errors.js';
import {requireLazily} from '../runtime/lazy.js';
import {type CacheSource, directory} from './cache-source.js';
import type {CommitOptions, CommitOutcome} from './commit.js';
import type {SourceReading, SourceStamp} from './source-reading.js';
import {joinStamps, signalStamp} from './stamps.js';

export class SharedCache {
	readonly #keyringTimeoutMs: number;
	readonly #lockTimeoutMs: number;
	readonly #useNativeAddon: boolean | undefined;

	constructor(settings: {keyringTimeoutMs: number; lockTimeoutMs: number; useNativeAddon: boolean | undefined}) {
		this.#keyringTimeoutMs = settings.keyringTimeoutMs;
		this.#lockTimeoutMs = settings.lockTimeoutMs;
		this.#useNativeAddon = settings.useNativeAddon;
	}

	/** Reads one source. Never rejects with a {@link StoreError}: the reading holds it, because another source may have the account. */
	async read(source: CacheSource, query: CacheQuery): Promise<SourceReading> {
		let stamp: SourceStamp | undefined;
		for (;;) {
			try {
				const store = this.#storeOf(source.store);
				// Taken before the read, so that a write in between shows as a change at the next look.
				const signal = await signalStamp(source);
				const slice = await this.#readConsistent(source, store, async () => store.query(source.at, query, this.#deadlineMs(store)));
				this.#sweepSoon(source);
				return {
					source, slice, error: undefined, stamp: {value: joinStamps(slice?.stamp, signal), readable: true},
				};
			} catch (error) {
				if (!(error instanceof StoreError)) {
					throw error;
				}

				// A failed read gives no stamp, and a stamp that is taken now may belong to a cache that can be read. So take the stamp, then
				// read again. Not for other stores than files: they would fail again, perhaps after another deadline.
				const next = storeKind(source.store) === 'file' ? stamp ?? await this.stamp(source) : {value: error.code, readable: false};
				if (stamp || !next.readable) {
					return {
						source, slice: null, error, stamp: next,
					};
				}

				stamp = next;
			}
		}
	}

	/** The cheap change test. Never rejects with a {@link StoreError}. */
	async stamp(source: CacheSource): Promise<SourceStamp> {
		try {
			const store = this.#storeOf(source.store);
			const [own, signal] = await Promise.all([store.stamp(source.at, this.#deadlineMs(store)), signalStamp(source)]);
			return {value: joinStamps(own, signal), readable: true};
		} catch (error) {
			if (!(error instanceof StoreError)) {
				throw error;
			}

			return {value: error.code, readable: false};
		}
	}

	/**
	 * Reads the whole text of a source, for programs that pass it to MSAL.
	 *
	 * @returns `null` if there is no such cache.
	 * @throws {StoreError} as `CacheStore.read`.
	 */
	async readText(source: CacheSource): Promise<CacheText | null> {
		const store = this.#storeOf(source.store);
		const signal = await signalStamp(source);
		const read = await this.#readConsistent(source, store, async () => {
			const text = await store.read(source.at, this.#deadlineMs(store));
			return text && {...text, sizeBytes: text.text.length};
		});
		return read && {
			text: read.text, stamp: joinStamps(read.stamp, signal), modifiedMs: read.modifiedMs, ...(read.version !== undefined && {version: read.version}),
		};
	}

	/**
	 * Chooses the primary source to write to: the first one with a cache, or else the first one with an encrypted store, or else a
	 * plaintext file if that is allowed.
	 *
	 * @throws {StoreError} if none can be written.
	 */
	async writableSource(primary: readonly CacheSource[], unsafeAllowUnencryptedStorage: boolean): Promise<CacheSource> {
		return forWriting().writableSource(primary, unsafeAllowUnencryptedStorage, this.#means());
	}

	/**
	 * Merges a change into the current content of a source, under its locks.
	 *
	 * @throws {StoreError} `STC_LOCK_TIMEOUT`, or as `CacheStore.commit`. The cache is unchanged then, unless a keyring carries the write out
	 * after `STC_STORE_TIMEOUT`.
	 * @throws the reason of `signal`, if that fires while this waits for the lock.
	 */
	async commit(source: CacheSource, change: CacheChange, options: CommitOptions = {}): Promise<CommitOutcome> {
		return forWriting().commit(source, change, options, this.#means());
	}

	/** Loads what a commit needs. Call this before something that must be committed at once. */
	prepareToCommit(): void {
		forWriting();
	}

	/**
	 * The lease with this name, kept by the last of the sources whose store has leases.
	 *
	 * @returns `undefined` if no store has leases.
	 */
	lease(sources: readonly CacheSource[], name: string): LeaseStore | undefined {
		for (const {store, at, signalPath} of sources.toReversed()) {
			try {
				const lease = chooseStore(store, this.#useNativeAddon).lease?.({...(signalPath !== undefined && {path: signalPath}), ...at}, name);
				if (lease) {
					return lease;
				}
			} catch (error) {
				if (!(error instanceof StoreError)) {
					throw error;
				}
			}
		}

		return undefined;
	}

	/** Repeats a reading that may have met a write. */
	async #readConsistent<Reading extends {sizeBytes: number; modifiedMs: number}>(source: CacheSource, store: CacheStore, read: () => Promise<Reading | null>): Promise<Reading | null> {
		const first = read();
		try {
			const reading = await first;
			if (!reading || reading.sizeBytes > 0 || store.kind !== 'file') {
				return reading;
			}
		} catch (error) {
			if (!(error instanceof StoreError) || store.kind !== 'file') {
				throw error;
			}
		}

		// Loaded only now, because most processes never meet such a read.
		const {readConsistent} = requireLazily(() => require('./torn-read.js') as typeof import('./torn-read.js'));
		return readConsistent({
			source, first, read, lockTimeoutMs: this.#lockTimeoutMs, ...(store.tryLock && {tryLock: store.tryLock.bind(store)}),
		});
	}

	/** Deletes what dead processes left beside a cache, once per process. After the read, so that nobody waits for it. */
	#sweepSoon({at, signalPath, lockPaths: [lockPath]}: CacheSource): void {
		const path = signalPath ?? at.path;
		if (path === undefined || lockPath === undefined || sweptPaths.has(path) || folderOf(path) !== folderOf(lockPath)) {
			return;
		}

		sweptPaths.add(path);
		setImmediate(() => {
			try {
				if (!mayHaveOrphans(path)) {
					return;
				}

				const store = chooseStore('plaintext', this.#useNativeAddon);
				const tryLock = store.tryLock?.bind(store);
				if (tryLock) {
					const {sweepOrphans} = requireLazily(() => require('../backend/orphans.js') as typeof import('../backend/orphans.js'));
					void sweepOrphans({path, lockPath, tryLock});
				}
			} catch {
				// A later process deletes them.
			}
		});
	}

	#means() {
		return {
			storeOf: (name: StoreName) => this.#storeOf(name),
			deadlineMs: (store: CacheStore) => this.#deadlineMs(store),
			lockTimeoutMs: this.#lockTimeoutMs,
		};
	}

	#deadlineMs(store: CacheStore): number {
		return store.timeoutMs ?? this.#keyringTimeoutMs;
	}

	/** @throws {StoreError} as `chooseStore`, or as `probe` of the store: a keyring that is missing costs neither a thread nor a look at its signal file. */
	#storeOf(name: StoreName): CacheStore {
		const store = chooseStore(name, this.#useNativeAddon);
		const failure = store.probe();
		if (failure) {
			throw failure;
		}

		return store;
	}
}

/** Caches beside which this process has looked for orphans. */
const sweptPaths = new Set<string>();

/** A larger folder is not one for caches alone. Bytes, as the file system counts them. */
const largeFolderBytes = 65_536;

/**
 * Whether a folder has files with the endings of what this package makes beside a cache. Synchronous: the threads of an asynchronous look
 * would cost a short program more than the look (bench P3).
 */
function mayHaveOrphans(path: string): boolean {
	const folder = folderOf(path);
	try {
		// The folder of the shared caches has nothing else in it. The size of another one is looked at first, which costs twice as much as the list.
		if (!folder.endsWith(sep + directory) && statSync(folder).size > largeFolderBytes) {
			return true;
		}

		for (const name of readdirSync(folder)) {
			for (const part of partsOfOrphans) {
				if (name.includes(part)) {
					return true;
				}
			}
		}

		return false;
	} catch {
		return false;
	}
}

/** `path.dirname` would be one more function to compile before a first token (bench P3). */
function folderOf(path: string): string {
	return path.slice(0, path.lastIndexOf(sep));
}

/** Wider than the patterns of `orphans.ts`, and no pattern: compiling one takes longer than this. */
const partsOfOrphans = ['.lease', '.note', '.tmp', '.lockfile.'];

/** Loaded when there is something to write: most processes never write. */
function forWriting() {
	return requireLazily(() => require('./commit.js') as typeof import('./commit.js'));
}
