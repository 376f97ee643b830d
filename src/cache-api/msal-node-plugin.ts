/**
 * A cache plugin for `@azure/msal-node` that loads the shared cache into msal-node's token cache and writes its changes back. No lock is held
 * while MSAL's code runs: its changes are merged, record by record, into what the cache holds at that time.
 *
 * Source for how a plugin is called: `@azure/msal-node` 7.2, `TokenCache`; `@azure/msal-common` 16.16, `ResponseHandler`.
 */

import type {CacheText} from '../backend/backend.js';
import {RecheckTimers} from '../cache/recheck-timers.js';
import {SharedCache} from '../cache/shared-cache.js';
import {StoreError} from '../errors.js';
import {keepAlive} from '../runtime/keep-alive.js';
import type {CacheSource} from '../cache/cache-source.js';
import {log} from '../runtime/log.js';
import type {SharedTokenCacheOptions} from '../types.js';
import {
	applyChanges, cacheChangesOf, diffRecords, isEndedBy, joinChanges, type RecordChange, subjectOf, undoneChanges,
} from './record-diff.js';
import {type CacheChoice, chooseCache} from './cache-options.js';

/** The members of msal-node's token cache that a plugin uses. */
export type SerializableTokenCache = {
	serialize(): string;
	deserialize(cache: string): void;
};

/** One access of msal-node to its token cache, as a plugin sees it. */
export type TokenCacheContext = {
	readonly cacheHasChanged: boolean;
	readonly tokenCache: SerializableTokenCache;
};

/** `ICachePlugin` of `@azure/msal-node`. */
export type CachePlugin = {
	/** @throws {StoreError} if the cache cannot be read, unless that would lose a token. */
	beforeCacheAccess(context: TokenCacheContext): Promise<void>;
	/** @throws {StoreError} if a sign-out cannot be written. A token that cannot be written stays in memory and is written later. */
	afterCacheAccess(context: TokenCacheContext): Promise<void>;
};

/** `cachePath` is a plaintext file for your program. Without it, the plugin uses the cache that Azure SDKs and developer tools share. */
export type CachePluginOptions = Pick<
	SharedTokenCacheOptions,
	'cachePath' | 'tokenCachePersistenceOptions' | 'enableCae' | 'lockTimeoutInMs' | 'keyringTimeoutInMs' | 'useNativeAddon'
>;

/** A program that read the cache before our write may overwrite it within this time, milliseconds. */
const repairWindowMs = 5000;

/**
 * Creates a plugin for the option `cache.cachePlugin` of msal-node's applications. One plugin may serve several applications.
 *
 * @throws {TypeError} `STC_INVALID_ARGUMENT`.
 */
export function createCachePlugin(options: CachePluginOptions = {}): CachePlugin {
	const plugin = new SharedCachePlugin(options);
	return {
		beforeCacheAccess: async context => keepAlive(async () => plugin.prepare(context)),
		afterCacheAccess: async context => keepAlive(async () => plugin.finish(context)),
	};
}

/** A token cache of msal-node, and its state. */
type Replica = {
	tokenCache: SerializableTokenCache;
	/** Stamp of the cache text that it holds. `undefined` if unknown. */
	stamp: string | undefined;
	/** Number of accesses since the start. */
	begun: number;
	/** Number of accesses in {@link SharedCachePlugin.prepare}. */
	preparing: number;
	/** Changes that are not written yet, by {@link subjectOf}. */
	unsaved: Map<string, RecordChange>;
	/** Number of writes since the start. */
	commits: number;
	/** Changes that were written recently and may be overwritten. */
	recent: Array<{change: RecordChange; untilMs: number}>;
	saving: Promise<void> | undefined;
	savingNext: Promise<void> | undefined;
	recheckTimers: RecheckTimers;
};

/** An access that may change the cache. */
type Access = {
	/** The cache text before msal-node's changes. */
	before: string;
	begun: number;
	readError: StoreError | undefined;
};

class SharedCachePlugin {
	readonly #choice: CacheChoice;
	readonly #cache: SharedCache;
	/** Tries only once to get a lock. */
	readonly #impatientCache: SharedCache;
	#source: CacheSource | undefined;
	readonly #replicas = new WeakMap<SerializableTokenCache, Replica>();
	readonly #accesses = new WeakMap<TokenCacheContext, Access>();

	constructor(options: CachePluginOptions) {
		this.#choice = chooseCache(options);
		this.#cache = new SharedCache(this.#choice.settings);
		this.#impatientCache = new SharedCache({...this.#choice.settings, lockTimeoutMs: 0});
	}

