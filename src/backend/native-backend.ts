/**
 * The native addon as a {@link CacheBackend}: finds its binary, loads it once, and turns its flat answers into entries and its
 * failures into `StoreError`s. The one file that touches the `.node`.
 */

import {
	closeSync, existsSync, openSync, readSync,
} from 'node:fs';
import {join, sep} from 'node:path';
import {
	type AccessTokenEntry,
	type AccountEntry,
	type AppMetadataEntry,
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
	type RefreshTokenEntry,
	type StoreLocation,
	type StoreName,
} from './backend.js';
import {
	cureOfTooManyFiles, type ErrorCode, isOutOfFiles, oneLine, StoreError,
} from '../errors.js';
import {part} from '../runtime/lazy.js';

/** The addon's version of the interface below. */
const apiVersion = 1;

type NativeFailure = {code: ErrorCode; message: string; op: string; osDomain?: string; osCode?: number};

type NativeAddon = {
	readonly apiVersion: number;
	readonly stores: readonly StoreName[];
	/** Has to be called once, before the rest: with what makes entries of their fields, for the addon to call. */
	setEntryMakers(...makers: typeof entryMakers): void;
	probe(store: StoreName): NativeFailure | undefined;
	query(store: StoreName, at: StoreLocation, query: CacheQuery, timeoutMs: number): Promise<CacheSlice | null>;
	stamp(store: StoreName, at: StoreLocation, timeoutMs: number): Promise<string | null>;
	scan(bytes: Uint8Array, query: CacheQuery): CacheSlice | NativeFailure;
	read(store: StoreName, at: StoreLocation, timeoutMs: number): Promise<CacheText | null>;
	tryLock(paths: readonly string[]): Promise<NativeLock | null>;
	checkLock(lock: NativeLock): Promise<boolean>;
	touchLock(lock: NativeLock): Promise<void>;
	releaseLock(lock: NativeLock): Promise<void>;
	commit(store: StoreName, at: StoreLocation, request: CommitRequest, timeoutMs: number): Promise<CommitResult>;
	edit(bytes: Uint8Array, change: CacheChange): EditResult | NativeFailure;
	/** The payload of a key of the kernel. Linux alone has it. */
	readKey?(description: string): Uint8Array | NativeFailure | null;
	/** The user's local application data, as the system knows it. Windows alone has it. */
	localAppData?(): string | NativeFailure;
};

/** Opaque. Garbage collection releases it as a last resort. */
type NativeLock = {readonly nativeLock: unique symbol};

/**
 * Make entries of their fields, in the order in which `ToJs(CacheSlice)` of the addon gives them. Fields that are missing are left
 * out, as the pure-JS variant does.
 */
const entryMakers = [
	// eslint-disable-next-line max-params
	(homeAccountId: string, environment: string, realm?: string, localAccountId?: string, username?: string, authorityType?: string): AccountEntry => ({
		homeAccountId,
		environment,
		...(realm !== undefined && {realm}),
		...(localAccountId !== undefined && {localAccountId}),
		...(username !== undefined && {username}),
		...(authorityType !== undefined && {authorityType}),
	}),
	// eslint-disable-next-line max-params
	(homeAccountId: string, environment: string, clientId?: string, familyId?: string, target?: string, lastModificationTime?: number, secret?: string): RefreshTokenEntry => ({
		homeAccountId,
		environment,
		...(clientId !== undefined && {clientId}),
		...(familyId !== undefined && {familyId}),
		...(target !== undefined && {target}),
		...(lastModificationTime !== undefined && {lastModificationTime}),
		...(secret !== undefined && {secret}),
	}),
	(
		homeAccountId: string,
		environment: string,
		clientId: string,
		realm: string | undefined,
		target: string,
		secret: string,
		cachedAt: number | undefined,
		expiresOn: number,
		refreshOn?: number,
		// eslint-disable-next-line max-params
	): AccessTokenEntry => ({
		homeAccountId,
		environment,
		clientId,
		...(realm !== undefined && {realm}),
		target,
		secret,
		...(cachedAt !== undefined && {cachedAt}),
		expiresOn,
		...(refreshOn !== undefined && {refreshOn}),
	}),
	(environment: string, clientId: string, familyId?: string): AppMetadataEntry => ({environment, clientId, ...(familyId !== undefined && {familyId})}),
] as const;

