/**
 * The tokens in memory, shared by all credentials of this process with the same settings. A hit makes no system call. Refreshes tokens ahead
 * of time in the background, and joins concurrent requests for the same token.
 */

import type {AcquiredToken, ReplacedToken, TokenRequest} from '../lookup/token-request.js';
import {SingleFlight, type WaitOptions} from '../runtime/single-flight.js';
import {BoundedMap} from '../runtime/bounded-map.js';
import {log, logTextOf} from '../runtime/log.js';
import type {CacheKind} from '../cache/cache-source.js';
import type {Settings} from '../settings/settings.js';
import type {AccessToken, HttpDispatcher} from '../types.js';
import {halfLifeSec} from '../lookup/half-life.js';
import {minimumLifetimeSec} from '../lookup/select-token.js';
import {TokenAcquirer} from './token-acquirer.js';
import {issueAccessToken} from './access-token.js';

/** A token in memory, ready to be served. */
export type HotToken = {
	/** Already resolved. One promise serves all callers. */
	readonly promise: Promise<AccessToken>;
	/** From this time on, callers wait for a new token. Unix milliseconds. Moved back if the authority refuses a new one. */
	serveUntilMs: number;
	/** From this time on, a new token is requested in the background. Unix milliseconds. Each failure moves it on. */
	refreshFromMs: number;
	failures: number;
	readonly expiresOnSec: number;
	readonly request: TokenRequest;
	/** See {@link AcquiredToken}. */
	readonly generation: number;
};

/** A token that lives shorter than this is not served without trying to get a new one. Milliseconds. */
const leastServedLifeMs = 60_000;

/** Without `refresh_on`, the refresh starts this long before the expiry. Milliseconds. */
const refreshBeforeExpiryMs = 300_000;

/** Upper bound of the random delay that spreads the refreshes of many processes. Milliseconds. */
const longestJitterMs = 30_000;

/** Pause after a failed background refresh, doubled after each further failure. Milliseconds. */
const firstBackoffMs = 30_000;
const longestBackoffMs = 600_000;

/** The system clock may be set back by this much without dropping tokens. Milliseconds. */
const toleratedClockStepMs = 10_000;

/** Most tokens for one kind of request: callers choose the scopes, and must not exhaust the memory. */
const maxHotTokens = 1000;

export class TokenMemory {
	/** The memory for these settings, created if there is none. Each caller must call {@link release} once. */
	static for(settings: Settings): TokenMemory {
		const key = identityOf(settings);
		let memory = memories.get(key)?.deref();
		if (!memory) {
			memory = new TokenMemory(key, settings);
			memories.set(key, new WeakRef(memory));
			collected.register(memory, key);
		}

		memory.#users++;
		return memory;
	}

	/** By the scopes as the caller wrote them, so that a hit takes one look-up. */
	readonly hot: HotTokens = hotTokens();
	/** When the cache was last checked, Unix milliseconds. */
	checkedMs = 0;
	readonly acquirer: TokenAcquirer;
	readonly #key: string;
	readonly #checkIntervalMs: number;
	/** Tokens for requests with a tenant, which are looked up after the arguments are checked. */
	readonly #hotOfTenants: HotTokens = hotTokens();
	readonly #inFlight = new Map<string, SingleFlight<HotToken>>();
	#isChecking = false;
	#users = 0;

	private constructor(key: string, settings: Settings) {
		this.#key = key;
		this.#checkIntervalMs = settings.cacheCheckIntervalMs;
		this.acquirer = new TokenAcquirer(settings, () => {
			this.#forget();
		});
	}

