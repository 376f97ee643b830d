/**
 * Signs a user in with MSAL for Node and its extensions, which write the cache to a plaintext file or, through keytar,
 * to a keyring. Prints the home account ID.
 */

import {PublicClientApplication} from '@azure/msal-node';
import {FilePersistence, LibSecretPersistence, PersistenceCachePlugin} from '@azure/msal-node-extensions';
import {readJob} from './job.mjs';
import {loopbackNetwork} from './loopback-network.mjs';

/**
 * The location where `@azure/identity` stores the item. Source: `@azure/identity-cache-persistence` 1.2.0,
 * `provider.ts` and `platforms.ts`.
 */
const itemService = 'Microsoft.Developer.IdentityService';
const itemAccount = 'MSALCache';

const {store, cachePath, authority, clientId, scopes, server} = await readJob();
const persistence = store === 'keyring'
	? await LibSecretPersistence.create(cachePath, itemService, itemAccount)
	: await FilePersistence.create(cachePath);
const network = loopbackNetwork(server);
const app = new PublicClientApplication({
	auth: {clientId, authority},
	cache: {cachePlugin: new PersistenceCachePlugin(persistence)},
	system: {networkClient: network},
});
let account;
for (const each of scopes) {
	({account} = await app.acquireTokenByDeviceCode({scopes: each, deviceCodeCallback: () => undefined}));
}

console.log(account.homeAccountId);
await network.close();
