/** Writing to a source: which one, and under which locks. Loaded when there is something to write. */

import {mkdir as mkdirWithCallback, stat as statWithCallback} from 'node:fs';
import {constants as osConstants} from 'node:os';
import {dirname} from 'node:path';
import {promisify} from 'node:util';
import {setTimeout as sleep} from 'node:timers/promises';
import {
	type CacheBackend, type CacheChange, type CommitResult, fileStores, type StoreName,
} from '../backend/backend.js';
import {StoreError} from '../errors.js';
import type {CacheSource} from './cache-source.js';
import {waitForLock} from './lock-wait.js';
import {absent, joinStamps, signalStamp} from './stamps.js';
import {isPerhapsTorn, tornReadPausesMs} from './torn-read.js';

const mkdir = promisify(mkdirWithCallback);
const stat = promisify(statWithCallback);

/** What a file holds that only signals that a keyring item changed: nothing, or `{}`. Bytes. */
const signalFileSize = 2;

/** Source: ERROR_PATH_NOT_FOUND of winerror.h, Windows SDK. */
const pathNotFound = 3;

/** The outcome of a commit that got the lock. Stamps are those of `SharedCache.stamp`. */
export type CommitOutcome = Exclude<CommitResult, {outcome: 'locked'}>;

export type CommitOptions = {
	/** Make the cache if there is none. Default false: the outcome is `absent`. */
	create?: boolean;
	/** The change from the second attempt on: other programs may have written while this one waited for the lock. Default: the same change. */
	lateChange?: CacheChange;
	/** Commit only if nothing was written since; otherwise the outcome is `changed`. A value of `SharedCache.stamp`. */
	expectedStamp?: string;
	signal?: AbortSignal;
	/** Whether waiting keeps the event loop alive. Default true. */
	ref?: boolean;
};

export type WritingMeans = {
	/** @throws {StoreError} `STC_ADDON_MISSING` where the store needs the addon and there is none. */
	backendFor: (store: StoreName) => CacheBackend;
	keyringTimeoutMs: number;
	lockTimeoutMs: number;
};

/** As `SharedCache.writableSource`. */
export async function writableSource(primary: readonly CacheSource[], unsafeAllowUnencryptedStorage: boolean, {backendFor, keyringTimeoutMs}: WritingMeans): Promise<CacheSource> {
	const keyring: CacheSource[] = [];
	let failure: StoreError | undefined;
	for (const source of primary) {
		if (source.store === 'plaintext') {
			if (await sizeOf(source.at.path ?? '') > signalFileSize) {
				return source;
			}

			continue;
		}

		try {
			const backend = backendFor(source.store);
			if (await backend.stamp(source.store, source.at, keyringTimeoutMs) !== null) {
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

/** As `SharedCache.commit`. */
export async function commit(source: CacheSource, change: CacheChange, options: CommitOptions, means: WritingMeans): Promise<CommitOutcome> {
	const {backendFor, keyringTimeoutMs, lockTimeoutMs} = means;
	const {create = false, lateChange = change, expectedStamp, signal, ref} = options;
	const backend = backendFor(source.store);
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

		const result = await tryCommit(source, means, async () => backend.commit(source.store, source.at, attempt, keyringTimeoutMs));
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
		timeoutMs: lockTimeoutMs, path: lockPath, signal, ...(ref !== undefined && {ref}),
	});
}

/** Repeats what failed because a peer that goes by no lock was writing the file just then. */
async function tryCommit(source: CacheSource, means: WritingMeans, write: () => Promise<CommitResult>): Promise<CommitResult> {
	for (let attempt = 0; ; attempt++) {
		try {
			return await write();
		} catch (error) {
			const pauseMs = tornReadPausesMs[attempt];
			if (isMissingDirectory(error)) {
				if (attempt === 0 && await isItem(source, means)) {
					await makeDirectory(dirname(source.lockPaths[0] ?? ''));
					continue;
				}

				return {outcome: 'absent'};
			}

			if (pauseMs === undefined || !(await isPerhapsTorn(error, source))) {
				throw error;
			}

			await sleep(pauseMs);
		}
	}
}

/** Whether it is an item of a keyring, and there: its writer may keep the lock files elsewhere. */
async function isItem({store, at}: CacheSource, {backendFor, keyringTimeoutMs}: WritingMeans): Promise<boolean> {
	return !fileStores.has(store) && await backendFor(store).stamp(store, at, keyringTimeoutMs) !== null;
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
	// Only a lock file's: of a cache that is a link to nothing, the link is what is wrong.
	return error instanceof StoreError && error.op !== 'realpath' && (
		(error.osDomain === 'errno' && error.osCode === osConstants.errno.ENOENT)
		|| (error.osDomain === 'win32' && error.osCode === pathNotFound)
	);
}
