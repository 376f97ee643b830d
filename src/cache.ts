/**
 * The shared cache as the rest of the package sees it: reads one source at a time through whichever backend loads, believes
 * nothing that a writer was in the middle of, and keeps what grants brought. The one file that reaches `native` and `pure`.
 */

import {stat as statWithCallback} from 'node:fs';
import {promisify} from 'node:util';
import {setTimeout as sleep} from 'node:timers/promises';
import type {
	AccessTokenEntry, CacheBackend, CacheQuery, CacheSlice, StoreName,
} from './backend.js';
import {StoreError} from './errors.js';
import type {CacheKind, CacheSource} from './locations.js';
import {log} from './log.js';

// Loading `node:fs/promises` would add most of a millisecond to the first token.
const stat = promisify(statWithCallback);

/** A reading of one source. Exactly one of `slice` and `error` tells what was found; `null` means there is no such cache. */
export type SourceReading = {
	source: CacheSource;
	slice: CacheSlice | null;
	error: StoreError | undefined;
	/** What {@link SharedCache.stamp} would have said just before. */
	stamp: SourceStamp;
};

/** Equal for two looks at an unchanged source. `readable: false`: the look itself failed, so that nothing can be concluded. */
export type SourceStamp = {value: string; readable: boolean};

/** A token that a grant of this process brought. */
export type GrantedToken = AccessTokenEntry & {kind: CacheKind; source: 'grant'};

/** What a redeemed refresh token brought, in the terms of MSAL's cache. */
export type GrantRecord = {
	kind: CacheKind;
	accessToken: GrantedToken;
	/** The refresh token that was sent. */
	sentRefreshToken: string;
	/** The one that replaces it, where the authority rotated it. */
	refreshToken?: string;
};

/**
 * Pauses between looks at a file that seems to be in the middle of a write, milliseconds. Peers that write in place leave such
 * a window in 6 to 8 of 100 reads of a 64 KiB cache that is written without a pause.
 */
const tornReadPausesMs = [1, 2, 4, 8, 16, 32];

/** An empty or damaged file that nobody wrote for this long is what it seems. Milliseconds. */
const settledAfterMs = 2000;

/** Granted tokens kept in memory at the most; the oldest go first. */
const maxGrantedTokens = 1000;

/** Rotated refresh tokens remembered at the most: far more than one account has. */
const maxRotatedTokens = 100;

export class SharedCache {
	readonly #keyringTimeoutMs: number;
	readonly #useNativeAddon: boolean | undefined;
	#granted: GrantedToken[] = [];
	/** Refresh tokens that grants of this process rotated: the cached one to its newest descendant. */
	readonly #rotated = new Map<string, string>();

	constructor(settings: {keyringTimeoutMs: number; useNativeAddon: boolean | undefined}) {
		this.#keyringTimeoutMs = settings.keyringTimeoutMs;
		this.#useNativeAddon = settings.useNativeAddon;
	}

	/** Reads one source. Never rejects: what went wrong is in the reading, for another source may do. */
	async read(source: CacheSource, query: CacheQuery): Promise<SourceReading> {
		// Taken before the read, so that a write in between shows as a change at the next look.
		const signal = await signalStamp(source);
		try {
			const slice = await this.#readSettled(source, query);
			return {
				source, slice, error: undefined, stamp: {value: joinStamps(slice?.stamp, signal), readable: true},
			};
		} catch (error) {
			if (!(error instanceof StoreError)) {
				throw error;
			}

			const stamp = await this.stamp(source, error);
			return {
				source, slice: null, error, stamp,
			};
		}
	}

