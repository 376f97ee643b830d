/**
 * A grant: redeems the account's refresh tokens one after the other, remembers what was refused, and hands what was granted to the
 * memory of this process and to the cache. Loaded when the first token is not in the cache.
 */

import type {RefreshTokenEntry} from '../backend/backend.js';
import type {ResolvedAccount} from '../lookup/account-resolver.js';
import type {TokenRequest} from '../lookup/token-request.js';
import type {SharedCache} from '../cache/shared-cache.js';
import {AuthenticationRequiredError, CredentialUnavailableError, StoreError} from '../errors.js';
import type {Grant} from './grant-edits.js';
import type {TokenResponse} from './token-response.js';
import {type GrantedToken, GrantedTokens, type RequestTime} from './granted-tokens.js';
import {type Lease, leaseName, takeLease} from './machine-lease.js';
import type {CacheSource} from '../cache/cache-source.js';
import {BoundedMap} from '../runtime/bounded-map.js';
import {log} from '../runtime/log.js';
import type {Settings} from '../settings/settings.js';
import {requireLazily} from '../runtime/lazy.js';
import {
	adfsTenant, consumersTenant, homeTenantOf, isTenantGuid, namedTenant, organizationsTenant, ownTenant,
} from '../settings/tenants.js';
import type {GrantRefusal, TokenEndpoint} from './token-endpoint.js';
import type {WriteBack, WrittenListener} from './write-back.js';

/** The suberror with which Entra says that a refresh token is none. Source: MSAL for Node, `InteractionRequiredAuthError`. */
const badToken = 'bad_token';

/**
 * What was refused to a request is asked again after this time, for administrators and networks change what no cache tells. Source:
 * MSAL for .NET, `UiRequiredProvider`. Milliseconds.
 */
const requestRefusedMs = 120_000;

/** Refusals remembered at the most: claims differ each time. */
const maxRefused = 100;

/** What a grant brought. */
export type GrantResult = {
	token: GrantedToken;
	/** Whether the token answers a claims challenge, so that tokens which were requested before it are worthless. */
	challenged: boolean;
	/** Settles when the grant is in the cache, could not be written, or takes too long to write. Never rejects. */
	written: Promise<void> | undefined;
};

/** What is the same for all of an account's refresh tokens. */
type Attempt = {
	account: ResolvedAccount;
	request: TokenRequest;
	tenant: string;
	target: CacheSource | undefined;
	signal: AbortSignal;
};

export class RefreshGrant {
	readonly granted = new GrantedTokens();
	readonly #settings: Settings;
	readonly #cache: SharedCache;
	readonly #onWritten: WrittenListener;
	/** What the authority refused until the cache changes: a refresh token, or a request with a cached one. */
	readonly #refused = new BoundedMap<string, {refusal: GrantRefusal; untilMs: number}>(maxRefused);
	#client: TokenEndpoint | undefined;
	#writeBack: WriteBack | undefined;
	#isClosed = false;

	/** @param onWritten Called after each write of ours, those in the background included. */
	constructor({settings, cache}: {settings: Settings; cache: SharedCache}, onWritten: WrittenListener) {
		this.#settings = settings;
		this.#cache = cache;
		this.#onWritten = onWritten;
	}

