/** Applications of MSAL for Python with its extensions, in child processes. */

import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import {clientId, publicCloud} from '../home.js';
import {LineProcess} from '../processes/line-process.js';
import {debianPython, peersFolder} from './peers.js';

export type PythonJob = {
	store: 'plaintext' | 'keyring';
	/** The cache file. For a keyring, its signal file. */
	cachePath: string;
	/** The embedded endpoint, used as the authority. */
	server: {port: number; ca: string};
	/** The tenant to request tokens for. MSAL for Python finds only tokens that are cached under this tenant name. */
	tenant: string;
};

export type PythonCommand =
	| {do: 'accounts'}
	/** Signs in with the device code flow. */
	| {do: 'signIn'; scopes: string[]}
	| {do: 'silent'; username: string; scopes: string[]; forceRefresh?: boolean}
	| {do: 'signOut'; username: string};

export class PythonProcess extends LineProcess {
	/** @param environment The complete environment of the process. */
	static async start(t: ExecutionContext, {server: {port, ca}, tenant, ...job}: PythonJob, environment: Readonly<Record<string, string | undefined>>): Promise<PythonProcess> {
		const started = new PythonProcess('The Python process', [debianPython, '-B', join(peersFolder, 'msal_python_program.py')], {...environment});
		t.teardown(async () => started.kill());
		started.send(JSON.stringify({
			...job, server: {port, ca}, clientId, authority: `https://${publicCloud}/${tenant}`,
		}));
		await started.expect('"ready"');
		return started;
	}

	/** @throws the error that the program reports. */
	async ask<Value = string>(command: PythonCommand): Promise<Value> {
		const answer = JSON.parse(await this.exchange(JSON.stringify(command))) as {value: Value} | {error: string};
		if ('error' in answer) {
			throw new Error(answer.error);
		}

		return answer.value;
	}

	/** Returns an access token from the cache or from a refresh grant. */
	async silent(username: string, scope: string, forceRefresh = false): Promise<string> {
		return this.ask({
			do: 'silent', username, scopes: [scope], forceRefresh,
		});
	}
}
