/** Applications of MSAL for Node in child processes, with our cache plugin or the one of its extensions. */

import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import type {CachePluginOptions} from '../../../dist/cache-api/msal-node-plugin.js';
import {clientId, publicCloud} from '../home.js';
import {LineProcess} from '../processes/line-process.js';
import {peersFolder} from './peers.js';

export type MsalJob = {
	plugin: 'ours' | 'extensions';
	/** For the plugin of the extensions. */
	cachePath?: string;
	/** For our plugin. */
	options?: CachePluginOptions;
	/** The embedded endpoint, used as the authority. */
	server: {port: number; ca: string};
	clientId?: string;
	authority?: string;
};

export type MsalCommand =
	| {do: 'accounts'}
	| {do: 'deviceCode'; scopes: string[]}
	| {do: 'signIn'; refreshTokens: string[]; scopes: string[]}
	| {do: 'silent'; username: string; scopes: string[]; forceRefresh?: boolean}
	| {do: 'signOut'; username: string};

export type MsalToken = {accessToken: string; fromCache: boolean; username: string};

type Answer = {value: unknown} | {error: {name: string; code?: string; message: string}};

const program = join(peersFolder, 'msal-node-program.mjs');

export class MsalProcess extends LineProcess {
	static async start(t: ExecutionContext, {server: {port, ca}, ...job}: MsalJob, environment: Readonly<Record<string, string | undefined>>): Promise<MsalProcess> {
		const started = new MsalProcess('The MSAL process', [process.execPath, program], {...environment});
		t.teardown(async () => started.kill());
		started.send(JSON.stringify({
			clientId, authority: `https://${publicCloud}/organizations`, ...job, server: {port, ca},
		}));
		await started.expect('"ready"');
		return started;
	}

	async accounts(): Promise<string[]> {
		return (await this.ask<string[]>({do: 'accounts'})).toSorted();
	}

	async silent(username: string, scope: string, forceRefresh = false): Promise<MsalToken> {
		return this.ask({
			do: 'silent', username, scopes: [scope], forceRefresh,
		});
	}

	/** @throws the error that the program reports. */
	async ask<Value>(command: MsalCommand): Promise<Value> {
		const answer = JSON.parse(await this.exchange(JSON.stringify(command))) as Answer;
		if ('error' in answer) {
			const {name, message, code} = answer.error;
			throw Object.assign(new Error(message), {name, code});
		}

		return answer.value as Value;
	}
}
