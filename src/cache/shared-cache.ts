/**
 * The shared cache as the rest of the package sees it: reads one source at a time through whichever backend loads, believes
 * nothing that a writer was in the middle of, and commits changes under the locks of everybody who writes there. The one file that
 * reaches `native` and `pure`.
 */

import {
	type CacheBackend, type CacheChange, type CacheQuery, type CacheText, fileStores, type HeldLock, type StoreName,
} from '../backend/backend.js';
import {StoreError} from '../errors.js';
import type {CacheSource} from './cache-source.js';
import type {CommitOptions, CommitOutcome} from './commit.js';
import {log} from '../runtime/log.js';
import {loadNativeBackend} from '../backend/native-backend.js';
import {requireLazily} from '../runtime/lazy.js';
import type {SourceReading, SourceStamp} from './source-reading.js';
import {joinStamps, signalStamp} from './stamps.js';
import {settle} from './torn-read.js';

export class SharedCache {
	readonly #keyringTimeoutMs: number;
	readonly #lockTimeoutMs: number;
	readonly #useNativeAddon: boolean | undefined;

	constructor(settings: {keyringTimeoutMs: number; lockTimeoutMs: number; useNativeAddon: boolean | undefined}) {
		this.#keyringTimeoutMs = settings.keyringTimeoutMs;
		this.#lockTimeoutMs = settings.lockTimeoutMs;
		this.#useNativeAddon = settings.useNativeAddon;
	}

	/** Reads one source. Never rejects: what went wrong is in the reading, for another source may do. */
	async read(source: CacheSource, query: CacheQuery): Promise<SourceReading> {
		let stamp: SourceStamp | undefined;
		for (;;) {
			try {
				const backend = this.#backendFor(source.store);
				// Taken before the read, so that a write in between shows as a change at the next look.
				const signal = await signalStamp(source);
				const slice = await this.#settled(source, async () => backend.query(source.store, source.at, query, this.#keyringTimeoutMs));
				return {
					source, slice, error: undefined, stamp: {value: joinStamps(slice?.stamp, signal), readable: true},
				};
			} catch (error) {
				if (!(error instanceof StoreError)) {
					throw error;
				}

				// What failed gave no stamp, and one that is taken now may be that of a cache which can be read: so once more. A keyring that
				// just failed would fail again, perhaps after another deadline.
				const next = fileStores.has(source.store) ? stamp ?? await this.stamp(source) : {value: error.code, readable: false};
				if (stamp || !next.readable) {
					return {
						source, slice: null, error, stamp: next,
					};
				}

				stamp = next;
			}
		}
	}

