/**
 * Lock files without the addon. Node has neither flock nor fcntl, so a lock is only the existence of a file: this process writes a
 * private file and links it to the lock's path; a program that creates the lock file exclusively then fails.
 *
 * This lock excludes this package with and without the addon, MSAL's extensions for Node, and those for Python and Java while they try
 * to create the file (5 and 6 seconds). After that, Python and Java use kernel locks, which this process cannot hold, and get in. Go and
 * .NET use only kernel locks and get in at once. All of them delete the file when they are done; `check` puts it back. For the programs
 * that this lock cannot exclude, a commit compares the cache once more before it writes.
 *
 * This process waits for every program that writes its process id to the lock file, which is every library, as long as that process
 * lives, but at most 60 s. It does not see a program that holds a kernel lock and writes nothing: an empty file counts as left behind
 * after 2 s.
 *
 * On Windows, this lock also excludes .NET, which shares its lock file only with readers. Python and Go exclude this process by the range
 * that they lock.
 *
 * When the process dies, others see it by the process id and take the lock. When only its worker thread ends, they wait 60 s.
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
import {
	ioError, orStoreError, readSome, toStoreError,
} from './cache-file.js';
import {
	forgetObservation, isAbandoned, isClaimStale, isForeignStale, isSameFile, isStale, type LockFileInfo, type LockUse, pureMarker,
} from './stale-lock.js';

/** {@link CacheBackend.tryLock} of the JS backend. */
export async function tryLockFiles(paths: readonly string[], use: LockUse = 'shared'): Promise<HeldLock | null> {
	const held = new HeldFiles();
	try {
		// One after the other: every program takes the locks in the same order.
		for (const path of paths) {
			const file = await tryLockFile(path, use);
			if (file) {
				held.files.unshift(file);
			} else if (!await held.isAt(path)) {
				await held.release();
				return null;
			}
		}
	} catch (error) {
		await held.release();
		throw error;
	}

	return held;
}

class HeldFiles implements HeldLock {
	/** In the order of their release: the last one taken comes first. */
	readonly files: LockFile[] = [];
	#released: Promise<void> | undefined;

	/** Whether this is another name of a file that is held: a folder may be a link, and a file system may ignore case. */
	async isAt(path: string): Promise<boolean> {
		const found = await orAbsent(path, lstat(path, {bigint: true}));
		return found !== undefined && this.files.some(({info}) => isSameFile(found, info));
	}

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
		// In reverse order, so that no other program gets only some of the locks.
		for (const file of this.files) {
			await file.release();
		}
	}
}

type WrittenFile = {file: FileHandle; info: LockFileInfo};

/** One lock file of this process. */
class LockFile {
	readonly path: string;
	/** Keeps the file open: until it is closed, no other file gets its inode number. */
	readonly file: FileHandle;
	readonly info: LockFileInfo;
	/** The file's private name, from which it can be linked again; `undefined` if the file system has no hard links. */
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

	/** Never rejects: the caller's work is done, and it could do nothing about a failure. */
	async release(): Promise<void> {
		try {
			// The lock's path first: no other program may find it without its private name.
			if (await this.#isOurs()) {
				await unlink(this.path);
			}
		} catch {
			// This process may no longer write the directory. An empty lock file soon counts as left behind.
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
			// Another process was faster, or the directory is gone.
			return false;
		}
	}
}

const isWindows = process.platform === 'win32';

/** The result of a look at the lock file. `again`: it changed during the look. */
type Finding = 'free' | 'held' | 'again' | {stale: LockFileInfo};

/** Each further turn follows a change by another process. After so many changes, the lock counts as held. */
const maxTurns = 8;

