/** Reads options and environment once, at construction, and refuses what cannot be right. */

import {isAbsolute, sep} from 'node:path';
import {invalidArgument} from '../errors.js';
import {localAppData} from '../backend/native-backend.js';
import {
	checkIsObject, milliseconds, optionalBoolean, optionalString,
} from './checks.js';
import {part} from '../runtime/lazy.js';
import {type Authority, parseAuthority, publicCloud} from './authority.js';
import {adfsTenant, checkTenantId, type TenantRules} from './tenants.js';
import type {
	AuthenticationRecord, HttpDispatcher, ProxyOptions, SharedTokenCacheCredentialOptions,
} from '../types.js';

/** Azure CLI's client id, which developer tools share. Source: azure-identity for Python, `_constants.py`, DEVELOPER_SIGN_ON_CLIENT_ID. */
export const developerSignOnClientId = '04b07795-8ddb-461a-bbee-02f9e1bf7b46';

/** Everything that a credential goes by, checked and complete. Immutable. */
export type Settings = {
	readonly username: string | undefined;
	readonly tenantId: string | undefined;
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
	/** The user's home directory, absolute. */
	readonly home: string;
	/** `$XDG_DATA_HOME`, on Windows `%LOCALAPPDATA%` or the known folder, or its default. .NET keeps its caches there; on Windows, every library does. */
	readonly dataHome: string;
	/** `$XDG_CACHE_HOME`, or its default. Go keeps its caches there. */
	readonly cacheHome: string;
	readonly cacheCheckIntervalMs: number;
	readonly lockTimeoutMs: number;
	readonly keyringTimeoutMs: number;
	readonly disableKeychainPrompts: boolean;
	readonly retry: {readonly maxRetries: number; readonly retryDelayMs: number; readonly maxRetryDelayMs: number};
	readonly proxy: Readonly<ProxyOptions> | undefined;
	readonly dispatcher: HttpDispatcher | undefined;
	readonly allowLoggingAccountIdentifiers: boolean;
	/** `undefined`: native where it loads, else pure. */
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
	'loggingOptions',
	'useNativeAddon',
]);

/** Names that other SDKs use for an option of ours, for the error text. */
const misspelledOptions: Readonly<Record<string, keyof SharedTokenCacheCredentialOptions>> = {
	userName: 'username',
	authority: 'authorityHost',
	tenantID: 'tenantId',
	clientID: 'clientId',
	cachePersistenceOptions: 'tokenCachePersistenceOptions',
	logging: 'loggingOptions',
};

const defaultPersistence = Object.freeze({cacheName: 'msal.cache', readOnly: false, unsafeAllowUnencryptedStorage: false});

const defaultRetry: Settings['retry'] = Object.freeze({maxRetries: 3, retryDelayMs: 800, maxRetryDelayMs: 64_000});

