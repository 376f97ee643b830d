/** Reads and checks options and environment variables, once, when a credential is constructed. */

import {isAbsolute, sep} from 'node:path';
import {invalidArgument} from '../errors.js';
import {requireLazily} from '../runtime/lazy.js';
import type {
	AuthenticationRecord, HttpDispatcher, ProxyOptions, SharedTokenCacheCredentialOptions,
} from '../types.js';
import {type Authority, publicCloud} from './authority.js';
import {parseAuthority} from './read-authority.js';
import {
	checkIsObject, milliseconds, optionalBoolean, optionalString,
} from './checks.js';
import type {RetrySettings} from './optional-settings.js';
import {
	adfsTenant, checkTenantId, namedTenant, organizationsTenant, type TenantRules,
} from './tenants.js';

/** The client ID of Azure CLI, which developer tools share. Source: azure-identity for Python, `_constants.py`, DEVELOPER_SIGN_ON_CLIENT_ID. */
export const developerSignOnClientId = '04b07795-8ddb-461a-bbee-02f9e1bf7b46';

/** The checked settings of a credential, with all defaults. Immutable. */
export type Settings = {
	readonly username: string | undefined;
	readonly tenantId: string | undefined;
	/** The variables that `username` and `tenantId` come from, for error texts. */
	readonly variables: readonly string[];
	readonly enableGuestTenantAuthentication: boolean;
	readonly clientId: string;
	readonly record: Readonly<AuthenticationRecord> | undefined;
	readonly authority: Authority;
	readonly tenantRules: TenantRules;
	readonly disableInstanceDiscovery: boolean;
	/** Base name, without `.nocae` or `.cae`. */
	readonly cacheName: string;
	readonly readOnly: boolean;
	readonly unsafeAllowUnencryptedStorage: boolean;
	/** The user's home directory, absolute; empty with a {@link homeProblem}. */
	readonly home: string;
	/** Why the home directory is not known: the beginning of an error text. Then no shared cache can be found. */
	readonly homeProblem: string | undefined;
	/** `$XDG_DATA_HOME` or its default. .NET keeps its caches there, except on Windows. */
	readonly dataHome: string;
	/** `$XDG_CACHE_HOME` or its default. Go keeps its caches there on Linux. */
	readonly cacheHome: string;
	/** `%LOCALAPPDATA%`, if it is set and absolute; `undefined` on other systems than Windows. Every library keeps its caches there on Windows. */
	readonly localAppData: string | undefined;
	readonly cacheCheckIntervalMs: number;
	readonly lockTimeoutMs: number;
	readonly keyringTimeoutMs: number;
	readonly disableKeychainPrompts: boolean;
	readonly retry: RetrySettings;
	readonly proxy: Readonly<ProxyOptions> | undefined;
	readonly dispatcher: HttpDispatcher | undefined;
	/** What identifies the application in the `User-Agent` of its requests. */
	readonly userAgentPrefix: string | undefined;
	readonly allowLoggingAccountIdentifiers: boolean;
	/** `undefined`: use the addon if it loads, or else the JS backend. */
	readonly useNativeAddon: boolean | undefined;
};

const optionNames: ReadonlySet<string> = new Set<keyof SharedTokenCacheCredentialOptions>([
	'username',
	'tenantId',
	'enableGuestTenantAuthentication',
	'clientId',
	'authenticationRecord',
	'authorityHost',
	'additionallyAllowedTenants',
	'disableInstanceDiscovery',
	'tokenCachePersistenceOptions',
	'cacheCheckIntervalInMs',
	'lockTimeoutInMs',
	'keyringTimeoutInMs',
	'disableKeychainPrompts',
	'retryOptions',
	'proxyOptions',
	'dispatcher',
	'applicationId',
	'userAgentOptions',
	'loggingOptions',
	'useNativeAddon',
]);

const defaultPersistence = Object.freeze({cacheName: 'msal.cache', readOnly: false, unsafeAllowUnencryptedStorage: false});

const defaultRetry: RetrySettings = Object.freeze({maxRetries: 3, retryDelayMs: 800, maxRetryDelayMs: 64_000});

