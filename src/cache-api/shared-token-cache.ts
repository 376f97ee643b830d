/**
 * The public API for programs that use the cache without the credential. The implementation is loaded on first use, to keep the credential's
 * start-up short.
 */

import {requireLazily} from '../runtime/lazy.js';
import type {
	MsalCache, SharedTokenCacheAccount, SharedTokenCacheOptions, SignOutResult,
} from '../types.js';
import type {CacheAccess} from './cache-access.js';
import type {CachePlugin, CachePluginOptions} from './msal-node-plugin.js';

/**
 * A shared token cache, for programs that read or change it themselves. Every change is merged into what other programs wrote, under the locks
 * that they use.
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
	 * Does not open or create a file.
	 *
	 * @throws {TypeError} `STC_INVALID_ARGUMENT`.
	 */
	constructor(options?: SharedTokenCacheOptions) {
		const {CacheAccess: Access} = requireLazily(() => require('./cache-access.js') as typeof import('./cache-access.js'));
		this.#access = new Access(options);
	}

	/**
	 * Lists the accounts, without secrets, of all readable caches with this name: of both kinds and of the SDKs of all languages. If
	 * `cachePath` is set, of that cache only.
	 *
	 * @throws {CredentialUnavailableError} if no cache could be read and at least one exists.
	 */
	async listAccounts(): Promise<SharedTokenCacheAccount[]> {
		return this.#access.listAccounts();
	}

	/**
	 * Signs an account out on this machine: removes the account and its tokens from the caches of both kinds with this name, under their
	 * locks. Wins over every write that began before, in any process. Goes on after a failure: the account is signed out if `remainsIn` and
	 * `notRead` of the result are both empty. Tokens in the memory of other programs, and sessions at the authority, remain.
	 *
	 * @param account `environment` limits the sign-out to one authority. Case does not matter.
	 * @throws {TypeError} `STC_INVALID_ARGUMENT`.
	 */
	async removeAccount(account: {homeAccountId: string; environment?: string}): Promise<SignOutResult> {
		return this.#access.removeAccount(account);
	}

	/**
	 * Reads the cache, calls `merge` to change it, and writes the changes record by record. If another program wrote the cache meanwhile, this
	 * starts again with the new content. No lock is held while `merge` runs. Everything that `merge` does not change is preserved byte for
	 * byte. Removing an account removes its tokens, too.
	 *
	 * @param merge Changes the object in place. May be called several times, and must make the same change each time.
	 * @returns the result of the last call of `merge`.
	 * @throws {StoreError} `STC_LOCK_TIMEOUT` if other programs hold the lock, or keep writing, for `lockTimeoutInMs`, or the reason why the
	 * cache cannot be read or written. The cache is unchanged then.
	 */
	async withCache<Result>(merge: (cache: MsalCache) => Result | Promise<Result>): Promise<Result> {
		return this.#access.withCache(merge);
	}
}

/**
 * Creates a cache plugin for `@azure/msal-node`, which replaces `@azure/msal-node-extensions`. It uses the shared cache or a file for your
 * program. One plugin may serve several applications.
 *
 * If a write fails, the application still gets its token. The failure is logged, and the write is repeated at the next access.
 *
 * @throws {TypeError} `STC_INVALID_ARGUMENT`.
 */
export function createCachePlugin(options?: CachePluginOptions): CachePlugin {
	const {createCachePlugin: create} = requireLazily(() => require('./msal-node-plugin.js') as typeof import('./msal-node-plugin.js'));
	return create(options);
}
