// The types of the cache plugin, as an application of MSAL for Node uses them. These files are compiled and never run.

import {
	type CachePlugin, type CachePluginOptions, createCachePlugin, type TokenCacheContext,
} from '../../dist/cache-api/msal-node-plugin.js';
// The peers are not dependencies of this package, so they are imported by path.
import type {
	Configuration, ICachePlugin, ISerializableTokenCache, TokenCache, TokenCacheContext as MsalContext,
} from '../peers/node_modules/@azure/msal-node/types/index.js';

const plugin = createCachePlugin();

// msal-node accepts the plugin.
plugin satisfies ICachePlugin;
const configuration: Configuration = {auth: {clientId: 'x'}, cache: {cachePlugin: plugin}};
configuration satisfies Configuration;

// The plugin accepts what msal-node passes.
declare const context: MsalContext;
context satisfies TokenCacheContext;
declare const tokenCache: ISerializableTokenCache;
tokenCache satisfies TokenCacheContext['tokenCache'];
declare const wholeTokenCache: TokenCache;
wholeTokenCache satisfies TokenCacheContext['tokenCache'];
await plugin.beforeCacheAccess(context) satisfies void;
await plugin.afterCacheAccess(context) satisfies void;

// msal-node's type of a plugin is assignable to this package's.
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
