/** Tests that need a keyring. */

import type {ExecutionContext, ImplementationFn, TestFn} from 'ava';
import {type Keyring, missingKeyring, startKeyring} from './keyring.js';

const missing = missingKeyring();

/**
 * Declares a test, which is skipped with the reason in its title if no keyring can be started here.
 *
 * @param alsoMissing The reason why something else that the test needs is missing.
 */
export function keyringTest(declare: TestFn['serial'], title: string, implementation: ImplementationFn<[]>, alsoMissing?: string): void {
	const reason = missing ?? alsoMissing;
	if (reason) {
		declare.skip(`${title} (skipped: ${reason})`, implementation);
	} else {
		declare(title, implementation);
	}
}

/** Starts a keyring for one test. */
export async function keyringFor(t: ExecutionContext): Promise<Keyring> {
	const keyring = await startKeyring();
	t.teardown(async () => keyring.close());
	return keyring;
}
