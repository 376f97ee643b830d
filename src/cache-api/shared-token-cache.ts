/**
 * The cache layer for programs that do without the credential, as they see it. What does the work is loaded when it is first used, for
 * the credential's start-up time.
 */

import {requireLazily} from '../runtime/lazy.js';
import type {
	MsalCache, SharedTokenCacheAccount, SharedTokenCacheOptions, SignOutResult,
} from '../types.js';
import type {CacheAccess} from './cache-access.js';
import type {CachePlugin, CachePluginOptions} from './msal-node-plugin.js';

/**
 * A shared token cache, for programs that read or change it themselves: every change is merged into what other programs wrote, under
 * the locks that they go by.
 *
 * @example
 * ```ts
 * const cache = new SharedTokenCache();
 * for (const account of await cache.listAccounts()) {
 * 	console.log(account.username, account.source);
 * }
 * ```
 */
export class SharedTokenCache {
	readonly #access: CacheAccess;

	/**
	 * Opens nothing and creates nothing.
	 *
	 * @throws {TypeError} `STC_INVALID_ARGUMENT`.
	 */
	constructor(options?: SharedTokenCacheOptions) {
		const {CacheAccess: Access} = requireLazily(() => require('./cache-access.js') as typeof import('./cache-access.js'));
		this.#access = new Access(options);
	}

	/**
	 * The accounts of all caches of this name that can be read, of both kinds and all languages, without secrets; of one cache where
	 * `cachePath` names it.
	 *
	 * @throws {CredentialUnavailableError} when no cache could be read and at least one is there.
	 */
	async listAccounts(): Promise<SharedTokenCacheAccount[]> {
		return this.#access.listAccounts();
	}

	/**
	 * Signs an account out on this machine: takes it, its tokens and its id tokens out of the caches of this name, of both kinds, under
	 * their locks. What other programs hold in memory, and sessions at the authority, are not ended.
	 *
	 * @param account `environment` narrows it to one authority. Case does not matter.
	 * @throws {StoreError} `STC_LOCK_TIMEOUT`, `STC_STORE_LOCKED` and so on: it may be gone from some of the caches then. Ask again.
	 */
	async removeAccount(account: {homeAccountId: string; environment?: string}): Promise<SignOutResult> {
		return this.#access.removeAccount(account);
	}

	/**
	 * Reads the cache, lets `merge` change it, and writes what it changed, record by record, if nothing was written meanwhile; otherwise
	 * it begins anew with what is there then. No lock is held while `merge` runs. All that it leaves alone survives byte for byte; an
	 * account that it takes out takes its tokens along.
	 *
	 * @param merge Changes the object that it is given. May be called several times, so it has to do the same each time.
	 * @returns what `merge` returned the last time.
	 * @throws {StoreError} `STC_LOCK_TIMEOUT` when others hold the lock, or write without a pause, for `lockTimeoutInMs`; or why the cache
	 * cannot be read or written. The cache is as it was then.
	 */
	async withCache<Result>(merge: (cache: MsalCache) => Result | Promise<Result>): Promise<Result> {
		return this.#access.withCache(merge);
	}
}

/**
 * A cache plugin for `@azure/msal-node`, in place of `@azure/msal-node-extensions`: msal-node's token cache is the shared one, or a
 * file of your own. One plugin serves any number of applications.
 *
 * A write that fails does not cost the token: it is logged, and made up for at the next access.
 *
 * @throws {TypeError} `STC_INVALID_ARGUMENT`.
 */
export function createCachePlugin(options?: CachePluginOptions): CachePlugin {
	const {createCachePlugin: create} = requireLazily(() => require('./msal-node-plugin.js') as typeof import('./msal-node-plugin.js'));
	return create(options);
}
