// The cache plugin as the compiler of an application of MSAL for Node sees it. Compiled, never run.

import {
	type CachePlugin, type CachePluginOptions, createCachePlugin, type TokenCacheContext,
} from '../../dist/cache-api/msal-node-plugin.js';
// Not a package of ours: by path.
import type {
	Configuration, ICachePlugin, ISerializableTokenCache, TokenCache, TokenCacheContext as MsalContext,
} from '../peers/node_modules/@azure/msal-node/types/index.js';

const plugin = createCachePlugin();

// msal-node takes it.
plugin satisfies ICachePlugin;
const configuration: Configuration = {auth: {clientId: 'x'}, cache: {cachePlugin: plugin}};
configuration satisfies Configuration;

// What msal-node passes is taken.
declare const context: MsalContext;
context satisfies TokenCacheContext;
declare const tokenCache: ISerializableTokenCache;
tokenCache satisfies TokenCacheContext['tokenCache'];
declare const wholeTokenCache: TokenCache;
wholeTokenCache satisfies TokenCacheContext['tokenCache'];
await plugin.beforeCacheAccess(context) satisfies void;
await plugin.afterCacheAccess(context) satisfies void;

// A plugin for msal-node is one of ours, too.
declare const other: ICachePlugin;
other satisfies {beforeCacheAccess(context: MsalContext): Promise<void>};
plugin satisfies CachePlugin;

const every: Required<CachePluginOptions> = {
	cachePath: '/home/someone/.myapp/cache.json',
	tokenCachePersistenceOptions: {name: 'msal.cache', unsafeAllowUnencryptedStorage: true},
	enableCae: false,
	lockTimeoutInMs: 30_000,
	keyringTimeoutInMs: 10_000,
	useNativeAddon: true,
};
createCachePlugin(every);

// @ts-expect-error Unknown keys are refused.
createCachePlugin({path: '/home/someone/.myapp/cache.json'});
// @ts-expect-error A plugin that does not write would lose tokens.
createCachePlugin({tokenCachePersistenceOptions: {readOnly: true}});
// @ts-expect-error Milliseconds are numbers.
createCachePlugin({lockTimeoutInMs: '30s'});
