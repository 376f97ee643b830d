export {SharedTokenCacheCredential} from './credential/shared-token-cache-credential.js';
export {
	AbortError,
	AuthenticationError,
	AuthenticationRequiredError,
	CredentialUnavailableError,
	type ErrorCode,
	type ErrorDetail,
	type ErrorResponse,
	StoreError,
	type StoreErrorDetails,
} from './errors.js';
export {createCachePlugin, SharedTokenCache} from './cache-api/shared-token-cache.js';
export type {
	CachePlugin, CachePluginOptions, SerializableTokenCache, TokenCacheContext,
} from './cache-api/msal-node-plugin.js';
export type {
	AbortSignalLike,
	AccessToken,
	AuthenticationRecord,
	GetTokenOptions,
	HttpDispatcher,
	LoggingOptions,
	MsalCache,
	ProxyOptions,
	RetryOptions,
	SharedTokenCacheAccount,
	SharedTokenCacheCredentialOptions,
	SharedTokenCacheOptions,
	SignOutResult,
	TokenCachePersistenceOptions,
	TracingContext,
	UserAgentOptions,
} from './types.js';
