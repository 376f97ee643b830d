/** The entry for `import`. It exports the CommonJS build, so that both entries share one copy of all state. */

import {loadLoggerWith} from './runtime/log.js';

export {
	AbortError,
	AuthenticationError,
	AuthenticationRequiredError,
	createCachePlugin,
	CredentialUnavailableError,
	SharedTokenCache,
	SharedTokenCacheCredential,
	StoreError,
} from './index.js';
export type {
	AbortSignalLike,
	AccessToken,
	AuthenticationRecord,
	CachePlugin,
	CachePluginOptions,
	ErrorCode,
	ErrorDetail,
	ErrorResponse,
	GetTokenOptions,
	HttpDispatcher,
	LoggingOptions,
	MsalCache,
	SerializableTokenCache,
	ProxyOptions,
	RetryOptions,
	SharedTokenCacheAccount,
	SharedTokenCacheCredentialOptions,
	SharedTokenCacheOptions,
	SignOutResult,
	StoreErrorDetails,
	TokenCacheContext,
	TokenCachePersistenceOptions,
	TracingContext,
	UserAgentOptions,
} from './index.js';

loadLoggerWith(async () => {
	// Bundlers treat an import inside `try` as optional.
	try {
		return await import('@azure/logger');
	} catch {
		return undefined;
	}
});
