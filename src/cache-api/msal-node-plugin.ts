/**
 * A cache plugin for `@azure/msal-node` that loads the shared cache into msal-node's token cache and writes its changes back. No lock is held
 * while MSAL's code runs: its changes are merged, record by record, into what the cache holds at that time.
 *
 * Source for how a plugin is called: `@azure/msal-node` 7.2, `TokenCache`; `@azure/msal-common` 16.16, `ResponseHandler`.
 */

import type {CacheText} from '../backend/backend.js';
import {SharedCache} from '../cache/shared-cache.js';
import {signOutsSoFar, type SignOuts} from '../cache/sign-out-mark.js';
import {StoreError} from '../errors.js';
import {keepAlive} from '../runtime/keep-alive.js';
import type {CacheSource} from '../cache/cache-source.js';
import {log} from '../runtime/log.js';
import type {SharedTokenCacheOptions} from '../types.js';
import {
	addChanges, applyChanges, cacheChangesOf, diffRecords, type RecordChange, signedOutBy, subjectOf, typed,
} from './record-diff.js';
import {
	commitOptions, type DatedChange, markSignOuts, RecordRepair, withoutSignedOut,
} from './record-repair.js';
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

/** Most changes that wait for a later write. Beyond that, the oldest access tokens are dropped, then the oldest changes. */
const maxUnsaved = 5000;

/** If more changes wait than this, a failed write is followed by a pause, doubled after each further failure: each access would take time to try again. */
const manyUnsaved = 100;
const firstPauseMs = 100;
const longestPauseMs = 30_000;

/** So many sign-outs during one write, and it is put off. */
const maxSignOuts = 10;

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
	/** The sign-outs from before each of these changes was made. */
	since: WeakMap<RecordChange, SignOuts>;
	/** Number of writes since the start. */
	commits: number;
	/** How many writes in a row failed, and when to try again. Milliseconds of `performance.now()`. */
	failures: number;
	retryFromMs: number;
	saving: Promise<void> | undefined;
	savingNext: Promise<void> | undefined;
};

/** An access that may change the cache. */
type Access = {
	/** The cache text before msal-node's changes. */
	before: string;
	begun: number;
	readError: StoreError | undefined;
	/** The sign-outs from before the cache was read. */
	since: SignOuts;
};

const noSignOuts: SignOuts = {guard: undefined, mark: undefined};

class SharedCachePlugin {
	readonly #choice: CacheChoice;
	readonly #cache: SharedCache;
	/** Tries only once to get a lock. */
	readonly #impatientCache: SharedCache;
	readonly #repair: RecordRepair;
	#source: CacheSource | undefined;
	readonly #replicas = new WeakMap<SerializableTokenCache, Replica>();
	readonly #accesses = new WeakMap<TokenCacheContext, Access>();

	constructor(options: CachePluginOptions) {
		this.#choice = chooseCache(options);
		this.#cache = new SharedCache(this.#choice.settings);
		this.#impatientCache = new SharedCache({...this.#choice.settings, lockTimeoutMs: 0});
		this.#repair = new RecordRepair(this.#cache);
	}

