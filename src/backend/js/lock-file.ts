/**
 * Lock files without the addon. Node has neither flock nor fcntl, so a lock is a file's existence alone: what is written to a private
 * file first is linked to the lock's path, and whoever creates exclusively finds the name taken.
 *
 * Kept out for as long as we hold: ourselves with and without the addon, MSAL's extensions for Node, and those for Python and Java
 * while they try to create the file, which is for 5 and 6 seconds. Then both go on to the kernel's locks, which we do not have,
 * and get in. Go and .NET ask the kernel alone and get in at once. All of them delete the file when they are done; `check` puts it
 * back. So what this lock cannot exclude is left to the comparison that a commit makes before it writes.
 *
 * Keeps us out: every peer that leaves its process id in the file, which is all of them, as long as that process lives, for 60 s at
 * most. Not seen is who locks a file in the kernel and writes nothing into it: that is empty, and left behind after 2 s.
 *
 * On Windows we hold .NET out besides, which shares its lock file with readers alone, and Python and Go keep us out by the range
 * that they lock.
 *
 * The process's death frees the lock, because its number tells. The end of a worker thread alone does not: then it is 60 s, too.
 */

import {randomBytes} from 'node:crypto';
import {constants as fileConstants} from 'node:fs';
import {
	type FileHandle, link, lstat, open, readdir, unlink,
} from 'node:fs/promises';
import {constants as osConstants} from 'node:os';
import {basename, dirname, join} from 'node:path';
import type {HeldLock} from '../backend.js';
import {StoreError} from '../../errors.js';
import {ioError, orStoreError, toStoreError} from './cache-file.js';
import {
	forgetObservation, isAbandoned, isClaimStale, isForeignStale, isSameFile, isStale, type LockFileInfo, pureMarker,
} from './stale-lock.js';

/** {@link CacheBackend.tryLock} of the pure-JS variant. */
export async function tryLockFiles(paths: readonly string[]): Promise<HeldLock | null> {
	const held = new HeldFiles();
	try {
		// In order: every program takes the locks in the same one.
		for (const path of paths) {
			const file = await tryLockFile(path);
			if (!file) {
				break;
			}

			held.files.unshift(file);
		}
	} catch (error) {
		await held.release();
		throw error;
	}

	if (held.files.length === paths.length) {
		return held;
	}

	await held.release();
	return null;
}

class HeldFiles implements HeldLock {
	/** The last one taken comes first. */
	readonly files: LockFile[] = [];
	#released: Promise<void> | undefined;

	async check(): Promise<boolean> {
		if (this.#released) {
			return false;
		}

		const checks = await Promise.all(this.files.map(async file => file.check()));
		return checks.every(Boolean);
	}

	async touch(): Promise<void> {
		if (!this.#released) {
			await Promise.all(this.files.map(async file => file.touch()));
		}
	}

	async release(): Promise<void> {
		this.#released ??= this.#release();
		return this.#released;
	}

	async #release(): Promise<void> {
		// Last taken, first released, so that no other program gets only some of the locks.
		for (const file of this.files) {
			await file.release();
		}
	}
}

type WrittenFile = {file: FileHandle; info: LockFileInfo};

/** One lock file that we made. */
class LockFile {
	readonly path: string;
	/** Open on it: as long as it is, no other file has its inode number. */
	readonly file: FileHandle;
	readonly info: LockFileInfo;
	/** The inode's other name, from which it is linked again; `undefined` where links are not possible. */
	readonly privatePath: string | undefined;

	constructor(path: string, {file, info}: WrittenFile, privatePath: string | undefined) {
		this.path = path;
		this.file = file;
		this.info = info;
		this.privatePath = privatePath;
	}

	async check(): Promise<boolean> {
		const found = await orAbsent(this.path, lstat(this.path, {bigint: true}));
		return found ? isSameFile(found, this.info) : this.#putBack();
	}

	async touch(): Promise<void> {
		const now = new Date();
		await orStoreError('futimes', this.path, this.file.utimes(now, now));
	}

	/** Nothing that fails here can be helped by the caller, whose work is done. */
	async release(): Promise<void> {
		try {
			// First, so that nobody finds it without its private name.
			if (await this.#isOurs()) {
				await unlink(this.path);
			}
		} catch {
			// The directory has been closed to us. Nobody waits long for an empty file.
			await this.file.truncate().catch(() => undefined);
		}

		await this.file.close().catch(() => undefined);
		await deletePrivate(this.privatePath);
	}

