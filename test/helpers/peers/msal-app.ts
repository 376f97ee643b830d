/** An application of the real MSAL for Node in this process. Its requests go to the embedded endpoint. */

import {createRequire} from 'node:module';
import type {ExecutionContext} from 'ava';
import type {CachePlugin} from '../../../dist/cache-api/msal-node-plugin.js';
import {loopbackNetwork} from '../../peers/loopback-network.mjs';
import type * as msal from '../../peers/node_modules/@azure/msal-node/types/index.js';
import type {EntraServer} from '../authority/entra-server.js';
import {clientId, publicCloud} from '../home.js';
import {peersFolder} from './peers.js';

export class MsalApp {
	readonly app: msal.PublicClientApplication;

	constructor(t: ExecutionContext, cachePlugin: CachePlugin, entra: EntraServer) {
		// Loaded lazily: the package is missing if these tests are skipped.
		const {PublicClientApplication} = createRequire(peersFolder)('@azure/msal-node') as typeof msal;
		const network = loopbackNetwork({port: entra.port, ca: entra.ca});
		t.teardown(async () => network.close());
		this.app = new PublicClientApplication({
			auth: {clientId, authority: `https://${publicCloud}/organizations`},
			cache: {cachePlugin},
			system: {networkClient: network as unknown as msal.INetworkModule},
		});
	}

	async signIn(refreshToken: string, scope: string): Promise<msal.AuthenticationResult> {
		const result = await this.app.acquireTokenByRefreshToken({refreshToken, scopes: [scope], forceCache: true});
		if (!result) {
			throw new Error('MSAL returned no result.');
		}

		return result;
	}

	async silent(username: string, scope: string, forceRefresh = false): Promise<msal.AuthenticationResult> {
		return this.app.acquireTokenSilent({account: await this.account(username), scopes: [scope], forceRefresh});
	}

	async signOut(username: string): Promise<void> {
		await this.app.getTokenCache().removeAccount(await this.account(username));
	}

	async usernames(): Promise<string[]> {
		const accounts = await this.app.getTokenCache().getAllAccounts();
		return accounts.map(({username}) => username).toSorted();
	}

	async account(username: string): Promise<msal.AccountInfo> {
		const accounts = await this.app.getTokenCache().getAllAccounts();
		const account = accounts.find(each => each.username === username);
		if (!account) {
			throw new Error(`${username} is not in the cache.`);
		}

		return account;
	}
}
