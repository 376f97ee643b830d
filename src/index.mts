/** The package for `import`: a wrapper over the CommonJS build, so that both share one copy of all state. */

import {loadLoggerWith} from './log.js';

export {
	AbortError,
	AuthenticationError,
	AuthenticationRequiredError,
	CredentialUnavailableError,
	SharedTokenCacheCredential,
	StoreError,
} from './index.js';
export type {
	AbortSignalLike,
	AccessToken,
	AuthenticationRecord,
	ErrorCode,
	ErrorResponse,
	GetTokenOptions,
	HttpDispatcher,
	LoggingOptions,
	ProxyOptions,
	RetryOptions,
	SharedTokenCacheAccount,
	SharedTokenCacheCredentialOptions,
	StoreErrorDetails,
	TokenCachePersistenceOptions,
	TracingContext,
} from './index.js';

loadLoggerWith(async () => import('@azure/logger'));