	async prepare(context: TokenCacheContext): Promise<void> {
		const replica = this.#replicaOf(context.tokenCache);
		replica.begun++;
		replica.preparing++;
		let readError: StoreError | undefined;
		try {
			await this.#load(replica);
		} catch (error) {
			// msal-node may have emptied its token cache for this access.
			replica.stamp = undefined;
			// An access that changes the cache may follow a grant, and its token must not be lost.
			if (!(error instanceof StoreError) || !context.cacheHasChanged) {
				throw error;
			}

			readError = error;
		} finally {
			replica.preparing--;
		}

		// No await from here on: other code must not run before msal-node's own.
		if (context.cacheHasChanged) {
			this.#accesses.set(context, {before: context.tokenCache.serialize(), begun: replica.begun, readError});
		}
	}

	async finish(context: TokenCacheContext): Promise<void> {
		const replica = this.#replicaOf(context.tokenCache);
		const access = this.#accesses.get(context);
		// Before the first await: another access may change the token cache.
		const changes = access ? changesOf(replica, access) : [];
		this.#accesses.delete(context);
		for (const change of changes) {
			addUnsaved(replica, change);
		}

		const isTokenAtStake = changes.some(({kind}) => kind === 'put');
		if (access?.readError) {
			const {readError} = access;
			if (!isTokenAtStake) {
				throw readError;
			}

			log.warning(() => `The shared token cache could not be read before it was written. ${readError.message}`);
		}

		if (replica.unsaved.size === 0) {
			return;
		}

		try {
			await (changes.length > 0 ? this.#save(replica, this.#cache) : this.#retry(replica));
		} catch (error) {
			if (!(error instanceof StoreError) || (changes.length > 0 && !isTokenAtStake)) {
				throw error;
			}

			log.warning(() => `The shared token cache could not be written; tokens are kept in memory until the next access. ${error.message}`);
		}
	}

	#replicaOf(tokenCache: SerializableTokenCache): Replica {
		let replica = this.#replicas.get(tokenCache);
		if (!replica) {
			const created: Replica = {
				tokenCache,
				stamp: undefined,
				begun: 0,
				preparing: 0,
				unsaved: new Map(),
				commits: 0,
				recent: [],
				saving: undefined,
				savingNext: undefined,
				recheckTimers: new RecheckTimers(() => {
					void this.#recheck(created);
				}),
			};
			replica = created;
			this.#replicas.set(tokenCache, replica);
		}

		return replica;
	}

	async #findSource(): Promise<CacheSource> {
		const {primary, kind, settings} = this.#choice;
		this.#source ??= await this.#cache.writableSource(primary[kind], settings.unsafeAllowUnencryptedStorage);
		return this.#source;
	}

	/** Loads the cache text into the token cache, unless it is there already. */
	async #load(replica: Replica): Promise<void> {
		const source = await this.#findSource();
		const {value, readable} = await this.#cache.stamp(source);
		// If other accesses are being prepared, msal-node may have emptied the token cache for one of them.
		if (readable && value === replica.stamp && replica.preparing === 1) {
			return;
		}

		const {commits} = replica;
		const read = await this.#cache.readText(source);
		this.#findOverwritten(replica, commits, read, source);
		deserialize(replica, read?.text ?? '', source);
		replica.stamp = read?.stamp ?? (readable ? value : undefined);
	}

	/**
	 * Finds recent changes that another program has overwritten, to write them again.
	 *
	 * @param commits `replica.commits` before the cache was read.
	 */
	#findOverwritten(replica: Replica, commits: number, read: CacheText | null, source: CacheSource): void {
		const nowMs = performance.now();
		replica.recent = replica.recent.filter(({untilMs}) => untilMs > nowMs);
		if (replica.recent.length === 0 || commits !== replica.commits) {
			return;
		}

		const recent = replica.recent.map(({change}) => change).filter(change => !replica.unsaved.has(subjectOf(change)));
		const overwritten = parsing(source, () => undoneChanges(read?.text ?? '', recent));
		if (overwritten.length > 0) {
			log.info(() => `Another program overwrote records of this process in the shared token cache (${source.label}); they are written again.`);
		}

		for (const change of overwritten) {
			replica.unsaved.set(subjectOf(change), change);
		}
	}

	/** Writes the unsaved changes. Commits run one after the other, in the order of the changes; callers that come meanwhile share the next commit. */
	async #save(replica: Replica, cache: SharedCache): Promise<void> {
		if (!replica.saving) {
			replica.saving = this.#commit(replica, cache).finally(() => {
				replica.saving = undefined;
			});
			return replica.saving;
		}

		replica.savingNext ??= replica.saving.catch(() => undefined).then(async () => {
			replica.savingNext = undefined;
			return this.#save(replica, cache);
		});
		return replica.savingNext;
	}

	/** Writes the unsaved changes if the lock is free. */
	async #retry(replica: Replica): Promise<void> {
		if (!replica.saving) {
			await this.#save(replica, this.#impatientCache);
		}
	}

	async #commit(replica: Replica, cache: SharedCache): Promise<void> {
		const changes = [...replica.unsaved.values()];
		if (changes.length === 0) {
			return;
		}

		const source = await this.#findSource();
		for (const change of cacheChangesOf(changes)) {
			const create = change.edits.some(({action}) => action === 'put');
			// All need the same lock.
			const result = await cache.commit(source, change, {create});
			if (result.outcome === 'no-account') {
				log.info(() => 'A token was not written to the shared token cache: its account was signed out meanwhile.');
			} else if (result.outcome === 'written') {
				// The next check looks at earlier writes, too.
				replica.recheckTimers.clear();
				replica.recheckTimers.afterWrite(result.lockLost);
			}
		}

		// The token cache was loaded from an older text. Also, a file that is deleted now has the same stamp as a file that never existed.
		replica.stamp = undefined;
		replica.commits++;
		const untilMs = performance.now() + repairWindowMs;
		for (const change of changes) {
			if (replica.unsaved.get(subjectOf(change)) === change) {
				replica.unsaved.delete(subjectOf(change));
				replica.recent.push({change, untilMs});
			}
		}
	}

	/** Checks whether the recent changes are still there. Never rejects. */
	async #recheck(replica: Replica): Promise<void> {
		// Known already, because there was a write.
		const source = await this.#findSource();
		try {
			const {commits} = replica;
			this.#findOverwritten(replica, commits, await this.#cache.readText(source), source);
			await this.#retry(replica);
		} catch (error) {
			log.info(() => `The shared token cache could not be checked after a write (${source.label}). ${(error as Error).message}`);
		}
	}
}

