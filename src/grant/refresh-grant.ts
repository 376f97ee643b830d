/**
 * Redeems the refresh tokens of an account one after the other until one is accepted, remembers refusals, and stores what was granted in
 * memory and in the cache. Loaded when the first token is not in the cache.
 */

import type {CommitGuard, RefreshTokenEntry} from '../backend/backend.js';
import type {ResolvedAccount} from '../lookup/account-resolver.js';
import type {TokenRequest} from '../lookup/token-request.js';
import type {SharedCache} from '../cache/shared-cache.js';
import {AuthenticationRequiredError, CredentialUnavailableError, StoreError} from '../errors.js';
import type {CacheSource} from '../cache/cache-source.js';
import {BoundedMap} from '../runtime/bounded-map.js';
import {log} from '../runtime/log.js';
import type {Settings} from '../settings/settings.js';
import {requireLazily} from '../runtime/lazy.js';
import {
	adfsTenant, consumersTenant, homeTenantOf, isTenantGuid, namedTenant, organizationsTenant, ownTenant,
} from '../settings/tenants.js';
import {type Lease, leaseName, takeLease} from './machine-lease.js';
import {type GrantedToken, GrantedTokens, type RequestTime} from './granted-tokens.js';
import type {TokenResponse} from './token-response.js';
import type {Grant} from './grant-edits.js';
import type {GrantRefusal, TokenEndpoint} from './token-endpoint.js';
import type {BegunWrite, WriteBack, WrittenListener} from './write-back.js';

/** Entra's suberror for a refresh token that is not valid at all. Source: MSAL for Node, `InteractionRequiredAuthError`. */
const badToken = 'bad_token';

/**
 * Retry a refused request after this long, milliseconds: an administrator may have changed a policy, which no cache would show. Source:
 * MSAL for .NET, `UiRequiredProvider`.
 */
const requestRefusedMs = 120_000;

/** Most refusals that are remembered: a caller may send different claims each time. */
const maxRefused = 100;

/** What a grant returns. */
export type GrantResult = {
	token: GrantedToken;
	/** Whether the token answers a claims challenge, so that tokens which were requested before it are worthless. */
	challenged: boolean;
	/** `undefined`: the grant stays in memory. */
	written: BegunWrite | undefined;
};

/** What is the same for all refresh tokens of an account. */
type Attempt = {
	account: ResolvedAccount;
	request: TokenRequest;
	tenant: string;
	target: CacheSource | undefined;
	signal: AbortSignal;
	/** The mark of sign-outs from before the account was read. */
	signOuts: CommitGuard | undefined;
};

export class RefreshGrant {
	readonly granted = new GrantedTokens();
	readonly #settings: Settings;
	readonly #cache: SharedCache;
	readonly #onWritten: WrittenListener;
	/** What the authority refused since the cache last changed, by refresh token or by request. */
	readonly #refused = new BoundedMap<string, {refusal: GrantRefusal; untilMs: number}>(maxRefused);
	#endpoint: TokenEndpoint | undefined;
	#writeBack: WriteBack | undefined;
	#isClosed = false;

	/** @param onWritten Called after each write, including those in the background. */
	constructor({settings, cache}: {settings: Settings; cache: SharedCache}, onWritten: WrittenListener) {
		this.#settings = settings;
		this.#cache = cache;
		this.#onWritten = onWritten;
	}

	/**
	 * Chooses the cache that the grant is written to.
	 *
	 * @param primary The primary caches that can be read. Probing a keyring that stalled just now would take its time-out again.
	 * @returns `undefined` if the grant stays in memory.
	 */
	async target(account: ResolvedAccount, primary: readonly CacheSource[]): Promise<CacheSource | undefined> {
		const {readOnly, unsafeAllowUnencryptedStorage} = this.#settings;
		if (readOnly) {
			return undefined;
		}

		const own = primary.find(({label}) => label === account.source.label);
		try {
			return own ?? await this.#cache.writableSource(primary, unsafeAllowUnencryptedStorage);
		} catch (error) {
			if (!(error instanceof StoreError)) {
				throw error;
			}

			log.info(() => `Tokens are kept in memory only. ${error.message}`);
			return undefined;
		}
	}

