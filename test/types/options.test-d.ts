// The options that the compiler accepts and refuses. These files are compiled and never run.

import {type AuthenticationRecord, SharedTokenCacheCredential, type SharedTokenCacheCredentialOptions} from '../../dist/index.mjs';

declare const record: AuthenticationRecord;

const every: Required<SharedTokenCacheCredentialOptions> = {
	username: 'someone@contoso.com',
	tenantId: 'contoso.onmicrosoft.com',
	enableGuestTenantAuthentication: true,
	clientId: '04b07795-8ddb-461a-bbee-02f9e1bf7b46',
	authenticationRecord: record,
	authorityHost: 'https://login.microsoftonline.us',
	additionallyAllowedTenants: ['*'],
	disableInstanceDiscovery: true,
	tokenCachePersistenceOptions: {
		enabled: true, name: 'msal.cache', unsafeAllowUnencryptedStorage: false, readOnly: true,
	},
	cacheCheckIntervalInMs: 1000,
	lockTimeoutInMs: 30_000,
	keyringTimeoutInMs: 10_000,
	disableKeychainPrompts: true,
	retryOptions: {maxRetries: 3, retryDelayInMs: 800, maxRetryDelayInMs: 64_000},
	proxyOptions: {
		host: 'http://proxy.example', port: 8080, username: 'x', password: 'y',
	},
	applicationId: 'my-app/1.0',
	userAgentOptions: {userAgentPrefix: 'my app'},
	dispatcher: {
		dispatch: () => true,
	},
	loggingOptions: {allowLoggingAccountIdentifiers: true},
	useNativeAddon: false,
};

// The two forms of the constructor, each with and without options.
new SharedTokenCacheCredential();
new SharedTokenCacheCredential(every);
new SharedTokenCacheCredential('someone@contoso.com');
new SharedTokenCacheCredential('someone@contoso.com', every);
new SharedTokenCacheCredential(undefined, every);
// `null` is accepted, so that programs can pass the result of a lookup.
new SharedTokenCacheCredential({authenticationRecord: null});

// @ts-expect-error Unknown keys are refused.
new SharedTokenCacheCredential({userName: 'someone@contoso.com'});
// @ts-expect-error Unknown keys are refused below the top, too.
new SharedTokenCacheCredential({tokenCachePersistenceOptions: {cacheName: 'x'}});
// @ts-expect-error Unknown keys are refused with a user name, too.
new SharedTokenCacheCredential('someone@contoso.com', {tenant: 'x'});
// @ts-expect-error Milliseconds are numbers.
new SharedTokenCacheCredential({lockTimeoutInMs: '30s'});
// @ts-expect-error One tenant has to be in a list, too.
new SharedTokenCacheCredential({additionallyAllowedTenants: '*'});
// @ts-expect-error The tenant is an option, not a second argument.
new SharedTokenCacheCredential('someone@contoso.com', 'tenant');
