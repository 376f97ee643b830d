/** `SharedTokenCacheCredential`: checks arguments, serves hits from memory, and passes misses to the token memory. */

import type {TokenRequest} from '../lookup/token-request.js';
import type {CacheKind} from '../cache/cache-source.js';
import {type ErrorCode, invalidArgument, toUnavailable} from '../errors.js';
import {toAbortError} from '../runtime/abort.js';
import {SingleFlight} from '../runtime/single-flight.js';
import {keepAlive} from '../runtime/keep-alive.js';
import {log, logTextOf} from '../runtime/log.js';
import {readSettings, type Settings} from '../settings/settings.js';
import {requireLazily} from '../runtime/lazy.js';
import {checkTenantId} from '../settings/tenants.js';
import {withSpan} from '../runtime/tracing.js';
import type {
	AbortSignalLike, AccessToken, GetTokenOptions, SharedTokenCacheAccount, SharedTokenCacheCredentialOptions, TokenCredential,
} from '../types.js';
import {TokenMemory} from './token-memory.js';

/**
 * Signs in silently from the token cache that Microsoft developer tools and Azure SDKs share on this machine: serves a cached
 * access token, or redeems a cached refresh token if no access token fits.
 *
 * @example
 * ```ts
 * const credential = new SharedTokenCacheCredential({username: 'someone@contoso.com'});
 * const {token} = await credential.getToken('https://storage.azure.com/.default');
 * ```
 */
export class SharedTokenCacheCredential implements TokenCredential {
	/** Whether this platform has a shared token cache: Linux, macOS and Windows do. */
	static supported(): boolean {
		return ['darwin', 'linux', 'win32'].includes(process.platform);
	}

	readonly #settings: Settings;
	readonly #memory: TokenMemory;
	readonly #hot: TokenMemory['hot'];
	readonly #cacheCheckIntervalMs: number;
	#isClosed = false;
	#closing: Promise<void> | undefined;

