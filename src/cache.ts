/**
 * The shared cache as the rest of the package sees it: reads one source at a time through whichever backend loads, believes
 * nothing that a writer was in the middle of, and commits changes under the locks of everybody who writes there. The one file that
 * reaches `native` and `pure`.
 */

import {mkdir as mkdirWithCallback, stat as statWithCallback} from 'node:fs';
import {constants as osConstants} from 'node:os';
import {dirname} from 'node:path';
import {promisify} from 'node:util';
import {setTimeout as sleep} from 'node:timers/promises';
import {
	type CacheBackend, type CacheChange, type CacheQuery, type CacheSlice, type CacheText, type CommitResult, fileStores, type HeldLock, type StoreName,
} from './backend.js';
import {StoreError} from './errors.js';
import type {CacheSource} from './locations.js';
import {waitForLock} from './locks.js';
import {log} from './log.js';

// Loading `node:fs/promises` would add most of a millisecond to the first token.
const stat = promisify(statWithCallback);
const mkdir = promisify(mkdirWithCallback);

/** A reading of one source. Exactly one of `slice` and `error` tells what was found; `null` means there is no such cache. */
export type SourceReading = {
	source: CacheSource;
	slice: CacheSlice | null;
	error: StoreError | undefined;
	/** What {@link SharedCache.stamp} would have said just before. */
	stamp: SourceStamp;
};

/** Equal for two looks at an unchanged source. `readable: false`: the look itself failed, so that nothing can be concluded. */
export type SourceStamp = {value: string; readable: boolean};

/** What a commit came to, once the lock was had. Stamps as {@link SharedCache.stamp} gives them. */
export type CommitOutcome = Exclude<CommitResult, {outcome: 'locked'}>;

export type CommitOptions = {
	/** Make the cache if there is none. Default false: the outcome is `absent`. */
	create?: boolean;
	/** What to commit instead, once the lock was not to be had at the first try: others may have written meanwhile. */
	lateChange?: CacheChange;
	/** Commit only if nothing was written since; otherwise the outcome is `changed`. A value of {@link SharedCache.stamp}. */
	expectedStamp?: string;
	signal?: AbortSignal;
	/** Whether waiting holds the event loop. Default true. */
	ref?: boolean;
};

/**
 * Pauses between looks at a file that seems to be in the middle of a write, milliseconds. Peers that write in place leave such
 * a window in 6 to 8 of 100 reads of a 64 KiB cache that is written without a pause.
 */
const tornReadPausesMs = [1, 2, 4, 8, 16, 32];

/** An empty or damaged file that nobody wrote for this long is what it seems. Milliseconds. */
const settledAfterMs = 2000;

/** A lock for reading is not waited for longer: a reader only wants to see the end of a write. Milliseconds. */
const readLockTimeoutMs = 2000;

/** What a file holds that only signals that a keyring item changed: nothing, or `{}`. Bytes. */
const signalFileSize = 2;

/** Source: ERROR_PATH_NOT_FOUND of winerror.h, Windows SDK. */
const pathNotFound = 3;

