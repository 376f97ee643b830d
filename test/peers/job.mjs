/** Reads the writers' job from standard input, so that no token appears in a process list. */

import {text} from 'node:stream/consumers';
import process from 'node:process';

/**
 * @typedef {object} SignInJob
 * @property {'plaintext' | 'keyring'} store
 * @property {string} cachePath The cache file; for a keyring, its signal file. Absolute.
 * @property {string} authority URL with the tenant.
 * @property {string} clientId
 * @property {string[][]} scopes One sign-in for each.
 * @property {{port: number, ca: string}} server The endpoint on loopback that plays the authority.
 */

/** @returns {Promise<SignInJob>} */
export async function readJob() {
	return JSON.parse(await text(process.stdin));
}
