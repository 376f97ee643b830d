export {SharedTokenCacheCredential} from './credential.js';
export {
	AbortError,
	AuthenticationError,
	AuthenticationRequiredError,
	CredentialUnavailableError,
	type ErrorCode,
	type ErrorResponse,
	StoreError,
	type StoreErrorDetails,
} from './errors.js';
export {SharedTokenCache} from './shared-token-cache.js';
export {
	type CachePlugin, type CachePluginOptions, createCachePlugin, type SerializableTokenCache, type TokenCacheContext,
} from './cache-plugin.js';
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
} from './types.js';
