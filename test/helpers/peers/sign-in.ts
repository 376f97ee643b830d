/** Lets a real library sign a user in at the embedded endpoint and write its cache. */

import {join} from 'node:path';
import {clientId, publicCloud} from '../home.js';
import {runProgram} from '../processes/run-program.js';
import {debianPython, peersFolder} from './peers.js';

export type Writer = 'msal-node' | 'msal-python';

/** `SignInJob` in `test/peers/job.mjs` has the same shape. */
export type SignInJob = {
	store: 'plaintext' | 'keyring';
	/** The cache file. For a keyring, the signal file that its writers touch. */
	cachePath: string;
	/** The scopes of each sign-in. */
	scopes: string[][];
	server: {port: number; ca: string};
};

const commands: Readonly<Record<Writer, readonly [string, ...string[]]>> = {
	'msal-node': [process.execPath, join(peersFolder, 'write-msal-node.mjs')],
	'msal-python': [debianPython, '-B', join(peersFolder, 'write_msal_python.py')],
};

/**
 * @param environment The complete environment of the writer.
 * @returns The home account ID that the library reports.
 */
export async function signIn(writer: Writer, {server: {port, ca}, ...job}: SignInJob, environment: Readonly<Record<string, string | undefined>>): Promise<string> {
	const [command, ...args] = commands[writer];
	const input = JSON.stringify({
		...job, server: {port, ca}, clientId, authority: `https://${publicCloud}/organizations`,
	});
	return (await runProgram(command, args, {input, environment})).trim();
}
