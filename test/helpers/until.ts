import {setTimeout as sleep} from 'node:timers/promises';

/**
 * Waits until `condition` holds.
 *
 * @throws when it does not within `timeoutMs`.
 */
export async function until(condition: () => boolean | Promise<boolean>, timeoutMs = 20_000): Promise<void> {
	const endMs = performance.now() + timeoutMs;
	while (!await condition()) {
		if (performance.now() > endMs) {
			throw new Error(`Waited in vain for ${timeoutMs} ms until ${condition.toString()}`);
		}

		await sleep(5);
	}
}
