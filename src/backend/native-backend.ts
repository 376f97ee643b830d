/** The native addon as a {@link CacheBackend}: turns its failures into `StoreError`s, and calls a keyring once at a time. */

import {StoreError} from '../errors.js';
import {requireLazily} from '../runtime/lazy.js';
import type {
	NativeAddon, NativeFailure, NativeLock, NativeSlice,
} from './addon-interface.js';
import {loadAddon} from './addon-loader.js';
import type {
	CacheBackend,
	CacheChange,
	CacheQuery,
	CacheSlice,
	CacheStore,
	CacheText,
	CommitRequest,
	CommitResult,
	EditResult,
	HeldLock,
	LeaseStore,
	StoreKind,
	StoreLocation,
} from './backend.js';
import {entryMakers} from './entry-makers.js';

export class NativeBackend implements CacheBackend {
	readonly kind = 'native';
	/** On Linux alone. */
	readonly readKey: CacheBackend['readKey'];
	readonly #addon: NativeAddon;

	constructor(addon: NativeAddon) {
		addon.setEntryMakers(...entryMakers);
		this.#addon = addon;
		this.readKey = addon.readKey && (description => {
			const key = addon.readKey?.(description) ?? null;
			if (key && !(key instanceof Uint8Array)) {
				throw toStoreError(key, 'jwe', {});
			}

			return key;
		});
	}