const absent = 'absent';

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
			// Taken before the read, so that a write in between shows as a change at the next look.
			// eslint-disable-next-line no-await-in-loop
			const signal = await signalStamp(source);
			try {
				// eslint-disable-next-line no-await-in-loop
				const slice = await this.#readSettled(source, query);
				return {
					source, slice, error: undefined, stamp: {value: joinStamps(slice?.stamp, signal), readable: true},
				};
			} catch (error) {
				if (!(error instanceof StoreError)) {
					throw error;
				}

				if (stamp) {
					return {
						source, slice: null, error, stamp,
					};
				}

				// What failed gave no stamp, and one that is taken now may be that of a cache which can be read: so once more.
				// eslint-disable-next-line no-await-in-loop
				stamp = await this.stamp(source, error);
				if (!stamp.readable) {
					return {
						source, slice: null, error, stamp,
					};
				}
			}
		}
	}

	/** The cheap change test. Never rejects. */
	async stamp(source: CacheSource, knownError?: StoreError): Promise<SourceStamp> {
		// A keyring that just failed would fail again, perhaps after another deadline.
		if (knownError && !fileStores.has(source.store)) {
			return {value: knownError.code, readable: false};
		}

		try {
			const {backend} = this.#backendFor(source.store);
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
		const signal = await signalStamp(source);
		const {backend} = this.#backendFor(source.store);
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
		const keyring: CacheSource[] = [];
		let failure: StoreError | undefined;
		for (const source of primary) {
			if (source.store === 'plaintext') {
				// eslint-disable-next-line no-await-in-loop
				if (await sizeOf(source.at.path ?? '') > signalFileSize) {
					return source;
				}

				continue;
			}

			try {
				const {backend} = this.#backendFor(source.store);
				// eslint-disable-next-line no-await-in-loop
				if (await backend.stamp(source.store, source.at, this.#keyringTimeoutMs) !== null) {
					return source;
				}

				keyring.push(source);
			} catch (error) {
				if (!(error instanceof StoreError)) {
					throw error;
				}

				failure ??= error;
			}
		}

		const plaintext = unsafeAllowUnencryptedStorage ? primary.find(({store}) => store === 'plaintext') : undefined;
		const chosen = keyring[0] ?? plaintext;
		if (chosen) {
			return chosen;
		}

		throw new StoreError(
			failure?.code ?? 'STC_STORE_UNAVAILABLE',
			`There is no encrypted store to make a cache in. ${failure?.message ?? ''} tokenCachePersistenceOptions.unsafeAllowUnencryptedStorage would allow a plaintext file.`,
			{op: 'create'},
			{cause: failure},
		);
	}

	/**
	 * Merges a change into what a source holds now, under its locks.
	 *
	 * @throws {StoreError} `STC_LOCK_TIMEOUT`, or as `CacheBackend.commit`. The cache is as it was then.
	 * @throws the reason of `signal`, if that fires while the lock is waited for.
	 */
	async commit(source: CacheSource, change: CacheChange, options: CommitOptions = {}): Promise<CommitOutcome> {
		const {create = false, lateChange = change, expectedStamp, signal, ref} = options;
		const {backend} = this.#backendFor(source.store);
		const [lockPath = ''] = source.lockPaths;
		if (create) {
			await makeDirectory(dirname(lockPath));
		}

		const [expectedOwn, expectedSignal] = expectedStamp?.split('|') ?? [];
		const request = {
			lockPaths: await withDirectories(source.lockPaths),
			create,
			...(expectedOwn !== undefined && {expectedStamp: expectedOwn === absent ? null : expectedOwn}),
			...(source.signalPath !== undefined && {signalPath: source.signalPath}),
		};
		let tries = 0;
		return waitForLock(async (): Promise<CommitOutcome | undefined> => {
			const attempt = {...request, change: tries === 0 ? change : lateChange};
			tries++;
			const signalBefore = await signalStamp(source);
			if (expectedSignal !== undefined && expectedSignal !== signalBefore) {
				return {outcome: 'changed'};
			}

			const result = await this.#tryCommit(source, async () => backend.commit(source.store, source.at, attempt, this.#keyringTimeoutMs));
			switch (result.outcome) {
				case 'locked': {
					return undefined;
				}

				case 'changed': {
					return expectedStamp === undefined ? undefined : result;
				}

				case 'written': {
					return {...result, baseStamp: joinStamps(result.baseStamp, signalBefore), stamp: joinStamps(result.stamp, await signalStamp(source))};
				}

				case 'unchanged': {
					return {...result, stamp: joinStamps(result.stamp, signalBefore)};
				}

				default: {
					return result;
				}
			}
		}, {
			timeoutMs: this.#lockTimeoutMs, path: lockPath, signal, ...(ref !== undefined && {ref}),
		});
	}

	/**
	 * Tries to take lock files of our own, such as a lease.
	 *
	 * @throws {StoreError} `STC_STORE_DENIED`, `STC_IO`.
	 */
	async tryLock(paths: readonly string[]): Promise<HeldLock | null> {
		return this.#backendFor('plaintext').backend.tryLock(paths);
	}

	async #readSettled(source: CacheSource, query: CacheQuery): Promise<CacheSlice | null> {
		const {backend} = this.#backendFor(source.store);
		return this.#settled(source, async () => backend.query(source.store, source.at, query, this.#keyringTimeoutMs));
	}

	/** Repeats a reading that may have met a writer; believes it in the end only under the lock, where that can be had. */
	async #settled<Reading extends {sizeBytes: number; modifiedMs: number}>(source: CacheSource, read: () => Promise<Reading | null>): Promise<Reading | null> {
		for (const pauseMs of tornReadPausesMs) {
			try {
				// One look after the other: each decides whether another is needed.
				// eslint-disable-next-line no-await-in-loop
				const reading = await read();
				if (!reading || reading.sizeBytes > 0 || !fileStores.has(source.store) || !isRecent(reading.modifiedMs)) {
					return reading;
				}
			} catch (error) {
				// eslint-disable-next-line no-await-in-loop
				if (!(await isPerhapsTorn(error, source))) {
					throw error;
				}
			}

			// eslint-disable-next-line no-await-in-loop
			await sleep(pauseMs);
		}

		const lock = await this.#lockForReading(source);
		try {
			return await read();
		} finally {
			await lock?.release();
		}
	}

	async #lockForReading({lockPaths}: CacheSource): Promise<HeldLock | undefined> {
		try {
			return await waitForLock(
				async () => await this.tryLock(lockPaths) ?? undefined,
				{timeoutMs: Math.min(readLockTimeoutMs, this.#lockTimeoutMs), path: lockPaths[0] ?? ''},
			);
		} catch (error) {
			// A reader may have no right to write there: what it sees has to do.
			log.info(() => `Read without the lock: ${(error as Error).message}`);
			return undefined;
		}
	}

	/** Repeats what failed because a peer that goes by no lock was writing the file just then. */
	async #tryCommit(source: CacheSource, commit: () => Promise<CommitResult>): Promise<CommitResult> {
		for (let attempt = 0; ; attempt++) {
			try {
				// eslint-disable-next-line no-await-in-loop
				return await commit();
			} catch (error) {
				const pauseMs = tornReadPausesMs[attempt];
				if (isMissingDirectory(error)) {
					// eslint-disable-next-line no-await-in-loop
					if (attempt === 0 && await this.#isItem(source)) {
						// eslint-disable-next-line no-await-in-loop
						await makeDirectory(dirname(source.lockPaths[0] ?? ''));
						continue;
					}

					return {outcome: 'absent'};
				}

				// eslint-disable-next-line no-await-in-loop
				if (pauseMs === undefined || !(await isPerhapsTorn(error, source))) {
					throw error;
				}

				// eslint-disable-next-line no-await-in-loop
				await sleep(pauseMs);
			}
		}
	}

	/** Whether it is an item of a keyring, and there: its writer may keep the lock files elsewhere. */
	async #isItem({store, at}: CacheSource): Promise<boolean> {
		return !fileStores.has(store) && await this.#backendFor(store).backend.stamp(store, at, this.#keyringTimeoutMs) !== null;
	}

	/** @throws {StoreError} `STC_ADDON_MISSING` where the store needs the addon and there is none. */
	#backendFor(store: StoreName): {backend: CacheBackend} {
		const {backend, nativeError} = chooseBackend(this.#useNativeAddon);
		if (backend?.stores.includes(store)) {
			return {backend};
		}

		throw nativeError ?? new StoreError(
			'STC_ADDON_MISSING',
			`Reading the store "${store}" needs the native addon, which the option useNativeAddon switches off. Leave it out.`,
			{store},
		);
	}
}