/** @throws `STC_INVALID_ARGUMENT`, naming the option or environment variable and what is right. */
export function readSettings(
	options: SharedTokenCacheCredentialOptions,
	environment: Readonly<Record<string, string | undefined>> = process.env,
): Settings {
	checkIsObject(options, 'options');
	for (const name of Object.keys(options)) {
		if (!optionNames.has(name)) {
			const meant = misspelledOptions[name];
			if (meant) {
				throw invalidArgument(`The option "${name}" does not exist: did you mean "${meant}"?`);
			}
		}
	}

	// What is not given is not read: of a process's first token, each function that runs for the first time takes 0.03 ms.
	const record = options.authenticationRecord === undefined || options.authenticationRecord === null ? undefined : rareOptions().readRecord(options.authenticationRecord);
	const named = readAuthority(options, record, environment);
	const tenantId = readTenant(options, record, environment);
	// `@azure/identity` takes AD FS for a tenant, so that its records name a host alone.
	const authority = tenantId?.toLowerCase() === adfsTenant || record?.tenantId.toLowerCase() === adfsTenant ? {...named, isAdfs: true} : named;

	const clientId = optionalString(options.clientId, 'clientId') ?? record?.clientId ?? developerSignOnClientId;
	if (!/^[\w.-]+$/.test(clientId)) {
		throw invalidArgument('clientId is not a client id: use the application (client) id, a GUID.');
	}

	const persistence = options.tokenCachePersistenceOptions ?? undefined;
	const retry = options.retryOptions ?? undefined;
	const logging = options.loggingOptions ?? {};
	checkIsObject(logging, 'loggingOptions');
	const home = homeDirectory(environment);
	if (!isAbsolute(home)) {
		// Below a relative path anybody's directory could pass for the user's.
		throw invalidArgument(`The environment variable ${process.platform === 'win32' ? 'USERPROFILE' : 'HOME'} must be an absolute path: the home directory of the user who signed in.`);
	}

	return Object.freeze({
		username: optionalString(options.username, 'username') ?? (environment['AZURE_USERNAME'] || undefined),
		// AD FS has none.
		tenantId: authority.isAdfs ? undefined : tenantId,
		enableGuestTenantAuthentication: optionalBoolean(options.enableGuestTenantAuthentication, 'enableGuestTenantAuthentication') ?? false,
		clientId,
		record,
		authority,
		tenantRules: {
			configured: tenantId ?? record?.tenantId,
			additionallyAllowed: options.additionallyAllowedTenants === undefined ? [] : rareOptions().readAllowedTenants(options.additionallyAllowedTenants),
			requestsIgnored: authority.isAdfs || Boolean(environment['AZURE_IDENTITY_DISABLE_MULTITENANTAUTH']),
		},
		disableInstanceDiscovery: optionalBoolean(options.disableInstanceDiscovery, 'disableInstanceDiscovery') ?? false,
		...(persistence === undefined ? defaultPersistence : rareOptions().readPersistence(persistence, defaultPersistence)),
		home,
		dataHome: readDataHome(home, environment),
		cacheHome: absoluteOr(environment['XDG_CACHE_HOME'], below(home, '.cache')),
		cacheCheckIntervalMs: milliseconds(options.cacheCheckIntervalInMs, 'cacheCheckIntervalInMs', 1000, 0),
		lockTimeoutMs: milliseconds(options.lockTimeoutInMs, 'lockTimeoutInMs', 30_000, 0),
		keyringTimeoutMs: milliseconds(options.keyringTimeoutInMs, 'keyringTimeoutInMs', 10_000, 1),
		disableKeychainPrompts: optionalBoolean(options.disableKeychainPrompts, 'disableKeychainPrompts') ?? false,
		retry: retry === undefined ? defaultRetry : rareOptions().readRetry(retry, defaultRetry),
		proxy: options.proxyOptions === undefined ? undefined : rareOptions().readProxy(options),
		dispatcher: options.dispatcher === undefined ? undefined : rareOptions().readDispatcher(options.dispatcher),
		allowLoggingAccountIdentifiers: optionalBoolean(
			logging.allowLoggingAccountIdentifiers,
			'loggingOptions.allowLoggingAccountIdentifiers',
		) ?? false,
		useNativeAddon: optionalBoolean(options.useNativeAddon, 'useNativeAddon'),
	});
}

/** Loaded when one of them is given: 5 KB that the others' first token would pay 0.1 ms for. */
function rareOptions() {
	return part(() => require('./rare-options.js') as typeof import('./rare-options.js'));
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
		return parseAuthority(rareOptions().withoutTenant(record.authority), 'authenticationRecord.authority');
	}

	const variable = environment['AZURE_AUTHORITY_HOST'];
	return variable ? parseAuthority(variable, 'The environment variable AZURE_AUTHORITY_HOST') : publicCloud;
}

/** A record says more about the account than the environment, as with the authority. */
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
	if (!variable || record) {
		return undefined;
	}

	checkTenantId(variable, 'The environment variable AZURE_TENANT_ID');
	return variable;
}

/** As `os.homedir()`, which is asked only where no variable tells: `node:os` is one more module to load. Source: libuv, `uv_os_homedir`. */
function homeDirectory(environment: Readonly<Record<string, string | undefined>>): string {
	const variable = environment[process.platform === 'win32' ? 'USERPROFILE' : 'HOME'];
	return variable ?? (require('node:os') as typeof import('node:os')).homedir();
}

/** Python and MSAL for Node go by the variable, .NET by what the system knows. The two differ only where somebody changed the variable. */
function readDataHome(home: string, environment: Readonly<Record<string, string | undefined>>): string {
	return process.platform === 'win32'
		? absoluteOr(environment['LOCALAPPDATA'], undefined) ?? localAppData() ?? below(home, 'AppData', 'Local')
		: absoluteOr(environment['XDG_DATA_HOME'], below(home, '.local', 'share'));
}

/** As `join`, which would take 4 us for what the paths of caches go through once more anyway (npm run bench -- --only many). */
function below(...names: string[]): string {
	return names.join(sep);
}

/** XDG says that a relative path is to be ignored. Source: XDG Base Directory Specification 0.8, "Environment variables". */
function absoluteOr<Fallback extends string | undefined>(path: string | undefined, fallback: Fallback): string | Fallback {
	return path && isAbsolute(path) ? path : fallback;
}