	/**
	 * Does not open or create a file: `getToken` is the first to read the cache.
	 *
	 * @throws {TypeError} `STC_INVALID_ARGUMENT` for a wrong option or environment variable.
	 */
	constructor(options?: SharedTokenCacheCredentialOptions);
	/** @param username The account to use. The same as the option `username`. */
	constructor(username?: string, options?: SharedTokenCacheCredentialOptions);
	constructor(
		usernameOrOptions?: string | SharedTokenCacheCredentialOptions,
		furtherOptions?: SharedTokenCacheCredentialOptions,
	) {
		let options = usernameOrOptions;
		if (typeof options !== 'object' || options === null) {
			options = {...checkFurtherOptions(furtherOptions)};
			// An empty name only switches AZURE_USERNAME off.
			if (usernameOrOptions !== undefined && usernameOrOptions !== null && (usernameOrOptions !== '' || options.username === undefined)) {
				options.username = usernameOrOptions as string;
			}
		} else if (furtherOptions !== undefined) {
			throw invalidArgument('options are given twice: give one object, or a user name and an object.');
		}

		this.#settings = readSettings(options);
		this.#cacheCheckIntervalMs = this.#settings.cacheCheckIntervalMs;
		this.#memory = TokenMemory.for(this.#settings);
		this.#hot = this.#memory.hot;
		abandoned.register(this, this.#memory, this);
	}

	/**
	 * Gets an access token for `scopes` from memory, from the shared cache, or by redeeming a refresh token.
	 *
	 * @param scopes Such as `https://storage.azure.com/.default`.
	 * @throws {CredentialUnavailableError} if this machine or account has no token: no cache, no account, a locked keyring, or the user
	 * has to sign in again (`STC_INTERACTION_REQUIRED`). A credential chain tries its next credential.
	 * @throws {AuthenticationRequiredError} if `claims` were given and the user has to act. A credential chain tries its next credential.
	 * @throws {AuthenticationError} `STC_TOKEN_REQUEST_FAILED`, `STC_NETWORK`, `STC_TIMEOUT`. A credential chain stops.
	 * @throws {AbortError} if `abortSignal` fires.
	 * @throws {TypeError} `STC_INVALID_ARGUMENT`, naming the argument.
	 */
	// Not an async function: a hit returns an existing promise. Arguments that no hit has are checked later, in #acquire.
	// eslint-disable-next-line @typescript-eslint/promise-function-async
	getToken(scopes: string | string[], options?: GetTokenOptions): Promise<AccessToken> {
		let hotKey: string | undefined;
		let kind: CacheKind = 'nocae';
		try {
			if (!this.#isClosed && (options === undefined || isPlain(options))) {
				kind = options?.enableCae ? 'cae' : 'nocae';
				hotKey = typeof scopes === 'string' ? scopes : hotKeyOf(scopes);
			}
		} catch {
			// A getter of the caller or a revoked Proxy: #acquire reads again and rejects.
		}

		if (hotKey !== undefined) {
			const token = this.#hot[kind].get(hotKey);
			if (token !== undefined) {
				const nowMs = Date.now();
				if (nowMs < token.serveUntilMs) {
					if (nowMs >= token.refreshFromMs || !(nowMs - this.#memory.checkedMs < this.#cacheCheckIntervalMs) || nowMs < this.#memory.checkedMs) {
						this.#memory.maintain(token, hotKey, nowMs);
					}

					return token.promise;
				}
			}
		}

		return this.#acquire(scopes, options);
	}

	/**
	 * Lists the accounts of all readable shared caches, without secrets.
	 *
	 * @throws {CredentialUnavailableError} if no cache could be read and a store failed.
	 */
	async listAccounts(): Promise<SharedTokenCacheAccount[]> {
		this.#checkOpen();
		const {reader} = this.#memory.acquirer;
		try {
			const {listAccounts, readAll} = requireLazily(() => require('../lookup/list-accounts.js') as typeof import('../lookup/list-accounts.js'));
			// Reading alone does not keep the event loop alive. Waiting for a SingleFlight does.
			const reading = new SingleFlight(async () => readAll(reader), () => undefined);
			return listAccounts(await reading.wait({abortSignal: undefined, timeoutMs: undefined}), this.#settings);
		} catch (error) {
			throw toUnavailable(error);
		}
	}

	/** Closes connections and ends background work, unless another credential with the same settings is open. May be called again; each call waits for the end. */
	async close(): Promise<void> {
		if (!this.#isClosed) {
			this.#isClosed = true;
			abandoned.unregister(this);
			// Waiting for writes in progress does not keep the event loop alive by itself.
			this.#closing = keepAlive(async () => this.#memory.release());
		}

		await this.#closing;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.close();
	}

	async #acquire(givenScopes: string | string[], givenOptions: GetTokenOptions | undefined): Promise<AccessToken> {
		let scopes: string[] | undefined;
		try {
			this.#checkOpen();
			// Read once: what a getter or a Proxy gives may change.
			const {given, options} = readArguments(givenScopes, givenOptions);
			scopes = readScopes(given);
			return await this.#acquireFor(given, scopes, options);
		} catch (error) {
			log.info(() => `SharedTokenCacheCredential => getToken() => ERROR. Scopes: ${scopes?.join(', ') ?? 'not valid'}. Error message: ${logTextOf(error, this.#settings.allowLoggingAccountIdentifiers)}`);
			throw error;
		}
	}

	async #acquireFor(given: string | readonly string[], scopes: string[], options: GetTokenOptions): Promise<AccessToken> {
		const {request, timeoutMs} = this.#readRequest(scopes, options);
		const {abortSignal} = options;
		if (abortSignal?.aborted) {
			throw toAbortError(abortSignal);
		}

		const hotKey = request.tenantId === undefined ? joinScopes(given) : tenantHotKey(request.tenantId, scopes);
		const token = request.claims === undefined ? this.#memory.hotTokenFor(hotKey, request) : undefined;
		const nowMs = Date.now();
		if (token && nowMs < token.serveUntilMs) {
			this.#memory.maintain(token, hotKey, nowMs);
			return token.promise;
		}

		return withSpan('SharedTokenCacheCredential.getToken', options, async () => {
			try {
				const acquired = await this.#memory.acquire(hotKey, request, {abortSignal, timeoutMs});
				log.info(() => `SharedTokenCacheCredential => getToken() => SUCCESS. Scopes: ${scopes.join(', ')}.`);
				return acquired;
			} catch (error) {
				throw toUnavailable(error);
			}
		});
	}

	#readRequest(scopes: string[], options: GetTokenOptions): {request: TokenRequest; timeoutMs: number | undefined} {
		if (options.proofOfPossessionOptions !== undefined) {
			throw invalidArgument('proofOfPossessionOptions is not supported: a cached refresh token gives bearer tokens only. Leave it out.');
		}

		if (options.abortSignal && !isSignal(options.abortSignal)) {
			throw invalidArgument('abortSignal must be an AbortSignal.');
		}

		const timeoutMs = options.requestOptions?.timeout;
		if (timeoutMs !== undefined && (typeof timeoutMs !== 'number' || !(timeoutMs >= 0))) {
			throw invalidArgument('requestOptions.timeout must be a number of milliseconds, 0 for no limit.');
		}

		if (options.tenantId) {
			checkTenantId(options.tenantId, 'The tenantId of getToken');
		}

		// Absent arguments are not read, to save start-up time.
		const tenant = options.tenantId ? tenantChecks().allowedRequestTenant(options.tenantId, this.#settings.tenantRules) : undefined;
		return {
			request: {
				scopes,
				kind: options.enableCae ? 'cae' : 'nocae',
				tenantId: tenant?.tenantId,
				...(tenant?.isOpen && {isTenantOpen: true}),
				claims: options.claims === undefined || options.claims === '' ? undefined : readClaims(options.claims),
			},
			// The longest delay that a timer takes.
			timeoutMs: timeoutMs === undefined || timeoutMs === 0 ? undefined : Math.min(timeoutMs, 2_147_483_647),
		};
	}

	#checkOpen(): void {
		if (this.#isClosed) {
			throw Object.assign(new Error('SharedTokenCacheCredential: the credential is closed. Make a new one.'), {code: 'STC_CLOSED' satisfies ErrorCode});
		}
	}
}

