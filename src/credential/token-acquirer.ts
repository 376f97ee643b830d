/**
 * Answers requests that are not in memory: takes an access token of the account from the cache, or redeems a refresh token if no
 * access token fits. One per token memory.
 */

import type {AccessTokenEntry} from '../backend/backend.js';
import {SharedCache} from '../cache/shared-cache.js';
import type {SourceReading} from '../cache/source-reading.js';
import {otherKind} from '../cache/cache-source.js';
import {AuthenticationError, CredentialUnavailableError, logTextOf} from '../errors.js';
import type {GrantedToken} from '../grant/granted-tokens.js';
import type {LeaseNote} from '../grant/lease-note.js';
import type {GrantPlan, RefreshGrant} from '../grant/refresh-grant.js';
import {AccountResolver, type Resolution, type ResolvedAccount} from '../lookup/account-resolver.js';
import {clockSkewSec, findAccessToken, minimumLifetimeSec} from '../lookup/select-token.js';
import type {AcquiredToken, ReplacedToken, TokenRequest} from '../lookup/token-request.js';
import type {LazyAbortController} from '../runtime/abort.js';
import {requireLazily} from '../runtime/lazy.js';
import {log} from '../runtime/log.js';
import {sleep} from '../runtime/sleep.js';
import type {Settings} from '../settings/settings.js';
import {
	checkTenantOfAccount, homeTenantOf, namedTenant, ownTenant,
} from '../settings/tenants.js';

/** Longest time that a caller waits for its token to be written, milliseconds. */
const longestWaitMs = 500;

export class TokenAcquirer {
	readonly #settings: Settings;
	readonly #cache: SharedCache;
	readonly #resolver: AccountResolver;
	#grant: RefreshGrant | undefined;

	/** @param onChanged Called when the caches no longer hold what they held at the last reading. */
	constructor(settings: Settings, onChanged: () => void) {
		this.#settings = settings;
		this.#cache = new SharedCache(settings);
		this.#resolver = new AccountResolver({settings, cache: this.#cache}, () => {
			this.#grant?.forgetRefusals();
			onChanged();
		});
	}

	/** See {@link AccountResolver.generation}. */
	get generation(): number {
		return this.#resolver.generation;
	}

	/** See {@link AccountResolver.checkedMs}. */
	get checkedMs(): number {
		return this.#resolver.checkedMs;
	}

	/**
	 * @param replaced For a refresh ahead of time: the token that is served now. A cached token is taken only if it lives longer.
	 * @throws {CredentialUnavailableError} {AuthenticationRequiredError} {AuthenticationError}
	 * @throws the reason of `abort`, if it was aborted.
	 */
	async acquire(request: TokenRequest, abort: LazyAbortController, replaced?: ReplacedToken): Promise<AcquiredToken> {
		const account = await this.#resolver.current(request.kind, request.tenantId);
		const {generation} = this.#resolver;
		abort.throwIfAborted();
		if (request.isTenantOpen) {
			this.#checkTenant(request, account);
		}

		if (account instanceof Error) {
			throw account;
		}

		const cached = this.#findCached(account, request, minimumLifetimeSec);
		if (cached && (!replaced || livesLonger(cached, replaced))) {
			return toAcquired(cached, generation);
		}

		try {
			return await this.#acquireAlone(account, request, abort.signal, replaced);
		} catch (error) {
			// While the authority is down, a cached token is served until it expires.
			const lastResort = isOutage(error) ? this.#findCached(account, request, 0) : undefined;
			if (!lastResort) {
				throw error;
			}

			log.warning(() => `${logTextOf(error, this.#settings.allowLoggingAccountIdentifiers)} The cached token is served until it expires.`);
			return {...toAcquired(lastResort, generation), isLastResort: true};
		}
	}

	/** A token that has not expired yet, however soon it will, from the last reading of the caches. */
	lastResort(request: TokenRequest): AcquiredToken | undefined {
		const account = this.#resolver.known(request.kind, request.tenantId);
		const token = account && !(account instanceof Error) ? this.#findCached(account, request, 0) : undefined;
		return token && {...toAcquired(token, this.generation), isLastResort: true};
	}

	/** Reads the caches again if they changed, and puts back tokens of ours that another program overwrote. */
	async check(): Promise<void> {
		await Promise.all(this.#resolver.kinds.map(async kind => {
			if (await this.#resolver.isOutdated(kind)) {
				await Promise.all([this.#resolver.refresh(kind), this.#grant?.repair()]);
			}
		}));
	}

	/** Readings of all sources of both kinds. */
	async readAll(): Promise<SourceReading[]> {
		return this.#resolver.readAll();
	}

	async close(): Promise<void> {
		await this.#grant?.close();
	}

	/**
	 * Redeems a refresh token. If another process on this machine is doing so for the same token, waits and takes that token from the cache.
	 * Where refresh tokens work once, waits for every process that uses one of this account.
	 */
	async #acquireAlone(account: ResolvedAccount, request: TokenRequest, signal: AbortSignal, replaced: ReplacedToken | undefined): Promise<AcquiredToken> {
		const {kind} = request;
		const grant = this.#loadGrant();
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

				const cached = this.#findCached(latest, request, minimumLifetimeSec) ?? this.#findCached(latest, request, 0, sinceSec);
				if (cached && (!replaced || livesLonger(cached, replaced))) {
					return toAcquired(cached, generation);
				}

				const redeemable = await this.#resolver.forGrant(latest);
				if (redeemable instanceof Error) {
					throw redeemable;
				}

				const granted = await grant.redeem(redeemable, request, {
					...plan, turn, signOuts, read: async isNews => this.#resolver.reread(kind, request.tenantId, isNews),
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
				await (ended ? atMost(longestWaitMs, ended.then(async note => turn.end(note))) : turn.end(failure));
			}
		}
	}

	/** @throws {CredentialUnavailableError} `STC_TENANT_NOT_ALLOWED`. */
	#checkTenant({tenantId}: TokenRequest, account: Resolution): void {
		if (!(account instanceof Error)) {
			checkTenantOfAccount(tenantId!, homeTenantOf(account.candidate.account.homeAccountId), this.#settings.tenantRules);
		} else if ((account.code === 'STC_CACHE_NOT_FOUND' || account.code === 'STC_NO_ACCOUNT') && namedTenant(tenantId!) !== undefined) {
			// There is no home tenant. Other errors may hide the account.
			checkTenantOfAccount(tenantId!, undefined, this.#settings.tenantRules);
		}
	}

	/** @param sinceSec Only tokens that were cached since then: a token that somebody got just now lives as long as one that we would get. */
	#findCached(account: ResolvedAccount, request: TokenRequest, lifetimeSec: number, sinceSec = 0): AccessTokenEntry | GrantedToken | undefined {
		if (request.claims !== undefined) {
			return undefined;
		}

		const {kind} = account.source;
		// A source of both kinds may hold CAE tokens and others; only requests without CAE may use them.
		const fitsKind = kind === request.kind || (kind === undefined && request.kind === 'nocae');
		const criteria = {
			account: account.candidate.account,
			clientId: this.#settings.clientId,
			environments: this.#settings.authority.environments,
			scopes: request.scopes,
			tenantId: request.tenantId ?? ownTenant(this.#settings),
			isAdfs: this.#settings.authority.isAdfs,
			nowSec: Math.floor(Date.now() / 1000),
			lifetimeSec,
		};
		const isRecent = ({cachedAt = 0}: AccessTokenEntry) => sinceSec === 0 || cachedAt >= sinceSec;
		const granted = (this.#grant?.granted.ofKind(request.kind) ?? []).filter(token => isRecent(token));
		const cached = fitsKind ? account.accessTokens.filter(token => isRecent(token)) : [];
		// A token from before the challenge may expire later than the token that answered it.
		const challenge = this.#grant?.granted.lastChallenge(request.kind, criteria);
		return challenge === undefined
			? findAccessToken([...granted, ...cached], criteria)
			: findAccessToken([...granted.filter(({order}) => order >= challenge.order), ...cached.filter(({cachedAt = 0}) => cachedAt * 1000 >= challenge.sentMs)], criteria);
	}

	/** Loaded when the first token is not in the cache: loading it costs many times the start-up of a hit. */
	#loadGrant(): RefreshGrant {
		if (!this.#grant) {
			const {RefreshGrant: Grant} = requireLazily(() => require('../grant/refresh-grant.js') as typeof import('../grant/refresh-grant.js'));
			this.#grant = new Grant({settings: this.#settings, cache: this.#cache}, (source, baseStamp, stamp) => {
				this.#resolver.acknowledge(source, baseStamp, stamp);
			});
		}

		return this.#grant;
	}
}

