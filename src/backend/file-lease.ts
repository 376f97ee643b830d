/**
 * Leases as lock files beside the cache. No other library reads them. The operating system frees the lock when its holder dies. A holder's
 * note is a file of its own, which replaces the last one in one step.
 */

import {randomBytes} from 'node:crypto';
import {constants as fileConstants} from 'node:fs';
import {
	lstat, open, rename, unlink, writeFile,
} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {makeFolder} from './make-folder.js';
import {
	type HeldLease, type HeldLock, type LeaseState, type LeaseStore, maxNoteSizeBytes, noteLifeMs,
} from './backend.js';

type TryLock = (paths: readonly string[]) => Promise<HeldLock | null>;

export class FileLease implements LeaseStore {
	readonly path: string;
	readonly #notePath: string;
	readonly #tryLock: TryLock;
	#isDirectoryMade = false;

	constructor(cachePath: string, name: string, tryLock: TryLock) {
		this.path = join(dirname(cachePath), `.${name}.lease`);
		this.#notePath = join(dirname(cachePath), `.${name}.note`);
		this.#tryLock = tryLock;
	}

	async tryTake(): Promise<HeldLease | null> {
		if (!this.#isDirectoryMade) {
			// If this fails, taking the lock fails with a better error.
			await makeFolder(dirname(this.path)).catch(() => undefined);
			this.#isDirectoryMade = true;
		}

		const lock = await this.#tryLock([this.path]);
		return lock && {
			async renew() {
				await lock.touch();
				return lock.check();
			},
			release: async note => {
				// First the note: whoever takes the lease next must find it. Unless that has happened: the note would be about an earlier request.
				if (await lock.check().catch(() => false)) {
					await this.#leaveNote(note);
				}

				await lock.release();
			},
		};
	}

	async state(): Promise<LeaseState> {
		const [holder, version, note] = await Promise.all([this.#holder(), this.#version(), this.#note()]);
		return {held: version === undefined ? undefined : {holder, version}, note};
	}

	async evict(version: string): Promise<boolean> {
		// One waiter at a time: a second one would remove the lease of a process that took it in between.
		const turn = await this.#tryLock([`${this.path}.stuck`]);
		try {
			const isStuck = turn !== null && await this.#version() === version;
			if (isStuck) {
				await freeName(this.path);
			}

			return isStuck;
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
				// The holder released it just now.
				return false;
			}

			throw error;
		} finally {
			await turn?.release();
		}
	}

	/** The text of the lock file, which begins with the holder's process id. */
	async #holder(): Promise<string | undefined> {
		try {
			return await readStart(this.path) || undefined;
		} catch {
			return undefined;
		}
	}

	async #version(): Promise<string | undefined> {
		try {
			const {ino, mtimeNs} = await lstat(this.path, {bigint: true});
			return `${ino}:${mtimeNs}`;
		} catch {
			return undefined;
		}
	}

	async #note(): Promise<string | undefined> {
		try {
			const file = await open(this.#notePath, lookFlags);
			try {
				const info = await file.stat();
				const content = Buffer.alloc(maxNoteSizeBytes + 1);
				const {bytesRead} = info.isFile() && Math.abs(Date.now() - info.mtimeMs) < noteLifeMs ? await file.read(content, 0, content.length, 0) : {bytesRead: 0};
				return bytesRead > 0 && bytesRead <= maxNoteSizeBytes ? content.toString('utf8', 0, bytesRead) : undefined;
			} finally {
				await file.close();
			}
		} catch {
			return undefined;
		}
	}

	/** A note that cannot be left costs those who wait one request each, in turn. */
	async #leaveNote(note: string | undefined): Promise<void> {
		if (note === undefined) {
			await unlink(this.#notePath).catch(() => undefined);
			return;
		}

		const privatePath = `${this.#notePath}.${process.pid}.${randomBytes(6).toString('hex')}.tmp`;
		try {
			await writeFile(privatePath, note, {flag: 'wx', mode: 0o600});
			await rename(privatePath, this.#notePath);
		} catch {
			await unlink(privatePath).catch(() => undefined);
		}
	}
}

/** Frees a name although another process has the file open. */
async function freeName(path: string): Promise<void> {
	if (process.platform !== 'win32') {
		await unlink(path);
		return;
	}

	// There, the name of a deleted file may stay taken until its last handle is closed. The system deletes the file when its holder ends.
	const gone = `${path}.${process.pid}.${randomBytes(6).toString('hex')}.tmp`;
	await rename(path, gone);
	await unlink(gone).catch(() => undefined);
}

/** Follow no link and wait for no writer, because anybody may have put anything there. Not every system has these flags. */
const lookFlags = fileConstants.O_RDONLY | (fileConstants.O_NOFOLLOW ?? 0) | (fileConstants.O_NONBLOCK ?? 0) | (fileConstants.O_NOCTTY ?? 0);

/** More than a lease of this package has. Bytes. */
const textBytes = 128;

/** Reads no more than that. */
async function readStart(path: string): Promise<string> {
	const file = await open(path, lookFlags);
	try {
		const text = Buffer.alloc(textBytes);
		const {bytesRead} = await file.read(text, 0, textBytes, 0);
		return text.toString('latin1', 0, bytesRead);
	} finally {
		await file.close();
	}
}