/** Releases the memory of credentials that were garbage-collected without close(), so that they do not keep connections open. */
const abandoned = new FinalizationRegistry<TokenMemory>(memory => {
	void memory.release();
});

/** Whether a hit can be served without checking the options further. */
function isPlain(options: GetTokenOptions): boolean {
	return typeof options === 'object'
		&& options !== null
		&& options.requestOptions === undefined
		&& (options.claims === undefined || options.claims === '')
		&& !options.tenantId
		&& options.proofOfPossessionOptions === undefined
		&& (!options.abortSignal || (isSignal(options.abortSignal) && !options.abortSignal.aborted));
}

function isSignal(signal: unknown): boolean {
	const {addEventListener, removeEventListener} = signal as Partial<AbortSignalLike>;
	return typeof addEventListener === 'function' && typeof removeEventListener === 'function';
}

/** Spreading accepts any value, so a wrong argument would go unnoticed. */
function checkFurtherOptions(options: SharedTokenCacheCredentialOptions | null | undefined): SharedTokenCacheCredentialOptions {
	if (options !== undefined && (typeof options !== 'object' || Array.isArray(options))) {
		throw invalidArgument('options must be an object.');
	}

	return options ?? {};
}

/**
 * Copies the arguments of `getToken`.
 *
 * @throws `STC_INVALID_ARGUMENT` if they cannot be read.
 */
function readArguments(scopes: string | string[], options: GetTokenOptions | null | undefined): {given: string | string[]; options: GetTokenOptions} {
	if (options !== undefined && options !== null && typeof options !== 'object') {
		throw invalidArgument('getToken options must be an object.');
	}

	try {
		const {
			abortSignal, claims, enableCae, proofOfPossessionOptions, requestOptions, tenantId, tracingOptions,
		} = options ?? {};
		const timeout = requestOptions?.timeout;
		return {
			given: Array.isArray(scopes) ? [...scopes] : scopes,
			options: {
				...(abortSignal && {abortSignal}),
				...(claims !== undefined && {claims}),
				...(enableCae && {enableCae}),
				...(proofOfPossessionOptions !== undefined && {proofOfPossessionOptions}),
				...(timeout !== undefined && {requestOptions: {timeout}}),
				...(tenantId && {tenantId}),
				...(tracingOptions !== undefined && {tracingOptions}),
			},
		};
	} catch (error) {
		throw Object.assign(invalidArgument('The arguments of getToken cannot be read: a getter threw, or a Proxy was revoked. Pass plain values.'), {cause: error});
	}
}

function hotKeyOf(scopes: string[]): string {
	return Array.isArray(scopes) && scopes.length === 1 ? scopes[0]! : joinScopes(scopes);
}

/** Joins scopes. Arguments that are rejected later yield a key that no hit has. */
function joinScopes(scopes: string | readonly string[]): string {
	return Array.isArray(scopes) && scopes.every(scope => typeof scope === 'string') ? scopes.join(' ') : scopes as string;
}

function tenantHotKey(tenantId: string, scopes: string[]): string {
	return `${tenantId.toLowerCase()} ${scopes.join(' ')}`;
}

/** Source: RFC 6749, 3.3, `scope-token`. */
const scopePattern = /^[\u0021\u0023-\u005B\u005D-\u007E]+$/;

function readScopes(scopes: unknown): string[] {
	const list = (Array.isArray(scopes) ? scopes as unknown[] : [scopes]).flatMap(scope => {
		if (typeof scope !== 'string') {
			throw invalidArgument('getToken requires scopes: a string such as "https://storage.azure.com/.default", or an array of strings.');
		}

		return scope.split(' ').filter(Boolean);
	});
	if (list.length === 0) {
		throw invalidArgument('getToken requires at least one scope, such as "https://storage.azure.com/.default".');
	}

	if (!list.every(scope => scopePattern.test(scope))) {
		throw invalidArgument('A scope of getToken has characters that no scope has: use printable ASCII without quotation marks and backslashes.');
	}

	return list;
}

/** Loaded for a request that names a tenant. */
function tenantChecks() {
	return requireLazily(() => require('../settings/tenant-checks.js') as typeof import('../settings/tenant-checks.js'));
}

function readClaims(claims: unknown): string {
	const {maxClaimsDepth, parseClaims} = requireLazily(() => require('../runtime/claims.js') as typeof import('../runtime/claims.js'));
	if (typeof claims !== 'string' || !parseClaims(claims)) {
		throw invalidArgument(`claims of getToken must be a JSON object as text, of at most ${maxClaimsDepth} levels: decode the claims of a WWW-Authenticate header from base64 first.`);
	}

	return claims;
}
