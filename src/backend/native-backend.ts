/** The native addon as a {@link CacheBackend}: turns its failures into `StoreError`s, and calls a keyring once at a time. */

import type {NativeAddon, NativeFailure, NativeLock} from './addon-interface.js';
import {loadAddon} from './addon-loader.js';
import {
	type CacheBackend,
	type CacheChange,
	type CacheQuery,
	type CacheSlice,
	type CacheText,
	type CommitRequest,
	type CommitResult,
	type EditResult,
	fileStores,
	type HeldLock,
	type StoreLocation,
	type StoreName,
} from './backend.js';
import {entryMakers} from './entry-makers.js';
import {StoreError} from '../errors.js';
import {requireLazily} from '../runtime/lazy.js';

export class NativeBackend implements CacheBackend {
	readonly kind = 'native';
	readonly stores: readonly StoreName[];
	readonly #addon: NativeAddon;
	/** Ends when the last of the calls to the keyring that were asked for so far has ended. */
	#keyringCalls: Promise<unknown> = Promise.resolve();

	constructor(addon: NativeAddon) {
		addon.setEntryMakers(...entryMakers);
		this.#addon = addon;
		this.stores = addon.readKey ? [...addon.stores, 'jwe'] : addon.stores;
	}

	probe(store: StoreName): StoreError | undefined {
		const failure = store === 'jwe' ? undefined : this.#addon.probe(store);
		return failure && toStoreError(failure, store, {}) as StoreError;
	}