function changesOf(replica: Replica, {before, begun}: Access): RecordChange[] {
	const changes = diffRecords(before, replica.tokenCache.serialize());
	// Another access began during this one. msal-node empties the token cache for some accesses, so missing records may still exist.
	return begun === replica.begun ? changes : changes.filter(({kind}) => kind === 'put');
}

function addUnsaved(replica: Replica, change: RecordChange): void {
	const subject = subjectOf(change);
	const joined = joinChanges(replica.unsaved.get(subject), change);
	const isPast = (earlier: RecordChange) => subjectOf(earlier) === subject || isEndedBy(earlier, change);
	replica.unsaved = new Map([...replica.unsaved].filter(([, earlier]) => !isPast(earlier)));
	replica.unsaved.set(subject, joined);
	replica.recent = replica.recent.filter(({change: earlier}) => !isPast(earlier));
	// msal-node may restore the text that it was given last, which does not contain this change.
	replica.stamp = undefined;
}

function deserialize({tokenCache, unsaved}: Replica, text: string, source: CacheSource): void {
	parsing(source, () => {
		const view = unsaved.size === 0 ? text : applyChanges(text, unsaved.values());
		forgetRecords(tokenCache);
		tokenCache.deserialize(view);
	});
}

/**
 * Removes the records of the shared cache from the token cache. `deserialize` only adds records, so an account that another program signed out
 * would stay and be written again.
 */
// eslint-disable-next-line @typescript-eslint/naming-convention -- msal-node's name.
function forgetRecords(tokenCache: SerializableTokenCache & {getKVStore?: () => Record<string, unknown>}): void {
	// Public on msal-node's TokenCache, but not part of the plugin interface. Returns the live object.
	const entries = tokenCache.getKVStore?.() ?? {};
	for (const [key, entry] of Object.entries(entries)) {
		// Accounts and tokens have this field. Entries that msal-node keeps only in memory do not.
		if (typeof entry === 'object' && entry !== null && 'homeAccountId' in entry) {
			Reflect.deleteProperty(entries, key);
		}
	}
}

/** @throws {StoreError} `STC_CACHE_CORRUPT`, without the parser's message, which quotes the text. */
function parsing<Result>(source: CacheSource, action: () => Result): Result {
	try {
		return action();
	} catch {
		throw new StoreError(
			'STC_CACHE_CORRUPT',
			`${source.label}: JSON, but no cache that MSAL for Node can take. Move it away, and sign in again.`,
			{op: 'deserialize', store: source.store},
		);
	}
}