	/**
	 * Waits until no other process requests this token.
	 *
	 * @param primary The primary caches. The lease belongs to the store of one of them.
	 */
	async takeLease(
		account: ResolvedAccount,
		request: TokenRequest,
		{primary, target, signal}: {primary: readonly CacheSource[]; target: CacheSource | undefined; signal: AbortSignal},
	): Promise<Lease | undefined> {
		const {authority, clientId, cacheName} = this.#settings;
		const identity = [
			cacheName,
			request.kind,
			authority.origin,
			clientId,
			account.candidate.account.homeAccountId,
			request.tenantId ?? ownTenant(this.#settings) ?? '',
			...request.scopes.map(scope => scope.toLowerCase()).toSorted(),
		];
		const lease = this.#cache.lease(primary, leaseName(identity.map(each => each.toLowerCase())));
		return lease && takeLease({lease, signal, onlyWait: target === undefined});
	}

	/** Call this before the account is read from the cache for a grant: a later sign-out wins over the grant. */
	async signOutsSoFar(target: CacheSource | undefined): Promise<CommitGuard | undefined> {
		const {signOutGuard} = requireLazily(() => require('../cache/sign-out-mark.js') as typeof import('../cache/sign-out-mark.js'));
		return target && signOutGuard(target);
	}

	/**
	 * Tries the refresh tokens of the account one after the other.
	 *
	 * @param signOuts What {@link signOutsSoFar} returned before the account was read.
	 * @throws {CredentialUnavailableError} {AuthenticationRequiredError} if all are refused.
	 * @throws {AuthenticationError} if the authority does not give a usable response.
	 * @throws the reason of `signal`.
	 */
	async redeem(
		account: ResolvedAccount,
		request: TokenRequest,
		{target, signOuts}: {target: CacheSource | undefined; signOuts: CommitGuard | undefined},
		signal: AbortSignal,
	): Promise<GrantResult> {
		const {homeAccountId} = account.candidate.account;
		const asked = request.tenantId ?? ownTenant(this.#settings);
		const home = homeTenantOf(homeAccountId)?.toLowerCase() === consumersTenant ? consumersTenant : organizationsTenant;
		// `organizations` and `common` mean the home tenant.
		const tenant = (asked === undefined ? undefined : namedTenant(asked)) ?? home;
		signal.throwIfAborted();
		const attempt = {
			account, request, tenant, target, signal, signOuts,
		};
		let refusal: GrantRefusal | undefined;
		for (const entry of account.candidate.refreshTokens) {
			const {secret: cachedRefreshToken} = entry;
			if (cachedRefreshToken === undefined) {
				continue;
			}

			const refreshToken = this.granted.currentRefreshToken(cachedRefreshToken);
			// Each refusal decides whether the next refresh token is needed.
			let outcome = await this.#redeemOne(entry, refreshToken, attempt);
			if (refreshToken !== cachedRefreshToken && isRefusal(outcome) && outcome.isTokenDead && target?.label !== account.source.label) {
				// If grants are not written to this cache, it keeps the ancestor, which may still be valid.
				outcome = await this.#redeemOne(entry, cachedRefreshToken, attempt);
			}

			if (!isRefusal(outcome)) {
				return outcome;
			}

			refusal = outcome;
		}

		throw explainRefusal(refusal, request);
	}

	/** Call this when the cache has changed: what was refused may be granted now. */
	forgetRefusals(): void {
		this.#refused.clear();
	}

	/** Writes tokens again that another program overwrote. */
	async repair(): Promise<void> {
		await this.#writeBack?.repair();
	}

	async close(): Promise<void> {
		const endpoint = this.#endpoint;
		this.#endpoint = undefined;
		this.#isClosed = true;
		await Promise.all([this.#writeBack?.close(), endpoint?.close()]);
	}

	/** @param refreshToken The refresh token of `entry`, or the one that it was rotated to. */
	async #redeemOne(entry: RefreshTokenEntry, refreshToken: string, {account, request, tenant, target, signal, signOuts}: Attempt): Promise<GrantResult | GrantRefusal> {
		const endpoint = this.#loadTokenEndpoint();
		const {homeAccountId} = account.candidate.account;
		const keys = {token: endpoint.fingerprint(refreshToken), request: [endpoint.fingerprint(entry.secret ?? ''), tenant, request.kind, request.claims ?? '', ...request.scopes].join(' ')};
		const known = [keys.token, keys.request].map(key => this.#refused.get(key)).find(refused => refused && refused.untilMs > performance.now());
		if (known) {
			return known.refusal;
		}

		if (target) {
			// Loaded before the request: if loading failed afterwards, the grant would be lost.
			this.#loadWriteBack();
		}

		const moment = this.granted.now();
		let response: TokenResponse;
		try {
			response = await endpoint.redeem(
				{
					refreshToken, scopes: request.scopes, tenant, claims: request.claims, enableCae: request.kind === 'cae', homeAccountId, username: account.candidate.account.username,
				},
				signal,
			);
		} catch (error) {
			if (!isRefusal(error)) {
				throw error;
			}

			this.#remember(error.isTokenDead ? keys.token : keys.request, error);
			log.info(() => `A refresh token was refused: ${error.message}`);
			if (target?.label === account.source.label && error.errorResponse.suberror === badToken) {
				// Not awaited: the next refresh token need not wait for the lock.
				void this.#loadWriteBack().evict(target, account.candidate.account, refreshToken);
			}

			return error;
		}

		return this.#keep(response, account, request, {
			tenant, refreshToken, entry, target, moment, signOuts,
		});
	}

	#remember(key: string, refusal: GrantRefusal): void {
		this.#refused.set(key, {refusal, untilMs: refusal.isTokenDead ? Number.POSITIVE_INFINITY : performance.now() + requestRefusedMs});
	}

	#keep(
		response: TokenResponse,
		account: ResolvedAccount,
		request: TokenRequest,
		sent: {tenant: string; refreshToken: string; entry: RefreshTokenEntry; target: CacheSource | undefined; moment: RequestTime; signOuts: CommitGuard | undefined},
	): GrantResult {
		const {authority, clientId} = this.#settings;
		const {homeAccountId} = account.candidate.account;
		const requested = request.tenantId ?? ownTenant(this.#settings);
		const issuedSec = Math.floor(Date.now() / 1000);
		const accessToken: GrantedToken = {
			kind: request.kind,
			source: 'grant',
			...sent.moment,
			homeAccountId,
			environment: authority.host,
			clientId,
			// The tenant as requested, so that the same request finds the token again. A name such as "organizations" means the home tenant.
			realm: requested === undefined ? response.tenantId ?? homeTenantOf(homeAccountId) ?? sent.tenant : namedTenant(requested) ?? requested,
			target: [...new Set([...request.scopes, ...(response.scope?.split(' ') ?? [])])].join(' '),
			secret: response.accessToken,
			cachedAt: issuedSec,
			expiresOn: response.expiresOnSec,
			...(response.refreshOnSec !== undefined && {refreshOn: response.refreshOnSec}),
		};
		const replaceable = [...new Set([sent.refreshToken, sent.entry.secret ?? sent.refreshToken, ...this.granted.ancestorsOf(sent.refreshToken)])];
		this.granted.keep(accessToken, sent.refreshToken, response.refreshToken);
		const challenged = request.claims !== undefined;
		if (challenged) {
			this.granted.keepChallenge(accessToken);
		}

		const realm = writtenRealm(account, authority.isAdfs, sent.tenant, response.tenantId);
		if (sent.target && realm !== undefined && !this.granted.isOutdated(accessToken)) {
			const grant: Grant = {
				response,
				account: account.candidate.account,
				environment: authority.host,
				environments: authority.environments,
				clientId,
				isAdfs: authority.isAdfs,
				scopes: request.scopes,
				realm,
				redeemed: sent.entry,
				replaceable,
				session: {
					account: account.candidate.account,
					environments: authority.environments,
					clientId,
					source: account.source,
					refreshTokens: new Set([...replaceable, ...(response.refreshToken === undefined ? [] : [response.refreshToken])]),
					guard: sent.signOuts,
				},
				isOwnCache: sent.target.label === account.source.label,
				nowSec: issuedSec,
			};
			return {token: accessToken, challenged, written: this.#loadWriteBack().write(sent.target, grant)};
		}

		return {token: accessToken, challenged, written: undefined};
	}

	/** Loaded when there is something to write: most processes never write. */
	#loadWriteBack(): WriteBack {
		if (!this.#writeBack) {
			const {WriteBack: Writer} = requireLazily(() => require('./write-back.js') as typeof import('./write-back.js'));
			this.#writeBack = new Writer(this.#cache, this.#onWritten);
			if (this.#isClosed) {
				// The credential was closed in the tick in which the grant arrived.
				void this.#writeBack.close();
			}
		}

		return this.#writeBack;
	}

	/** Loaded, together with undici, when the first grant is needed: that costs many times the start-up of a hit. */
	#loadTokenEndpoint(): TokenEndpoint {
		if (!this.#endpoint) {
			const {TokenEndpoint: Endpoint} = requireLazily(() => require('./token-endpoint.js') as typeof import('./token-endpoint.js'));
			this.#endpoint = new Endpoint(this.#settings);
		}

		return this.#endpoint;
	}
}

