/** The implementation of `SharedTokenCache`, loaded with the first instance. */

import {listAccounts} from '../lookup/list-accounts.js';
import {distinctSources, overviewQuery, readSources} from '../lookup/overview.js';
import {parseAuthority} from '../settings/read-authority.js';
import type {CacheQuery} from '../backend/backend.js';
import {SharedCache} from '../cache/shared-cache.js';
import {signOutsSoFar, wasSignedOut} from '../cache/sign-out-mark.js';
import {invalidArgument, type StoreError} from '../errors.js';
import {keepAlive} from '../runtime/keep-alive.js';
import type {CacheSource} from '../cache/cache-source.js';
import {waitForLock} from '../cache/lock-wait.js';
import {isInUse} from '../cache/torn-read.js';
import type {
	MsalCache, SharedTokenCacheAccount, SharedTokenCacheOptions, SignOutResult,
} from '../types.js';
import {
	accountsOfText, cacheChangesOf, diffRecords, homeAccountIdOf, signedOutBy, typed,
} from './record-diff.js';
import {commitOptions, markSignOuts, RecordRepair} from './record-repair.js';
import {type CacheChoice, chooseCache} from './cache-options.js';
import {signOut} from './sign-out.js';

export class CacheAccess {
	readonly #choice: CacheChoice;
	readonly #cache: SharedCache;
	readonly #repair: RecordRepair;

	constructor(options?: SharedTokenCacheOptions) {
		this.#choice = chooseCache(options);
		this.#cache = new SharedCache(this.#choice.settings);
		this.#repair = new RecordRepair(this.#cache);
	}

	async listAccounts(): Promise<SharedTokenCacheAccount[]> {
		return keepAlive(async () => {
			const {settings, extra} = this.#choice;
			const readings = await readSources(this.#cache, [...this.#ownSources(), ...extra], overviewQuery(settings.clientId, true));
			return listAccounts(readings, settings);
		});
	}

	async removeAccount(account: {homeAccountId: string; environment?: string}): Promise<SignOutResult> {
		const {homeAccountId, environment} = account ?? {};
		if (typeof homeAccountId !== 'string' || homeAccountId === '' || (environment !== undefined && typeof environment !== 'string')) {
			throw invalidArgument('removeAccount requires an account with a homeAccountId, such as one of listAccounts().');
		}

		const environments = environment === undefined ? undefined : parseAuthority(environment, 'environment').environments;
		const {extra} = this.#choice;
		return keepAlive(async () => signOut({
			cache: this.#cache,
			own: this.#ownSources(),
			extra,
			homeAccountId,
			environments,
			query: {...this.#query(), homeAccountId, environments: environments ?? []},
		}));
	}

	async withCache<Result>(merge: (cache: MsalCache) => Result | Promise<Result>): Promise<Result> {
		const {primary, kind, settings} = this.#choice;
		return keepAlive(async () => {
			const source = await this.#cache.writableSource(primary[kind], settings.unsafeAllowUnencryptedStorage);
			const since = await signOutsSoFar(source);
			/** The accounts that this call has seen in the cache. One that is gone later was signed out, and must stay out. */
			const seen = new Set<string>();
			let inUse: StoreError | undefined;
			const done = await waitForLock(async () => {
				inUse = undefined;
				const signOuts = await signOutsSoFar(source);
				const {value: before} = await this.#cache.stamp(source);
				const read = await this.#cache.readText(source).catch((error: unknown) => {
					inUse = isInUse(error) ? error : undefined;
					if (!inUse) {
						throw error;
					}
				});
				if (inUse) {
					return undefined;
				}

				const text = read?.text || '{}';
				const cache = JSON.parse(text) as MsalCache;
				const accounts = accountsOfText(text);
				const isSignedOut = (homeAccountId: string) => (seen.has(homeAccountId) && !accounts.has(homeAccountId)) || wasSignedOut(homeAccountId, since, signOuts);
				const result = await merge(cache);
				const changes = diffRecords(text, textOf(cache, text)).filter(change => change.kind !== 'put' || !isSignedOut(homeAccountIdOf(change.after)));
				for (const account of accounts) {
					seen.add(account);
				}

				const edits = cacheChangesOf(changes).flatMap(change => change.edits);
				if (edits.length === 0) {
					return {result};
				}

				const signedOut = signedOutBy(changes);
				await markSignOuts(source, signedOut);
				const options = commitOptions(signedOut.length > 0 ? await signOutsSoFar(source) : signOuts);
				const written = await this.#cache.commit(source, {edits}, {
					...options, create: true, expectedStamp: read?.stamp ?? before, expectedVersion: read?.version,
				});
				await markSignOuts(source, signedOut);
				switch (written.outcome) {
					case 'changed':
					case 'guarded': {
						return undefined;
					}

					case 'written': {
						this.#repair.written(source, changes.map(change => ({change, since: signOuts})), written);
						return {result};
					}

					default: {
						return {result};
					}
				}
			}, {timeoutMs: settings.lockTimeoutMs, path: source.lockPaths[0] ?? '', obstacle: () => inUse});
			return done.result;
		});
	}

	/** The caches of both kinds that are written. */
	#ownSources(): CacheSource[] {
		const {nocae, cae} = this.#choice.primary;
		return distinctSources([...nocae, ...cae]);
	}

	#query(): CacheQuery {
		const {authority, clientId} = this.#choice.settings;
		return {environments: authority.environments, clientId, nowSec: Math.floor(Date.now() / 1000)};
	}
}

/** @param before The text that the program's function got. */
function textOf(cache: MsalCache, before: string): string {
	try {
		return JSON.stringify(cache);
	} catch (error) {
		if (!(error instanceof RangeError)) {
			throw error;
		}

		typed(() => JSON.stringify(JSON.parse(before)));
		throw invalidArgument('withCache cannot write what its function made of the cache: it is nested too deeply.');
	}
}
