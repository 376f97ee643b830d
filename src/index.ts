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
export type {
	AbortSignalLike,
	AccessToken,
	AuthenticationRecord,
	GetTokenOptions,
	HttpDispatcher,
	LoggingOptions,
	ProxyOptions,
	RetryOptions,
	SharedTokenCacheAccount,
	SharedTokenCacheCredentialOptions,
	TokenCachePersistenceOptions,
	TracingContext,
} from './types.js';
