/** The public types. The published declarations contain those of `@azure/core-auth`, so applications need no further package for them. */

import type {AccessToken as AzureAccessToken, GetTokenOptions as AzureGetTokenOptions} from '@azure/core-auth';
import type {ErrorCode} from './errors.js';

declare global {
	/** The credential's declaration needs this symbol. A program without `@types/node` and `lib: ["esnext.disposable"]` lacks it. */
	interface SymbolConstructor {
		readonly asyncDispose: unique symbol;
	}
}

/** The members of `AbortSignal` that are used. Older polyfills have them, too. */
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

/** A token for the `Authorization: Bearer` header. It is frozen, because callers share it. `util.inspect` does not print its secret. */
export type AccessToken = Readonly<AzureAccessToken> & {readonly tokenType: 'Bearer'};

/** An account in the shared cache. Contains no secret. */
export type SharedTokenCacheAccount = {
	/** `<uid>.<utid>`: the IDs of the user and of the home tenant. */
	readonly homeAccountId: string;
	/** The home tenant: the second part of `homeAccountId`. Absent if that has no second part. */
	readonly tenantId?: string;
	/** The user's object ID in the tenant of this record. */
	readonly localAccountId?: string;
	readonly username: string;
	/** The host of the authority as the cache names it, such as `login.microsoftonline.com`. */
	readonly environment: string;
	/** Whether a refresh token is cached that this credential can redeem. The credential selects only such accounts. */
	readonly usable: boolean;
	/** Why it is not usable, and the option that would take it. Absent if it is usable. */
	readonly reason?: string;
	/** Where the account was found: the path of a file, or the name of a keyring item. */
	readonly source: string;
};

/** Names one account. `@azure/identity` returns it from an interactive sign-in. Contains no secret. */
export type AuthenticationRecord = {
	/** The host of the authority, such as `login.microsoftonline.com`. */
	authority: string;
	homeAccountId: string;
	clientId: string;
	tenantId: string;
	username: string;
};

export type TokenCachePersistenceOptions = {
	/** Accepted for compatibility with `@azure/identity`. `false` is an error, because the cache is the only source of tokens. */
	enabled?: boolean;
	/** Base name of the cache, without `.nocae` or `.cae`. Default `msal.cache`. */
	name?: string;
	/** Allow creating a plaintext cache if no encrypted one is possible. Existing plaintext caches are read in any case. Default false. */
	unsafeAllowUnencryptedStorage?: boolean;
	/** Do not write to the shared cache. Default false. */
	readOnly?: boolean;
};

/** Retries of failed token requests. Names and meanings are those of `@azure/core-rest-pipeline`. */
export type RetryOptions = {
	/** Number of retries after the first attempt. Default 3. */
	maxRetries?: number;
	/** Delay before the first retry, milliseconds. Each further delay is twice as long, with jitter. Default 800. */
	retryDelayInMs?: number;
	/** Longest delay, milliseconds. If the authority's `Retry-After` is longer, the request fails. Default 64000. */
	maxRetryDelayInMs?: number;
};

/** An HTTP proxy. The fields are those of `@azure/core-rest-pipeline`. */
export type ProxyOptions = {
	/** Scheme and host, such as `http://proxy.example`. */
	host: string;
	port: number;
	username?: string;
	password?: string;
};

/** What begins the `User-Agent`. The field is that of `@azure/core-rest-pipeline`. */
export type UserAgentOptions = {
	userAgentPrefix?: string;
};

/** A `Dispatcher` of any version of undici, such as an `Agent`, `ProxyAgent` or `MockAgent`. */
export type HttpDispatcher = {
	dispatch(options: object, handler: object): boolean;
};

export type LoggingOptions = {
	/**
	 * Print user names in log lines and error messages. Default false: they are masked. An error message shows only the name that the
	 * credential was configured with.
	 */
	allowLoggingAccountIdentifiers?: boolean;
};

