/**
 * The process-wide memory: what has been acquired once is served from here to every credential with the same settings, without a
 * system call. Keeps itself fresh in the background, and makes one acquisition of many concurrent wishes for one token.
 */

import {issueAccessToken} from './access-token.js';
import {TokenAcquirer} from './token-acquirer.js';
import type {AcquiredToken, ReplacedToken, TokenRequest} from '../lookup/token-request.js';
import {SingleFlight, type WaitOptions} from '../runtime/single-flight.js';
import {BoundedMap} from '../runtime/bounded-map.js';
import {log} from '../runtime/log.js';
import type {CacheKind} from '../cache/cache-source.js';
import type {Settings} from '../settings/settings.js';
import type {AccessToken, HttpDispatcher} from '../types.js';

/** A token in memory, ready to be served. */
export type HotToken = {
	/** Resolved; one promise serves all callers. */
	readonly promise: Promise<AccessToken>;
	/** Unix milliseconds: from here on callers wait for a new token. */
	readonly serveUntilMs: number;
	/** Unix milliseconds: from here on a new token is fetched in the background. Moved on by failures. */
	refreshFromMs: number;
	failures: number;
	readonly expiresOnSec: number;
	readonly request: TokenRequest;
	/** See {@link AcquiredToken}. */
	readonly generation: number;
};

/** A token with less life left than this is not served without trying for a new one. Milliseconds. */
const leastServedLifeMs = 60_000;

/** Without `refresh_on`, refreshing begins this long before the expiry. Milliseconds. */
const refreshBeforeExpiryMs = 300_000;

/** Tokens that live this long are refreshed at half their life. Source: MSAL for .NET and Python: `refresh_in` of `expires_in >= 7200`. Seconds. */
const longLifeSec = 7200;

/** Refreshes of a fleet are spread over this time. Milliseconds. */
const longestJitterMs = 30_000;

/** Pause after a failed refresh in the background, doubled each time. Milliseconds. */
const firstBackoffMs = 30_000;
const longestBackoffMs = 600_000;

/** Clocks are corrected by so much all the time. Milliseconds. */
const toleratedClockStepMs = 10_000;

/** Tokens kept for one kind of request at the most: scopes come from callers, and may not fill the memory. */
const maxHotTokens = 1000;

export class TokenMemory {
	/**
	 * The memory of these settings, made if there is none. Whoever gets one calls {@link release} once.
	 */
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

	/** By the caller's scopes as written, so that a hit needs one look-up. */
	readonly hot: HotTokens = hotTokens();
	/** When the cache was last looked at, Unix milliseconds. */
	checkedMs = 0;
	readonly acquirer: TokenAcquirer;
	readonly #key: string;
	readonly #checkIntervalMs: number;
	/** The same for requests that name a tenant, which are looked up once their arguments are checked. */
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

