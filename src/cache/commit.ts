/** Writes to a source: chooses it, and commits under its locks. Loaded when there is something to write. */

import {stat} from 'node:fs/promises';
import {constants as osConstants} from 'node:os';
import {dirname} from 'node:path';
import type {
	CacheChange, CacheStore, CommitGuard, CommitResult,
} from '../backend/backend.js';
import {makeFolder} from '../backend/make-folder.js';
import {isPlaintext, storeKind, type StoreName} from '../backend/stores.js';
import {detailsOf, StoreError} from '../errors.js';
import {sleep} from '../runtime/sleep.js';
import {type CacheSource, signalFileSize} from './cache-source.js';
import {waitForLock} from './lock-wait.js';
import {absent, joinStamps, signalStamp} from './stamps.js';
import {isInUse, isPerhapsTorn, tornReadPausesMs} from './torn-read.js';

/** ERROR_PATH_NOT_FOUND. Source: winerror.h, Windows SDK. */
const pathNotFound = 3;

/** The outcome of a commit that got the lock. Stamps are those of `SharedCache.stamp`. */
export type CommitOutcome = Exclude<CommitResult, {outcome: 'locked' | 'busy'}>;

export type CommitOptions = {
	/** Make the cache if there is none. Default false: the outcome is `absent`. */
	create?: boolean;
	/** The change from the second attempt on: other programs may have written while this one waited for the lock. Default: the same change. */
	lateChange?: CacheChange;
	/** Commit only if nothing was written since; otherwise the outcome is `changed`. A value of `SharedCache.stamp`. */
	expectedStamp?: string;
	/** The version of that text, if the store has versions. */
	expectedVersion?: string | undefined;
	/** Commit only if this file is as it was; otherwise the outcome is `guarded`. Compared under the cache's locks. */
	guard?: CommitGuard;
	/** Return only when the change survives a power loss. Default false. See `CommitRequest`. */
	durable?: boolean;
	signal?: AbortSignal;
	/** Whether waiting keeps the event loop alive. Default true. */
	ref?: boolean;
};

export type WritingMeans = {
	/** @throws {StoreError} as `chooseStore`. */
	storeOf: (name: StoreName) => CacheStore;
	/** The deadline of a call of that store, milliseconds. */
	deadlineMs: (store: CacheStore) => number;
	lockTimeoutMs: number;
};

/** As `SharedCache.writableSource`. */
export async function writableSource(primary: readonly CacheSource[], unsafeAllowUnencryptedStorage: boolean, means: WritingMeans): Promise<CacheSource> {
	const encrypted: CacheSource[] = [];
	let failure: StoreError | undefined;
	for (const source of primary) {
		if (isPlaintext(source.store)) {
			// A smaller file only signals that a keyring item changed.
			if (await sizeOf(source.at.path ?? '') > signalFileSize) {
				return source;
			}

			continue;
		}

		try {
			if (await isThere(source, means)) {
				return source;
			}

			encrypted.push(source);
		} catch (error) {
			if (!(error instanceof StoreError)) {
				throw error;
			}

			failure ??= error;
		}
	}

	const plaintext = unsafeAllowUnencryptedStorage ? primary.find(({store}) => isPlaintext(store)) : undefined;
	const chosen = encrypted[0] ?? plaintext;
	if (chosen) {
		return chosen;
	}

	throw new StoreError(
		failure?.code ?? 'STC_STORE_UNAVAILABLE',
		primary.some(({store}) => isPlaintext(store))
			// The first sentence says why. What the store advises is not all that can be done.
			? `No encrypted cache can be made. ${failure?.message.replace(/(?<=\.) .*$/, '') ?? ''} Set tokenCachePersistenceOptions.unsafeAllowUnencryptedStorage to allow a plaintext file, or make the keyring available.`
			: `No encrypted cache can be made, and this system's shared cache has no plaintext form. ${failure?.message ?? ''}`.trimEnd(),
		{...(failure && detailsOf(failure)), op: 'create'},
		{cause: failure},
	);
}

