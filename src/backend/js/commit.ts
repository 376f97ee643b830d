/**
 * Commits a change to a plaintext cache in plain JavaScript, in the same steps as the addon (`native/stores/file_commit_posix.cc`). Its
 * locks are as strong as Node allows (`lock-file.ts`).
 */

import {type BigIntStats, constants as fileConstants, type Stats} from 'node:fs';
import {
	type FileHandle, link, lstat, open, readdir, realpath, rename, stat, unlink,
} from 'node:fs/promises';
import {constants as osConstants} from 'node:os';
import {basename, dirname, join} from 'node:path';
import {
	type CommitRequest, type CommitResult, type EditResult, type HeldLock, settledAfterMs,
} from '../backend.js';
import {StoreError} from '../../errors.js';
import {guardStamp} from '../guard-stamp.js';
import {sleep} from '../../runtime/sleep.js';
import {editCache} from './edit.js';
import {flush, flushNames} from './flush.js';
import {
	type FileState, orStoreError, readCacheFile, stampOf, statCacheFile, toStoreError,
} from './cache-file.js';
import {tryLockFiles} from './lock-file.js';

/** @throws {StoreError} as `CacheStore.commit`. */
export async function commitFile(path: string, request: CommitRequest): Promise<CommitResult> {
	const lock = await tryLockFiles(request.lockPaths);
	if (!lock) {
		return {outcome: 'locked'};
	}

	try {
		return await commitLocked(await resolveLink(path), request, lock);
	} finally {
		await lock.release();
	}
}

type Base = {state: FileState | undefined; edited: EditResult};

async function commitLocked(path: string, request: CommitRequest, lock: HeldLock): Promise<CommitResult> {
	await sweep(path);
	if (!await passesGuard(request)) {
		return {outcome: 'guarded'};
	}

	const base = await readBase(path, request);
	if (!('edited' in base)) {
		return base;
	}

	const {state, edited} = base;
	if (edited.outcome !== 'changed') {
		return edited.outcome === 'no-account'
			? {outcome: 'no-account'}
			: (state ? {outcome: 'unchanged', stamp: state.stamp} : {outcome: 'absent'});
	}

	const temporary = temporaryName(path);
	const file = await orStoreError('open', path, open(
		temporary,
		fileConstants.O_RDWR | fileConstants.O_CREAT | fileConstants.O_EXCL | fileConstants.O_NOFOLLOW,
		0o600,
	));
	try {
		await fill(file, path, state, edited.bytes);
		// After a power loss, a file system may remember the name and not the content. A delayed allocation finds the disk full only now.
		await orStoreError('fdatasync', path, flush(async () => file.datasync()));
		return await replace(path, temporary, {
			file, state, lock, request,
		});
	} catch (error) {
		// A failure to delete the temporary file must not hide the first error.
		await unlink(temporary).catch(() => undefined);
		throw toStoreError(error, 'write', path);
	} finally {
		edited.bytes.fill(0);
		// The outcome is known.
		await file.close().catch(() => undefined);
	}
}

async function passesGuard({guard}: CommitRequest): Promise<boolean> {
	return guard === undefined || await guardStamp(guard.path) === guard.stamp;
}

async function readBase(path: string, {change, create, expectedStamp}: CommitRequest): Promise<Base | CommitResult> {
	let base: Base | CommitResult | null;
	try {
		base = await readCacheFile(path, (bytes, state) => (
			isPerhapsTorn(state) || (expectedStamp !== undefined && expectedStamp !== state.stamp)
				? {outcome: 'changed'}
				: {state, edited: editCache(bytes, change, `${path}:`)}
		));
	} catch (error) {
		// A file that cannot be opened is reported: the cause may last.
		if (error instanceof StoreError && error.code === 'STC_CACHE_CHANGED' && error.op !== 'open') {
			return {outcome: 'changed'};
		}

		throw error;
	}

	if (base) {
		return base;
	}

	if (typeof expectedStamp === 'string') {
		return {outcome: 'changed'};
	}

	return create ? {state: undefined, edited: editCache(Buffer.alloc(0), change, `${path}:`)} : {outcome: 'absent'};
}