/** Waits for work that never rejects, without keeping the event loop alive: the callers that wait for the token do that. */
async function atMost(timeoutMs: number, work: Promise<void>): Promise<void> {
	const done = new AbortController();
	await Promise.race([work, sleep(timeoutMs, {ref: false, signal: done.signal}).catch(() => undefined)]);
	done.abort();
}

/** Whether the request failed although the authority refused nothing: no answer came in time, or one that may be another soon. */
function isOutage(error: unknown): boolean {
	return (error instanceof CredentialUnavailableError && error.code === 'STC_LOCK_TIMEOUT') || (error instanceof AuthenticationError && (
		error.code === 'STC_NETWORK' || error.code === 'STC_TIMEOUT' || error.statusCode === 408 || error.statusCode === 429 || error.statusCode >= 500
	));
}

/** Whether the authority refused the token. */
export function isRefusal(error: unknown): boolean {
	return (error instanceof CredentialUnavailableError && (error.code === 'STC_INTERACTION_REQUIRED' || error.code === 'STC_CLIENT_NOT_ALLOWED'))
		|| (error instanceof AuthenticationError && !isOutage(error));
}

/** A token that is `replaced` does not, although its times read differently once the clock that wrote them is no longer ahead. */
function livesLonger(entry: AccessTokenEntry, replaced: ReplacedToken): boolean {
	return entry.secret !== replaced.token && entry.expiresOn - clockSkewSec(entry, Math.floor(Date.now() / 1000)) > replaced.expiresOnSec;
}

function toAcquired(entry: AccessTokenEntry, generation: number): AcquiredToken {
	const skewSec = clockSkewSec(entry, Math.floor(Date.now() / 1000));
	return {
		token: entry.secret,
		expiresOnSec: entry.expiresOn - skewSec,
		refreshOnSec: entry.refreshOn && entry.refreshOn - skewSec,
		issuedSec: entry.cachedAt && entry.cachedAt - skewSec,
		isLastResort: false,
		generation,
	};
}