	async query(store: StoreName, at: StoreLocation, query: CacheQuery, timeoutMs: number): Promise<CacheSlice | null> {
		if (store === 'jwe') {
			return goCaches().queryGoCache(at, query, (bytes, each) => this.scan(bytes, each), description => this.#readKey(description));
		}

		// Made before the call, because the addon answers when the caller's stack is gone.
		const site = callSite();
		try {
			// A file is read at once. A process's first token pays 0.1 ms for each function that it runs for the first time.
			return await (fileStores.has(store) ? this.#addon.query(store, at, query, timeoutMs) : this.#inTurn(timeoutMs, async leftMs => this.#addon.query(store, at, query, leftMs)));
		} catch (error) {
			throw toStoreError(error, store, at, site);
		}
	}

	async stamp(store: StoreName, at: StoreLocation, timeoutMs: number): Promise<string | null> {
		if (store === 'jwe') {
			return goCaches().stampGoCache(at);
		}

		const site = callSite();
		try {
			return await (fileStores.has(store) ? this.#addon.stamp(store, at, timeoutMs) : this.#inTurn(timeoutMs, async leftMs => this.#addon.stamp(store, at, leftMs)));
		} catch (error) {
			throw toStoreError(error, store, at, site);
		}
	}

	async read(store: StoreName, at: StoreLocation, timeoutMs: number): Promise<CacheText | null> {
		if (store === 'jwe') {
			return goCaches().readGoCache(at, description => this.#readKey(description));
		}

		const site = callSite();
		try {
			return await (fileStores.has(store) ? this.#addon.read(store, at, timeoutMs) : this.#inTurn(timeoutMs, async leftMs => this.#addon.read(store, at, leftMs)));
		} catch (error) {
			throw toStoreError(error, store, at, site);
		}
	}

	async tryLock(paths: readonly string[]): Promise<HeldLock | null> {
		const site = callSite();
		try {
			const lock = await this.#addon.tryLock(paths);
			return lock && new AddonLock(this.#addon, lock);
		} catch (error) {
			throw toStoreError(error, 'plaintext', {}, site);
		}
	}

	async commit(store: StoreName, at: StoreLocation, request: CommitRequest, timeoutMs: number): Promise<CommitResult> {
		const site = callSite();
		try {
			return await (fileStores.has(store) ? this.#addon.commit(store, at, request, timeoutMs) : this.#inTurn(timeoutMs, async leftMs => this.#addon.commit(store, at, request, leftMs)));
		} catch (error) {
			throw toStoreError(error, store, at, site);
		}
	}

	scan(bytes: Uint8Array, query: CacheQuery): CacheSlice {
		return orThrow(this.#addon.scan(bytes, query));
	}

	edit(bytes: Uint8Array, change: CacheChange): EditResult {
		return orThrow(this.#addon.edit(bytes, change));
	}

	#readKey(description: string): Uint8Array | null {
		const key = this.#addon.readKey?.(description) ?? null;
		if (key && !(key instanceof Uint8Array)) {
			throw toStoreError(key, 'jwe', {});
		}

		return key;
	}

	/**
	 * Calls the keyring once at a time: each call takes threads of its own, and a service that stalls stalls for all of them. Whoever
	 * waits for a turn gives up at its own deadline.
	 */
	async #inTurn<Result>(timeoutMs: number, call: (leftMs: number) => Promise<Result>): Promise<Result> {
		const deadlineMs = monotonicMs() + timeoutMs;
		const before = this.#keyringCalls;
		let end: (() => void) | undefined;
		const ended = new Promise<void>(resolve => {
			end = resolve;
		});
		this.#keyringCalls = before.then(async () => ended);
		let timer: NodeJS.Timeout | undefined;
		try {
			await Promise.race([before, new Promise<never>((_resolve, reject) => {
				// It does not keep the event loop alive, just as the calls themselves.
				timer = setTimeout(reject, timeoutMs, noTurn).unref();
			})]);
			return await call(Math.max(0, deadlineMs - monotonicMs()));
		} finally {
			clearTimeout(timer);
			end?.();
		}
	}
}

/** Loaded where such a cache is looked for, which is where no other has the account. */
function goCaches() {
	return requireLazily(() => require('./go-cache.js') as typeof import('./go-cache.js'));
}

/** `performance.now()` without loading `node:perf_hooks`, which takes 0.4 ms of a process's first token. */
function monotonicMs(): number {
	const [seconds, nanoseconds] = process.hrtime();
	return (seconds * 1000) + (nanoseconds / 1e6);
}

class AddonLock implements HeldLock {
	readonly #addon: NativeAddon;
	readonly #lock: NativeLock;

	constructor(addon: NativeAddon, lock: NativeLock) {
		this.#addon = addon;
		this.#lock = lock;
	}

	async check(): Promise<boolean> {
		return this.#call(async () => this.#addon.checkLock(this.#lock));
	}

	async touch(): Promise<void> {
		await this.#call(async () => this.#addon.touchLock(this.#lock));
	}

	async release(): Promise<void> {
		await this.#call(async () => this.#addon.releaseLock(this.#lock));
	}

	async #call<Result>(call: () => Promise<Result>): Promise<Result> {
		const site = callSite();
		try {
			return await call();
		} catch (error) {
			throw toStoreError(error, 'plaintext', {}, site);
		}
	}
}

const noTurn: NativeFailure = {
	code: 'STC_STORE_TIMEOUT',
	message: 'Earlier calls to the keyring were still waiting for its answer. Look for a prompt that waits, restart the keyring service, or raise keyringTimeoutInMs.',
	op: 'wait',
};

function orThrow<Result extends object>(result: Result | NativeFailure): Result {
	if ('code' in result) {
		const {code, message, op} = result;
		throw new StoreError(code, `The cache is ${message}`, {op, store: 'plaintext'});
	}

	return result;
}

/** Where a call came from. Its text is made when somebody reads it, which takes a third of the time that reading a small cache does. */
type CallSite = {readonly stack?: string};

function callSite(): CallSite {
	const site: CallSite = {};
	Error.captureStackTrace(site, callSite);
	return site;
}

/** @param site Of a failure that came later than the call. */
function toStoreError(failure: unknown, store: StoreName, at: StoreLocation, site?: CallSite): unknown {
	if (failure instanceof Error) {
		// A wrong argument: a bug of the caller.
		return failure;
	}

	const {code, message, op, osDomain, osCode} = failure as NativeFailure;
	const text = at.path === undefined || message.startsWith(at.path) ? message : `${at.path}: ${message}`;
	const error = new StoreError(code, text, {op, store, ...(osDomain && {osDomain, osCode: osCode ?? 0})});
	const frames = site?.stack?.split('\n').slice(1).join('\n');
	if (frames) {
		error.stack = `${error.name}: ${error.message}\n${frames}`;
	}

	return error;
}

let loaded: {backend?: CacheBackend; error?: StoreError} | undefined;

/** As {@link loadAddon}, with the addon as a `backend`. */
export function loadNativeBackend(): {backend?: CacheBackend; error?: StoreError} {
	if (!loaded) {
		const {addon, error} = loadAddon();
		loaded = {...(addon && {backend: new NativeBackend(addon)}), ...(error && {error})};
	}

	return loaded;
}
