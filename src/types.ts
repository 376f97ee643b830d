/** The public types. Those of `@azure/core-auth` are inlined into the published declarations, which therefore need no further package. */

import type {AccessToken as AzureAccessToken, GetTokenOptions as AzureGetTokenOptions} from '@azure/core-auth';

declare global {
	/** For compilers whose `lib` has no `esnext.disposable` and who do without `@types/node`: they would refuse the credential's declaration. */
	interface SymbolConstructor {
		readonly asyncDispose: unique symbol;
	}
}

/** The part of `AbortSignal` that is used, so that older polyfills fit, too. */
export type AbortSignalLike = NonNullable<AzureGetTokenOptions['abortSignal']>;

export type {TokenCredential, TracingContext} from '@azure/core-auth';

type TracingOptions = NonNullable<AzureGetTokenOptions['tracingOptions']>;
type ProofOfPossessionOptions = NonNullable<AzureGetTokenOptions['proofOfPossessionOptions']>;

/** Options of one token request, as Azure SDK clients pass them. */
export interface GetTokenOptions extends AzureGetTokenOptions {
	/** Needs `@azure/core-tracing`. A call that is answered from memory makes no span. */
	tracingOptions?: TracingOptions & {
		/** Passed by clients with `@azure/core-auth` before 1.3. Ignored. */
		spanOptions?: unknown;
	};
	/** Not supported, because a cached refresh token gives bearer tokens. A call with it fails. */
	proofOfPossessionOptions?: ProofOfPossessionOptions;
}

/** A token for the `Authorization: Bearer` header. Frozen, and shared between callers. `util.inspect` shows no secret. */
export type AccessToken = Readonly<AzureAccessToken> & {readonly tokenType: 'Bearer'};

/** An account of the shared cache, without any secret. */
export type SharedTokenCacheAccount = {
	/** `<uid>.<utid>`: the user in the home tenant. */
	readonly homeAccountId: string;
	/** Home tenant: the second part of `homeAccountId`, where it has two. */
	readonly tenantId?: string;
	/** The user's object id in the tenant of this record. */
	readonly localAccountId?: string;
	readonly username: string;
	/** Host of the authority as stored, such as `login.microsoftonline.com`. */
	readonly environment: string;
	/** True if a refresh token that this credential may redeem is cached: only such accounts can be selected. */
	readonly usable: boolean;
	/** Where it was found: file path, or the keyring item's name. */
	readonly source: string;
};

/** What `@azure/identity` gives for an interactive sign-in: names one account. Holds no secret. */
export type AuthenticationRecord = {
	/** Host of the authority, such as `login.microsoftonline.com`. */
	authority: string;
	homeAccountId: string;
	clientId: string;
	tenantId: string;
	username: string;
};

export type TokenCachePersistenceOptions = {
	/** Accepted for `@azure/identity`'s sake; `false` is refused, for this credential has no other source of tokens. */
	enabled?: boolean;
	/** Base name of the cache. Default `msal.cache`; `.nocae` or `.cae` is added. */
	name?: string;
	/** Allows a plaintext cache to be created where an encrypted one is expected. Reading needs no permission. Default false. */
	unsafeAllowUnencryptedStorage?: boolean;
	/** Never write to the shared cache. Default false. */
	readOnly?: boolean;
};

/** How failed token requests are repeated. Names and meaning as in `@azure/core-rest-pipeline`. */
export type RetryOptions = {
	/** Repetitions after the first try. Default 3. */
	maxRetries?: number;
	/** First pause, milliseconds; doubled each time, with jitter. Default 800. */
	retryDelayInMs?: number;
	/** Longest pause, milliseconds. An authority that asks for a longer one (`Retry-After`) is not asked again. Default 64000. */
	maxRetryDelayInMs?: number;
};

/** An HTTP proxy, in the field names of `@azure/core-rest-pipeline`. */
export type ProxyOptions = {
	/** Scheme and host alone, such as `http://proxy.example`. */
	host: string;
	port: number;
	username?: string;
	password?: string;
};

/** An undici `Dispatcher` of any version, such as an `Agent`, `ProxyAgent` or `MockAgent`. */
export type HttpDispatcher = {
	dispatch(options: object, handler: object): boolean;
};

export type LoggingOptions = {
	/** Show user names in log lines and error texts. Default false: they are masked. */
	allowLoggingAccountIdentifiers?: boolean;
};