	/** Waits for one token together with everybody else who wants it. */
	async acquire(hotKey: string, request: TokenRequest, wait: WaitOptions): Promise<AccessToken> {
		const token = await this.#join(request).wait(wait).catch((error: unknown) => {
			// Whose patience is over gets what is there.
			const lastResort = (error as {code?: unknown}).code === 'STC_TIMEOUT' ? this.acquirer.lastResort(request) : undefined;
			if (!lastResort) {
				throw error;
			}

			return toHotToken(lastResort, request);
		});
		// A token for a claims challenge is newer than what is kept, and serves the requests without claims from now on.
		this.#keep(hotKey, token);
		return token.promise;
	}

	/** A token for a request without claims that is in memory. */
	hotTokenFor(hotKey: string, request: TokenRequest): HotToken | undefined {
		return this.#hotFor(request).get(hotKey);
	}

	/** What a hit leaves to be done: a look at the cache, a refresh ahead of time. Returns at once; never fails. */
	maintain(token: HotToken, hotKey: string, nowMs: number): void {
		if (nowMs < this.checkedMs - toleratedClockStepMs) {
			// The clock was set back, and by how much the tokens' times are wrong is judged where they are matched.
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

	/** Gives up one use. The last one ends connections and background work. */
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
		const key = JSON.stringify([request.kind, request.tenantId?.toLowerCase(), request.claims, request.scopes.toSorted()]);
		let flight = this.#inFlight.get(key);
		if (!flight) {
			flight = new SingleFlight(async abort => {
				try {
					const acquired = await this.acquirer.acquire(request, abort, replaced);
					this.checkedMs = Math.max(this.checkedMs, this.acquirer.checkedMs);
					return toHotToken(acquired, request);
				} finally {
					// Unless it was given up, and its place taken.
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
		// Acquired from what the cache said before it changed: serve it once, and look again.
		if (token.generation !== this.acquirer.generation) {
			return;
		}

		const {kind, claims} = token.request;
		if (claims !== undefined) {
			// What the challenge made worthless may stand there under other spellings of the same request.
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
			log.warning(() => `The shared token cache could not be checked: ${(error as Error).message}`);
		} finally {
			this.#isChecking = false;
		}
	}

	async #refresh(token: HotToken, hotKey: string): Promise<void> {
		const {request, expiresOnSec} = token;
		try {
			const {token: current} = await token.promise;
			if (this.#users <= 0) {
				// Closed in the turn of the hit that wanted this.
				return;
			}

			const next = await this.#join({...request, claims: undefined}, {token: current, expiresOnSec}).background();
			if (next.expiresOnSec <= expiresOnSec) {
				throw new Error('The authority gave no newer token.');
			}

			// A token that is born into its last minutes is not refreshed for each call.
			next.refreshFromMs = Math.max(next.refreshFromMs, Date.now() + firstBackoffMs);
			this.#keep(hotKey, next);
		} catch (error) {
			token.refreshFromMs = Date.now() + backoffMs(token.failures++);
			log.info(() => `Refreshing a token ahead of time failed; the current one is served on. ${(error as Error).message}`);
		}
	}
}

type HotTokens = Readonly<Record<CacheKind, Map<string, HotToken>>>;

function hotTokens(): HotTokens {
	return {cae: new BoundedMap(maxHotTokens), nocae: new BoundedMap(maxHotTokens)};
}

const memories = new Map<string, WeakRef<TokenMemory>>();

const collected = new FinalizationRegistry<string>(key => {
	// A memory with the same key may have been made since.
	if (!memories.get(key)?.deref()) {
		memories.delete(key);
	}
});

const dispatcherIds = new WeakMap<HttpDispatcher, number>();
let dispatcherCount = 0;

/** Everything that decides which token is served, and how it is fetched. */
function identityOf(settings: Settings): string {
	const {dispatcher} = settings;
	if (!dispatcher) {
		// As it is: of a copy without the dispatcher, it takes twice as long (npm run bench -- --only many).
		return JSON.stringify(settings);
	}

	if (!dispatcherIds.has(dispatcher)) {
		dispatcherIds.set(dispatcher, ++dispatcherCount);
	}

	return JSON.stringify({...settings, dispatcher: dispatcherIds.get(dispatcher)});
}

function toHotToken({token, expiresOnSec, refreshOnSec, issuedSec, isLastResort, generation}: AcquiredToken, request: TokenRequest): HotToken {
	const expiresOnMs = expiresOnSec * 1000;
	const refreshOnMs = refreshOnSec === undefined ? halfLifeMs(issuedSec, expiresOnSec) : refreshOnSec * 1000;
	const refreshFromMs = refreshOnMs ?? expiresOnMs - refreshBeforeExpiryMs;
	const jitterMs = Math.random() * Math.min(longestJitterMs, Math.max(0, (expiresOnMs - refreshFromMs) / 10));
	return {
		promise: Promise.resolve(issueAccessToken(token, expiresOnMs, refreshOnMs)),
		// While the authority is down, callers are not made to wait for it again and again.
		// Half of what is left, where that is less: a token that lives shorter than a minute is not fetched again for each call.
		serveUntilMs: isLastResort ? expiresOnMs : expiresOnMs - Math.min(leastServedLifeMs, Math.max(0, expiresOnMs - Date.now()) / 2),
		refreshFromMs: isLastResort ? Date.now() + firstBackoffMs : refreshFromMs + jitterMs,
		failures: isLastResort ? 1 : 0,
		expiresOnSec,
		request,
		generation,
	};
}

function halfLifeMs(issuedSec: number | undefined, expiresOnSec: number): number | undefined {
	const lifeSec = expiresOnSec - (issuedSec ?? expiresOnSec);
	return lifeSec >= longLifeSec ? (expiresOnSec - (lifeSec / 2)) * 1000 : undefined;
}

function backoffMs(failures: number): number {
	return Math.min(firstBackoffMs * (2 ** failures), longestBackoffMs);
}