type Backends = {backend?: CacheBackend; nativeError?: StoreError};

const chosenBackends = new Map<boolean | undefined, Backends>();

/** Chosen once per process and preference. Each variant is loaded only when it is chosen, for start-up time. */
function chooseBackend(useNativeAddon: boolean | undefined): Backends {
	let chosen = chosenBackends.get(useNativeAddon);
	if (!chosen) {
		chosen = loadBackend(useNativeAddon);
		chosenBackends.set(useNativeAddon, chosen);
	}

	return chosen;
}

function loadBackend(useNativeAddon: boolean | undefined): Backends {
	const loadPure = () => (require('./pure.js') as typeof import('./pure.js')).pureBackend;
	if (useNativeAddon === false) {
		return {backend: loadPure()};
	}

	const {backend, error} = (require('./native.js') as typeof import('./native.js')).loadNativeBackend();
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

async function isPerhapsTorn(error: unknown, {store, at}: CacheSource): Promise<boolean> {
	if (!(error instanceof StoreError) || !fileStores.has(store)) {
		return false;
	}

	return error.code === 'STC_CACHE_CHANGED' || (error.code === 'STC_CACHE_CORRUPT' && isRecent(await modifiedMs(at.path ?? '')));
}

function isRecent(ms: number): boolean {
	return Math.abs(Date.now() - ms) < settledAfterMs;
}

async function modifiedMs(path: string): Promise<number> {
	try {
		const {mtimeMs} = await stat(path);
		return mtimeMs;
	} catch {
		// It vanished: the next look tells.
		return Date.now();
	}
}

async function signalStamp({signalPath}: CacheSource): Promise<string> {
	if (signalPath === undefined) {
		return '';
	}

	try {
		const {ino, size, mtimeNs, ctimeNs} = await stat(signalPath, {bigint: true});
		return [ino, size, mtimeNs, ctimeNs].join(':');
	} catch {
		// The signal only makes the item's own stamp finer; without the file that stamp stands alone.
		return '';
	}
}

function joinStamps(own: string | null | undefined, signal: string): string {
	return `${own ?? absent}|${signal}`;
}

async function sizeOf(path: string): Promise<number> {
	try {
		const {size} = await stat(path);
		return size;
	} catch {
		// Not there, or not ours to see: nothing to go on with.
		return 0;
	}
}

async function makeDirectory(path: string): Promise<void> {
	try {
		await mkdir(path, {recursive: true, mode: 0o700});
	} catch (error) {
		const {code, errno = 0} = error as NodeJS.ErrnoException;
		throw new StoreError(
			code === 'EACCES' || code === 'EPERM' ? 'STC_STORE_DENIED' : 'STC_IO',
			`${path}: the directory cannot be made (${code ?? 'unknown'}). Check its parent's owner, mode and file system.`,
			{op: 'mkdir', osDomain: 'errno', osCode: Math.abs(errno)},
		);
	}
}

/** The first lock file, and those others whose directories are there. */
async function withDirectories(lockPaths: readonly string[]): Promise<string[]> {
	const [first = '', ...others] = lockPaths;
	const directories = new Set(others.map(path => dirname(path)));
	directories.delete(dirname(first));
	const missing = new Set<string>();
	await Promise.all([...directories].map(async directory => {
		try {
			await stat(directory);
		} catch (error) {
			// What else may be wrong with it, taking the lock tells.
			if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
				missing.add(directory);
			}
		}
	}));
	return lockPaths.filter(path => !missing.has(dirname(path)));
}

/** The lock file cannot be made where the directory is not: no file of a cache is there, either. */
function isMissingDirectory(error: unknown): boolean {
	return error instanceof StoreError && (
		(error.osDomain === 'errno' && error.osCode === osConstants.errno.ENOENT)
		|| (error.osDomain === 'win32' && error.osCode === pathNotFound)
	);
}
