/** The implementation of `SharedTokenCache`, loaded with the first instance. */

import {listAccounts} from '../lookup/list-accounts.js';
import {distinctSources, readSources} from '../lookup/read-sources.js';
import {parseAuthority} from '../settings/authority.js';
import type {AccountEntry, CacheQuery} from '../backend/backend.js';
import {SharedCache} from '../cache/shared-cache.js';
import {editsOfSignOut} from '../cache/sign-out-edits.js';
import type {SourceReading} from '../cache/source-reading.js';
import {invalidArgument, StoreError} from '../errors.js';
import {keepAlive} from '../runtime/keep-alive.js';
import type {CacheSource} from '../cache/cache-source.js';
import {waitForLock} from '../cache/lock-wait.js';
import type {
	MsalCache, SharedTokenCacheAccount, SharedTokenCacheOptions, SignOutResult,
} from '../types.js';
import {cacheChangesOf, diffRecords} from './record-diff.js';
import {type CacheChoice, chooseCache} from './cache-options.js';

/** Codes meaning this store does not exist on this machine, so there is nothing to sign out of. */
const noStoreCodes: ReadonlySet<string> = new Set(['STC_STORE_UNAVAILABLE', 'STC_ADDON_MISSING']);

export class CacheAccess {
	readonly #choice: CacheChoice;
	readonly #cache: SharedCache;

	constructor(options?: SharedTokenCacheOptions) {
		this.#choice = chooseCache(options);
		this.#cache = new SharedCache(this.#choice.settings);
	}

	async listAccounts(): Promise<SharedTokenCacheAccount[]> {
		return keepAlive(async () => listAccounts(await this.#readAll([...this.#ownSources(), ...this.#choice.extra]), this.#choice.settings.clientId));
	}

	async removeAccount(account: {homeAccountId: string; environment?: string}): Promise<SignOutResult> {
		const {homeAccountId, environment} = account ?? {};
		if (typeof homeAccountId !== 'string' || homeAccountId === '' || (environment !== undefined && typeof environment !== 'string')) {
			throw invalidArgument('removeAccount requires an account with a homeAccountId, such as one of listAccounts().');
		}

		const environments = environment === undefined ? undefined : parseAuthority(environment, 'environment').environments;
		return keepAlive(async () => {
			const removedFrom: string[] = [];
			for (const source of this.#ownSources()) {
				// Never holds the locks of two caches, so that another program waits for one at most.
				if (await this.#removeFrom(source, homeAccountId, environments)) {
					removedFrom.push(source.label);
				}
			}

			const matches = (entry: AccountEntry) => (
				entry.homeAccountId.toLowerCase() === homeAccountId.toLowerCase()
				&& (environments?.includes(entry.environment.toLowerCase()) ?? true));
			const remains = await this.#readAll(this.#choice.extra, homeAccountId);
			return {removedFrom, remainsIn: remains.filter(({slice}) => slice?.accounts.some(entry => matches(entry))).map(({source}) => source.label)};
		});
	}

	async withCache<Result>(merge: (cache: MsalCache) => Result | Promise<Result>): Promise<Result> {
		const {primary, kind, settings} = this.#choice;
		return keepAlive(async () => {
			const source = await this.#cache.writableSource(primary[kind], settings.unsafeAllowUnencryptedStorage);
			const done = await waitForLock(async () => {
				const {value: before} = await this.#cache.stamp(source);
				const read = await this.#cache.readText(source);
				const text = read?.text || '{}';
				const cache = JSON.parse(text) as MsalCache;
				const result = await merge(cache);
				const edits = cacheChangesOf(diffRecords(text, JSON.stringify(cache))).flatMap(change => change.edits);
				if (edits.length === 0) {
					return {result};
				}

				const {outcome} = await this.#cache.commit(source, {edits}, {create: true, expectedStamp: read?.stamp ?? before});
				return outcome === 'changed' ? undefined : {result};
			}, {timeoutMs: settings.lockTimeoutMs, path: source.lockPaths[0] ?? ''});
			return done.result;
		});
	}

	/** The caches of both kinds that are written. */
	#ownSources(): CacheSource[] {
		const {nocae, cae} = this.#choice.primary;
		return distinctSources([...nocae, ...cae]);
	}

	async #removeFrom(source: CacheSource, homeAccountId: string, environments: readonly string[] | undefined): Promise<boolean> {
		try {
			const {outcome} = await this.#cache.commit(source, editsOfSignOut(homeAccountId, environments));
			return outcome === 'written';
		} catch (error) {
			if (error instanceof StoreError && noStoreCodes.has(error.code)) {
				return false;
			}

			throw error;
		}
	}

	async #readAll(sources: readonly CacheSource[], homeAccountId?: string): Promise<SourceReading[]> {
		const query: CacheQuery = {
			environments: this.#choice.settings.authority.environments,
			clientId: this.#choice.settings.clientId,
			nowSec: Math.floor(Date.now() / 1000),
			...(homeAccountId !== undefined && {homeAccountId}),
		};
		return readSources(this.#cache, sources, query);
	}
}
