/** Reads and checks the options that few programs give. */

import {invalidArgument, shorten} from '../errors.js';
import {isObject} from '../runtime/json.js';
import {log} from '../runtime/log.js';
import type {
	AuthenticationRecord, HttpDispatcher, ProxyOptions, RetryOptions, SharedTokenCacheCredentialOptions, TokenCachePersistenceOptions,
} from '../types.js';
import {
	checkIsObject, milliseconds, optionalBoolean, optionalString,
} from './checks.js';
import {adfsTenant, checkTenantId} from './tenants.js';
import {faultOfWindowsName} from './windows-names.js';

/** How the HTTP client retries a token request. Delays in milliseconds. */
export type RetrySettings = {readonly maxRetries: number; readonly retryDelayMs: number; readonly maxRetryDelayMs: number};

/** The options of each nested object. */
const nestedNames = {
	tokenCachePersistenceOptions: ['enabled', 'name', 'unsafeAllowUnencryptedStorage', 'readOnly'],
	retryOptions: ['maxRetries', 'retryDelayInMs', 'maxRetryDelayInMs'],
	proxyOptions: ['host', 'port', 'username', 'password'],
	loggingOptions: ['allowLoggingAccountIdentifiers'],
} satisfies {[Name in keyof SharedTokenCacheCredentialOptions]: ReadonlyArray<keyof NonNullable<SharedTokenCacheCredentialOptions[Name]>>};

/** Names of the same options in other libraries, folded. Names that differ in case and underscores only need no entry. */
const namesElsewhere: Readonly<Record<string, string>> = {
	authority: 'authorityHost',
	cachepersistenceoptions: 'tokenCachePersistenceOptions',
	tokencacheoptions: 'tokenCachePersistenceOptions',
	persistenceoptions: 'tokenCachePersistenceOptions',
	sharedcacheusername: 'username',
	sharedtokencacheusername: 'username',
	sharedcachetenantid: 'tenantId',
	sharedtokencachetenantid: 'tenantId',
	tenant: 'tenantId',
	logging: 'loggingOptions',
	diagnostics: 'loggingOptions',
	retry: 'retryOptions',
	proxy: 'proxyOptions',
	proxysettings: 'proxyOptions',
	transport: 'dispatcher',
	allowunencryptedstorage: 'tokenCachePersistenceOptions.unsafeAllowUnencryptedStorage',
	unsafeallowunencryptedstorage: 'tokenCachePersistenceOptions.unsafeAllowUnencryptedStorage',
	cachename: 'tokenCachePersistenceOptions.name',
	readonly: 'tokenCachePersistenceOptions.readOnly',
	allowloggingaccountidentifiers: 'loggingOptions.allowLoggingAccountIdentifiers',
	maxretries: 'retryOptions.maxRetries',
};

const fold = (name: string) => name.replaceAll(/[_-]/g, '').toLowerCase();

/** Most unknown names that a line lists. */
const maxListedNames = 10;

/**
 * Looks for names that are no options, also in the nested objects. Names of other libraries are mistakes; others are ignored, with one
 * warning: programs pass options of the Azure SDK that do not concern this package.
 *
 * @throws `STC_INVALID_ARGUMENT`, with the right name.
 */
export function checkNames(options: object, names: ReadonlySet<string>): void {
	const unknown = unknownNames(options, [...names], '');
	for (const [name, known] of Object.entries(nestedNames)) {
		const nested = (options as Readonly<Record<string, unknown>>)[name];
		if (isObject(nested)) {
			unknown.push(...unknownNames(nested, known, `${name}.`));
		}
	}

	if (unknown.length > 0) {
		const listed = unknown.slice(0, maxListedNames).map(name => `"${shorten(name)}"`).join(', ');
		const more = unknown.length > maxListedNames ? `, and ${unknown.length - maxListedNames} more` : '';
		log.warning(() => `Unknown options of SharedTokenCacheCredential are ignored: ${listed}${more}.`);
	}
}