export type SharedTokenCacheCredentialOptions = {
	/** Account to use; case does not matter. Default: `AZURE_USERNAME`. */
	username?: string;
	/** Home tenant of the account to use; with a record, the tenant to get tokens from. Default: the record's, else `AZURE_TENANT_ID`. */
	tenantId?: string;
	/** `tenantId` names the tenant to get tokens from, where the user may be a guest. Default false. */
	enableGuestTenantAuthentication?: boolean;
	/** Client that redeems refresh tokens. Default: the record's, else Azure CLI's, which developer tools share. */
	clientId?: string;
	/** Selects the account exactly. `null` is ignored. */
	authenticationRecord?: AuthenticationRecord | null;
	/** Host or https URL of the authority; AD FS by its URL with `/adfs`, or with `adfs` as the tenant. Default: the record's, else `AZURE_AUTHORITY_HOST`, else the public cloud. */
	authorityHost?: string;
	/** Tenants besides `tenantId` that a request may name; `"*"` allows all. Default: none. */
	additionallyAllowedTenants?: string[];
	/** Do not ask the public cloud whether an unknown `authorityHost` is a real authority. Default false. */
	disableInstanceDiscovery?: boolean;
	/** Which shared cache. */
	tokenCachePersistenceOptions?: TokenCachePersistenceOptions;
	/** How old the last look at the cache may be, milliseconds. Default 1000. */
	cacheCheckIntervalInMs?: number;
	/** Longest wait for the cache's lock, milliseconds. Default 30000. */
	lockTimeoutInMs?: number;
	/** Longest wait for the keyring, milliseconds. Default 10000. */
	keyringTimeoutInMs?: number;
	/**
	 * macOS: read no item that the user would have to be asked for; such an item is then an error (`STC_STORE_LOCKED`, `STC_STORE_DENIED`).
	 * For services, where nobody sits at the screen. Default false: reading may ask; writing never does.
	 */
	disableKeychainPrompts?: boolean;
	retryOptions?: RetryOptions;
	/** Default: the environment's `HTTPS_PROXY` and `NO_PROXY`. */
	proxyOptions?: ProxyOptions;
	/** Sends the token requests. Yours to close; excludes `proxyOptions`. */
	dispatcher?: HttpDispatcher;
	loggingOptions?: LoggingOptions;
	/** `true`: fail without the native addon. `false`: never load it. Default: load it, and do without where none fits. */
	useNativeAddon?: boolean;
};

/** Which cache a program uses without the credential, and how. */
export type SharedTokenCacheOptions = {
	/** Absolute path of a plaintext cache file of your own. Needs `unsafeAllowUnencryptedStorage`. Default: the shared cache. */
	cachePath?: string;
	/** Which shared cache, and whether a plaintext file may be made where there is no keyring. */
	tokenCachePersistenceOptions?: Pick<TokenCachePersistenceOptions, 'enabled' | 'name' | 'unsafeAllowUnencryptedStorage'>;
	/** Use the cache for continuous access evaluation (`.cae`). Default false: the other one (`.nocae`). */
	enableCae?: boolean;
	/** Authority whose accounts are listed. Default: `AZURE_AUTHORITY_HOST`, else the public cloud. */
	authorityHost?: string;
	/** Whose refresh tokens make an account usable, besides the family's. Default: Azure CLI's client id. */
	clientId?: string;
	/** Longest wait for the cache's lock, milliseconds. Default 30000. */
	lockTimeoutInMs?: number;
	/** Longest wait for the keyring, milliseconds. Default 10000. */
	keyringTimeoutInMs?: number;
	/**
	 * macOS: read no item that the user would have to be asked for; such an item is then an error (`STC_STORE_LOCKED`, `STC_STORE_DENIED`).
	 * For services, where nobody sits at the screen. Default false: reading may ask; writing never does.
	 */
	disableKeychainPrompts?: boolean;
	/** `true`: fail without the native addon. `false`: never load it. Default: load it, and do without where none fits. */
	useNativeAddon?: boolean;
};

/** MSAL's cache as JSON: sections such as `AccessToken` and `Account`, each of records by key. It holds secrets. */
export type MsalCache = Record<string, Record<string, Record<string, unknown>>>;

/** Where a signed-out account was, and where it still is. Labels as in {@link SharedTokenCacheAccount.source}. */
export type SignOutResult = {
	readonly removedFrom: readonly string[];
	/** Caches of other languages and older versions, which are read and never written here: sign out with the program that wrote them. */
	readonly remainsIn: readonly string[];
};