/** A writer without a lock empties the file before it writes. Treating that as an empty cache would lose the other program's data. */
function isPerhapsTorn({stats, modifiedMs}: FileState): boolean {
	return stats.size === 0n && Math.abs(Date.now() - modifiedMs) < settledAfterMs;
}

async function fill(file: FileHandle, path: string, state: FileState | undefined, bytes: Uint8Array): Promise<void> {
	// Root may write a cache in a user's home directory. The file must keep its owner, or the user could no longer read it.
	const wanted = state?.stats ?? await stat(dirname(path), {bigint: true});
	await file.chmod(0o600);
	if (process.geteuid && wanted.uid !== BigInt(process.geteuid())) {
		await file.chown(Number(wanted.uid), Number(wanted.gid));
	}

	// On a full disk, the first symptom is a short write.
	let done = 0;
	while (done < bytes.length) {
		const {bytesWritten} = await file.write(bytes, done);
		if (bytesWritten === 0) {
			throw Object.assign(new Error('short write'), {code: 'ENOSPC', errno: -28});
		}

		done += bytesWritten;
	}
}

async function replace(
	path: string,
	temporary: string,
	{
		file, state, lock, request,
	}: {file: FileHandle; state: FileState | undefined; lock: HeldLock; request: CommitRequest},
): Promise<CommitResult> {
	const giveUp = async (outcome: 'locked' | 'busy' | 'changed' | 'guarded'): Promise<CommitResult> => {
		// The process that took over the lock may have deleted the file already.
		await unlink(temporary).catch(() => undefined);
		return {outcome};
	};

	await setModified(file, state);
	const own = await file.stat({bigint: true});
	if (!await lock.check()) {
		return giveUp('locked');
	}

	// The last check before the rename: a program without a lock may have written.
	const now = await statCacheFile(path);
	if (now?.stamp !== state?.stamp) {
		return giveUp('changed');
	}

	// As late as possible, because the lock may be lost.
	if (!await passesGuard(request)) {
		return giveUp('guarded');
	}

	const putOutcome = await putInPlace(temporary, path, state === undefined);
	if (putOutcome !== 'placed') {
		return giveUp(putOutcome);
	}

	// The change is in the cache. Whatever fails from here on leaves only a doubt about it.
	const placed = await settle(file, own, state);
	const isFlushed = !request.durable || await flushNames(path).then(() => true, () => false);
	const isLockHeld = await lock.check().catch(() => false);
	return {
		outcome: 'written',
		baseStamp: state?.stamp ?? null,
		// A program without a lock may have written in place already. Our own stamp then matches no file, so the next check finds a change.
		stamp: stampOf(placed ?? own),
		lockLost: !isLockHeld || !isFlushed || placed === undefined,
	};
}

/**
 * Changes the time stamp of the new cache once more, for file watchers that ignore renames.
 *
 * @returns its state; `undefined` if that is not known, or if another program has written to it.
 */
async function settle(file: FileHandle, own: BigIntStats, state: FileState | undefined): Promise<BigIntStats | undefined> {
	try {
		const {size, mtimeNs} = await file.stat({bigint: true});
		if (size !== own.size || mtimeNs !== own.mtimeNs) {
			return undefined;
		}

		await setModified(file, state);
		const placed = await file.stat({bigint: true});
		return placed.size === own.size ? placed : undefined;
	} catch {
		return undefined;
	}
}