	/** Joins the in-flight request for this token, or starts one. */
	async acquire(hotKey: string, request: TokenRequest, wait: WaitOptions): Promise<AccessToken> {
		const token = await this.#join(request).wait(wait).catch((error: unknown) => {
			// A caller whose time-out is over gets a cached token that has not expired.
			const lastResort = (error as {code?: unknown}).code === 'STC_TIMEOUT' ? this.acquirer.lastResort(request) : undefined;
			if (!lastResort) {
				throw error;
			}

			return toHotToken(lastResort, request);
		});
		// A token for a claims challenge is newer than the one in memory, and also serves later requests without claims.
		this.#keep(hotKey, token);
		return token.promise;
	}

	/** The token in memory for a request without claims. */
	hotTokenFor(hotKey: string, request: TokenRequest): HotToken | undefined {
		return this.#hotFor(request).get(hotKey);
	}

	/** Starts what is due after a hit: a check of the cache, a refresh ahead of time. Returns at once and never throws. */
	maintain(token: HotToken, hotKey: string, nowMs: number): void {
		if (nowMs < this.checkedMs - toleratedClockStepMs) {
			// The clock was set back. Token selection corrects the times of the cached tokens.
			this.#forget();
		}

		if (nowMs - this.checkedMs >= this.#checkIntervalMs || nowMs < this.checkedMs) {
			this.checkedMs = nowMs;
			void this.#check();
		}

		if (nowMs >= token.refreshFromMs) {
			// Moved on at once, so that only one refresh runs.
			token.refreshFromMs = nowMs + backoffMs(token.failures);
			void this.#refresh(token, hotKey);
		}
	}

	/** Ends one use. The last one closes connections and ends background work. */
	async release(): Promise<void> {
		this.#users--;
		if (this.#users > 0) {
			return;
		}

		memories.delete(this.#key);
		this.#forget();
		for (const flight of this.#inFlight.values()) {
			flight.abort();
		}

		await this.acquirer.close();
	}

	#join(request: TokenRequest, replaced?: ReplacedToken): SingleFlight<HotToken> {
		const key = keyOfRequest(request);
		let flight = this.#inFlight.get(key);
		if (!flight) {
			flight = new SingleFlight(async abort => {
				try {
					const acquired = await this.acquirer.acquire(request, abort, replaced);
					this.checkedMs = Math.max(this.checkedMs, this.acquirer.checkedMs);
					return toHotToken(acquired, request);
				} finally {
					// If it was abandoned, another request may have taken its place.
					if (this.#inFlight.get(key) === flight) {
						this.#inFlight.delete(key);
					}
				}
			}, () => {
				this.#inFlight.delete(key);
			});
			this.#inFlight.set(key, flight);
		}

		return flight;
	}

	#keep(hotKey: string, token: HotToken): void {
		// The cache changed while the token was acquired: serve it once and read the cache for the next call.
		if (token.generation !== this.acquirer.generation) {
			return;
		}

		const {kind, claims} = token.request;
		if (claims !== undefined) {
			// Worthless tokens may be stored under other spellings of the same request.
			this.hot[kind].clear();
			this.#hotOfTenants[kind].clear();
		}

		this.#hotFor(token.request).set(hotKey, token);
	}

	#hotFor({kind, tenantId}: TokenRequest): Map<string, HotToken> {
		return (tenantId === undefined ? this.hot : this.#hotOfTenants)[kind];
	}

	#forget(): void {
		for (const hot of [this.hot, this.#hotOfTenants]) {
			hot.cae.clear();
			hot.nocae.clear();
		}
	}

	async #check(): Promise<void> {
		if (this.#isChecking) {
			return;
		}

		this.#isChecking = true;
		try {
			await this.acquirer.check();
		} catch (error) {
			log.warning(() => `The shared token cache could not be checked: ${logTextOf(error)}`);
		} finally {
			this.#isChecking = false;
		}
	}

	async #refresh(token: HotToken, hotKey: string): Promise<void> {
		const {request, expiresOnSec} = token;
		try {
			const {token: current} = await token.promise;
			if (this.#users <= 0) {
				// Closed in the same tick as the hit that started this.
				return;
			}

			const next = await this.#join({...request, claims: undefined}, {token: current, expiresOnSec}).background();
			if (next.expiresOnSec <= expiresOnSec) {
				throw new Error('The authority gave no newer token.');
			}

			// A token that is short-lived from the start must not be refreshed at each call.
			next.refreshFromMs = Math.max(next.refreshFromMs, Date.now() + firstBackoffMs);
			this.#keep(hotKey, next);
		} catch (error) {
			token.refreshFromMs = Date.now() + backoffMs(token.failures++);
			if (this.acquirer.isRefusal(error)) {
				// A token in its last minutes is no answer to a refusal: the next caller gets that.
				token.serveUntilMs = Math.min(token.serveUntilMs, (expiresOnSec - minimumLifetimeSec) * 1000);
			}

			log.info(() => `Refreshing a token ahead of time failed; the current token stays in use. ${logTextOf(error)}`);
		}
	}
}

