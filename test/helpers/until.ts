import {setTimeout as sleep} from 'node:timers/promises';

/**
 * How long a test waits for something that always comes. Only a wait in vain takes that long: on a busy machine,
 * something that usually takes milliseconds may take minutes. AVA's own time-out is longer, so that a test fails with
 * the reason given here.
 */
export const patienceMs = 5 * 60_000;

/**
 * Waits until `condition` is true.
 *
 * @throws after `timeoutMs`.
 */
export async function until(condition: () => boolean | Promise<boolean>, timeoutMs = patienceMs): Promise<void> {
	const endMs = performance.now() + timeoutMs;
	while (!await condition()) {
		if (performance.now() > endMs) {
			throw new Error(`Timed out after ${timeoutMs} ms waiting for ${condition.toString()}`);
		}

		await sleep(5);
	}
}

/**
 * Waits for `promise`.
 *
 * @param what What is awaited, for the message.
 * @throws after `timeoutMs`.
 */
export async function inTime<Result>(promise: Promise<Result>, what: string, timeoutMs = patienceMs): Promise<Result> {
	const timer = new AbortController();
	const end = async (): Promise<never> => {
		await sleep(timeoutMs, undefined, {signal: timer.signal});
		throw new Error(`Timed out after ${timeoutMs} ms waiting for ${what}`);
	};

	try {
		return await Promise.race([promise, end()]);
	} finally {
		timer.abort();
	}
}

/** A promise that the test resolves. */
export function withResolvers(): {promise: Promise<void>; resolve: () => void} {
	let resolve!: () => void;
	const promise = new Promise<void>(resolve_ => {
		resolve = resolve_;
	});
	return {promise, resolve};
}