	async #isOurs(): Promise<boolean> {
		const found = await orAbsent(this.path, lstat(this.path, {bigint: true}));
		return found !== undefined && isSameFile(found, this.info);
	}

	async #putBack(): Promise<boolean> {
		if (this.privatePath === undefined) {
			return false;
		}

		try {
			await link(this.privatePath, this.path);
			return true;
		} catch {
			// Somebody else was faster, or the directory is gone.
			return false;
		}
	}
}

const isWindows = process.platform === 'win32';

/** What a look at the lock file came to. `again`: it changed while we looked. */
type Finding = 'free' | 'held' | 'again' | {stale: LockFileInfo};

/** Each turn answers a change that somebody made in between. With so many, somebody is holding it most of the time. */
const maxTurns = 8;

async function tryLockFile(path: string): Promise<LockFile | null> {
	let tookOver = false;
	for (let turn = 0; turn < maxTurns; turn++) {
		let finding = await examine(path);
		if (typeof finding === 'object') {
			finding = await takeAway(path, finding.stale);
			tookOver ||= finding === 'free';
		}

		if (finding === 'held') {
			break;
		}

		const file = finding === 'free' && await create(path);
		if (file) {
			forgetObservation(path);
			await sweepOrphans(path, tookOver);
			return file;
		}
	}

	return null;
}

// Where the system knows them. O_NONBLOCK: a FIFO would wait for a writer.
const lookFlags = fileConstants.O_RDONLY | (fileConstants.O_NOFOLLOW ?? 0) | (fileConstants.O_NONBLOCK ?? 0) | (fileConstants.O_NOCTTY ?? 0);

async function examine(path: string): Promise<Finding> {
	let file: FileHandle;
	try {
		file = await open(path, lookFlags);
	} catch (error) {
		switch (codeOf(error)) {
			case 'ENOENT': {
				forgetObservation(path);
				return 'free';
			}

			case 'EACCES':
			case 'EPERM': {
				return examineForeign(path);
			}

			default: {
				return heldIfInUse(error, 'open', path);
			}
		}
	}

	try {
		const info = await orStoreError('fstat', path, file.stat({bigint: true}));
		if (!info.isFile()) {
			const what = info.isDirectory() ? 'EISDIR' : 'EINVAL';
			throw ioError('open', path, osConstants.errno[what], what);
		}

		const content = Buffer.alloc(128);
		let size: number;
		try {
			({bytesRead: size} = await file.read(content, 0, content.length, 0));
		} catch (error) {
			return heldIfInUse(error, 'read', path);
		}

		return await isStale(path, info, content.subarray(0, size)) ? {stale: info} : 'held';
	} finally {
		await file.close();
	}
}

/**
 * What Windows says of a file that somebody has open and shares with nobody, has locked a range of, or has deleted while another has
 * it open.
 */
const inUseCodes: ReadonlySet<string | undefined> = new Set(['EACCES', 'EBUSY', 'EPERM']);

function heldIfInUse(error: unknown, op: string, path: string): 'held' {
	if (isWindows && inUseCodes.has(codeOf(error))) {
		return 'held';
	}

	throw toStoreError(error, op, path);
}

/** It is not ours to open, but the directory is. */
async function examineForeign(path: string): Promise<Finding> {
	try {
		const info = await lstat(path, {bigint: true});
		return isForeignStale(path, info) ? {stale: info} : 'held';
	} catch (error) {
		return codeOf(error) === 'ENOENT' ? 'again' : heldIfInUse(error, 'lstat', path);
	}
}

/**
 * Removes a lock file that was left behind. One at a time of those who judged it may; whoever comes late finds another file under the
 * lock's path, and leaves that alone.
 */
async function takeAway(path: string, judged: LockFileInfo): Promise<'free' | 'held' | 'again'> {
	const claim = `${path}.${judged.ino}.x`;
	try {
		const file = await open(claim, 'wx', 0o600);
		await file.close();
	} catch (error) {
		if (codeOf(error) === 'EEXIST') {
			return examineClaim(claim);
		}

		throw toStoreError(error, 'open', path);
	}

	try {
		const found = await orAbsent(path, lstat(path, {bigint: true}));
		// A file that was made since may have got the inode number of the judged one.
		if (!found || !isSameFile(found, judged) || found.mtimeNs !== judged.mtimeNs) {
			return 'again';
		}

		await unlink(path);
		return 'free';
	} catch (error) {
		return codeOf(error) === 'ENOENT' ? 'free' : heldIfInUse(error, 'unlink', path);
	} finally {
		await deletePrivate(claim);
	}
}