	async prepare(context: TokenCacheContext): Promise<void> {
		const replica = this.#replicaOf(context.tokenCache);
		replica.begun++;
		replica.preparing++;
		let readError: StoreError | undefined;
		let since = noSignOuts;
		try {
			since = context.cacheHasChanged ? await signOutsSoFar(await this.#findSource()) : since;
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
			this.#accesses.set(context, {
				before: typed(() => context.tokenCache.serialize()), begun: replica.begun, readError, since,
			});
		}
	}

	async finish(context: TokenCacheContext): Promise<void> {
		const replica = this.#replicaOf(context.tokenCache);
		const access = this.#accesses.get(context);
		// Before the first await: another access may change the token cache.
		const changes = access ? changesOf(replica, access) : [];
		this.#accesses.delete(context);
		if (access && changes.length > 0) {
			this.#keep(replica, changes, access.since);
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
			boundUnsaved(replica);
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
				since: new WeakMap(),
				commits: 0,
				failures: 0,
				retryFromMs: 0,
				saving: undefined,
				savingNext: undefined,
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

	#keep(replica: Replica, changes: readonly RecordChange[], since: SignOuts): void {
		addChanges(replica.unsaved, changes);
		for (const change of changes) {
			// It may have been joined with an earlier one.
			replica.since.set(replica.unsaved.get(subjectOf(change)) ?? change, since);
		}

		if (this.#source) {
			this.#repair.forget(this.#source, changes);
		}

		// msal-node may restore the text that it was given last, which does not contain this change.
		replica.stamp = undefined;
	}

	/**
	 * Finds recent changes that another program has overwritten, to write them again.
	 *
	 * @param commits `replica.commits` before the cache was read.
	 */
	#findOverwritten(replica: Replica, commits: number, read: CacheText | null, source: CacheSource): void {
		// Without a cache, somebody deleted it and all that was in it.
		if (commits !== replica.commits || !read) {
			return;
		}

		const undone = parsing(source, () => this.#repair.undone(source, read.text)).filter(({change}) => !replica.unsaved.has(subjectOf(change)));
		if (undone.length > 0) {
			log.info(() => `Another program overwrote records of this process in the shared token cache (${source.label}); they are written again.`);
		}

		for (const {change, since} of undone) {
			replica.unsaved.set(subjectOf(change), change);
			replica.since.set(change, since);
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
		if (!replica.saving && performance.now() >= replica.retryFromMs) {
			await this.#save(replica, this.#impatientCache);
		}
	}

	async #commit(replica: Replica, cache: SharedCache): Promise<void> {
		const changes = [...replica.unsaved.values()];
		if (changes.length === 0) {
			return;
		}

		const source = await this.#findSource();
		try {
			const signedOut = signedOutBy(changes);
			await markSignOuts(source, signedOut);
			await this.#commitChanges(source, changes.map(change => ({change, since: replica.since.get(change) ?? noSignOuts})), cache);
			await markSignOuts(source, signedOut);
		} catch (error) {
			replica.failures++;
			replica.retryFromMs = changes.length > manyUnsaved ? performance.now() + Math.min(firstPauseMs * (2 ** replica.failures), longestPauseMs) : 0;
			throw error;
		}

		replica.failures = 0;
		replica.retryFromMs = 0;
		// The token cache was loaded from an older text. Also, a file that is deleted now has the same stamp as a file that never existed.
		replica.stamp = undefined;
		replica.commits++;
		for (const change of changes) {
			if (replica.unsaved.get(subjectOf(change)) === change) {
				replica.unsaved.delete(subjectOf(change));
			}
		}
	}

	/** Writes changes, except for those of accounts that were signed out since. */
	async #commitChanges(source: CacheSource, changes: readonly DatedChange[], cache: SharedCache): Promise<void> {
		let left = changes;
		for (let signOuts = 0; left.length > 0; signOuts++) {
			const {current, signOuts: soFar} = await withoutSignedOut(cache, source, left);
			const dates = new Map(current.map(dated => [dated.change, dated]));
			const groups = cacheChangesOf(current.map(({change}) => change));
			left = [];
			for (const group of groups) {
				// All need the same lock.
				const result = await cache.commit(source, group, {...commitOptions(soFar), create: group.edits.some(({action}) => action === 'put')});
				const ofGroup = group.changes.map(change => dates.get(change)!);
				switch (result.outcome) {
					case 'guarded': {
						left = [...left, ...ofGroup];

						break;
					}

					case 'no-account': {
						log.info(() => 'A token was not written to the shared token cache: its account was signed out meanwhile.');

						break;
					}

					case 'written': {
						this.#repair.written(source, ofGroup, result);

						break;
					}
				// No default
				}
			}

			if (left.length > 0 && signOuts === maxSignOuts) {
				throw new StoreError('STC_CACHE_CHANGED', `${source.label}: accounts were signed out all the time while records were to be written.`, {op: 'commit'});
			}
		}
	}
}

/** Writes may fail for as long as the program runs, and it may get tokens all the time. */
function boundUnsaved({unsaved}: Replica): void {
	for (const isDropped of [(change: RecordChange) => change.kind === 'put' && change.section === 'AccessToken', () => true]) {
		for (const [subject, change] of unsaved) {
			if (unsaved.size <= maxUnsaved) {
				return;
			}

			if (isDropped(change)) {
				unsaved.delete(subject);
			}
		}
	}
}

function changesOf(replica: Replica, {before, begun}: Access): RecordChange[] {
	const changes = diffRecords(before, typed(() => replica.tokenCache.serialize()));
	// Another access began during this one. msal-node empties the token cache for some accesses, so missing records may still exist.
	return begun === replica.begun ? changes : changes.filter(({kind}) => kind === 'put');
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
