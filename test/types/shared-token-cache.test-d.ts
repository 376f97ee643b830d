// The types of the cache API that the compiler accepts and refuses. These files are compiled and never run.

import {
	type ErrorCode, type MsalCache, SharedTokenCache, type SharedTokenCacheAccount, type SharedTokenCacheOptions, type SignOutResult,
} from '../../dist/index.mjs';

const every: Required<SharedTokenCacheOptions> = {
	cachePath: '/home/someone/cache.json',
	tokenCachePersistenceOptions: {enabled: true, name: 'msal.cache', unsafeAllowUnencryptedStorage: true},
	enableCae: true,
	authorityHost: 'login.microsoftonline.us',
	clientId: '04b07795-8ddb-461a-bbee-02f9e1bf7b46',
	lockTimeoutInMs: 30_000,
	keyringTimeoutInMs: 10_000,
	disableKeychainPrompts: true,
	useNativeAddon: false,
};

const cache = new SharedTokenCache(every);
const accounts: SharedTokenCacheAccount[] = await cache.listAccounts();
const [account] = accounts;
if (account) {
	const result: SignOutResult = await cache.removeAccount(account);
	const labels: readonly string[] = [...result.removedFrom, ...result.remainsIn];
	const unread: Array<{source: string; code: ErrorCode}> = result.notRead.map(({source, code}) => ({source, code}));
	console.log(labels, unread);
}

const count: number = await cache.withCache((records: MsalCache) => Object.keys(records['AccessToken'] ?? {}).length);
const later: string = await cache.withCache(async () => 'done');
console.log(count, later);

// @ts-expect-error Only the credential has this option.
new SharedTokenCache({username: 'someone@contoso.com'});
// @ts-expect-error The cache API has no read-only mode.
new SharedTokenCache({tokenCachePersistenceOptions: {readOnly: true}});
// @ts-expect-error An account is named by its home account ID.
await cache.removeAccount({username: 'someone@contoso.com'});
// @ts-expect-error The merge function is required.
await cache.withCache();
