/** The package for `import`: a wrapper over the CommonJS build, so that both share one copy of all state. */

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
} from './index.js';

loadLoggerWith(async () => {
	// Within `try`, bundlers take it for what it is: optional.
	try {
		return await import('@azure/logger');
	} catch {
		return undefined;
	}
});
