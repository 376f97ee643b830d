/** Readings that may have met a writer which goes by no lock: looked at again, until they can be believed. */

import {stat} from 'node:fs';
import {fileStores, type HeldLock} from '../backend/backend.js';
import {StoreError} from '../errors.js';
import type {CacheSource} from './cache-source.js';
import {waitForLock} from './lock-wait.js';
import {log} from '../runtime/log.js';
import {sleep} from '../runtime/sleep.js';

/**
 * Pauses between looks at a file that seems to be in the middle of a write, milliseconds. Peers that write in place leave such
 * a window in 6 to 8 of 100 reads of a 64 KiB cache that is written without a pause.
 */
export const tornReadPausesMs = [1, 2, 4, 8, 16, 32];

/** An empty or damaged file that nobody wrote for this long is what it seems. Milliseconds. */
const settledAfterMs = 2000;

/** A lock for reading is not waited for longer: a reader only wants to see the end of a write. Milliseconds. */
const readLockTimeoutMs = 2000;

export type Reading = {sizeBytes: number; modifiedMs: number};

export type Looks<Found extends Reading> = {
	source: CacheSource;
	/** The look that there was already. */
	first: Promise<Found | null>;
	read: () => Promise<Found | null>;
	tryLock: (paths: readonly string[]) => Promise<HeldLock | null>;
	lockTimeoutMs: number;
};

/** Repeats a reading that may have met a writer; believes it in the end only under the lock, where that can be had. */
export async function settle<Found extends Reading>({source, first, read, tryLock, lockTimeoutMs}: Looks<Found>): Promise<Found | null> {
	let look = first;
	for (const pauseMs of tornReadPausesMs) {
		try {
			// One look after the other: each decides whether another is needed.
			const reading = await look;
			if (!reading || reading.sizeBytes > 0 || !fileStores.has(source.store) || !isRecent(reading.modifiedMs)) {
				return reading;
			}
		} catch (error) {
			if (!(await isPerhapsTorn(error, source))) {
				throw error;
			}
		}

		await sleep(pauseMs);
		if (pauseMs !== tornReadPausesMs.at(-1)) {
			look = read();
		}
	}

	const lock = await lockForReading(source, tryLock, lockTimeoutMs);
	try {
		return await readUndisturbed(read);
	} finally {
		await lock?.release();
	}
}

/** Under the lock, to be believed as it is, unless somebody is writing all the same: by no lock, or by one whose file was deleted. */
async function readUndisturbed<Found>(read: () => Promise<Found>): Promise<Found> {
	for (const pauseMs of tornReadPausesMs) {
		try {
			return await read();
		} catch (error) {
			if (!isChanged(error)) {
				throw error;
			}
		}

		await sleep(pauseMs);
	}

	return read();
}

async function lockForReading({lockPaths}: CacheSource, tryLock: Looks<Reading>['tryLock'], lockTimeoutMs: number): Promise<HeldLock | undefined> {
	try {
		return await waitForLock(
			async () => await tryLock(lockPaths) ?? undefined,
			{timeoutMs: Math.min(readLockTimeoutMs, lockTimeoutMs), path: lockPaths[0] ?? ''},
		);
	} catch (error) {
		// A reader may have no right to write there: what it sees has to do.
		log.info(() => `Read without the lock: ${(error as Error).message}`);
		return undefined;
	}
}

export async function isPerhapsTorn(error: unknown, {store, at}: CacheSource): Promise<boolean> {
	if (!(error instanceof StoreError) || !fileStores.has(store)) {
		return false;
	}

	return isChanged(error) || (error.code === 'STC_CACHE_CORRUPT' && isRecent(await modifiedMs(at.path ?? '')));
}

const isChanged = (error: unknown) => error instanceof StoreError && error.code === 'STC_CACHE_CHANGED';

function isRecent(ms: number): boolean {
	return Math.abs(Date.now() - ms) < settledAfterMs;
}

async function modifiedMs(path: string): Promise<number> {
	return new Promise(resolve => {
		// The callback form, because loading `node:fs/promises` costs start-up time.
		// eslint-disable-next-line n/prefer-promises/fs
		stat(path, (error, stats) => {
			// If the file vanished, it changed just now: the next look shows what replaced it.
			resolve(error ? Date.now() : stats.mtimeMs);
		});
	});
}
