/**
 * Deletes what processes left beside a cache when they died: leases, notes, private lock files, and unfinished caches, which hold refresh
 * tokens. Nothing that a living process owns: a lease and a lock file are deleted by taking them, which only a free one allows, and the
 * others by their age and by whether the process that they name lives.
 */

import {lstat, readdir, unlink} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import type {HeldLock} from './backend.js';
import {isAbandoned, type LockFileInfo} from './js/stale-lock.js';

/** The name of a lease or of what belongs to it, and of a note. The hash is `leaseName`'s. */
const leasePattern = /^(?<lease>\.[\da-f]{32}\.lease(?:\.stuck)?)(?:\.|$)/;
const notePattern = /^\.[\da-f]{32}\.note(?:$|\.)/;

/** No note counts for so long, and no process needs so long to remove a lock file. Milliseconds. */
const oldMs = 120_000;

export type Place = {
	/** The cache file, or the signal file of a keyring item. */
	path: string;
	/** The lock file that every writer of this package takes first. */
	lockPath: string;
	/** Takes lock files, if they are free. */
	tryLock: (paths: readonly string[]) => Promise<HeldLock | null>;
};

/** Never rejects: a later process deletes what this one cannot. */
export async function sweepOrphans(place: Place): Promise<void> {
	const folder = dirname(place.path);
	const names = await readdir(folder).catch(() => []);
	/** From a lock file to what belongs to it. */
	const locks = new Map<string, Orphan[]>();
	const unfinished: Orphan[] = [];
	for (const name of names) {
		const path = join(folder, name);
		const lock = leasePattern.exec(name)?.groups?.['lease'] ?? privateLockOf(name, place);
		const pid = ownerOf(name, place.path);
		if (lock !== undefined) {
			const ofLock = locks.get(lock) ?? [];
			locks.set(lock, ofLock);
			const owner = privatePattern.exec(name.slice(lock.length))?.groups;
			if (owner) {
				ofLock.push({path, pid: owner['pid'] === undefined ? undefined : Number(owner['pid'])});
			}
		} else if (notePattern.test(name)) {
			await deleteOld(path);
		} else if (pid !== undefined) {
			unfinished.push({path, pid});
		}
	}

	for (const [lock, orphans] of locks) {
		await sweepUnder(join(folder, lock), orphans, place);
	}

	if (unfinished.length > 0) {
		await sweepUnder(place.lockPath, unfinished, place);
	}
}

/** A file, and the process that made it, if its name says so. */
type Orphan = {path: string; pid: number | undefined};

/** What follows the name of a lock file in the names of what belongs to it, with the addon and without. */
const privatePattern = /^\.(?:(?<pid>\d+)\.(?:\d+(?:\.x)?|[\da-f]{12}\.js)|\d+\.x)$/;

/** The process that makes a new cache under this name; `undefined` for other files. Such a file exists while its maker holds the lock. */
function ownerOf(name: string, path: string): number | undefined {
	const prefix = `${basename(path)}.`;
	const pid = name.startsWith(prefix) && /^(\d+)\.\d+\.tmp$/.exec(name.slice(prefix.length))?.[1];
	return pid ? Number(pid) : undefined;
}

/** The name of the cache's lock file if this is the name of what belongs to it. */
function privateLockOf(name: string, {lockPath}: Place): string | undefined {
	const lock = basename(lockPath);
	return name.startsWith(lock) && privatePattern.test(name.slice(lock.length)) ? lock : undefined;
}

/** Takes a lock file, which deletes it if nobody holds it, and deletes what dead processes left that belongs to it. */
async function sweepUnder(lockPath: string, orphans: readonly Orphan[], {tryLock}: Place): Promise<void> {
	let held: HeldLock | null;
	try {
		held = await tryLock([lockPath]);
	} catch {
		// Such as a directory that this process may not write.
		return;
	}

	try {
		for (const {path, pid} of held ? orphans : []) {
			const info = await stateOf(path);
			if (pid === undefined) {
				await deleteOld(path);
			} else if (info && await isAbandoned(path, info, pid, lockPath) && await held?.check()) {
				await unlink(path).catch(() => undefined);
			}
		}
	} finally {
		await held?.release();
	}
}

/** Deletes a file that is needed only while it is young. */
async function deleteOld(path: string): Promise<void> {
	const info = await stateOf(path);
	if (info && Date.now() - (Number(info.ctimeNs) / 1e6) > oldMs) {
		await unlink(path).catch(() => undefined);
	}
}

async function stateOf(path: string): Promise<LockFileInfo | undefined> {
	try {
		return await lstat(path, {bigint: true});
	} catch {
		return undefined;
	}
}