	open(name: string, kind: StoreKind): CacheStore | undefined {
		if (!this.#addon.stores.includes(name)) {
			return undefined;
		}

		return kind === 'file' ? new NativeFileStore(this.#addon, name, kind) : new NativeKeyringStore(this.#addon, name, kind);
	}

	async tryLock(paths: readonly string[]): Promise<HeldLock | null> {
		return tryLock(this.#addon, paths);
	}

	scan(bytes: Uint8Array, query: CacheQuery): CacheSlice {
		const slice = orThrow(this.#addon.scan(bytes, query));
		while (slice.rest) {
			this.#addon.takeRest(slice);
		}

		return slice;
	}

	edit(bytes: Uint8Array, change: CacheChange): EditResult {
		return orThrow(this.#addon.edit(bytes, change));
	}
}

/* eslint-disable @typescript-eslint/promise-function-async -- the methods return the promise of `call` itself: each `async` would add turns. */
abstract class NativeStore implements CacheStore {
	readonly name: string;
	readonly kind: StoreKind;
	protected readonly addon: NativeAddon;

	constructor(addon: NativeAddon, name: string, kind: StoreKind) {
		this.addon = addon;
		this.name = name;
		this.kind = kind;
	}

	probe(): StoreError | undefined {
		const failure = this.addon.probe(this.name);
		return failure && toStoreError(failure, this.name, {}) as StoreError;
	}

	query(at: StoreLocation, query: CacheQuery, timeoutMs: number): Promise<CacheSlice | null> {
		return this.call(at, timeoutMs, leftMs => this.addon.query(this.name, at, query, leftMs), slice => slice?.rest && this.#takeRest(slice));
	}

	stamp(at: StoreLocation, timeoutMs: number): Promise<string | null> {
		return this.call(at, timeoutMs, leftMs => this.addon.stamp(this.name, at, leftMs));
	}

	read(at: StoreLocation, timeoutMs: number): Promise<CacheText | null> {
		return this.call(at, timeoutMs, leftMs => this.addon.read(this.name, at, leftMs));
	}

	commit(at: StoreLocation, request: CommitRequest, timeoutMs: number): Promise<CommitResult> {
		return this.call(at, timeoutMs, leftMs => this.addon.commit(this.name, at, request, leftMs));
	}

	lease({path}: StoreLocation, name: string): LeaseStore | undefined {
		if (path === undefined) {
			return undefined;
		}

		const {FileLease} = requireLazily(() => require('./file-lease.js') as typeof import('./file-lease.js'));
		return new FileLease(path, name, paths => tryLock(this.addon, paths, true));
	}

	/**
	 * @param ask Calls the addon with the time that is left for the call, milliseconds.
	 * @param complete Completes the result, if that takes a promise.
	 */
	protected abstract call<Result>(at: StoreLocation, timeoutMs: number, ask: (leftMs: number) => Promise<Result>, complete?: Complete<Result>): Promise<Result>;

	async #takeRest(slice: NativeSlice): Promise<void> {
		do {
			await new Promise(resolve => {
				setImmediate(resolve);
			});
		} while (!this.addon.takeRest(slice));
	}
}

type Complete<Result> = (result: Result) => Promise<void> | undefined;

class NativeFileStore extends NativeStore {
	tryLock(paths: readonly string[]): Promise<HeldLock | null> {
		return tryLock(this.addon, paths);
	}

	protected call<Result>(at: StoreLocation, timeoutMs: number, ask: (leftMs: number) => Promise<Result>, complete?: Complete<Result>): Promise<Result> {
		return orStoreError(() => ask(timeoutMs), this.name, at, complete);
	}
}

class NativeKeyringStore extends NativeStore {
	/** Resolves when all calls so far have ended. */
	#calls: Promise<unknown> = Promise.resolve();

	protected call<Result>(at: StoreLocation, timeoutMs: number, ask: (leftMs: number) => Promise<Result>, complete?: Complete<Result>): Promise<Result> {
		return orStoreError(() => this.#inTurn(timeoutMs, ask), this.name, at, complete);
	}

	/**
	 * Calls the keyring once at a time: each call takes threads, and a service that does not answer one call does not answer the others. A
	 * call whose turn does not come before its deadline fails.
	 */
	async #inTurn<Result>(timeoutMs: number, ask: (leftMs: number) => Promise<Result>): Promise<Result> {
		const deadlineMs = monotonicMs() + timeoutMs;
		const before = this.#calls;
		let end: (() => void) | undefined;
		const ended = new Promise<void>(resolve => {
			end = resolve;
		});
		this.#calls = before.then(() => ended);
		let timer: NodeJS.Timeout | undefined;
		try {
			await Promise.race([before, new Promise<never>((_resolve, reject) => {
				// Like the calls themselves, it does not keep the event loop alive.
				timer = setTimeout(reject, timeoutMs, noTurn).unref();
			})]);
			return await ask(Math.max(0, deadlineMs - monotonicMs()));
		} finally {
			clearTimeout(timer);
			end?.();
		}
	}
}
/* eslint-enable @typescript-eslint/promise-function-async */

const noTurn: NativeFailure = {
	code: 'STC_STORE_TIMEOUT',
	message: 'Earlier calls to the keyring were still waiting for its answer. Answer an open prompt, restart the keyring service, or raise keyringTimeoutInMs.',
	op: 'wait',
};

/** `performance.now()` without `node:perf_hooks`, which costs start-up time. */
function monotonicMs(): number {
	const [seconds, nanoseconds] = process.hrtime();
	return (seconds * 1000) + (nanoseconds / 1e6);
}

/** @param isOwn Whether nobody but this package creates files of these names. */
async function tryLock(addon: NativeAddon, paths: readonly string[], isOwn = false): Promise<HeldLock | null> {
	const lock = await orStoreError(async () => addon.tryLock(paths, isOwn), 'plaintext');
	return lock && new AddonLock(addon, lock);
}

class AddonLock implements HeldLock {
	readonly #addon: NativeAddon;
	readonly #lock: NativeLock;

	constructor(addon: NativeAddon, lock: NativeLock) {
		this.#addon = addon;
		this.#lock = lock;
	}

	async check(): Promise<boolean> {
		return orStoreError(async () => this.#addon.checkLock(this.#lock), 'plaintext');
	}

	async touch(): Promise<void> {
		await orStoreError(async () => this.#addon.touchLock(this.#lock), 'plaintext');
	}

	async release(): Promise<void> {
		await orStoreError(async () => this.#addon.releaseLock(this.#lock), 'plaintext');
	}
}

/** Where a call came from. V8 makes the text of `stack` only when it is read: making it for each call would be slow. */
type CallSite = {readonly stack?: string};

/** A failure of the addon becomes a `StoreError` with the stack of this function's caller: when the addon answers, that stack is gone. */
async function orStoreError<Result>(call: () => Promise<Result>, store: string, at: StoreLocation = {}, complete?: Complete<Result>): Promise<Result> {
	const site: CallSite = {};
	Error.captureStackTrace(site, orStoreError);
	try {
		const result = await call();
		const completed = complete?.(result);
		if (completed) {
			await completed;
		}

		return result;
	} catch (error) {
		throw toStoreError(error, store, at, site);
	}
}

function orThrow<Result extends object>(result: Result | NativeFailure): Result {
	if ('code' in result) {
		const {code, message, op} = result;
		throw new StoreError(code, `The cache is ${message}`, {op, store: 'plaintext'});
	}

	return result;
}

/** @param site Of a failure that came later than the call. */
function toStoreError(failure: unknown, store: string, at: StoreLocation, site?: CallSite): unknown {
	if (failure instanceof Error) {
		// A wrong argument, which is a bug of the caller.
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