async function tryLockFile(path: string, use: LockUse): Promise<LockFile | null> {
	let tookOver = false;
	for (let turn = 0; turn < maxTurns; turn++) {
		let finding = await examine(path, use);
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

// Not every system has these flags. O_NONBLOCK: opening a FIFO would wait for a writer.
const lookFlags = fileConstants.O_RDONLY | (fileConstants.O_NOFOLLOW ?? 0) | (fileConstants.O_NONBLOCK ?? 0) | (fileConstants.O_NOCTTY ?? 0);

async function examine(path: string, use: LockUse): Promise<Finding> {
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
				const special = use === 'own' && await findSpecial(path);
				return special || heldIfInUse(error, 'open', path);
			}
		}
	}

	try {
		const info = await orStoreError('fstat', path, file.stat({bigint: true}));
		if (!info.isFile()) {
			const special = use === 'own' && await findSpecial(path);
			if (special) {
				return special;
			}

			const what = info.isDirectory() ? 'EISDIR' : 'EINVAL';
			throw ioError('open', path, osConstants.errno[what], what);
		}

		const content = Buffer.alloc(128);
		let size: number;
		try {
			size = await readSome(file, content, 0, 0);
		} catch (error) {
			return heldIfInUse(error, 'read', path);
		}

		return await isStale(path, info, content.subarray(0, size), use) ? {stale: info} : 'held';
	} finally {
		await file.close();
	}
}

/** A link, a FIFO, a socket or a device, where nobody but this package creates anything. */
async function findSpecial(path: string): Promise<Finding | undefined> {
	const info = await orAbsent(path, lstat(path, {bigint: true}));
	return info && !info.isFile() && !info.isDirectory() ? {stale: info} : undefined;
}

/**
 * Windows' codes for a file that another program has open without sharing, has locked a range of, or has deleted while a third one has it
 * open.
 */
const inUseCodes: ReadonlySet<string | undefined> = new Set(['EACCES', 'EBUSY', 'EPERM']);

function heldIfInUse(error: unknown, op: string, path: string): 'held' {
	if (isWindows && inUseCodes.has(codeOf(error))) {
		return 'held';
	}

	throw toStoreError(error, op, path);
}

/** This process may not open the file, but may read the directory. */
async function examineForeign(path: string): Promise<Finding> {
	try {
		const info = await lstat(path, {bigint: true});
		return await isForeignStale(path, info) ? {stale: info} : 'held';
	} catch (error) {
		return codeOf(error) === 'ENOENT' ? 'again' : heldIfInUse(error, 'lstat', path);
	}
}

/**
 * Removes a lock file that was left behind. One process at a time may do so. A process that comes late finds another file at the lock's
 * path and leaves it there.
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
		// A newer file may have the same inode number.
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

/** Another process is removing the lock file, or died while it did so. */
async function examineClaim(claim: string): Promise<'held' | 'again'> {
	const info = await orAbsent(claim, lstat(claim, {bigint: true}));
	if (info && !isClaimStale(claim, info)) {
		return 'held';
	}

	forgetObservation(claim);
	await deletePrivate(claim);
	return 'again';
}

/** @returns `undefined` if another process was faster. */
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
		// ENOENT: another process deleted the private file or the directory. EPERM on Windows: the previous lock file is being deleted.
		return code === 'EEXIST' || code === 'ENOENT' || (isWindows && code === 'EPERM') ? undefined : createInPlace(path);
	}
}

/** For file systems without hard links. The lock file is empty for a moment. */
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

/** @param path Its name in an error. */
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

/** @throws {StoreError} that says what to do if the directory does not exist. */
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

/** Lock paths whose directories were searched for files of dead processes. */
const swept = new Set<string>();

/** Deletes private files and claims of dead processes: at the first lock of a path, and after taking over a dead holder's lock. */
async function sweepOrphans(path: string, tookOver: boolean): Promise<void> {
	if (swept.has(path) && !tookOver) {
		return;
	}

	swept.add(path);
	const directory = dirname(path);
	const prefix = `${basename(path)}.`;
	// The process may have the right to write a directory but not to list it.
	const names = await readdir(directory).catch(() => []);
	for (const name of names) {
		const kind = name.startsWith(prefix) && /^(?:(?<pid>\d+)\.[\da-f]{12}\.js|\d+\.x)$/.exec(name.slice(prefix.length));
		if (kind) {
			const orphan = join(directory, name);
			const info = await orAbsent(orphan, lstat(orphan, {bigint: true}));
			const pid = kind.groups?.['pid'];
			if (info && (pid === undefined ? isClaimStale(orphan, info) : await isAbandoned(orphan, info, Number(pid), path))) {
				await deletePrivate(orphan);
			}
		}
	}
}

/** Deletes a file that no other library reads. A failure does no harm: a later process deletes it. */
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