/** As `SharedCache.commit`. */
export async function commit(source: CacheSource, change: CacheChange, options: CommitOptions, means: WritingMeans): Promise<CommitOutcome> {
	const {
		create = false, lateChange = change, expectedStamp, expectedVersion, guard, durable = false, signal, ref,
	} = options;
	const store = means.storeOf(source.store);
	const commitToStore = store.commit?.bind(store);
	if (!commitToStore) {
		throw new StoreError('STC_STORE_DENIED', `${source.label}: this package only reads the store "${store.name}". Use another cache.`, {op: 'commit', store: store.name});
	}

	const [lockPath] = source.lockPaths;
	if (create && lockPath !== undefined) {
		await makeDirectory(dirname(lockPath));
	}

	const [expectedOwn, expectedSignal] = expectedStamp?.split('|') ?? [];
	const request = {
		lockPaths: await withDirectories(source.lockPaths),
		create,
		...(expectedOwn !== undefined && {expectedStamp: expectedOwn === absent ? null : expectedOwn}),
		...(expectedVersion !== undefined && {expectedVersion}),
		...(guard && {guard}),
		durable,
		...(source.signalPath !== undefined && {signalPath: source.signalPath}),
	};
	let tries = 0;
	let obstacle: StoreError | undefined;
	return waitForLock(async (): Promise<CommitOutcome | undefined> => {
		const attempt = {...request, change: tries === 0 ? change : lateChange};
		tries++;
		const signalBefore = await signalStamp(source);
		if (expectedSignal !== undefined && expectedSignal !== signalBefore) {
			return {outcome: 'changed'};
		}

		const result = await tryCommit(source, {means, create}, async () => commitToStore(source.at, attempt, means.deadlineMs(store)));
		obstacle = result instanceof StoreError ? result : undefined;
		if (result instanceof StoreError) {
			return undefined;
		}

		switch (result.outcome) {
			case 'locked': {
				return undefined;
			}

			case 'busy': {
				obstacle = new StoreError(
					'STC_LOCK_TIMEOUT',
					`${source.label}: open in another program, which keeps it from being replaced, for ${means.lockTimeoutMs} ms. Close that program, or raise lockTimeoutInMs.`,
					{op: 'replace', store: store.name},
				);
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
		timeoutMs: means.lockTimeoutMs, path: lockPath ?? source.label, obstacle: () => obstacle, signal, ...(ref !== undefined && {ref}),
	});
}

/** How often a directory is made again that somebody deletes while a cache is made in it. */
const maxDirectories = 3;

/**
 * Repeats a commit that failed because another program was writing the file without a lock, or deleted its directory.
 *
 * @returns the error if another program has the file open for itself: the caller waits for it as for a lock.
 */
async function tryCommit(source: CacheSource, {means, create}: {means: WritingMeans; create: boolean}, write: () => Promise<CommitResult>): Promise<CommitResult | StoreError> {
	for (let attempt = 0; ; attempt++) {
		try {
			return await write();
		} catch (error) {
			const pauseMs = tornReadPausesMs[attempt];
			if (isMissingDirectory(error)) {
				// A keyring item may exist without the directory: its writer keeps its lock files elsewhere.
				const [lockPath] = source.lockPaths;
				const isNeeded = create ? attempt < maxDirectories : attempt === 0 && storeKind(source.store) !== 'file' && await isThere(source, means);
				if (isNeeded && lockPath !== undefined) {
					await makeDirectory(dirname(lockPath));
					continue;
				}

				if (create) {
					// Not `absent`: the change would be lost without a word.
					throw error;
				}

				return {outcome: 'absent'};
			}

			if (isInUse(error)) {
				return error;
			}

			if (pauseMs === undefined || !(await isPerhapsTorn(error, source))) {
				throw error;
			}

			await sleep(pauseMs);
		}
	}
}

/** Whether the cache exists. */
async function isThere({store: name, at}: CacheSource, {storeOf, deadlineMs}: WritingMeans): Promise<boolean> {
	const store = storeOf(name);
	return await store.stamp(at, deadlineMs(store)) !== null;
}

async function sizeOf(path: string): Promise<number> {
	try {
		const {size} = await stat(path);
		return size;
	} catch {
		// The file does not exist, or this process may not see it.
		return 0;
	}
}

async function makeDirectory(path: string): Promise<void> {
	try {
		await makeFolder(path);
	} catch (error) {
		const {code, errno = 0} = error as NodeJS.ErrnoException;
		throw new StoreError(
			code === 'EACCES' || code === 'EPERM' ? 'STC_STORE_DENIED' : 'STC_IO',
			code === 'EEXIST' || code === 'ENOTDIR'
				? `${path}: a file is in the place of this directory or of one above it. Move the file away.`
				: `${path}: the directory cannot be made (${code ?? 'unknown'}). Check its parent's owner, mode and file system.`,
			{op: 'mkdir', osDomain: 'errno', osCode: Math.abs(errno)},
		);
	}
}

/** The first lock file, and those other ones whose directories exist. */
async function withDirectories(lockPaths: readonly string[]): Promise<string[]> {
	const [first, ...others] = lockPaths;
	if (first === undefined) {
		return [];
	}

	const directories = new Set(others.map(path => dirname(path)));
	directories.delete(dirname(first));
	const missing = new Set<string>();
	await Promise.all([...directories].map(async directory => {
		try {
			await stat(directory);
		} catch (error) {
			// Taking the lock reports any other problem.
			if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
				missing.add(directory);
			}
		}
	}));
	return lockPaths.filter(path => !missing.has(dirname(path)));
}

/** Whether the lock file could not be made because its directory is missing. Then no cache file exists, either. */
function isMissingDirectory(error: unknown): boolean {
	// `realpath` fails for a cache that is a dangling symbolic link. That is another problem.
	return error instanceof StoreError && error.op !== 'realpath' && (
		(error.osDomain === 'errno' && error.osCode === osConstants.errno.ENOENT)
		|| (error.osDomain === 'win32' && error.osCode === pathNotFound)
	);
}
