/**
 * Answers requests that are not in memory: takes an access token of the account from the cache, or redeems a refresh token if no
 * access token fits. One per token memory.
 */

import type {AccessTokenEntry} from '../backend/backend.js';
import {SharedCache} from '../cache/shared-cache.js';
import type {SourceReading} from '../cache/source-reading.js';
import {AuthenticationError, logTextOf} from '../errors.js';
import type {GrantedToken} from '../grant/granted-tokens.js';
import type {RefreshGrant} from '../grant/refresh-grant.js';
import {AccountResolver, type Resolution, type ResolvedAccount} from '../lookup/account-resolver.js';
import {clockSkewSec, findAccessToken, minimumLifetimeSec} from '../lookup/select-token.js';
import type {AcquiredToken, ReplacedToken, TokenRequest} from '../lookup/token-request.js';
import type {LazyAbortController} from '../runtime/abort.js';
import {requireLazily} from '../runtime/lazy.js';
import {log} from '../runtime/log.js';
import type {Settings} from '../settings/settings.js';
import {
	checkTenantOfAccount, homeTenantOf, namedTenant, ownTenant,
} from '../settings/tenants.js';

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
			const lastResort = error instanceof AuthenticationError ? this.#findCached(account, request, 0) : undefined;
			if (!lastResort) {
				throw error;
			}

			log.warning(() => `${logTextOf(error)} The cached token is served until it expires.`);
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

	/** Redeems a refresh token. If another process on this machine is doing so for the same token, waits and takes that token from the cache. */
	async #acquireAlone(account: ResolvedAccount, request: TokenRequest, signal: AbortSignal, replaced: ReplacedToken | undefined): Promise<AcquiredToken> {
		const grant = this.#loadGrant();
		const target = await grant.target(account, this.#resolver.readablePrimarySources(request.kind));
		// A request with claims wants a new token, so it does not wait for another process's.
		const lease = request.claims === undefined
			? await grant.takeLease(account, request, {primary: this.#resolver.primarySources(request.kind), target, signal})
			: undefined;
		try {
			const signOuts = await grant.signOutsSoFar(target);
			const latest = await this.#resolver.latest(request.kind, request.tenantId);
			const {generation} = this.#resolver;
			if (latest instanceof Error) {
				throw latest;
			}

			const cached = this.#findCached(latest, request, minimumLifetimeSec);
			if (cached && (!replaced || livesLonger(cached, replaced))) {
				return toAcquired(cached, generation);
			}

			const {token, challenged, written} = await grant.redeem(latest, request, {target, signOuts}, signal);
			const ownGeneration = challenged ? this.#resolver.startGeneration(generation) : generation;
			await written?.soon;
			return toAcquired(token, ownGeneration);
		} finally {
			await lease?.release();
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

	#findCached(account: ResolvedAccount, request: TokenRequest, lifetimeSec: number): AccessTokenEntry | GrantedToken | undefined {
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
		const granted = this.#grant?.granted.ofKind(request.kind) ?? [];
		const cached = fitsKind ? account.accessTokens : [];
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
