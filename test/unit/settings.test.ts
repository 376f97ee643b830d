import {homedir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {developerSignOnClientId, readSettings} from '../../dist/settings/settings.js';

const read = (options: object = {}, environment: Record<string, string> = {}) => readSettings(options, environment);

const record = {
	authority: 'login.microsoftonline.us', homeAccountId: 'uid.utid', clientId: 'record-client', tenantId: 'record-tenant', username: 'ann@contoso.com',
};

test('defaults', t => {
	const settings = read();
	t.like(settings, {
		username: undefined,
		tenantId: undefined,
		clientId: developerSignOnClientId,
		cacheName: 'msal.cache',
		readOnly: false,
		cacheCheckIntervalMs: 1000,
		lockTimeoutMs: 30_000,
		keyringTimeoutMs: 10_000,
		retry: {maxRetries: 3, retryDelayMs: 800, maxRetryDelayMs: 64_000},
		home: homedir(),
		dataHome: join(homedir(), '.local/share'),
		useNativeAddon: undefined,
	});
	t.is(settings.authority.origin, 'https://login.microsoftonline.com');
	t.deepEqual(settings.tenantRules, {own: undefined, additionallyAllowed: [], requestsIgnored: false});
});

test('environment variables are defaults; empty ones count as not set', t => {
	const environment = {
		AZURE_USERNAME: 'ann', AZURE_TENANT_ID: 'tenant', AZURE_AUTHORITY_HOST: 'login.chinacloudapi.cn', XDG_DATA_HOME: '/data',
	};
	t.like(read({}, environment), {username: 'ann', tenantId: 'tenant', dataHome: '/data'});
	t.is(read({}, environment).authority.host, 'login.chinacloudapi.cn');
	t.like(read({username: 'bob', tenantId: 'other', authorityHost: 'login.microsoftonline.com'}, environment), {username: 'bob', tenantId: 'other'});
	const empty = read({username: '', tenantId: '', authorityHost: ''}, {
		AZURE_USERNAME: '', AZURE_TENANT_ID: '', AZURE_AUTHORITY_HOST: '', XDG_DATA_HOME: 'relative',
	});
	t.like(empty, {username: undefined, tenantId: undefined, dataHome: join(homedir(), '.local/share')});
	t.is(empty.authority.host, 'login.microsoftonline.com');
	t.true(read({}, {AZURE_IDENTITY_DISABLE_MULTITENANTAUTH: 'false'}).tenantRules.requestsIgnored);
});

test('an authentication record gives authority, client and tenant; options take precedence; null is ignored', t => {
	const settings = read({authenticationRecord: record}, {AZURE_AUTHORITY_HOST: 'login.chinacloudapi.cn'});
	t.is(settings.authority.host, 'login.microsoftonline.us');
	t.is(settings.clientId, 'record-client');
	t.is(settings.tenantRules.own, 'record-tenant');
	t.is(read({authenticationRecord: record, clientId: 'mine'}).clientId, 'mine');
	t.is(read({authenticationRecord: null}).record, undefined);
});

test('of a record\'s authority, only the host and the path of AD FS count', t => {
	const authorityOf = (authority: string) => read({authenticationRecord: {...record, authority}}).authority;
	for (const authority of [
		'login.microsoftonline.us',
		'login.microsoftonline.us/',
		'login.microsoftonline.us/common',
		'https://login.microsoftonline.us/common/',
		`https://login.microsoftonline.us/${record.tenantId}`,
		'HTTPS://LOGIN.microsoftonline.us:443/a/v2.0',
		'https://login.microsoftonline.us/adfs.example',
	]) {
		t.like(authorityOf(authority), {origin: 'https://login.microsoftonline.us', isAdfs: false}, authority);
	}

	for (const authority of ['https://fs.example/adfs', 'fs.example/ADFS/', 'https://fs.example/adfs/oauth2']) {
		t.like(authorityOf(authority), {origin: 'https://fs.example', isAdfs: true}, authority);
	}

	t.is(authorityOf('http://localhost:8080/common').origin, 'http://localhost:8080');
	for (const authority of ['http://login.example/common', 'https://user:secret@login.example/common', 'https:///', 'a b/common', 'login.example?x']) {
		const error = t.throws(() => authorityOf(authority), {instanceOf: TypeError, message: /^authenticationRecord\.authority /}, authority);
		t.false(error?.message.includes('secret'));
	}
});

const refused: Array<[string, object, RegExp, Record<string, string>?]> = [
	['options', [] as object, /^options must be an object/],
	['a misspelled option', {userName: 'x'}, /"userName" does not exist: did you mean "username"/],
	['username', {username: 5}, /^username must be a string/],
	['tenantId', {tenantId: 'a/b'}, /^tenantId is not a tenant/],
	['tenantId of dots', {tenantId: '..'}, /^tenantId is not a tenant/],
	['AZURE_TENANT_ID', {}, /AZURE_TENANT_ID is not a tenant/, {AZURE_TENANT_ID: 'a b'}],
	['AZURE_AUTHORITY_HOST', {}, /AZURE_AUTHORITY_HOST must be a TLS protected/, {AZURE_AUTHORITY_HOST: 'http://login.example'}],
	['authorityHost', {authorityHost: 'http://login.microsoftonline.com'}, /^authorityHost must be a TLS/],
	['clientId', {clientId: 'a b'}, /^clientId is not a client id/],
	['record', {authenticationRecord: {...record, homeAccountId: ''}}, /^authenticationRecord\.homeAccountId is missing/],
	['record as text', {authenticationRecord: 'x'}, /^authenticationRecord must be an object/],
	['additionallyAllowedTenants', {additionallyAllowedTenants: '*'}, /^additionallyAllowedTenants must be an array/],
	['additionallyAllowedTenants entry', {additionallyAllowedTenants: ['a/b']}, /^additionallyAllowedTenants is not a tenant/],
	['enabled', {tokenCachePersistenceOptions: {enabled: false}}, /enabled must not be false/],
	['name with a path', {tokenCachePersistenceOptions: {name: '../x'}}, /name must be a plain file name/],
	['name of dots', {tokenCachePersistenceOptions: {name: '..'}}, /name must be a plain file name/],
	['name with NUL', {tokenCachePersistenceOptions: {name: 'a\u0000b'}}, /name must be a plain file name/],
	['persistence', {tokenCachePersistenceOptions: 1}, /^tokenCachePersistenceOptions must be an object/],
	['loggingOptions', {loggingOptions: 'x'}, /^loggingOptions must be an object/],
	['boolean', {useNativeAddon: 'yes'}, /^useNativeAddon must be true or false/],
	['milliseconds', {cacheCheckIntervalInMs: -1}, /^cacheCheckIntervalInMs must be a number of milliseconds/],
	['NaN', {keyringTimeoutInMs: Number.NaN}, /^keyringTimeoutInMs must be/],
	['retries', {retryOptions: {maxRetries: 1.5}}, /^retryOptions\.maxRetries must be a whole number/],
	['proxy host', {proxyOptions: {host: 'proxy', port: 1}}, /^proxyOptions\.host must be/],
	...['http://proxy:3128', 'http://ann:FAKE-password@proxy', 'http://ann@proxy', 'http://two words', 'http://proxy/', 'http://proxy?', 'http://proxy#', 'http://pro%zzxy', 'http://[::1', 'ftp://proxy'].map((host): [string, object, RegExp] => [`proxy host ${host}`, {proxyOptions: {host, port: 1}}, /^proxyOptions\.host must be a scheme and a host alone, such as "http:\/\/proxy\.example": port, username and password have fields of their own\.$/]),
	['proxy port', {proxyOptions: {host: 'http://proxy', port: 0}}, /^proxyOptions\.port must be/],
	['proxy and dispatcher', {proxyOptions: {host: 'http://proxy', port: 1}, dispatcher: {dispatch: () => true}}, /exclude each other/],
	...['with blank', 'x'.repeat(25), 'line\nbreak', '\u00FC'].map((id): [string, object, RegExp] => [`application ID ${id}`, {applicationId: id}, /^applicationId must have at most 24 characters/]),
	['application ID that is no string', {applicationId: 5}, /^applicationId must be a string/],
	['user agent options', {userAgentOptions: 'x'}, /^userAgentOptions must be an object/],
	['user agent prefix', {userAgentOptions: {userAgentPrefix: 'a\r\nX-Evil: 1'}}, /^userAgentOptions\.userAgentPrefix must have/],
	['application ID twice', {applicationId: 'a', userAgentOptions: {userAgentPrefix: 'b'}}, /mean the same/],
	['dispatcher', {dispatcher: {}}, /^dispatcher must be an undici Dispatcher/],
];

for (const [name, options, message, environment] of refused) {
	test(`refuses with a TypeError that names the option: ${name}`, t => {
		const error = t.throws(() => read(options, environment), {instanceOf: TypeError, message});
		t.is((error as {code?: unknown}).code, 'STC_INVALID_ARGUMENT');
		t.notRegex(error.message, /\n/);
	});
}

test('reads the hosts of proxies', t => {
	for (const host of ['http://proxy', 'https://proxy.example', 'HTTP://127.0.0.1', 'http://[::1]', 'http://proxy_1', 'http://b\u00FCro.example']) {
		t.deepEqual(read({proxyOptions: {host, port: 3128}}).proxy, {host, port: 3128});
	}
});

test('settings are immutable', t => {
	t.true(Object.isFrozen(read()));
});

test.serial('C9: a home directory that is not known is no mistake of the program', t => {
	const before = process.env['HOME'];
	try {
		for (const [home, problem] of [['', 'the variable HOME is empty'], ['relative', 'the variable HOME is not an absolute path'], ['.', 'the variable HOME is not an absolute path']] as const) {
			process.env['HOME'] = home;
			t.like(read(), {home: '', homeProblem: problem});
			t.like(read({}, {HOME: home}), {home: '', homeProblem: problem});
		}
	} finally {
		process.env['HOME'] = before;
	}

	t.is(read().homeProblem, undefined);
});

test('C5: an empty option switches its environment variable off', t => {
	const environment = {AZURE_USERNAME: 'ann', AZURE_TENANT_ID: 'tenant', AZURE_AUTHORITY_HOST: 'login.chinacloudapi.cn'};
	const settings = read({username: '', tenantId: '', authorityHost: ''}, environment);
	t.like(settings, {username: undefined, tenantId: undefined, variables: []});
	t.is(settings.authority.host, 'login.microsoftonline.com');
	t.is(settings.tenantRules.own, undefined);
	t.deepEqual(read({}, environment).variables, ['AZURE_USERNAME', 'AZURE_TENANT_ID']);
	t.deepEqual(read({username: 'bob'}, environment).variables, ['AZURE_TENANT_ID']);
	// Another option that is empty switches nothing off.
	t.like(read({tenantId: ''}, environment), {username: 'ann', tenantId: undefined});
});

test('C5: names of other languages and of other places are errors with the right name', t => {
	for (const [option, right] of Object.entries({
		tenant_id: 'tenantId',
		TenantId: 'tenantId',
		tenantID: 'tenantId',
		client_id: 'clientId',
		ClientId: 'clientId',
		user_name: 'username',
		Username: 'username',
		authority: 'authorityHost',
		authority_host: 'authorityHost',
		AuthorityHost: 'authorityHost',
		additionally_allowed_tenants: 'additionallyAllowedTenants',
		authentication_record: 'authenticationRecord',
		cache_persistence_options: 'tokenCachePersistenceOptions',
		tokenCachePersistenceOptions_: 'tokenCachePersistenceOptions',
		disable_instance_discovery: 'disableInstanceDiscovery',
		EnableGuestTenantAuthentication: 'enableGuestTenantAuthentication',
		shared_cache_username: 'username',
		shared_cache_tenant_id: 'tenantId',
		logging: 'loggingOptions',
		retry: 'retryOptions',
		allow_unencrypted_storage: 'tokenCachePersistenceOptions.unsafeAllowUnencryptedStorage',
		readOnly: 'tokenCachePersistenceOptions.readOnly',
		allowLoggingAccountIdentifiers: 'loggingOptions.allowLoggingAccountIdentifiers',
	})) {
		t.throws(() => read({[option]: 'x'}), {instanceOf: TypeError, code: 'STC_INVALID_ARGUMENT', message: `The option "${option}" does not exist: did you mean "${right}"?`});
	}

	t.throws(() => read({tokenCachePersistenceOptions: {allow_unencrypted_storage: true}}), {message: 'The option "tokenCachePersistenceOptions.allow_unencrypted_storage" does not exist: did you mean "tokenCachePersistenceOptions.unsafeAllowUnencryptedStorage"?'});
	t.throws(() => read({retryOptions: {max_retries: 1}}), {message: /"retryOptions\.max_retries" does not exist: did you mean "retryOptions\.maxRetries"/});
	// What is undefined is not given, and names of Object.prototype are no names of options.
	t.notThrows(() => read({tenant_id: undefined, toString: 1, constructor: 1}));
});

test.serial('refuses, on Windows only, a cache name that is not a file name there', t => {
	const platform = Object.getOwnPropertyDescriptor(process, 'platform')!;
	const readName = (name: string) => read({tokenCachePersistenceOptions: {name}}, {USERPROFILE: '/home/ann', LOCALAPPDATA: '/home/ann/local'}).cacheName;
	const names = ['a:b', 'a<b', 'a>b', 'a"b', 'a|b', 'a?b', 'a*b', 'CON', 'nul.txt', 'cache.'];
	for (const name of names) {
		t.is(readName(name), name);
	}

	try {
		Object.defineProperty(process, 'platform', {...platform, value: 'win32'});
		t.is(readName('my cache-1.2'), 'my cache-1.2');
		for (const name of names) {
			t.throws(() => readName(name), {instanceOf: TypeError, message: /^tokenCachePersistenceOptions\.name ".*" cannot be used: .+\. Use a plain file name/}, name);
		}
	} finally {
		Object.defineProperty(process, 'platform', platform);
	}
});