type HotTokens = Readonly<Record<CacheKind, Map<string, HotToken>>>;

function hotTokens(): HotTokens {
	return {cae: new BoundedMap(maxHotTokens), nocae: new BoundedMap(maxHotTokens)};
}

const memories = new Map<string, WeakRef<TokenMemory>>();

const collected = new FinalizationRegistry<string>(key => {
	// A memory with the same key may have been created since.
	if (!memories.get(key)?.deref()) {
		memories.delete(key);
	}
});

const dispatcherIds = new WeakMap<HttpDispatcher, number>();
let dispatcherCount = 0;

/** Everything that decides which token is served and how it is requested. */
function identityOf(settings: Settings): string {
	const {dispatcher} = settings;
	if (!dispatcher) {
		// Not a copy without the dispatcher: that takes twice as long (measured: bench many).
		return keyOfSettings(settings);
	}

	if (!dispatcherIds.has(dispatcher)) {
		dispatcherIds.set(dispatcher, ++dispatcherCount);
	}

	return keyOfSettings({...settings, dispatcher: dispatcherIds.get(dispatcher)});
}

/** `JSON.stringify`, unless the program gave all objects a `toJSON`: then settings that differ could get one key, and share tokens. */
function keyOfSettings(settings: object): string {
	return (Array.prototype as {toJSON?: unknown}).toJSON === undefined ? JSON.stringify(settings) : plainKey(settings);
}

function plainKey(value: unknown): string {
	return typeof value === 'object' && value !== null
		? `{${Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}:${plainKey(each)}`).join(',')}}`
		: JSON.stringify(value) ?? '';
}

/** Scopes and tenants have no spaces, and claims come last, so different requests have different keys. */
function keyOfRequest({kind, tenantId = '', claims = '', scopes}: TokenRequest): string {
	return `${kind} ${tenantId.toLowerCase()} ${scopes.toSorted().join(' ')}\n${claims}`;
}

function toHotToken({token, expiresOnSec, refreshOnSec, issuedSec, isLastResort, generation}: AcquiredToken, request: TokenRequest): HotToken {
	const expiresOnMs = expiresOnSec * 1000;
	// A library that writes no half-life may have written the token.
	const refreshSec = refreshOnSec ?? halfLifeSec(issuedSec, expiresOnSec);
	const refreshOnMs = refreshSec === undefined ? undefined : refreshSec * 1000;
	const refreshFromMs = refreshOnMs ?? expiresOnMs - refreshBeforeExpiryMs;
	const jitterMs = Math.random() * Math.min(longestJitterMs, Math.max(0, (expiresOnMs - refreshFromMs) / 10));
	return {
		promise: Promise.resolve(issueAccessToken(token, expiresOnMs, refreshOnMs)),
		// A last resort is served until it expires, so that callers do not wait repeatedly while the authority is down. Other tokens are served
		// until a minute before the expiry, or for half of the remaining time if that is less: very short-lived tokens are not requested for each call.
		serveUntilMs: isLastResort ? expiresOnMs : expiresOnMs - Math.min(leastServedLifeMs, Math.max(0, expiresOnMs - Date.now()) / 2),
		refreshFromMs: isLastResort ? Date.now() + firstBackoffMs : refreshFromMs + jitterMs,
		failures: isLastResort ? 1 : 0,
		expiresOnSec,
		request,
		generation,
	};
}

function backoffMs(failures: number): number {
	return Math.min(firstBackoffMs * (2 ** failures), longestBackoffMs);
}