/** Somebody else is removing the lock file, or died while doing it. */
async function examineClaim(claim: string): Promise<'held' | 'again'> {
	const info = await orAbsent(claim, lstat(claim, {bigint: true}));
	if (info && !isClaimStale(claim, info)) {
		return 'held';
	}

	forgetObservation(claim);
	await deletePrivate(claim);
	return 'again';
}

/** @returns `undefined` if somebody else was faster. */
async function create(path: string): Promise<LockFile | undefined> {
	const privatePath = `${path}.${process.pid}.${randomBytes(6).toString('hex')}.js`;
	const written = await createWritten(privatePath, path);
	try {
		await link(privatePath, path);
		return new LockFile(path, written, privatePath);
	} catch (error) {
		await written.file.close();
		await deletePrivate(privatePath);
		const code = codeOf(error);
		// ENOENT: the private file was swept away, or the directory. EPERM on Windows: the one before is being deleted.
		return code === 'EEXIST' || code === 'ENOENT' || (isWindows && code === 'EPERM') ? undefined : createInPlace(path);
	}
}

/** Where there are no hard links: for a moment the lock file is empty. */
async function createInPlace(path: string): Promise<LockFile | undefined> {
	try {
		return new LockFile(path, await createWritten(path, path), undefined);
	} catch (error) {
		if ((error as StoreError).osCode === osConstants.errno.EEXIST) {
			return undefined;
		}

		throw error;
	}
}

/** @param path What to call it in an error. */
async function createWritten(created: string, path: string): Promise<WrittenFile> {
	const file = await orMissing(path, open(created, 'wx', 0o600));
	try {
		await file.writeFile(`${process.pid}${pureMarker}`);
		return {file, info: await file.stat({bigint: true})};
	} catch (error) {
		await file.close();
		await deletePrivate(created);
		throw toStoreError(error, 'write', path);
	}
}

/** @throws {StoreError} with the cure, where the directory is not there. */
async function orMissing<Result>(path: string, call: Promise<Result>): Promise<Result> {
	try {
		return await call;
	} catch (error) {
		throw codeOf(error) === 'ENOENT'
			? new StoreError('STC_IO', `${path}: ENOENT. Its directory is missing: create it.`, {
				op: 'open', store: 'plaintext', osDomain: 'errno', osCode: osConstants.errno.ENOENT,
			})
			: toStoreError(error, 'open', path);
	}
}

/** Lock paths beside which orphans were looked for. */
const swept = new Set<string>();

/** Deletes private files and claims whose makers died: at the first lock of a path, and when a dead one's lock was taken over. */
async function sweepOrphans(path: string, tookOver: boolean): Promise<void> {
	if (swept.has(path) && !tookOver) {
		return;
	}

	swept.add(path);
	const directory = dirname(path);
	const prefix = `${basename(path)}.`;
	// A directory may be open for writing and not for reading.
	const names = await readdir(directory).catch(() => []);
	for (const name of names) {
		const kind = name.startsWith(prefix) && /^(?:(?<pid>\d+)\.[\da-f]{12}\.js|\d+\.x)$/.exec(name.slice(prefix.length));
		if (kind) {
			const orphan = join(directory, name);
			const info = await orAbsent(orphan, lstat(orphan, {bigint: true}));
			const pid = kind.groups?.['pid'];
			if (info && (pid === undefined ? isClaimStale(orphan, info) : await isAbandoned(orphan, info, Number(pid)))) {
				await deletePrivate(orphan);
			}
		}
	}
}

/** A file that no peer looks at: if it cannot be deleted, it harms nobody, and somebody sweeps it later. */
async function deletePrivate(path: string | undefined): Promise<void> {
	if (path !== undefined) {
		await unlink(path).catch(() => undefined);
	}
}

async function orAbsent<Result>(path: string, call: Promise<Result>, op = 'lstat'): Promise<Result | undefined> {
	try {
		return await call;
	} catch (error) {
		if (codeOf(error) === 'ENOENT') {
			return undefined;
		}

		throw toStoreError(error, op, path);
	}
}

function codeOf(error: unknown): string | undefined {
	return (error as NodeJS.ErrnoException).code;
}