/** @throws `STC_INVALID_ARGUMENT`. The text names the option or environment variable and a valid value. */
export function readSettings(
	options: SharedTokenCacheCredentialOptions,
	environment: Readonly<Record<string, string | undefined>> = process.env,
): Settings {
	checkIsObject(options, 'options');
	const {tokenCachePersistenceOptions: persistence, retryOptions: retry, loggingOptions: logging} = options;
	if (persistence ?? retry ?? logging ?? options.proxyOptions ?? Object.keys(options).some(name => !optionNames.has(name))) {
		optional().checkNames(options, optionNames);
	}

	// Options that are not given are not read: code that is not loaded or run costs no start-up time (bench P3).
	const record = options.authenticationRecord === undefined || options.authenticationRecord === null ? undefined : optional().readRecord(options.authenticationRecord);
	const named = readAuthority(options, record, environment);
	const tenantId = readTenant(options, record, environment);
	// `@azure/identity` treats "adfs" as a tenant, so its records name only a host.
	const authority = tenantId?.toLowerCase() === adfsTenant || record?.tenantId.toLowerCase() === adfsTenant ? {...named, isAdfs: true} : named;

	const clientId = optionalString(options.clientId, 'clientId') ?? record?.clientId ?? developerSignOnClientId;
	if (clientId !== developerSignOnClientId && !/^[\w.-]+$/.test(clientId)) {
		throw invalidArgument('clientId is not a client id: use the application (client) id, a GUID.');
	}

	if (logging !== undefined && logging !== null) {
		checkIsObject(logging, 'loggingOptions');
	}

	// An empty option switches the variable off.
	const username = options.username === '' ? undefined : optionalString(options.username, 'username') ?? (environment['AZURE_USERNAME'] || undefined);
	const {home, problem} = homeDirectory(environment);
	return Object.freeze({
		username,
		// AD FS has no tenants.
		tenantId: authority.isAdfs ? undefined : tenantId,
		variables: variablesOf(options, {username, tenantId}),
		enableGuestTenantAuthentication: optionalBoolean(options.enableGuestTenantAuthentication, 'enableGuestTenantAuthentication') ?? false,
		clientId,
		record,
		authority,
		tenantRules: {
			// Without a record and without a guest's tenant, tokens come from the home tenant, by which `tenantId` selects the account.
			own: tenantId ?? record ? namedTenant(tenantId ?? record?.tenantId ?? organizationsTenant) : undefined,
			additionallyAllowed: options.additionallyAllowedTenants === undefined ? [] : optional().readAllowedTenants(options.additionallyAllowedTenants),
			requestsIgnored: authority.isAdfs || Boolean(environment['AZURE_IDENTITY_DISABLE_MULTITENANTAUTH']),
		},
		disableInstanceDiscovery: optionalBoolean(options.disableInstanceDiscovery, 'disableInstanceDiscovery') ?? false,
		...(persistence === undefined || persistence === null ? defaultPersistence : optional().readPersistence(persistence, defaultPersistence)),
		home,
		homeProblem: problem,
		dataHome: absoluteOr(environment['XDG_DATA_HOME'], below(home, '.local', 'share')),
		cacheHome: absoluteOr(environment['XDG_CACHE_HOME'], below(home, '.cache')),
		localAppData: process.platform === 'win32' ? absoluteOr(environment['LOCALAPPDATA'], undefined) : undefined,
		cacheCheckIntervalMs: milliseconds(options.cacheCheckIntervalInMs, 'cacheCheckIntervalInMs', 1000, 0),
		lockTimeoutMs: milliseconds(options.lockTimeoutInMs, 'lockTimeoutInMs', 30_000, 0),
		keyringTimeoutMs: milliseconds(options.keyringTimeoutInMs, 'keyringTimeoutInMs', 10_000, 1),
		disableKeychainPrompts: optionalBoolean(options.disableKeychainPrompts, 'disableKeychainPrompts') ?? false,
		retry: retry === undefined || retry === null ? defaultRetry : optional().readRetry(retry, defaultRetry),
		proxy: options.proxyOptions === undefined ? undefined : optional().readProxy(options),
		dispatcher: options.dispatcher === undefined ? undefined : optional().readDispatcher(options.dispatcher),
		userAgentPrefix: options.applicationId === undefined && options.userAgentOptions === undefined ? undefined : optional().readUserAgentPrefix(options),
		allowLoggingAccountIdentifiers: optionalBoolean(
			logging?.allowLoggingAccountIdentifiers,
			'loggingOptions.allowLoggingAccountIdentifiers',
		) ?? false,
		useNativeAddon: optionalBoolean(options.useNativeAddon, 'useNativeAddon'),
	});
}

