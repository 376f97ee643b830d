/** Retries reads that may overlap an in-place write without a lock. */

import {stat} from 'node:fs';
import {type HeldLock, settledAfterMs} from '../backend/backend.js';
import {storeKind} from '../backend/stores.js';
import {StoreError} from '../errors.js';
import {log} from '../runtime/log.js';
import {sleep} from '../runtime/sleep.js';
import type {CacheSource} from './cache-source.js';
import {waitForLock} from './lock-wait.js';

/**
 * Pauses between reads of a file that seems to be in the middle of a write, milliseconds. Some libraries write in place, so such a file
 * may be empty or truncated for a moment.
 */
export const tornReadPausesMs = [1, 2, 4, 8, 16, 32];

/** Longest wait for the lock before a read: a reader only needs the end of the current write. Milliseconds. */
const readLockTimeoutMs = 2000;

/** Longest wait for a program that has the cache open for itself, such as a virus scanner, before a read fails. Milliseconds. */
const inUsePatienceMs = 2000;

const longestPauseMs = tornReadPausesMs.at(-1)!;

export type Reading = {sizeBytes: number; modifiedMs: number};

export type ReadAttempts<Found extends Reading> = {
	source: CacheSource;
	/** The read that was made already. */
	first: Promise<Found | null>;
	read: () => Promise<Found | null>;
	/** Absent: the store has no lock files. */
	tryLock?: (paths: readonly string[]) => Promise<HeldLock | null>;
	lockTimeoutMs: number;
};

/**
 * Repeats a read that may have met a write until it finds a whole cache. Makes the last read under the lock, if it can take the lock.
 *
 * @throws {StoreError} if the last read fails, too.
 */
export async function readConsistent<Found extends Reading>({source, first, read, tryLock, lockTimeoutMs}: ReadAttempts<Found>): Promise<Found | null> {
	let attempt = first;
	for (const pauseMs of tornReadPausesMs) {
		try {
			const reading = await attempt;
			if (!reading || reading.sizeBytes > 0 || storeKind(source.store) !== 'file' || !isRecent(reading.modifiedMs)) {
				return reading;
			}
		} catch (error) {
			if (!(await isPerhapsTorn(error, source))) {
				throw error;
			}
		}

		await sleep(pauseMs);
		if (pauseMs !== tornReadPausesMs.at(-1)) {
			attempt = read();
		}
	}

	const lock = tryLock && await lockForReading(source, tryLock, lockTimeoutMs);
	try {
		return await readUndisturbed(read);
	} finally {
		await lock?.release();
	}
}

/**
 * Repeats a read under the lock only while the file changes during the read: a writer ignores the lock, or its lock file was deleted; and
 * longer while another program has it open for itself.
 */
async function readUndisturbed<Found>(read: () => Promise<Found>): Promise<Found> {
	const endMs = performance.now() + inUsePatienceMs;
	for (let tries = 0; ; tries++) {
		try {
			return await read();
		} catch (error) {
			if (!isChanged(error) || (tries >= tornReadPausesMs.length && !(isInUse(error) && performance.now() < endMs))) {
				throw error;
			}
		}

		await sleep(tornReadPausesMs[tries] ?? longestPauseMs);
	}
}

async function lockForReading({lockPaths, label}: CacheSource, tryLock: NonNullable<ReadAttempts<Reading>['tryLock']>, lockTimeoutMs: number): Promise<HeldLock | undefined> {
	try {
		return await waitForLock(
			async () => await tryLock(lockPaths) ?? undefined,
			{timeoutMs: Math.min(readLockTimeoutMs, lockTimeoutMs), path: lockPaths[0] ?? label},
		);
	} catch (error) {
		// A reader may have no right to create the lock file. It reads without the lock then.
		log.info(() => `Read without the lock: ${(error as Error).message}`);
		return undefined;
	}
}

export async function isPerhapsTorn(error: unknown, {store, at}: CacheSource): Promise<boolean> {
	if (!(error instanceof StoreError) || storeKind(store) !== 'file') {
		return false;
	}

	return isChanged(error) || (error.code === 'STC_CACHE_CORRUPT' && isRecent(await modifiedMs(at.path ?? '')));
}

/** Whether the file could not be opened, because another program has it open for itself (Windows). */
export function isInUse(error: unknown): error is StoreError {
	return isChanged(error) && (error as StoreError).osDomain !== undefined;
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
			// A file that vanished changed just now: the next read shows what replaced it.
			resolve(error ? Date.now() : stats.mtimeMs);
		});
	});
}
