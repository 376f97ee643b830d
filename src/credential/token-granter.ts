/**
 * Gets a token that is not in the cache. Loaded when the first one is not: loading this and the grant costs many times the start-up of a hit.
 * One per token memory.
 */

import type {AccessTokenEntry} from '../backend/backend.js';
import {otherKind} from '../cache/cache-source.js';
import type {SharedCache} from '../cache/shared-cache.js';
import {AuthenticationError, CredentialUnavailableError} from '../errors.js';
import type {GrantedToken, GrantedTokens} from '../grant/granted-tokens.js';
import type {LeaseNote} from '../grant/lease-note.js';
import {type GrantPlan, longestWriteWaitMs, RefreshGrant} from '../grant/refresh-grant.js';
import type {ResolvedAccount} from '../lookup/account-reader.js';
import type {AccountResolver} from '../lookup/account-resolver.js';
import {readAgain, withSecrets} from '../lookup/grant-readings.js';
import {minimumLifetimeSec} from '../lookup/select-token.js';
import type {AcquiredToken, ReplacedToken, TokenRequest} from '../lookup/token-request.js';
import {log, logTextOf} from '../runtime/log.js';
import {atMost} from '../runtime/sleep.js';
import type {Settings} from '../settings/settings.js';
import {livesLonger, toAcquired} from './acquired-token.js';

/** Chooses a token that is cached or in memory. `sinceSec`: only tokens that were cached since then. */
type FindCached = (account: ResolvedAccount, lifetimeSec: number, sinceSec?: number) => AccessTokenEntry | GrantedToken | undefined;

type Wanted = {
	request: TokenRequest;
	signal: AbortSignal;
	/** For a refresh ahead of time: the token that is served now. */
	replaced: ReplacedToken | undefined;
	findCached: FindCached;
};

export class TokenGranter {
	readonly #settings: Settings;
	readonly #resolver: AccountResolver;
	readonly #grant: RefreshGrant;

	constructor({settings, cache, resolver}: {settings: Settings; cache: SharedCache; resolver: AccountResolver}) {
		this.#settings = settings;
		this.#resolver = resolver;
		this.#grant = new RefreshGrant({settings, cache}, (source, baseStamp, stamp) => {
			resolver.acknowledge(source, baseStamp, stamp);
		});
	}

	get granted(): GrantedTokens {
		return this.#grant.granted;
	}

	/**
	 * @param generation Of the view in which `account` was found.
	 * @throws {CredentialUnavailableError} {AuthenticationRequiredError} {AuthenticationError}
	 * @throws the reason of `signal`.
	 */
	async acquire(account: ResolvedAccount, generation: number, wanted: Wanted): Promise<AcquiredToken> {
		try {
			return await this.#acquireAlone(account, wanted);
		} catch (error) {
			// While the authority is down, a cached token is served until it expires.
			const lastResort = isOutage(error) ? wanted.findCached(account, 0) : undefined;
			if (!lastResort) {
				throw error;
			}

			log.warning(() => `${logTextOf(error, this.#settings.allowLoggingAccountIdentifiers)} The cached token is served until it expires.`);
			return {...toAcquired(lastResort, generation), isLastResort: true};
		}
	}

	/** Whether the authority refused the token. */
	isRefusal(error: unknown): boolean {
		return (error instanceof CredentialUnavailableError && (error.code === 'STC_INTERACTION_REQUIRED' || error.code === 'STC_CLIENT_NOT_ALLOWED'))
			|| (error instanceof AuthenticationError && !isOutage(error));
	}

	/** Call this when the cache has changed: what was refused may be granted now. */
	forgetRefusals(): void {
		this.#grant.forgetRefusals();
	}

	/** Writes tokens again that another program overwrote. */
	async repair(): Promise<void> {
		await this.#grant.repair();
	}

	async close(): Promise<void> {
		await this.#grant.close();
	}

	/**
	 * Redeems a refresh token. If another process on this machine is doing so for the same token, waits and takes that token from the cache.
	 * Where refresh tokens work once, waits for every process that uses one of this account.
	 */
	async #acquireAlone(account: ResolvedAccount, {request, signal, replaced, findCached}: Wanted): Promise<AcquiredToken> {
		const {kind} = request;
		const grant = this.#grant;
		const plan: GrantPlan = {
			primary: this.#resolver.primarySources(kind),
			others: this.#resolver.primarySources(otherKind(kind)),
			target: await grant.target(account, this.#resolver.readablePrimarySources(kind)),
			signal,
		};
		const sinceSec = Math.floor(Date.now() / 1000);
		for (;;) {
			const turn = await grant.takeTurn(account, request, plan);
			let ended: Promise<LeaseNote | undefined> | undefined;
			let failure: LeaseNote | undefined;
			try {
				const signOuts = await grant.signOutsSoFar(plan.target);
				const latest = await this.#resolver.latest(kind, request.tenantId);
				const {generation} = this.#resolver;
				if (latest instanceof Error) {
					throw latest;
				}

				// A token that somebody got just now lives as long as one that we would get.
				const cached = findCached(latest, minimumLifetimeSec) ?? findCached(latest, 0, sinceSec);
				if (cached && (!replaced || livesLonger(cached, replaced))) {
					return toAcquired(cached, generation);
				}

				const redeemable = await withSecrets(this.#resolver, latest);
				if (redeemable instanceof Error) {
					throw redeemable;
				}

				const granted = await grant.redeem(redeemable, request, {
					...plan, turn, signOuts, read: async isNews => readAgain(this.#resolver, request, isNews),
				});
				turn.answered();
				ended = granted.ended;
				return toAcquired(granted.token, granted.challenged ? this.#resolver.startGeneration(generation) : generation);
			} catch (error) {
				failure = turn.note ?? grant.noteOf(error);
				if (!grant.isLostTurn(error)) {
					throw error;
				}
			} finally {
				// The turn ends when everything is written, which may be long after the caller has got its token.
				// The callers that wait for the token keep the event loop alive.
				await (ended ? atMost(longestWriteWaitMs, ended.then(async note => turn.end(note)), {ref: false}) : turn.end(failure));
			}
		}
	}
}

/** Whether the request failed although the authority refused nothing: no answer came in time, or one that may be another soon. */
function isOutage(error: unknown): boolean {
	return (error instanceof CredentialUnavailableError && error.code === 'STC_LOCK_TIMEOUT') || (error instanceof AuthenticationError && (
		error.code === 'STC_NETWORK' || error.code === 'STC_TIMEOUT' || error.statusCode === 408 || error.statusCode === 429 || error.statusCode >= 500
	));
}
