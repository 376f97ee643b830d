/**
 * A cache plugin for `@azure/msal-node`: its token cache is the shared one, read natively and written under the locks of everybody
 * who writes there. No lock is held while MSAL's code runs: what it changed is merged, record by record, into what the cache holds
 * by then.
 *
 * Source: `@azure/msal-node` 7.2, `TokenCache`; `@azure/msal-common` 16.16, `ResponseHandler`: how they call a plugin.
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

/** What msal-node's token cache has to do for a plugin. */
export type SerializableTokenCache = {
	serialize(): string;
	deserialize(cache: string): void;
};

/** One access of msal-node to its token cache, as it tells a plugin of it. */
export type TokenCacheContext = {
	readonly cacheHasChanged: boolean;
	readonly tokenCache: SerializableTokenCache;
};

/** `ICachePlugin` of `@azure/msal-node`. */
export type CachePlugin = {
	/** @throws {StoreError} if the cache cannot be read, unless a token would be lost by that. */
	beforeCacheAccess(context: TokenCacheContext): Promise<void>;
	/** @throws {StoreError} if a sign-out cannot be written. A token that cannot be written is kept, and written later. */
	afterCacheAccess(context: TokenCacheContext): Promise<void>;
};

/** `cachePath` is a plaintext file of your own; without it, the plugin keeps the cache that Azure SDKs and developer tools share. */
export type CachePluginOptions = Pick<
	SharedTokenCacheOptions,
	'cachePath' | 'tokenCachePersistenceOptions' | 'enableCae' | 'lockTimeoutInMs' | 'keyringTimeoutInMs' | 'useNativeAddon'
>;

/** A program that read the cache before we wrote may write within this time, and undo it. Milliseconds. */
const repairWindowMs = 5000;

/**
 * Makes a plugin for the option `cache.cachePlugin` of msal-node's applications. One plugin may serve several.
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

/** A token cache of msal-node, and what we know of it. */
type Replica = {
	tokenCache: SerializableTokenCache;
	/** Of the text that it holds; `undefined`: unknown. */
	stamp: string | undefined;
	/** How many accesses began, and how many of them are being prepared. */
	begun: number;
	preparing: number;
	/** What is not written yet, by its subject. */
	unsaved: Map<string, RecordChange>;
	/** How often something was written. */
	commits: number;
	/** What was written lately. */
	recent: Array<{change: RecordChange; untilMs: number}>;
	saving: Promise<void> | undefined;
	savingNext: Promise<void> | undefined;
	recheckTimers: RecheckTimers;
};

/** An access that may change the cache. */
type Access = {
	/** The cache's text when msal-node got it. */
	before: string;
	begun: number;
	readError: StoreError | undefined;
};

class SharedCachePlugin {
	readonly #choice: CacheChoice;
	readonly #cache: SharedCache;
	/** Tries once to get a lock. */
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
			// msal-node may have emptied its memory for this access.
			replica.stamp = undefined;
			// An access that changes something may follow a grant: its token must not be lost.
			if (!(error instanceof StoreError) || !context.cacheHasChanged) {
				throw error;
			}

