/**
 * Answers requests that are not in memory: takes an access token of the account from the cache, or redeems a refresh token if no
 * access token fits. One per token memory.
 */

import type {AccessTokenEntry} from '../backend/backend.js';
import {SharedCache} from '../cache/shared-cache.js';
import type {GrantedToken} from '../grant/granted-tokens.js';
import type {AccountReader, Resolution, ResolvedAccount} from '../lookup/account-reader.js';
import {AccountResolver} from '../lookup/account-resolver.js';
import {findAccessToken, minimumLifetimeSec} from '../lookup/select-token.js';
import type {AcquiredToken, ReplacedToken, TokenRequest} from '../lookup/token-request.js';
import type {LazyAbortController} from '../runtime/abort.js';
import {requireLazily} from '../runtime/lazy.js';
import type {Settings} from '../settings/settings.js';
import {homeTenantOf, namedTenant, ownTenant} from '../settings/tenants.js';
import {livesLonger, toAcquired} from './acquired-token.js';
import type {TokenGranter} from './token-granter.js';

export class TokenAcquirer {
	readonly #settings: Settings;
	readonly #cache: SharedCache;
	readonly #resolver: AccountResolver;
	#granter: TokenGranter | undefined;

	/** @param onChanged Called when the caches no longer hold what they held at the last reading. */
	constructor(settings: Settings, onChanged: () => void) {
		this.#settings = settings;
		this.#cache = new SharedCache(settings);
		this.#resolver = new AccountResolver({settings, cache: this.#cache}, () => {
			this.#granter?.forgetRefusals();
			onChanged();
		});
	}

	/** Reads the caches, and not what is remembered of them. */
	get reader(): AccountReader {
		return this.#resolver.reader;
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

		return this.#granting().acquire(account, generation, {
			request, signal: abort.signal, replaced, findCached: (latest, lifetimeSec, sinceSec) => this.#findCached(latest, request, lifetimeSec, sinceSec),
		});
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
				await Promise.all([this.#resolver.refresh(kind), this.#granter?.repair()]);
			}
		}));
	}

	/** Whether this is the failure of a grant, because the authority refused the token. */
	isRefusal(error: unknown): boolean {
		return this.#granter?.isRefusal(error) ?? false;
	}

	async close(): Promise<void> {
		await this.#granter?.close();
	}

	/** @throws {CredentialUnavailableError} `STC_TENANT_NOT_ALLOWED`. */
	#checkTenant({tenantId}: TokenRequest, account: Resolution): void {
		const {checkTenantOfAccount} = requireLazily(() => require('../settings/tenant-checks.js') as typeof import('../settings/tenant-checks.js'));
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
		const granted = this.#granter?.granted.ofKind(request.kind).filter(token => isRecent(token)) ?? [];
		const cached = fitsKind ? (sinceSec === 0 ? account.accessTokens : account.accessTokens.filter(token => isRecent(token))) : [];
		// A token from before the challenge may expire later than the token that answered it.
		const challenge = this.#granter?.granted.lastChallenge(request.kind, criteria);
		return challenge === undefined
			? findAccessToken([...granted, ...cached], criteria)
			: findAccessToken([...granted.filter(({order}) => order >= challenge.order), ...cached.filter(({cachedAt = 0}) => cachedAt * 1000 >= challenge.sentMs)], criteria);
	}

	#granting(): TokenGranter {
		if (!this.#granter) {
			const {TokenGranter: Granter} = requireLazily(() => require('./token-granter.js') as typeof import('./token-granter.js'));
			this.#granter = new Granter({settings: this.#settings, cache: this.#cache, resolver: this.#resolver});
		}

		return this.#granter;
	}
}
