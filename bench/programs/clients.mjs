/** The libraries that serve a cached token, behind one face. */

import {createRequire} from 'node:module';

const require = createRequire(import.meta.url);

/**
 * @typedef {{cachePath: string, clientId: string, homeAccountId: string, tenantId: string, username: string, scope: string}} Job
 * @typedef {{getToken(): Promise<string>, close(): Promise<void>}} Client
 */

/** @type {Record<'ours' | 'pure' | 'msal-node' | 'identity', (job: Job, network?: object) => Promise<Client>>} */
export const clients = {
	ours: async job => ours(job, true),
	pure: async job => ours(job, false),
	'msal-node': msalNode,
	identity,
};

function ours({username, scope}, useNativeAddon) {
	const {SharedTokenCacheCredential} = require('../../dist/index.js');
	const credential = new SharedTokenCacheCredential({username, useNativeAddon});
	return {
		getToken: async () => (await credential.getToken(scope)).token,
		close: async () => credential.close(),
	};
}

/** As its documentation has it: an application with the extensions' plugin, and the account looked up once. */
async function msalNode({cachePath, clientId, homeAccountId, tenantId, scope}) {
	const {PublicClientApplication} = require('@azure/msal-node');
	const {FilePersistence, PersistenceCachePlugin} = require('@azure/msal-node-extensions');
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

/** The one of its credentials that serves a user's token from a shared cache without asking anybody. It finds the cache below HOME. */
async function identity({clientId, homeAccountId, tenantId, username, scope}) {
	const {DeviceCodeCredential, useIdentityPlugin} = require('@azure/identity');
	const {cachePersistencePlugin} = require('@azure/identity-cache-persistence');
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
