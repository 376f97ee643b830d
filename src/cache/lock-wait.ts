/** Waiting for a lock. The backends only try; patience is decided here. */

import {StoreError} from '../errors.js';
import {sleep} from '../runtime/sleep.js';

/** The first tries come quickly, because nobody holds the lock longer than it takes to write a file. */
const quickTries = 50;
const quickPauseMs = 1;

/** Pauses after that, milliseconds: growing from the one to the other, with jitter, so that waiters do not march in step. */
const firstPauseMs = 3;
const longestPauseMs = 10;
const pauseGrowth = 1.05;

export type LockWait = {
	/** Milliseconds; 0 tries once. */
	timeoutMs: number;
	/** What is waited for, for the error: a path. */
	path: string;
	signal?: AbortSignal | undefined;
	/** Whether waiting holds the event loop. Default true. */
	ref?: boolean;
};

/**
 * Calls `attempt` until it gives something.
 *
 * @throws {StoreError} `STC_LOCK_TIMEOUT` when the time is over.
 * @throws the reason of `signal`, if that fires.
 */
export async function waitForLock<Result>(attempt: () => Promise<Result | undefined>, {timeoutMs, path, signal, ref = true}: LockWait): Promise<Result> {
	const deadlineMs = performance.now() + timeoutMs;
	for (let tries = 0; ; tries++) {
		signal?.throwIfAborted();
		// Each try waits for the one before.
		const result = await attempt();
		if (result !== undefined) {
			return result;
		}

		const leftMs = deadlineMs - performance.now();
		if (leftMs <= 0) {
			throw new StoreError(
				'STC_LOCK_TIMEOUT',
				`${path}: held by another program for ${timeoutMs} ms. If no program is using the cache, delete that file; otherwise raise lockTimeoutInMs.`,
				{op: 'lock'},
			);
		}

		await sleep(Math.min(pauseMs(tries), leftMs), {ref, signal});
	}
}

function pauseMs(tries: number): number {
	if (tries < quickTries) {
		return quickPauseMs;
	}

	const longestNowMs = Math.min(longestPauseMs, firstPauseMs * (pauseGrowth ** (tries - quickTries)));
	return firstPauseMs + (Math.random() * (longestNowMs - firstPauseMs));
}