class NativeBackend implements CacheBackend {
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
	return part(() => require('./go-cache.js') as typeof import('./go-cache.js'));
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

/**
 * Loads the addon; each later call gives the same answer.
 *
 * @returns `backend`, or an `error` with code `STC_ADDON_MISSING` that names what was looked for and what to do.
 * @throws {StoreError} `STC_IO`, where the process may open no more files just now: whether there is an addon cannot be said.
 */
export function loadNativeBackend(): {backend?: CacheBackend; error?: StoreError} {
	loaded ??= load(candidates());
	return loaded;
}

let loaded: Loaded | undefined;

type Loaded = {backend?: CacheBackend; addon?: NativeAddon; error?: StoreError};

/** Where Windows keeps the user's local application data whatever the environment says; `undefined` where nobody tells. */
export function localAppData(): string | undefined {
	try {
		loaded ??= load(candidates());
	} catch {
		// It cannot be said just now.
		return undefined;
	}

	const found = loaded.addon?.localAppData?.();
	return typeof found === 'string' ? found : undefined;
}

/**
 * Loads the first of `paths` that is an addon of the right kind. `open` gives what a file exports, and throws if it cannot.
 *
 * @throws {StoreError} As {@link loadNativeBackend}.
 */
export function load(paths: Iterable<string>, open: (path: string) => unknown = openAddon): Loaded {
	const failures: string[] = [];
	for (const path of paths) {
		if (!existsSync(path)) {
			failures.push(`${path} is missing`);
			continue;
		}

		try {
			const addon = open(path) as NativeAddon;
			if (addon.apiVersion === apiVersion) {
				return {backend: new NativeBackend(addon), addon};
			}

			failures.push(`${path} is of another version of this package`);
		} catch (error) {
			failures.push(`${path} does not load: ${oneLine((error as Error).message)}`);
		}
	}

	const lack = lackOfFiles();
	if (lack !== undefined) {
		throw new StoreError('STC_IO', `The native addon could not be loaded: ${lack}. ${cureOfTooManyFiles}`, {op: 'load'});
	}

	if (failures.length === 0) {
		failures.push('this bundle is an ES module and has no __dirname, so there is nowhere to look');
	}

	return {
		error: new StoreError(
			'STC_ADDON_MISSING',
			`No native addon for ${targetName()}: ${failures.join('; ')}. ${advice()}`,
			{op: 'load'},
		),
	};
}

/** The error's code if no file can be opened just now: a loader's own words for that depend on the C library. */
function lackOfFiles(): string | undefined {
	try {
		closeSync(openSync(process.execPath, 'r'));
	} catch (error) {
		const {code} = error as NodeJS.ErrnoException;
		return isOutOfFiles(code) ? code : undefined;
	}

	return undefined;
}

/**
 * By `dlopen` and not by `require`: bundlers would take the latter for a module of theirs, and a single executable's loads nothing but
 * Node's own modules.
 */
function openAddon(path: string): unknown {
	const holder = {exports: {}};
	process.dlopen(holder, path);
	return holder.exports;
}

/** What there are binaries for, with their names in `prebuilds/`, which are prebuildify's. */
const binaries: Readonly<Record<string, string>> = {
	'darwin-arm64': 'azure-shared-token-cache.node',
	'darwin-x64': 'azure-shared-token-cache.node',
	'linux-arm64 (glibc)': 'azure-shared-token-cache.glibc.node',
	'linux-arm64 (musl)': 'azure-shared-token-cache.musl.node',
	'linux-x64 (glibc)': 'azure-shared-token-cache.glibc.node',
	'linux-x64 (musl)': 'azure-shared-token-cache.musl.node',
	'win32-arm64': 'azure-shared-token-cache.node',
	'win32-x64': 'azure-shared-token-cache.node',
};

/** This machine, as {@link binaries} names it. */
function targetName(): string {
	return `${process.platform}-${process.arch}${process.platform === 'linux' ? ` (${libc()})` : ''}`;
}

/**
 * Every place that a binary for this machine can be at, best first. No environment variable has a say in it. One at a time: which machine
 * this is takes up to 0.4 ms to find out, and the first place may do without.
 */
function * candidates(): Generator<string, void> {
	if (typeof __dirname === 'undefined') {
		return;
	}

	const root = join(__dirname, '..');
	// A build of a clone, which no installed package has. It is younger than whatever else is there.
	const build = join(root, 'build', 'Release', 'azure_shared_token_cache.node');
	const isBuilt = existsSync(build);
	if (isBuilt) {
		yield build;
	}

	const binary = binaries[targetName()];
	if (binary !== undefined) {
		const directory = `${process.platform}-${process.arch}`;
		const installed = join(root, 'prebuilds', directory, binary);
		// Electron cannot load from within its archives, and puts binaries beside them.
		const unpacked = installed.replace(`.asar${sep}`, `.asar.unpacked${sep}`);
		if (unpacked !== installed) {
			yield unpacked;
		}

		// The last is for bundles: `__dirname` is then the bundle's folder, and `prebuilds/` was copied there.
		yield installed;
		yield join(__dirname, 'prebuilds', directory, binary);
	}

	if (!isBuilt) {
		yield build;
	}
}

function advice(): string {
	return binaries[targetName()] === undefined
		? 'The package has no binary for this platform. Build one in a clone with npm run build; until then, only plaintext caches can be read.'
		: 'Reinstall the package. If the program was bundled, leave this package out of the bundle, or copy its folder prebuilds beside it. In a clone: npm run build.';
}

/** Of musl and of glibc. Source: musl, `Makefile` and `configure`, `LDSO_PATHNAME`; the psABI supplements of x86-64 and AArch64. */
const loaders = {
	arm64: ['/lib/ld-musl-aarch64.so.1', '/lib/ld-linux-aarch64.so.1'],
	x64: ['/lib/ld-musl-x86_64.so.1', '/lib64/ld-linux-x86-64.so.2'],
} as const;

/** The C library that Node was linked for, on Linux. */
function libc(): 'glibc' | 'musl' {
	// Where one of the two loaders is missing, as on nearly every machine, that settles it in 0.02 ms; process.report would take 4 ms.
	// A machine may have both, and then the loader that Node itself was linked for is what counts, which takes 0.3 ms to find out.
	const [loader, other] = process.arch === 'arm64' ? loaders.arm64 : loaders.x64;
	if (!existsSync(loader)) {
		return 'glibc';
	}

	if (!existsSync(other)) {
		return 'musl';
	}

	try {
		return beginningOf(process.execPath).includes(loader) ? 'musl' : 'glibc';
	} catch {
		// A binary that may be run and not read: of what is left, the likelier.
		return 'musl';
	}
}

/** Enough of a binary to hold the name of its loader, which stands right behind the headers. */
function beginningOf(path: string): Buffer {
	const bytes = Buffer.alloc(4096);
	const file = openSync(path, 'r');
	try {
		readSync(file, bytes);
	} finally {
		closeSync(file);
	}

	return bytes;
}