export type SharedTokenCacheCredentialOptions = {
	/** User name of the account. Case does not matter. Default: `AZURE_USERNAME`. An empty string switches that variable off. */
	username?: string;
	/**
	 * Home tenant of the account. With an authentication record: the tenant to get tokens from. Default: the record's, else `AZURE_TENANT_ID`. An
	 * empty string switches that variable off.
	 */
	tenantId?: string;
	/** `tenantId` is the tenant to get tokens from, in which the user may be a guest. Default false. */
	enableGuestTenantAuthentication?: boolean;
	/** ID of the client that redeems refresh tokens. Default: the record's, else that of Azure CLI, which developer tools share. */
	clientId?: string;
	/** The account to select. `null` is ignored. */
	authenticationRecord?: AuthenticationRecord | null;
	/**
	 * Host or https URL of the authority. For AD FS: its URL with `/adfs`, or `adfs` as the tenant. Default: the record's, else
	 * `AZURE_AUTHORITY_HOST`, else the public cloud.
	 */
	authorityHost?: string;
	/**
	 * Tenants that a request may name, besides the one that tokens come from. `"*"` allows all. Default: an empty list, which allows all.
	 */
	additionallyAllowedTenants?: string[];
	/** Do not ask the public cloud whether an unknown `authorityHost` is an authority. Default false. */
	disableInstanceDiscovery?: boolean;
	/** The shared cache to use. */
	tokenCachePersistenceOptions?: TokenCachePersistenceOptions;
	/** Longest time between checks of the cache, milliseconds. Default 1000. */
	cacheCheckIntervalInMs?: number;
	/** Longest wait for the lock of the cache, milliseconds. Default 30000. */
	lockTimeoutInMs?: number;
	/** Longest wait for the keyring, milliseconds. Default 10000. */
	keyringTimeoutInMs?: number;
	/**
	 * macOS: do not prompt the user when a Keychain item is read. An item that needs a prompt is an error (`STC_STORE_LOCKED`,
	 * `STC_STORE_DENIED`). For services without a user at the screen. Default false. Writing never prompts.
	 */
	disableKeychainPrompts?: boolean;
	retryOptions?: RetryOptions;
	/** Default: the environment variables `HTTPS_PROXY` and `NO_PROXY`. */
	proxyOptions?: ProxyOptions;
	/** Sends the token requests. The application closes it. Excludes `proxyOptions`. */
	dispatcher?: HttpDispatcher;
	/**
	 * Identifies the application in the `User-Agent` of token requests, and so in sign-in logs: at most 24 characters without blanks, such as
	 * `my-app/1.0`.
	 */
	applicationId?: string;
	/** The same with the name of `@azure/core-rest-pipeline`. Excludes `applicationId`. */
	userAgentOptions?: UserAgentOptions;
	loggingOptions?: LoggingOptions;
	/** `true`: fail without the native addon. `false`: do not load it. Default: use it if there is one for this platform. */
	useNativeAddon?: boolean;
};

/** The cache that a program uses without the credential. */
export type SharedTokenCacheOptions = {
	/** Absolute path of a separate plaintext cache file. Needs `unsafeAllowUnencryptedStorage`. Default: the shared cache. */
	cachePath?: string;
	/** The shared cache, and whether a plaintext file may be created if there is no keyring. */
	tokenCachePersistenceOptions?: Pick<TokenCachePersistenceOptions, 'enabled' | 'name' | 'unsafeAllowUnencryptedStorage'>;
	/** Use the cache for continuous access evaluation (`.cae`). Default false: the other one (`.nocae`). */
	enableCae?: boolean;
	/** The authority whose accounts are usable. Accounts of others are listed with a reason. Default: `AZURE_AUTHORITY_HOST`, else the public cloud. */
	authorityHost?: string;
	/** ID of a client whose refresh tokens make an account usable, besides those of the client family. Default: Azure CLI's. */
	clientId?: string;
	/** Longest wait for the lock of the cache, milliseconds. Default 30000. */
	lockTimeoutInMs?: number;
	/** Longest wait for the keyring, milliseconds. Default 10000. */
	keyringTimeoutInMs?: number;
	/**
	 * macOS: do not prompt the user when a Keychain item is read. An item that needs a prompt is an error (`STC_STORE_LOCKED`,
	 * `STC_STORE_DENIED`). For services without a user at the screen. Default false. Writing never prompts.
	 */
	disableKeychainPrompts?: boolean;
	/** `true`: fail without the native addon. `false`: do not load it. Default: use it if there is one for this platform. */
	useNativeAddon?: boolean;
};

/** MSAL's cache as JSON: sections such as `AccessToken` and `Account`, each with records by key. Contains secrets. */
export type MsalCache = Record<string, Record<string, Record<string, unknown>>>;

/**
 * What a sign-out did to each cache, named as in {@link SharedTokenCacheAccount.source}. The account is signed out on this machine if
 * `remainsIn` and `notRead` are both empty.
 */
export type SignOutResult = {
	readonly removedFrom: readonly string[];
	/**
	 * Caches that still contain the account. Most are those that this package reads and does not write, of other languages and older versions:
	 * sign out with the program that wrote them.
	 */
	readonly remainsIn: readonly string[];
	/**
	 * Caches that could not be read or written, and the code of the error. The account may be there. A keyring that cannot be reached is one of
	 * them: this process may lack the session bus that the desktop has.
	 */
	readonly notRead: ReadonlyArray<{readonly source: string; readonly code: ErrorCode}>;
};
