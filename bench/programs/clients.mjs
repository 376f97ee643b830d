/** The libraries that serve a cached token, behind one interface. */

import {createRequire} from 'node:module';

/**
 * @typedef {{cachePath: string, clientId: string, homeAccountId: string, tenantId: string, username: string, scope: string}} Job
 * @typedef {{getToken(): Promise<string>, close(): Promise<void>}} Client
 */

/**
 * @param {(name: string) => unknown} load Loads modules as this file does.
 * @param {string} own The entry of this package.
 * @returns {Record<'ours' | 'pure' | 'msal-node' | 'identity', (job: Job) => Promise<Client>>}
 */
export function clientsBy(load, own) {
	return {
		ours: async job => ours(await load(own), job, true),
		pure: async job => ours(await load(own), job, false),
		'msal-node': async job => msalNode(load, job),
		identity: async job => identity(load, job),
	};
}

export const clients = clientsBy(createRequire(import.meta.url), '../../dist/index.js');

function ours({SharedTokenCacheCredential}, {username, scope}, useNativeAddon) {
	const credential = new SharedTokenCacheCredential({username, useNativeAddon});
	return {
		getToken: async () => (await credential.getToken(scope)).token,
		close: async () => credential.close(),
	};
}

/** As documented by MSAL: an application with the extensions' plugin that looks the account up once. */
async function msalNode(load, {cachePath, clientId, homeAccountId, tenantId, scope}) {
	const {PublicClientApplication} = await load('@azure/msal-node');
	const {FilePersistence, PersistenceCachePlugin} = await load('@azure/msal-node-extensions');
	const app = new PublicClientApplication({
		auth: {clientId, authority: `https://login.microsoftonline.com/${tenantId}`},
		cache: {cachePlugin: new PersistenceCachePlugin(await FilePersistence.create(cachePath))},
	});
	const account = await app.getTokenCache().getAccountByHomeId(homeAccountId);
	const request = {account, scopes: [scope]};
	return {
		getToken: async () => (await app.acquireTokenSilent(request)).accessToken,
		close: async () => undefined,
	};
}

/**
 * The only one of its credentials that serves a user's token from a shared cache without interaction. It finds the
 * cache below HOME.
 */
async function identity(load, {clientId, homeAccountId, tenantId, username, scope}) {
	const {DeviceCodeCredential, useIdentityPlugin} = await load('@azure/identity');
	const {cachePersistencePlugin} = await load('@azure/identity-cache-persistence');
	useIdentityPlugin(cachePersistencePlugin);
	const credential = new DeviceCodeCredential({
		clientId,
		tenantId,
		authenticationRecord: {
			authority: 'login.microsoftonline.com', homeAccountId, clientId, tenantId, username,
		},
		disableAutomaticAuthentication: true,
		tokenCachePersistenceOptions: {enabled: true, unsafeAllowUnencryptedStorage: true},
	});
	return {
		getToken: async () => (await credential.getToken(scope)).token,
		close: async () => undefined,
	};
}
