/**
 * The mark of sign-outs: a small file beside the caches. `removeAccount` changes it before it removes the account, and again afterwards. A
 * write remembers the mark from before it read the cache, and the commit compares the first bytes under the cache's lock. If they differ,
 * somebody was signed out meanwhile, and the write finds out who before it goes on.
 *
 * The file begins with random text, which every sign-out replaces. A table follows, in which each account has a slot of random bytes; some
 * share one. So one file serves all accounts and caches of a directory, it does not grow, and programs that change it at once need no lock.
 */

import {createHash, randomBytes} from 'node:crypto';
import {constants as fileConstants} from 'node:fs';
import {
	type FileHandle, open, stat, unlink,
} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import type {CommitGuard} from '../backend/backend.js';
import {guardStamp} from '../backend/guard-stamp.js';
import {StoreError} from '../errors.js';
import {foldAscii} from '../runtime/fold-case.js';
import type {CacheSource} from './cache-source.js';

const markName = '.signed-out';

/** Bytes of the random text at the beginning: as many as a commit compares. */
const headSize = 128;
const slotSize = 8;
const slotCount = 1024;

/** The sign-outs so far, as a source's mark shows them. */
export type SignOuts = {
	/** See {@link signOutGuard}. */
	guard: CommitGuard | undefined;
	/** The whole mark. `undefined`: it cannot be read. */
	mark: Buffer | undefined;
};

/** @returns `undefined` if the source has no place on the disk. Such a source is only read. */
export function markPathOf({lockPaths, at, signalPath}: CacheSource): string | undefined {
	const beside = lockPaths[0] ?? at.path ?? signalPath;
	return beside === undefined ? undefined : join(dirname(beside), markName);
}

/** To be passed to a commit, which fails if somebody is signed out meanwhile. Never rejects with a {@link StoreError}. */
export async function signOutGuard(source: CacheSource): Promise<CommitGuard | undefined> {
	const path = markPathOf(source);
	if (path === undefined) {
		return undefined;
	}

	try {
		return {path, stamp: await guardStamp(path)};
	} catch (error) {
		if (!(error instanceof StoreError)) {
			throw error;
		}

		// The directory cannot be searched. The commit fails with this error, too.
		return {path, stamp: null};
	}
}

/** What was found last, by the mark's path. Many changes that wait share it. */
const lastFound = new Map<string, SignOuts>();

/** Never rejects with a {@link StoreError}. */
export async function signOutsSoFar(source: CacheSource): Promise<SignOuts> {
	const path = markPathOf(source);
	if (path === undefined) {
		return {guard: undefined, mark: undefined};
	}

	const known = lastFound.get(path);
	const guard = await signOutGuard(source);
	if (known && known.guard?.stamp === guard?.stamp) {
		return known;
	}

	// The mark before the guard: a sign-out in between changes the mark again when it has removed the account.
	const mark = await readMark(path);
	const found = {mark, guard: await signOutGuard(source)};
	lastFound.set(path, found);
	return found;
}

/** Whether the account was signed out between two looks. In doubt, it was, unless nothing is known of the time before. */
export function wasSignedOut(homeAccountId: string, before: SignOuts, now: SignOuts): boolean {
	if (before.guard === undefined || before.guard.stamp === now.guard?.stamp) {
		return false;
	}

	const offset = offsetOf(homeAccountId);
	const slotOf = ({mark}: SignOuts) => mark?.toString('hex', offset, offset + slotSize).replace(/^0+$/, '');
	const [slotBefore, slotNow] = [slotOf(before), slotOf(now)];
	return slotBefore === undefined || slotNow === undefined || slotBefore !== slotNow;
}

/**
 * Marks a sign-out: every commit fails that remembers an earlier mark.
 *
 * @throws the error of the file system.
 */
export async function leaveMark(path: string, homeAccountId: string): Promise<void> {
	const file = await openMark(path);
	try {
		// In place: a reader that sees some of the old bytes sees a change, too. First who, then that somebody was signed out.
		await file.write(randomBytes(slotSize), 0, slotSize, offsetOf(homeAccountId));
		await file.write(randomBytes(headSize / 2).toString('hex'), 0, 'latin1');
		await file.sync();
	} finally {
		await file.close();
	}
}

function offsetOf(homeAccountId: string): number {
	const slot = createHash('sha256').update(foldAscii(homeAccountId)).digest().readUInt16BE() % slotCount;
	return headSize + (slot * slotSize);
}

async function readMark(path: string): Promise<Buffer | undefined> {
	let file: FileHandle;
	try {
		file = await open(path, fileConstants.O_RDONLY | commonFlags);
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === 'ENOENT' ? Buffer.alloc(0) : undefined;
	}

	try {
		const buffer = Buffer.alloc(headSize + (slotCount * slotSize));
		const {bytesRead} = await file.read(buffer, 0, buffer.length, 0);
		return buffer.subarray(0, bytesRead);
	} catch {
		// Such as a directory.
		return undefined;
	} finally {
		await file.close();
	}
}

// Not every system has these flags. O_NONBLOCK: opening a FIFO would wait.
const commonFlags = (fileConstants.O_NOFOLLOW ?? 0) | (fileConstants.O_NONBLOCK ?? 0);

async function openMark(path: string): Promise<FileHandle> {
	const writeFlags = fileConstants.O_WRONLY | commonFlags;
	try {
		const file = await open(path, writeFlags);
		const info = await file.stat();
		if (info.isFile()) {
			return file;
		}

		await file.close();
		await unlink(path);
	} catch (error) {
		const {code} = error as NodeJS.ErrnoException;
		if (code !== 'ENOENT') {
			// Such as a link, or a file of another user.
			await unlink(path).catch(() => undefined);
		}
	}

	let file: FileHandle;
	try {
		file = await open(path, writeFlags | fileConstants.O_CREAT | fileConstants.O_EXCL, 0o600);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
			throw error;
		}

		// Another sign-out was faster.
		return open(path, writeFlags);
	}

	await giveToOwner(file, path).catch(() => undefined);
	return file;
}

/** Root may sign out a user, who must be able to read and change the mark. */
async function giveToOwner(file: FileHandle, path: string): Promise<void> {
	const {uid, gid} = await stat(dirname(path));
	if (process.geteuid && uid !== process.geteuid()) {
		await file.chown(uid, gid);
	}
}
