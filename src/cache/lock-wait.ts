/** Waits for a lock. The stores only try to take it; this decides how long and how often. */

import {StoreError} from '../errors.js';
import {sleep} from '../runtime/sleep.js';

/** The first tries follow each other quickly, because a program holds the lock only while it writes a file. */
const quickTries = 50;
const quickPauseMs = 1;

/** Later pauses grow from the first to the longest, with jitter, so that waiting processes do not try at the same time. Milliseconds. */
const firstPauseMs = 3;
const longestPauseMs = 10;
const pauseGrowth = 1.05;

export type LockWait = {
	/** Milliseconds; 0 tries once. */
	timeoutMs: number;
	/** The lock's path or name, for the error text. */
	path: string;
	/** What kept the last attempt from its result, if it was not the lock. */
	obstacle?: () => StoreError | undefined;
	signal?: AbortSignal | undefined;
	/** Whether waiting keeps the event loop alive. Default true. */
	ref?: boolean;
};

/**
 * Calls `attempt` until it returns a result.
 *
 * @throws {StoreError} `STC_LOCK_TIMEOUT` after `timeoutMs`, or the `obstacle`.
 * @throws the reason of `signal`, if that fires.
 */
export async function waitForLock<Result>(attempt: () => Promise<Result | undefined>, {timeoutMs, path, obstacle, signal, ref = true}: LockWait): Promise<Result> {
	const deadlineMs = performance.now() + timeoutMs;
	for (let tries = 0; ; tries++) {
		signal?.throwIfAborted();
		const result = await attempt();
		if (result !== undefined) {
			return result;
		}

		const leftMs = deadlineMs - performance.now();
		if (leftMs <= 0) {
			throw obstacle?.() ?? new StoreError(
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