/**
 * The tenant under which a token is cached.
 *
 * @param requested The tenant of the request.
 * @param issuer The tenant that the response names.
 * @returns `undefined` if it is unknown. The token is not cached then, because it could be taken for another tenant's.
 */
function writtenRealm({candidate: {account}}: ResolvedAccount, isAdfs: boolean, requested: string, issuer: string | undefined): string | undefined {
	const issuerId = issuer && namedTenant(issuer);
	if (issuerId) {
		return issuerId;
	}

	const named = namedTenant(requested);
	if (named !== undefined) {
		return isTenantGuid(named) ? named : undefined;
	}

	const known = homeTenantOf(account.homeAccountId) ?? (account.realm && namedTenant(account.realm));
	return known || (isAdfs ? adfsTenant : undefined);
}

/** Compares the name, because the module of the class is loaded later. */
function isRefusal(outcome: unknown): outcome is GrantRefusal {
	return (outcome as {name?: unknown} | undefined)?.name === 'GrantRefusal';
}

function explainRefusal(refusal: GrantRefusal | undefined, request: TokenRequest): CredentialUnavailableError {
	const why = refusal ? refusal.message : 'no refresh token of the account is left';
	const message = `SharedTokenCacheCredential: Token acquisition failed: the user has to sign in again: ${why}. To fix, re-authenticate through developer tooling supporting Azure single sign on.`;
	const errorResponse = refusal && {errorResponse: refusal.errorResponse, cause: refusal};
	if (request.claims === undefined) {
		return new CredentialUnavailableError('STC_INTERACTION_REQUIRED', message, {...errorResponse});
	}

	const suberror = refusal?.errorResponse.suberror;
	return new AuthenticationRequiredError(message, {scopes: request.scopes, ...errorResponse, ...(suberror && {suberror})});
}