function unknownNames(options: object, known: readonly string[], prefix: string): string[] {
	// An option that is undefined is not given.
	const unknown = Object.entries(options).filter(([name, value]) => value !== undefined && !known.includes(name)).map(([name]) => name);
	for (const name of unknown) {
		const folded = fold(name);
		const meant = known.find(each => fold(each) === folded) ?? (Object.hasOwn(namesElsewhere, folded) ? namesElsewhere[folded] : undefined);
		if (meant !== undefined) {
			const full = known.includes(meant) ? prefix + meant : meant;
			throw invalidArgument(`The option "${prefix}${shorten(name)}" does not exist: did you mean "${full}"?`);
		}
	}

	return unknown.map(name => prefix + name);
}

export function readPersistence(persistence: TokenCachePersistenceOptions, byDefault: {cacheName: string}) {
	checkIsObject(persistence, 'tokenCachePersistenceOptions');
	if (optionalBoolean(persistence.enabled, 'tokenCachePersistenceOptions.enabled') === false) {
		throw invalidArgument('tokenCachePersistenceOptions.enabled must not be false: this credential has no other source of tokens. Leave it out.');
	}

	const cacheName = optionalString(persistence.name, 'tokenCachePersistenceOptions.name') ?? byDefault.cacheName;
	if (/[/\\\u0000-\u001F]/.test(cacheName) || /^\.+$/.test(cacheName) || cacheName.length > 200) {
		throw invalidArgument('tokenCachePersistenceOptions.name must be a plain file name, such as "msal.cache", without a path.');
	}

	const lack = process.platform === 'win32' ? faultOfWindowsName(cacheName) : undefined;
	if (lack !== undefined) {
		throw invalidArgument(`tokenCachePersistenceOptions.name "${shorten(cacheName)}" cannot be used: ${lack}. Use a plain file name, such as "msal.cache".`);
	}

	return {
		cacheName,
		readOnly: optionalBoolean(persistence.readOnly, 'tokenCachePersistenceOptions.readOnly') ?? false,
		unsafeAllowUnencryptedStorage: optionalBoolean(
			persistence.unsafeAllowUnencryptedStorage,
			'tokenCachePersistenceOptions.unsafeAllowUnencryptedStorage',
		) ?? false,
	};
}

export function readRetry(retry: RetryOptions, byDefault: RetrySettings): RetrySettings {
	checkIsObject(retry, 'retryOptions');
	return {
		maxRetries: wholeNumber(retry.maxRetries, 'retryOptions.maxRetries', byDefault.maxRetries, 0, 100),
		retryDelayMs: milliseconds(retry.retryDelayInMs, 'retryOptions.retryDelayInMs', byDefault.retryDelayMs, 0),
		maxRetryDelayMs: milliseconds(retry.maxRetryDelayInMs, 'retryOptions.maxRetryDelayInMs', byDefault.maxRetryDelayMs, 0),
	};
}

export function readRecord(record: AuthenticationRecord): AuthenticationRecord {
	checkIsObject(record, 'authenticationRecord');
	for (const field of ['authority', 'homeAccountId', 'clientId', 'tenantId'] as const) {
		if (typeof record[field] !== 'string' || record[field] === '') {
			throw invalidArgument(`authenticationRecord.${field} is missing: use the record that authenticate() of @azure/identity gave.`);
		}
	}

	checkTenantId(record.tenantId, 'authenticationRecord.tenantId');
	const {authority, homeAccountId, clientId, tenantId} = record;
	return {
		authority, homeAccountId, clientId, tenantId, username: typeof record.username === 'string' ? record.username : '',
	};
}

