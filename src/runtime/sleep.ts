/** Waiting. `node:timers/promises` would be one more module to load before a process's first token. */

import {whenAborted} from './abort.js';

export type SleepOptions = {
	signal?: AbortSignal | undefined;
	/** Whether the timer keeps the event loop alive. Default true. */
	ref?: boolean;
};

/** @throws the reason of `signal` as soon as it fires. */
export async function sleep(delayMs: number, {signal, ref = true}: SleepOptions = {}): Promise<void> {
	signal?.throwIfAborted();
	await new Promise<void>((resolve, reject) => {
		const stop = signal && whenAborted(signal, () => {
			clearTimeout(timer);
			reject(signal.reason as Error);
		});
		const timer = setTimeout(() => {
			stop?.();
			resolve();
		}, delayMs);
		if (!ref) {
			timer.unref();
		}
	});
}

/** Waits until `work` has ended, or the time is over. Never rejects. */
export async function atMost(timeoutMs: number, work: Promise<unknown>, {ref = true}: {ref?: boolean} = {}): Promise<void> {
	const ended = new AbortController();
	await Promise.race([Promise.allSettled([work]), sleep(timeoutMs, {ref, signal: ended.signal}).catch(() => undefined)]);
	ended.abort();
}