/** @returns `changed` if a file appeared where there was none, or if another writer deleted the temporary file. */
async function putInPlace(temporary: string, path: string, isNew: boolean): Promise<'placed' | 'changed' | 'busy'> {
	if (isNew) {
		try {
			await link(temporary, path);
			// If this fails, a later process deletes it.
			await unlink(temporary).catch(() => undefined);
			return 'placed';
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
				return 'changed';
			}
			// Some file systems have no hard links.
		}
	}

	for (let tries = 1; ; tries++) {
		try {
			await rename(temporary, path);
			return 'placed';
		} catch (error) {
			const {code = ''} = error as NodeJS.ErrnoException;
			// Another program took over the lock just now, or the directory is gone. The next attempt finds out.
			if (code === 'ENOENT') {
				return 'changed';
			}

			if (process.platform !== 'win32' || !inUseCodes.has(code)) {
				throw error;
			}

			if (tries === renameTries) {
				return 'busy';
			}

			await sleep(renamePauseMs);
		}
	}
}

/** Windows' codes for a file that another program has open, as readers do for a moment. */
const inUseCodes: ReadonlySet<string> = new Set(['EACCES', 'EBUSY', 'EPERM']);
const renameTries = 20;
const renamePauseMs = 5;

/**
 * Sets a time stamp that every other library sees as newer. Some compare whole milliseconds with the time at which they loaded the cache,
 * and the kernel's own time stamps may be one clock tick old.
 */
async function setModified(file: FileHandle, state: FileState | undefined): Promise<void> {
	const atMs = Math.max(Math.ceil(Date.now()), Math.ceil(state?.modifiedMs ?? 0)) + 1;
	// Node truncates the time when it converts it. Half a millisecond more keeps it from becoming the millisecond before.
	const atSec = (atMs + 0.5) / 1000;
	await file.utimes(atSec, atSec);
	const {mtimeMs} = await file.stat();
	if (mtimeMs < atMs - 1) {
		// The file system keeps whole seconds, or even seconds (FAT).
		const coarseSec = (Math.floor(atMs / 2000) + 1) * 2;
		await file.utimes(coarseSec, coarseSec);
	}
}

/** Follows symbolic links, because a rename over a link would replace the link. */
async function resolveLink(path: string): Promise<string> {
	// The folder first: a link in place of it leads the file elsewhere, too.
	if (!await mayFollow(dirname(path)) || !await mayFollow(path)) {
		throw new StoreError('STC_STORE_DENIED', `${path}: another user made a symbolic link there, and it leads to a file of a third one. Replace the link by a file.`, {
			op: 'realpath', store: 'plaintext', osDomain: 'errno', osCode: osConstants.errno.ELOOP,
		});
	}

	let info: Stats;
	try {
		info = await lstat(path);
	} catch {
		// If something is wrong with the link, opening the file reports it.
		return path;
	}

	return info.isSymbolicLink() ? orStoreError('realpath', path, realpath(path)) : path;
}

/**
 * Root may work in the home directory of a user, who could lead it to any file of the system. So root follows the link of a user only to
 * what belongs to that user.
 */
async function mayFollow(path: string): Promise<boolean> {
	if (process.geteuid?.() !== 0) {
		return true;
	}

	try {
		const link = await lstat(path);
		return !link.isSymbolicLink() || link.uid === 0 || (await stat(path)).uid === link.uid;
	} catch {
		// If something is wrong with it, opening the file reports it.
		return true;
	}
}

let temporaryCount = 0;

function temporaryName(path: string): string {
	temporaryCount++;
	return `${path}.${process.pid}.${Date.now()}${String(temporaryCount).padStart(6, '0')}.tmp`;
}

const sweptPaths = new Set<string>();

/** Deletes temporary files of writers that died. Such files exist only while their writer holds the lock, and this process holds it now. */
async function sweep(path: string): Promise<void> {
	if (sweptPaths.has(path)) {
		return;
	}

	sweptPaths.add(path);
	const directory = dirname(path);
	const prefix = `${basename(path)}.`;
	const names = await readdir(directory).catch(() => []);
	await Promise.all(names
		.filter(name => name.startsWith(prefix) && /^\d+\.\d+\.tmp$/.test(name.slice(prefix.length)))
		.map(async name => unlink(join(directory, name)).catch(() => undefined)));
}