			readError = error;
		} finally {
			replica.preparing--;
		}

		// From here to msal-node's own code nothing else may run: no more waiting.
		if (context.cacheHasChanged) {
			this.#accesses.set(context, {before: context.tokenCache.serialize(), begun: replica.begun, readError});
		}
	}

	async finish(context: TokenCacheContext): Promise<void> {
		const replica = this.#replicaOf(context.tokenCache);
		const access = this.#accesses.get(context);
		// Before anything is waited for: another access may change the token cache.
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
					void this.#look(created);
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

	/** Brings the cache's text into the token cache, unless that holds it. */
	async #load(replica: Replica): Promise<void> {
		const source = await this.#findSource();
		const {value, readable} = await this.#cache.stamp(source);
		// Other accesses that are being prepared: msal-node may have emptied the token cache for one of them.
		if (readable && value === replica.stamp && replica.preparing === 1) {
			return;
		}

		const {commits} = replica;
		const read = await this.#cache.readText(source);
		this.#findUndone(replica, commits, read, source);
		deserialize(replica, read?.text ?? '', source);
		replica.stamp = read?.stamp ?? (readable ? value : undefined);
	}

	/** @param commits How often something had been written before the cache was read. */
	#findUndone(replica: Replica, commits: number, read: CacheText | null, source: CacheSource): void {
		const nowMs = performance.now();
		replica.recent = replica.recent.filter(({untilMs}) => untilMs > nowMs);
		if (replica.recent.length === 0 || commits !== replica.commits) {
			return;
		}

		const recent = replica.recent.map(({change}) => change).filter(change => !replica.unsaved.has(subjectOf(change)));
		const undone = parsing(source, () => undoneChanges(read?.text ?? '', recent));
		if (undone.length > 0) {
			log.info(() => `Another program had overwritten records of ours in the shared token cache (${source.label}); they are written again.`);
		}

		for (const change of undone) {
			replica.unsaved.set(subjectOf(change), change);
		}
	}

	/**
	 * Writes what is unsaved. One commit at a time, for what came later is to be written later; whoever comes meanwhile shares the
	 * next.
	 */
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

	/** Writes what is unsaved if the lock is free. */
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
			// One lock, one write after the other.
			const result = await cache.commit(source, change, {create});
			if (result.outcome === 'no-account') {
				log.info(() => 'A token was not written to the shared token cache: its account was signed out meanwhile.');
			} else if (result.outcome === 'written') {
				// The next check looks at earlier writes, too.
				replica.recheckTimers.clear();
				replica.recheckTimers.afterWrite(result.lockLost);
			}
		}

		// Not what the token cache was loaded from any longer; a file that is deleted now has the stamp of one that never was.
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

	/** Looks whether what was written is still there. Never fails. */
	async #look(replica: Replica): Promise<void> {
		const source = await this.#findSource();
		try {
			const {commits} = replica;
			this.#findUndone(replica, commits, await this.#cache.readText(source), source);
			await this.#retry(replica);
		} catch (error) {
			log.info(() => `The shared token cache could not be looked at after a write (${source.label}). ${(error as Error).message}`);
		}
	}
}

function changesOf(replica: Replica, {before, begun}: Access): RecordChange[] {
	const changes = diffRecords(before, replica.tokenCache.serialize());
	// Another access began in the middle of this one. msal-node empties the token cache for some: what is missing may be there.
	return begun === replica.begun ? changes : changes.filter(({kind}) => kind === 'put');
}

function addUnsaved(replica: Replica, change: RecordChange): void {
	const subject = subjectOf(change);
	const joined = joinChanges(replica.unsaved.get(subject), change);
	const isPast = (earlier: RecordChange) => subjectOf(earlier) === subject || isEndedBy(earlier, change);
	replica.unsaved = new Map([...replica.unsaved].filter(([, earlier]) => !isPast(earlier)));
	replica.unsaved.set(subject, joined);
	replica.recent = replica.recent.filter(({change: earlier}) => !isPast(earlier));
	// msal-node goes back to the text that it was given last, which has not got this change.
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
 * Empties the token cache as far as it came from the shared cache: `deserialize` only adds, so that an account which was signed out
 * elsewhere would stay, and would be written again.
 */
// eslint-disable-next-line @typescript-eslint/naming-convention -- msal-node's name.
function forgetRecords(tokenCache: SerializableTokenCache & {getKVStore?: () => Record<string, unknown>}): void {
	// Public on msal-node's TokenCache, though not part of what plugins are promised; it gives the live object.
	const entries = tokenCache.getKVStore?.() ?? {};
	for (const [key, entry] of Object.entries(entries)) {
		// Of accounts and tokens; what msal-node keeps in memory alone has none.
		if (typeof entry === 'object' && entry !== null && 'homeAccountId' in entry) {
			Reflect.deleteProperty(entries, key);
		}
	}
}

/** @throws {StoreError} `STC_CACHE_CORRUPT`, without a word of the parser's: it quotes what it met. */
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