	/**
	 * Where a grant's results are written, `undefined` where nowhere.
	 *
	 * @param primary Those that can be read: what could not be read just now cannot be written, and to ask again may take as long as a
	 * keyring that stalls.
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

	/** Waits until no other process is getting this token. @param primary Sources of which the lease's place is told. */
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
		const lease = this.#cache.lease(primary, leaseName(identity.map(part => part.toLowerCase())));
		return lease && takeLease({lease, signal, onlyWait: target === undefined});
	}

	/** Tries the account's refresh tokens one after the other. */
	async redeem(account: ResolvedAccount, request: TokenRequest, target: CacheSource | undefined, signal: AbortSignal): Promise<GrantResult> {
		const {homeAccountId} = account.candidate.account;
		const tenant = request.tenantId ?? ownTenant(this.#settings) ?? (homeTenantOf(homeAccountId)?.toLowerCase() === consumersTenant ? consumersTenant : organizationsTenant);
		signal.throwIfAborted();
		const attempt = {
			account, request, tenant, target, signal,
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

	/** The cache changed: what was refused may be granted now. */
	forgetRefusals(): void {
		this.#refused.clear();
	}

	/** Puts back what a peer wrote over. */
	async repair(): Promise<void> {
		await this.#writeBack?.repair();
	}

	async close(): Promise<void> {
		const client = this.#client;
		this.#client = undefined;
		this.#isClosed = true;
		await Promise.all([this.#writeBack?.close(), client?.close()]);
	}

	/** @param refreshToken The cached one of `entry`, or what it was rotated to. */
	async #redeemOne(entry: RefreshTokenEntry, refreshToken: string, {account, request, tenant, target, signal}: Attempt): Promise<GrantResult | GrantRefusal> {
		const client = this.#tokenClient();
		const {homeAccountId} = account.candidate.account;
		const keys = {token: client.fingerprint(refreshToken), request: [client.fingerprint(entry.secret ?? ''), tenant, request.kind, request.claims ?? '', ...request.scopes].join(' ')};
		const known = [keys.token, keys.request].map(key => this.#refused.get(key)).find(refused => refused && refused.untilMs > performance.now());
		if (known) {
			return known.refusal;
		}

		if (target) {
			// Before there is a grant, which would be lost if this could not be loaded then.
			this.#writer();
		}

		const moment = this.granted.now();
		let response: TokenResponse;
		try {
			response = await client.redeem(
				{
					refreshToken, scopes: request.scopes, tenant, claims: request.claims, enableCae: request.kind === 'cae', homeAccountId,
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
				// The next refresh token does not have to wait for a lock.
				void this.#writer().evict(target, account.candidate.account, refreshToken);
			}

			return error;
		}

		return this.#keep(response, account, request, {
			tenant, refreshToken, entry, target, moment,
		});
	}

	#remember(key: string, refusal: GrantRefusal): void {
		this.#refused.set(key, {refusal, untilMs: refusal.isTokenDead ? Number.POSITIVE_INFINITY : performance.now() + requestRefusedMs});
	}

	#keep(
		response: TokenResponse,
		account: ResolvedAccount,
		request: TokenRequest,
		sent: {tenant: string; refreshToken: string; entry: RefreshTokenEntry; target: CacheSource | undefined; moment: RequestTime},
	): GrantResult {
		const {authority, clientId} = this.#settings;
		const {homeAccountId} = account.candidate.account;
		const asked = request.tenantId ?? ownTenant(this.#settings);
		const issuedSec = Math.floor(Date.now() / 1000);
		const accessToken: GrantedToken = {
			kind: request.kind,
			source: 'grant',
			...sent.moment,
			homeAccountId,
			environment: authority.host,
			clientId,
			// The tenant as it was asked for, so that the same request finds the token again; a word such as "organizations" means home.
			realm: asked === undefined ? response.tenantId ?? homeTenantOf(homeAccountId) ?? sent.tenant : namedTenant(asked) ?? asked,
			target: [...new Set([...request.scopes, ...(response.scope?.split(' ') ?? [])])].join(' '),
			secret: response.accessToken,
			cachedAt: issuedSec,
			expiresOn: response.expiresOnSec,
			...(response.refreshOnSec !== undefined && {refreshOn: response.refreshOnSec}),
		};
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
				isOwnCache: sent.target.label === account.source.label,
				nowSec: issuedSec,
			};
			return {token: accessToken, challenged, written: this.#writer().write(sent.target, grant)};
		}

		return {token: accessToken, challenged, written: undefined};
	}

	/** Loaded when there is something to write, because most processes never have. */
	#writer(): WriteBack {
		if (!this.#writeBack) {
			const {WriteBack: Writer} = requireLazily(() => require('./write-back.js') as typeof import('./write-back.js'));
			this.#writeBack = new Writer(this.#cache, this.#onWritten);
			if (this.#isClosed) {
				// For a grant that came in the turn of the end.
				void this.#writeBack.close();
			}
		}

		return this.#writeBack;
	}

	/** Loaded with undici when the first grant is needed, because that costs a hit's start-up many times over. */
	#tokenClient(): TokenEndpoint {
		if (!this.#client) {
			const {TokenEndpoint: Client} = requireLazily(() => require('./token-endpoint.js') as typeof import('./token-endpoint.js'));
			this.#client = new Client(this.#settings);
		}

		return this.#client;
	}
}

/**
 * The tenant whose token it is.
 *
 * @param answered What the answer says.
 * @returns `undefined` where nobody knows: in the cache the token would pass for another tenant's.
 */
function writtenRealm({candidate: {account}}: ResolvedAccount, isAdfs: boolean, asked: string, answered: string | undefined): string | undefined {
	const told = answered && namedTenant(answered);
	if (told) {
		return told;
	}

	const named = namedTenant(asked);
	if (named !== undefined) {
		return isTenantGuid(named) ? named : undefined;
	}

	const known = homeTenantOf(account.homeAccountId) ?? (account.realm && namedTenant(account.realm));
	return known || (isAdfs ? adfsTenant : undefined);
}

/** By its name, because the class is of a module that is loaded later. */
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