export function readAllowedTenants(tenants: unknown): readonly string[] {
	if (!Array.isArray(tenants)) {
		throw invalidArgument('additionallyAllowedTenants must be an array of tenant ids, or ["*"].');
	}

	for (const tenant of tenants as unknown[]) {
		if (tenant !== '*') {
			checkTenantId(tenant, 'additionallyAllowedTenants');
		}
	}

	return [...tenants as string[]];
}

export function readProxy(options: SharedTokenCacheCredentialOptions): ProxyOptions | undefined {
	const proxy = options.proxyOptions;
	if (proxy === undefined) {
		return undefined;
	}

	checkIsObject(proxy, 'proxyOptions');
	if (options.dispatcher) {
		throw invalidArgument('proxyOptions and dispatcher exclude each other: give the dispatcher the proxy.');
	}

	if (typeof proxy.host !== 'string' || !/^https?:\/\/(?:\[[^\]]+\]|[^\s:/?#@\\[]+)$/i.test(proxy.host) || !URL.canParse(proxy.host)) {
		throw invalidArgument('proxyOptions.host must be a scheme and a host alone, such as "http://proxy.example": port, username and password have fields of their own.');
	}

	// Only known fields are copied: the settings decide which credentials share a token memory, and an unknown field may hold anything.
	const username = optionalString(proxy.username, 'proxyOptions.username');
	const password = optionalString(proxy.password, 'proxyOptions.password');
	return {
		host: proxy.host,
		port: wholeNumber(proxy.port, 'proxyOptions.port', 0, 1, 65_535),
		...(username !== undefined && {username}),
		...(password !== undefined && {password}),
	};
}

/** What identifies the application in the `User-Agent`. */
export function readUserAgentPrefix({applicationId, userAgentOptions}: SharedTokenCacheCredentialOptions): string | undefined {
	const id = optionalString(applicationId, 'applicationId');
	// Source: Azure SDK guidelines, "Telemetry policy", application ID.
	if (id !== undefined && !/^[\u0021-\u007E]{1,24}$/.test(id)) {
		throw invalidArgument('applicationId must have at most 24 characters, printable ASCII without blanks, such as "my-app/1.0".');
	}

	if (userAgentOptions === undefined) {
		return id;
	}

	checkIsObject(userAgentOptions, 'userAgentOptions');
	const prefix = optionalString(userAgentOptions.userAgentPrefix, 'userAgentOptions.userAgentPrefix');
	if (prefix !== undefined && id !== undefined) {
		throw invalidArgument('applicationId and userAgentOptions.userAgentPrefix mean the same: give one of them.');
	}

	if (prefix !== undefined && !/^[\u0020-\u007E]{1,200}$/.test(prefix)) {
		throw invalidArgument('userAgentOptions.userAgentPrefix must have at most 200 characters, printable ASCII, such as "my-app/1.0".');
	}

	return prefix?.trim() || id;
}

export function readDispatcher(dispatcher: HttpDispatcher | undefined): HttpDispatcher | undefined {
	if (dispatcher !== undefined && typeof (dispatcher as Partial<HttpDispatcher> | null)?.dispatch !== 'function') {
		throw invalidArgument('dispatcher must be an undici Dispatcher, such as new Agent().');
	}

	return dispatcher;
}

/** Removes the tenant from the authority of a record: some programs write the whole URL. The path of AD FS stays. */
export function withoutTenant(authority: string): string {
	const [, host, path] = /^((?:[a-z][a-z\d+.-]*:\/\/)?[^/?#]*[^/?#:])\/([^/?#]*)/i.exec(authority) ?? [];
	return host === undefined ? authority : `${host}${path?.toLowerCase() === adfsTenant ? '/adfs' : ''}`;
}

function wholeNumber(value: unknown, name: string, byDefault: number, least: number, most: number): number {
	const number = value === undefined ? byDefault : value;
	if (typeof number !== 'number' || !Number.isInteger(number) || number < least || number > most) {
		throw invalidArgument(`${name} must be a whole number from ${least} to ${most}.`);
	}

	return number;
}
