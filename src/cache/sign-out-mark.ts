/**
 * The mark of a sign-out: a small file beside the caches, with random content. `removeAccount` replaces its content before it removes the
 * account, and again afterwards. A write remembers the content from before it read the account, and the commit compares it under the
 * cache's lock. If it differs, somebody signed out meanwhile, and the write looks again for the account before it goes on.
 *
 * The mark never says who signed out: what a cache holds is the truth. So one file serves all accounts and caches of a directory, it does
 * not grow, and a sign-out that failed or died half-way ends nobody's session.
 */

import {randomBytes} from 'node:crypto';
import {constants as fileConstants} from 'node:fs';
import {
	type FileHandle, open, stat, unlink,
} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import type {CommitGuard} from '../backend/backend.js';
import {guardStamp} from '../backend/guard-stamp.js';
import {StoreError} from '../errors.js';
import type {CacheSource} from './cache-source.js';

const markName = '.signed-out';

/** @returns `undefined` if the source has no place on the disk. Such a source is only read. */
export function markPathOf({lockPaths, at, signalPath}: CacheSource): string | undefined {
	const beside = lockPaths[0] ?? at.path ?? signalPath;
	return beside === undefined ? undefined : join(dirname(beside), markName);
}

/** The mark as it is now, to be passed to a later commit to this source. Never rejects with a {@link StoreError}. */
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

/**
 * Makes every commit fail that remembers an earlier mark.
 *
 * @throws the error of the file system.
 */
export async function leaveMark(path: string): Promise<void> {
	const file = await openMark(path);
	try {
		// In place: the length never changes, and a reader that sees some of the old bytes sees a change, too.
		await file.write(randomBytes(16).toString('hex'), 0, 'latin1');
		await file.sync();
	} finally {
		await file.close();
	}
}

// Not every system has the last two flags. O_NONBLOCK: opening a FIFO would wait for a reader.
const writeFlags = fileConstants.O_WRONLY | (fileConstants.O_NOFOLLOW ?? 0) | (fileConstants.O_NONBLOCK ?? 0);

async function openMark(path: string): Promise<FileHandle> {
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

/** Root may sign out a user, who must be able to read and replace the mark. */
async function giveToOwner(file: FileHandle, path: string): Promise<void> {
	const {uid, gid} = await stat(dirname(path));
	if (process.geteuid && uid !== process.geteuid()) {
		await file.chown(uid, gid);
	}
}
