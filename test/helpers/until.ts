import {setTimeout as sleep} from 'node:timers/promises';

/**
 * Waits until `condition` is true.
 *
 * @throws after `timeoutMs`.
 */
export async function until(condition: () => boolean | Promise<boolean>, timeoutMs = 20_000): Promise<void> {
	const endMs = performance.now() + timeoutMs;
	while (!await condition()) {
		if (performance.now() > endMs) {
			throw new Error(`Timed out after ${timeoutMs} ms waiting for ${condition.toString()}`);
		}

		await sleep(5);
	}
}