	/** The cheap change test. Never rejects. */
	async stamp(source: CacheSource, knownError?: StoreError): Promise<SourceStamp> {
		// A keyring that just failed would fail again, perhaps after another deadline.
		if (knownError && source.store !== 'plaintext') {
			return {value: knownError.code, readable: false};
		}

		try {
			const {backend} = this.#backendFor(source.store);
			const [own, signal] = await Promise.all([backend.stamp(source.store, source.at, this.#keyringTimeoutMs), signalStamp(source)]);
			return {value: joinStamps(own, signal), readable: true};
		} catch (error) {
			if (!(error instanceof StoreError)) {
				throw error;
			}

			return {value: error.code, readable: false};
		}
	}

	/** Access tokens that grants of this process brought, for requests of one kind. */
	grantedTokens(kind: CacheKind): GrantedToken[] {
		return this.#granted.filter(token => token.kind === kind);
	}

	/** The newest descendant of a cached refresh token, as far as this process knows. */
	currentRefreshToken(secret: string): string {
		return this.#rotated.get(secret) ?? secret;
	}

	/**
	 * Keeps what a grant brought, for this process. The one place that a grant's results go through: writing them to the shared
	 * cache belongs here.
	 */
	async store(grant: GrantRecord): Promise<void> {
		const nowSec = Date.now() / 1000;
		const {accessToken, refreshToken, sentRefreshToken} = grant;
		this.#granted = [
			...this.#granted.filter(token => token.expiresOn > nowSec && !replaces(accessToken, token)).slice(1 - maxGrantedTokens),
			accessToken,
		];
		if (refreshToken && refreshToken !== sentRefreshToken) {
			const [cached] = [...this.#rotated].find(([, current]) => current === sentRefreshToken) ?? [sentRefreshToken];
			this.#rotated.delete(cached);
			this.#rotated.set(cached, refreshToken);
			if (this.#rotated.size > maxRotatedTokens) {
				const [oldest] = this.#rotated.keys();
				this.#rotated.delete(oldest ?? '');
			}
		}
	}

	async #readSettled(source: CacheSource, query: CacheQuery): Promise<CacheSlice | null> {
		const {backend} = this.#backendFor(source.store);
		for (let attempt = 0; ; attempt++) {
			const pauseMs = tornReadPausesMs[attempt];
			try {
				// One look after the other: each decides whether another is needed.
				// eslint-disable-next-line no-await-in-loop
				const slice = await backend.query(source.store, source.at, query, this.#keyringTimeoutMs);
				if (pauseMs === undefined || !slice || slice.sizeBytes > 0 || !isRecent(slice.modifiedMs)) {
					return slice;
				}
			} catch (error) {
				// eslint-disable-next-line no-await-in-loop
				if (pauseMs === undefined || !(await isPerhapsTorn(error, source))) {
					throw error;
				}
			}

			// eslint-disable-next-line no-await-in-loop
			await sleep(pauseMs);
		}
	}

	/** @throws {StoreError} `STC_ADDON_MISSING` where the store needs the addon and there is none. */
	#backendFor(store: StoreName): {backend: CacheBackend} {
		const {backend, nativeError} = chooseBackend(this.#useNativeAddon);
		if (backend?.stores.includes(store)) {
			return {backend};
		}

		throw nativeError ?? new StoreError(
			'STC_ADDON_MISSING',
			`Reading the store "${store}" needs the native addon, which the option useNativeAddon switches off. Leave it out.`,
			{store},
		);
	}
}

type Backends = {backend?: CacheBackend; nativeError?: StoreError};

const chosenBackends = new Map<boolean | undefined, Backends>();

/** Chosen once per process and preference. Each variant is loaded only when it is chosen, for start-up time. */
function chooseBackend(useNativeAddon: boolean | undefined): Backends {
	let chosen = chosenBackends.get(useNativeAddon);
	if (!chosen) {
		chosen = loadBackend(useNativeAddon);
		chosenBackends.set(useNativeAddon, chosen);
	}

	return chosen;
}

function loadBackend(useNativeAddon: boolean | undefined): Backends {
	const loadPure = () => (require('./pure.js') as typeof import('./pure.js')).pureBackend;
	if (useNativeAddon === false) {
		return {backend: loadPure()};
	}

	const {backend, error} = (require('./native.js') as typeof import('./native.js')).loadNativeBackend();
	if (backend) {
		return {backend};
	}

	const nativeError = error ? {nativeError: error} : {};
	if (useNativeAddon) {
		return nativeError;
	}

	log.warning(() => `The native addon could not be loaded; plaintext caches are read by the pure-JS variant, encrypted ones cannot be read. ${error?.message ?? ''}`);
	return {backend: loadPure(), ...nativeError};
}

async function isPerhapsTorn(error: unknown, {store, at}: CacheSource): Promise<boolean> {
	if (!(error instanceof StoreError) || store !== 'plaintext') {
		return false;
	}

	return error.code === 'STC_CACHE_CHANGED' || (error.code === 'STC_CACHE_CORRUPT' && isRecent(await modifiedMs(at.path ?? '')));
}

function isRecent(ms: number): boolean {
	return Math.abs(Date.now() - ms) < settledAfterMs;
}

async function modifiedMs(path: string): Promise<number> {
	try {
		const {mtimeMs} = await stat(path);
		return mtimeMs;
	} catch {
		// It vanished: the next look tells.
		return Date.now();
	}
}

async function signalStamp({signalPath}: CacheSource): Promise<string> {
	if (signalPath === undefined) {
		return '';
	}

	try {
		const {ino, size, mtimeNs, ctimeNs} = await stat(signalPath, {bigint: true});
		return [ino, size, mtimeNs, ctimeNs].join(':');
	} catch {
		// The signal only makes the item's own stamp finer; without the file that stamp stands alone.
		return '';
	}
}

function joinStamps(own: string | null | undefined, signal: string): string {
	return `${own ?? 'absent'}|${signal}`;
}

function replaces(token: GrantedToken, other: GrantedToken): boolean {
	return token.kind === other.kind
		&& token.homeAccountId === other.homeAccountId
		&& token.environment === other.environment
		&& token.realm === other.realm
		&& token.target === other.target;
}