	/** The cheap change test. Never rejects. */
	async stamp(source: CacheSource): Promise<SourceStamp> {
		try {
			const backend = this.#backendFor(source.store);
			const [own, signal] = await Promise.all([backend.stamp(source.store, source.at, this.#keyringTimeoutMs), signalStamp(source)]);
			return {value: joinStamps(own, signal), readable: true};
		} catch (error) {
			if (!(error instanceof StoreError)) {
				throw error;
			}

			return {value: error.code, readable: false};
		}
	}

	/**
	 * The whole of a source's text, for programs that hand it to MSAL.
	 *
	 * @returns `null` where there is no such cache.
	 * @throws {StoreError}
	 */
	async readText(source: CacheSource): Promise<CacheText | null> {
		const backend = this.#backendFor(source.store);
		const signal = await signalStamp(source);
		const read = await this.#settled(source, async () => {
			const text = await backend.read(source.store, source.at, this.#keyringTimeoutMs);
			return text && {...text, sizeBytes: text.text.length};
		});
		return read && {text: read.text, stamp: joinStamps(read.stamp, signal), modifiedMs: read.modifiedMs};
	}

	/**
	 * Which of the primary sources takes what is written: the one that holds a cache, else the keyring where there is one, else a
	 * plaintext file where that is allowed.
	 *
	 * @throws {StoreError} where none can be written.
	 */
	async writableSource(primary: readonly CacheSource[], unsafeAllowUnencryptedStorage: boolean): Promise<CacheSource> {
		return forWriting().writableSource(primary, unsafeAllowUnencryptedStorage, this.#means());
	}

	/**
	 * Merges a change into what a source holds now, under its locks.
	 *
	 * @throws {StoreError} `STC_LOCK_TIMEOUT`, or as `CacheBackend.commit`. The cache is as it was then.
	 * @throws the reason of `signal`, if that fires while the lock is waited for.
	 */
	async commit(source: CacheSource, change: CacheChange, options: CommitOptions = {}): Promise<CommitOutcome> {
		return forWriting().commit(source, change, options, this.#means());
	}

	/**
	 * Tries to take lock files of our own, such as a lease.
	 *
	 * @throws {StoreError} `STC_STORE_DENIED`, `STC_IO`.
	 */
	async tryLock(paths: readonly string[]): Promise<HeldLock | null> {
		return this.#backendFor('plaintext').tryLock(paths);
	}

	/** Repeats a reading that may have met a writer. */
	async #settled<Reading extends {sizeBytes: number; modifiedMs: number}>(source: CacheSource, read: () => Promise<Reading | null>): Promise<Reading | null> {
		const first = read();
		try {
			const reading = await first;
			if (!reading || reading.sizeBytes > 0 || !fileStores.has(source.store)) {
				return reading;
			}
		} catch (error) {
			if (!(error instanceof StoreError) || !fileStores.has(source.store)) {
				throw error;
			}
		}

		return settle({
			source, first, read, lockTimeoutMs: this.#lockTimeoutMs, tryLock: async paths => this.tryLock(paths),
		});
	}

	/** What writing takes besides. */
	#means() {
		return {backendFor: (store: StoreName) => this.#backendFor(store), keyringTimeoutMs: this.#keyringTimeoutMs, lockTimeoutMs: this.#lockTimeoutMs};
	}

	/**
	 * @throws {StoreError} `STC_ADDON_MISSING` where the store needs the addon and there is none; what {@link CacheBackend.probe} says,
	 * so that a keyring which cannot be there costs neither a thread nor a look at its signal (0.5 ms of a process's first token).
	 */
	#backendFor(store: StoreName): CacheBackend {
		const {backend, nativeError} = chooseBackend(this.#useNativeAddon);
		if (backend?.stores.includes(store)) {
			const failure = backend.probe(store);
			if (failure) {
				throw failure;
			}

			return backend;
		}

		throw nativeError ?? new StoreError(
			'STC_ADDON_MISSING',
			`Reading the store "${store}" needs the native addon, which the option useNativeAddon switches off. Leave it out.`,
			{store},
		);
	}
}

type Backends = {backend?: CacheBackend; nativeError?: StoreError};

/** Loaded when there is something to write, because most processes never have. */
function forWriting() {
	return requireLazily(() => require('./commit.js') as typeof import('./commit.js'));
}

const chosenBackends = new Map<boolean | undefined, Backends>();

/**
 * Chosen once per process and preference. The addon and the pure-JS variant are loaded only when they are chosen, for start-up time.
 *
 * @throws {StoreError} `STC_IO` where neither can be loaded just now.
 */
function chooseBackend(useNativeAddon: boolean | undefined): Backends {
	let chosen = chosenBackends.get(useNativeAddon);
	if (!chosen) {
		chosen = loadBackend(useNativeAddon);
		chosenBackends.set(useNativeAddon, chosen);
	}

	return chosen;
}

function loadBackend(useNativeAddon: boolean | undefined): Backends {
	const loadPure = () => requireLazily(() => require('../backend/js/js-backend.js') as typeof import('../backend/js/js-backend.js')).pureBackend;
	if (useNativeAddon === false) {
		return {backend: loadPure()};
	}

	const {backend, error} = loadNativeBackend();
	if (backend) {
		return {backend};
	}

	const nativeError = error ? {nativeError: error} : {};
	if (useNativeAddon) {
		return nativeError;
	}

	log.warning(() => `The native addon could not be loaded; plaintext caches are read by the pure-JS variant, encrypted ones cannot be read. ${error?.message ?? ''}`);
	return {backend: loadPure(), ...nativeError};
}