function readAuthority(
	options: SharedTokenCacheCredentialOptions,
	record: AuthenticationRecord | undefined,
	environment: Readonly<Record<string, string | undefined>>,
): Authority {
	const option = optionalString(options.authorityHost, 'authorityHost');
	if (option) {
		return parseAuthority(option, 'authorityHost');
	}

	if (record) {
		return parseAuthority(optional().withoutTenant(record.authority), 'authenticationRecord.authority');
	}

	const variable = options.authorityHost === '' ? undefined : environment['AZURE_AUTHORITY_HOST'];
	return variable ? parseAuthority(variable, 'The environment variable AZURE_AUTHORITY_HOST') : publicCloud;
}

/** The names of the variables that took the place of options. */
function variablesOf(options: SharedTokenCacheCredentialOptions, {username, tenantId}: {username: string | undefined; tenantId: string | undefined}): string[] {
	return [
		...(username !== undefined && options.username === undefined ? ['AZURE_USERNAME'] : []),
		...(tenantId !== undefined && options.tenantId === undefined ? ['AZURE_TENANT_ID'] : []),
	];
}

/** The option, or the variable unless there is a record: a record says more about the account than the environment does. An empty option switches the variable off. */
function readTenant(
	{tenantId}: SharedTokenCacheCredentialOptions,
	record: AuthenticationRecord | undefined,
	environment: Readonly<Record<string, string | undefined>>,
): string | undefined {
	if (tenantId !== undefined && tenantId !== '') {
		checkTenantId(tenantId, 'tenantId');
		return tenantId;
	}

	const variable = environment['AZURE_TENANT_ID'];
	if (!variable || record || tenantId === '') {
		return undefined;
	}

	checkTenantId(variable, 'The environment variable AZURE_TENANT_ID');
	return variable;
}

/**
 * Like `os.homedir()`, which it calls only if the variable is not set: loading `node:os` costs start-up time. Source: libuv, `uv_os_homedir`.
 *
 * A machine without a home directory is no mistake of the program: the constructor does not throw, so that a chain can be built.
 */
function homeDirectory(environment: Readonly<Record<string, string | undefined>>): {home: string; problem: string | undefined} {
	const name = process.platform === 'win32' ? 'USERPROFILE' : 'HOME';
	let home = environment[name];
	if (home === undefined) {
		try {
			home = (require('node:os') as typeof import('node:os')).homedir();
		} catch {
			return {home: '', problem: `${name} is not set, and the system knows no home directory of this user`};
		}
	}

	// A relative path could lead to another user's directory.
	return isAbsolute(home) ? {home, problem: undefined} : {home: '', problem: home === '' ? `the variable ${name} is empty` : `the variable ${name} is not an absolute path`};
}

/** Like `path.join` without normalization, which is slower. The paths of the caches are normalized later. */
function below(...names: string[]): string {
	return names.join(sep);
}

/** A relative path in an XDG variable must be ignored. Source: XDG Base Directory Specification 0.8, "Environment variables". */
function absoluteOr<Fallback extends string | undefined>(path: string | undefined, fallback: Fallback): string | Fallback {
	return path && isAbsolute(path) ? path : fallback;
}

/** Loaded for options that few programs give. */
function optional() {
	return requireLazily(() => require('./optional-settings.js') as typeof import('./optional-settings.js'));
}
