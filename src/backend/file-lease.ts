/**
 * Leases as lock files beside the cache. No other library reads them. The operating system frees the lock when its holder dies.
 */

import {
	mkdir, readFile, stat, unlink,
} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import type {
	HeldLease, HeldLock, LeaseState, LeaseStore,
} from './backend.js';

type TryLock = (paths: readonly string[]) => Promise<HeldLock | null>;

export class FileLease implements LeaseStore {
	readonly path: string;
	readonly #tryLock: TryLock;
	#isDirectoryMade = false;

	constructor(cachePath: string, name: string, tryLock: TryLock) {
		this.path = join(dirname(cachePath), `.${name}.lease`);
		this.#tryLock = tryLock;
	}

	async tryTake(): Promise<HeldLease | null> {
		if (!this.#isDirectoryMade) {
			// If this fails, taking the lock fails with a better error.
			await mkdir(dirname(this.path), {recursive: true, mode: 0o700}).catch(() => undefined);
			this.#isDirectoryMade = true;
		}

		const lock = await this.#tryLock([this.path]);
		return lock && {renew: async () => lock.touch(), release: async () => lock.release()};
	}

	async state(): Promise<LeaseState | undefined> {
		const [holder, version] = await Promise.all([this.#holder(), this.#version()]);
		return version === undefined ? undefined : {holder, version};
	}

	async evict(version: string): Promise<boolean> {
		// One waiter at a time: a second one would remove the lease of a process that took it in between.
		const turn = await this.#tryLock([`${this.path}.stuck`]);
		try {
			const isStuck = turn !== null && await this.#version() === version;
			if (isStuck) {
				await unlink(this.path);
			}

			return isStuck;
		} finally {
			await turn?.release();
		}
	}

	/** The text of the lock file, which begins with the holder's process id. */
	async #holder(): Promise<string | undefined> {
		try {
			return await readFile(this.path, 'utf8') || undefined;
		} catch {
			return undefined;
		}
	}

	async #version(): Promise<string | undefined> {
		try {
			const {ino, mtimeNs} = await stat(this.path, {bigint: true});
			return `${ino}:${mtimeNs}`;
		} catch {
			return undefined;
		}
	}
}
