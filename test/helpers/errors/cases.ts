/**
 * One case for each way in which a call can fail. `test/conformance/errors-page.test.ts` provokes every case, and docs/errors.md holds the
 * texts. To add one: add an entry here, then write the page anew with `UPDATE_ERRORS_PAGE=1 npm test -- test/conformance/errors-page.test.ts`.
 */

import {execFile} from 'node:child_process';
import {
	chmodSync, cpSync, existsSync, mkdirSync, symlinkSync, writeFileSync,
} from 'node:fs';
import {type FileHandle, open} from 'node:fs/promises';
import {createServer} from 'node:net';
import {join} from 'node:path';
import process from 'node:process';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import type {ExecutionContext} from 'ava';
import {
	createCachePlugin, SharedTokenCache, SharedTokenCacheCredential, type SharedTokenCacheCredentialOptions, type SharedTokenCacheOptions,
} from '../../../dist/index.js';
import type {ErrorCode} from '../../../dist/errors.js';
import {type CertificateOptions, makeServerCertificate} from '../authority/certificates.js';
import {answering, type ConnectProxyOptions, startConnectProxy} from '../authority/connect-proxy.js';
import {loopbackDispatcher} from '../authority/dispatcher.js';
import * as faults from '../authority/entra-faults.js';
import {type Behaviour, startEntraServer} from '../authority/entra-server.js';
import {
	accessTokenRecord, accountRecord, ann, bob, type CachedRecord, cacheOf, clientId, homeAccountId, refreshTokenRecord, scope, type TestHome,
} from '../home.js';
import {itemAttributes} from '../keyring/keyring-items.js';
import {startKeyring} from '../keyring/keyring.js';
import {LockProcess} from '../locks/lock-process.js';
import {openCopy} from '../processes/open-copy.js';

export type ErrorCase = {
	code: ErrorCode;
	/** Completes "when". */
	when: string;
	/** Returns the promise that rejects, or the error itself. */
	provoke: (t: ExecutionContext, home: TestHome) => Promise<unknown>;
	/** A reason why the case cannot be provoked here. */
	isImpossible?: boolean;
};

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../../', import.meta.url));
const isRoot = process.getuid?.() === 0;
const otherClient = 'aebc6443-996d-45c2-90f0-388ff96faa56';
const otherTenant = '0d000000-0000-4000-8000-000000000004';
const usGovernment = 'login.microsoftonline.us';
const unsafe = {unsafeAllowUnencryptedStorage: true};
const record = {
	authority: 'login.microsoftonline.com', homeAccountId: homeAccountId(ann), clientId, tenantId: ann.utid, username: ann.username,
};
const alice = {uid: '11111111-0000-4000-8000-0000000000a1', utid: ann.utid, username: 'alice@contoso.com'};
const adam = {uid: '11111111-0000-4000-8000-0000000000a2', utid: ann.utid, username: 'adam@contoso.com'};

/** A cache with these accounts, each with a refresh token. */
const signedIn = (users = [ann], rest: CachedRecord = {}) => cacheOf({
	accounts: users.map(user => accountRecord(user)), refreshTokens: users.map(user => refreshTokenRecord(user, `FAKE-refresh-${user.username}`, rest)),
});

/** Calls getToken with a cache and options. */
function ask(cache?: Parameters<TestHome['write']>[0], options: SharedTokenCacheCredentialOptions = {}, environment: Record<string, string> = {}, request: Parameters<SharedTokenCacheCredential['getToken']>[1] = {}) {
	return async (_t: ExecutionContext, home: TestHome) => {
		if (cache !== undefined) {
			home.writeSettled(cache);
		}

		return withEnvironment(environment, () => home.credential(options)).getToken(scope, request);
	};
}

/** Calls getToken with an account whose refresh token is sent to a server with this behaviour. */
function redeem(behaviour: Behaviour, options: SharedTokenCacheCredentialOptions = {}, request: Parameters<SharedTokenCacheCredential['getToken']>[1] = {}) {
	return async (t: ExecutionContext, home: TestHome) => {
		const entra = await startEntraServer({refreshTokens: {[`FAKE-refresh-${ann.username}`]: ann}});
		t.teardown(async () => entra.close());
		entra.scriptAll(behaviour);
		home.writeSettled(signedIn());
		return home.credential({retryOptions: {maxRetries: 0}, ...options}, entra).getToken(scope, request);
	};
}

function withEnvironment<Result>(environment: Record<string, string>, action: () => Result): Result {
	const before = Object.fromEntries(Object.keys(environment).map(name => [name, process.env[name]]));
	Object.assign(process.env, environment);
	try {
		return action();
	} finally {
		for (const [name, value] of Object.entries(before)) {
			if (value === undefined) {
				delete process.env[name];
			} else {
				process.env[name] = value;
			}
		}
	}
}

/** A cache of the program's own, below the home directory. */
function ownCache(home: TestHome, options: SharedTokenCacheOptions = {}) {
	return new SharedTokenCache({cachePath: join(home.path, 'cache.json'), tokenCachePersistenceOptions: unsafe, ...options});
}

const write = async (cache: SharedTokenCache) => cache.withCache(records => {
	records['Account'] = {key: accountRecord(ann)};
});

/** Runs a program that rejects with the error to show. */
async function inChild(program: string, {cwd = root, environment = {}}: {cwd?: string; environment?: Readonly<Record<string, string>>} = {}): Promise<never> {
	const {stdout} = await run(process.execPath, ['--eval', `
		const {SharedTokenCache, SharedTokenCacheCredential} = require('./dist/index.js');
		(async () => {${program}})().then(() => 'no error', ({name, code, message, details}) => ({name, code, message, details}))
			.then(error => process.stdout.write(JSON.stringify(error), () => process.exit()));
	`], {cwd, env: {PATH: process.env['PATH'] ?? '', ...environment}});
	throw Object.assign(new Error('from a child process'), JSON.parse(stdout) as object);
}

const getToken = 'return new SharedTokenCacheCredential({keyringTimeoutInMs: 1000}).getToken(\'a/.default\');';

/** Calls getToken with a keyring that is in this state. */
function withKeyring(prepare: (keyring: Awaited<ReturnType<typeof startKeyring>>) => void | Promise<void>, program = getToken) {
	return async (t: ExecutionContext) => {
		const keyring = await startKeyring();
		t.teardown(async () => keyring.close());
		await keyring.store(itemAttributes.python, JSON.stringify(signedIn()));
		await prepare(keyring);
		return inChild(program, {environment: keyring.environment});
	};
}

async function closedPort(): Promise<number> {
	const server = createServer();
	await new Promise<void>(resolve => {
		server.listen(0, '127.0.0.1', resolve);
	});
	const {port} = server.address() as {port: number};
	await new Promise(resolve => {
		server.close(resolve);
	});
	return port;
}

async function getTokenWith(home: TestHome, options: SharedTokenCacheCredentialOptions) {
	home.writeSettled(signedIn());
	return home.credential({retryOptions: {maxRetries: 0}, ...options}).getToken(scope);
}

function throughProxy(options: ConnectProxyOptions) {
	return async (t: ExecutionContext, home: TestHome) => {
		const {port} = await startConnectProxy(t, options);
		return getTokenWith(home, {proxyOptions: {host: 'http://127.0.0.1', port}});
	};
}

function withCertificate(options: CertificateOptions) {
	return async (t: ExecutionContext, home: TestHome) => {
		const certificate = await makeServerCertificate([], options);
		const entra = await startEntraServer({certificate});
		t.teardown(async () => entra.close());
		return getTokenWith(home, {dispatcher: dispatcherFor(t, {port: entra.port, ca: certificate.ca})});
	};
}

function dispatcherFor(t: ExecutionContext, target: {port: number; ca: string}) {
	const dispatcher = loopbackDispatcher(target);
	t.teardown(async () => dispatcher.destroy());
	return dispatcher;
}

export const errorCases: ErrorCase[] = [
	{code: 'STC_CACHE_NOT_FOUND', when: 'nobody has signed in, in a container, a CI job or over SSH', provoke: ask()},
	{code: 'STC_CACHE_NOT_FOUND', when: 'there is no keyring service on the session bus', provoke: withKeyring(async keyring => keyring.killDaemon())},
	{code: 'STC_CACHE_NOT_FOUND', when: 'no cache has the configured name', provoke: ask(undefined, {tokenCachePersistenceOptions: {name: 'my-app'}})},
	{
		code: 'STC_CACHE_NOT_FOUND',
		when: 'the cache is a link to nowhere',
		async provoke(_t, home) {
			mkdirSync(join(home.path, '.IdentityService'));
			symlinkSync('nowhere', join(home.path, '.IdentityService', 'msal.cache.nocae'));
			return home.credential().getToken(scope);
		},
	},
	{
		code: 'STC_CACHE_NOT_FOUND',
		when: '`HOME` is empty',
		provoke: async () => withEnvironment({HOME: ''}, () => new SharedTokenCacheCredential()).getToken(scope),
	},
	{code: 'STC_NO_ACCOUNT', when: 'the cache is empty', provoke: ask('')},
	{code: 'STC_NO_ACCOUNT', when: 'the cache has access tokens only', provoke: ask(cacheOf({accessTokens: [accessTokenRecord(ann, 'FAKE-token', 3600)]}))},
	{code: 'STC_NO_ACCOUNT', when: 'the refresh token belongs to another client', provoke: ask(signedIn([ann], {family_id: undefined, client_id: otherClient}))},
	{
		code: 'STC_NO_ACCOUNT',
		when: 'the account is one of another cloud',
		provoke: ask(cacheOf({accounts: [accountRecord(ann, {environment: usGovernment})], refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh', {environment: usGovernment})]})),
	},
	{code: 'STC_NO_ACCOUNT', when: 'the account has no refresh token', provoke: ask(cacheOf({accounts: [accountRecord(ann)]}))},
	{code: 'STC_NO_ACCOUNT', when: 'there is a refresh token without an account', provoke: ask(cacheOf({refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh')]}))},
	{code: 'STC_NO_ACCOUNT', when: '`username` matches no account', provoke: ask(signedIn(), {username: 'eve@contoso.com'})},
	{code: 'STC_NO_ACCOUNT', when: '`AZURE_USERNAME` matches no account', provoke: ask(signedIn(), {}, {AZURE_USERNAME: 'eve@contoso.com'})},
	{code: 'STC_NO_ACCOUNT', when: '`tenantId` matches no account', provoke: ask(signedIn(), {tenantId: otherTenant})},
	{code: 'STC_NO_ACCOUNT', when: '`AZURE_TENANT_ID` matches no account', provoke: ask(signedIn(), {}, {AZURE_TENANT_ID: otherTenant})},
	{code: 'STC_NO_ACCOUNT', when: '`authenticationRecord` matches no account', provoke: ask(signedIn([bob]), {authenticationRecord: record})},
	{
		code: 'STC_NO_ACCOUNT',
		when: 'no account matches, and a further cache cannot be read',
		async provoke(_t, home) {
			home.writeSettled(signedIn());
			home.writeSettled('{', '.IdentityService/msal.cache.cae');
			return home.credential({username: 'eve@contoso.com'}).getToken(scope);
		},
	},
	{code: 'STC_AMBIGUOUS_ACCOUNT', when: 'several accounts are signed in', provoke: ask(signedIn([ann, bob]))},
	{code: 'STC_AMBIGUOUS_ACCOUNT', when: 'several accounts of one tenant are signed in', provoke: ask(signedIn([alice, adam]))},
	{code: 'STC_AMBIGUOUS_ACCOUNT', when: 'one name is signed in to two tenants', provoke: ask(signedIn([ann, {...bob, username: ann.username}]), {username: ann.username})},
	{code: 'STC_TENANT_NOT_ALLOWED', when: 'a request names a tenant that the list does not have', provoke: ask(signedIn(), {tenantId: ann.utid, additionallyAllowedTenants: [bob.utid]}, {}, {tenantId: otherTenant})},
	{code: 'STC_CACHE_CORRUPT', when: 'the cache is no JSON', provoke: ask('{"Account": ')},
	{
		code: 'STC_CACHE_CORRUPT', when: 'the cache has more than 10,000 accounts', provoke: ask(JSON.stringify({Account: Object.fromEntries(Array.from({length: 10_001}, (_, index) => [`k${index}`, {home_account_id: `u${index}.t`, environment: 'login.microsoftonline.com'}]))})),
	},
	{code: 'STC_CACHE_FORMAT', when: 'the cache is one of Windows', provoke: ask(Buffer.from('01000000d08c9ddf0115d1118c7a00c04fc297eb', 'hex'))},
	{code: 'STC_CACHE_FORMAT', when: 'the cache is encrypted as Go does', provoke: ask('eyJhbGciOiJkaXIi.a.b.c.d')},
	{
		code: 'STC_CACHE_CHANGED',
		when: 'a program writes the cache all the time',
		async provoke(_t, home) {
			const path = home.writeSettled(signedIn());
			const file = await open(path);
			const {prototype} = file.constructor as {prototype: FileHandle};
			await file.close();
			const {stat} = prototype;
			let writes = 0n;
			// As if there was a write between any two looks.
			prototype.stat = async function (this: FileHandle, ...values: never[]) {
				return Object.assign(await Reflect.apply(stat, this, values) as object, {mtimeNs: ++writes});
			} as typeof stat;
			try {
				return await home.credential({useNativeAddon: false}).getToken(scope);
			} finally {
				prototype.stat = stat;
			}
		},
	},
	{
		code: 'STC_STORE_DENIED',
		when: 'the cache belongs to another user',
		isImpossible: !isRoot,
		async provoke(_t, home) {
			home.writeSettled(signedIn());
			chmodSync(home.path, 0o755);
			chmodSync(join(home.path, '.IdentityService'), 0o755);
			return inChild(`await new SharedTokenCacheCredential().getToken('a/.default').catch(() => {}); process.setgid(65534); process.setuid(65534); process.env.HOME = ${JSON.stringify(home.path)}; ${getToken}`, {cwd: openCopy(), environment: {HOME: '/nonexistent'}});
		},
	},
	{code: 'STC_STORE_LOCKED', when: 'the keyring is locked', provoke: withKeyring(async keyring => keyring.lock())},
	{
		code: 'STC_STORE_TIMEOUT',
		when: 'the keyring does not answer',
		provoke: withKeyring(keyring => {
			keyring.freeze();
		}),
	},
	{
		code: 'STC_STORE_UNAVAILABLE',
		when: 'a cache is written where there is no session bus',
		provoke: async (_t, home) => write(withEnvironment({HOME: home.path}, () => new SharedTokenCache())),
	},
	{
		code: 'STC_STORE_UNAVAILABLE',
		when: 'a plugin of msal-node has nowhere to write',
		async provoke(_t, home) {
			const plugin = withEnvironment({HOME: home.path}, () => createCachePlugin());
			return plugin.beforeCacheAccess({cacheHasChanged: false, tokenCache: {serialize: () => '{}', deserialize: () => undefined}});
		},
	},
	{
		code: 'STC_ADDON_MISSING',
		when: '`useNativeAddon` is `true` and no binary is there',
		async provoke(_t, home) {
			const folder = join(home.path, 'node_modules', 'azure-shared-token-cache');
			// What is published, without the binaries.
			for (const part of ['package.json', 'dist/index.js', 'dist/whole.js', 'dist/lazy']) {
				if (existsSync(join(root, part))) {
					cpSync(join(root, part), join(folder, part), {recursive: true});
				}
			}

			return inChild('return new SharedTokenCacheCredential({useNativeAddon: true}).getToken(\'a/.default\');', {cwd: folder, environment: {HOME: home.path}});
		},
	},
	{
		code: 'STC_LOCK_TIMEOUT',
		when: 'another program holds the lock',
		async provoke(t, home) {
			const process = await LockProcess.start(t, 'native', join(home.path, 'cache.json.lockfile'));
			await process.ask('lock');
			return write(ownCache(home, {lockTimeoutInMs: 100}));
		},
	},
	{
		code: 'STC_IO',
		when: 'the cache is a directory',
		async provoke(_t, home) {
			mkdirSync(join(home.path, '.IdentityService', 'msal.cache.nocae'), {recursive: true});
			return home.credential().getToken(scope);
		},
	},
	{
		code: 'STC_IO',
		when: 'the lock file is a symbolic link',
		async provoke(_t, home) {
			symlinkSync('elsewhere', join(home.path, 'cache.json.lockfile'));
			return write(ownCache(home));
		},
	},
	{
		code: 'STC_IO',
		when: 'the folder of a cache is a file',
		async provoke(_t, home) {
			writeFileSync(join(home.path, 'folder'), '');
			return write(ownCache(home, {cachePath: join(home.path, 'folder', 'cache.json')}));
		},
	},
	{
		code: 'STC_UNSUPPORTED_PLATFORM',
		when: 'the platform has no shared cache',
		provoke: async () => inChild(`Object.defineProperty(process, 'platform', {...Object.getOwnPropertyDescriptor(process, 'platform'), value: 'freebsd'}); ${getToken}`, {environment: {HOME: '/nonexistent'}}),
	},
	{code: 'STC_INTERACTION_REQUIRED', when: 'the refresh token was revoked', provoke: redeem(faults.invalidGrant())},
	{code: 'STC_INTERACTION_REQUIRED', when: 'nobody has consented', provoke: redeem(faults.consentRequired())},
	{code: 'STC_INTERACTION_REQUIRED', when: 'a policy requires more', provoke: redeem(faults.interactionRequired())},
	{code: 'STC_INTERACTION_REQUIRED', when: 'a request with `claims` is refused', provoke: redeem(faults.interactionRequired(), {}, {claims: '{"access_token":{}}'})},
	{code: 'STC_CLIENT_NOT_ALLOWED', when: 'the client may not redeem the refresh token', provoke: redeem(faults.oauthError({error: 'unauthorized_client', code: 700_016, text: 'Application with identifier was not found in the directory.'}))},
	{code: 'STC_TOKEN_REQUEST_FAILED', when: 'the authority refuses the scope', provoke: redeem(faults.oauthError({error: 'invalid_scope', code: 70_011, text: 'The provided value for the input parameter \'scope\' is not valid.'}))},
	{code: 'STC_TOKEN_REQUEST_FAILED', when: 'the authority throttles', provoke: redeem(faults.throttled(17))},
	{code: 'STC_TOKEN_REQUEST_FAILED', when: 'the authority fails', provoke: redeem(faults.bareStatus(503))},
	{code: 'STC_TOKEN_REQUEST_FAILED', when: 'something else answers, with HTML', provoke: redeem(faults.html())},
	{code: 'STC_TOKEN_REQUEST_FAILED', when: 'the answer is for another account', provoke: redeem(faults.grantForAnotherAccount())},
	{
		code: 'STC_NETWORK',
		when: 'nothing listens at the authority',
		async provoke(_t, home) {
			const host = `127.0.0.1:${await closedPort()}`;
			home.writeSettled(cacheOf({accounts: [accountRecord(ann, {environment: host})], refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh', {environment: host})]}));
			return home.credential({authorityHost: `http://${host}`, disableInstanceDiscovery: true, retryOptions: {maxRetries: 0}}).getToken(scope);
		},
	},
	{code: 'STC_NETWORK', when: 'the proxy wants a password', provoke: throughProxy({behaviour: answering('HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n')})},
	{code: 'STC_NETWORK', when: 'the proxy forbids the host', provoke: throughProxy({behaviour: answering('HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n')})},
	{code: 'STC_NETWORK', when: 'the proxy cannot reach the host', provoke: throughProxy({behaviour: answering('HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n')})},
	{code: 'STC_NETWORK', when: 'nothing listens at the proxy', provoke: async (_t, home) => getTokenWith(home, {proxyOptions: {host: 'http://127.0.0.1', port: await closedPort()}})},
	{code: 'STC_NETWORK', when: 'the certificate has expired', provoke: withCertificate({untilMs: -3_600_000})},
	{code: 'STC_NETWORK', when: 'the certificate is not valid yet', provoke: withCertificate({fromMs: 3_600_000})},
	{code: 'STC_NETWORK', when: 'the certificate is for another host', provoke: withCertificate({onlyNames: ['portal.example']})},
	{
		code: 'STC_NETWORK',
		when: 'nobody trusts the certificate',
		async provoke(t, home) {
			const entra = await startEntraServer();
			t.teardown(async () => entra.close());
			const {ca} = await makeServerCertificate();
			return getTokenWith(home, {dispatcher: dispatcherFor(t, {port: entra.port, ca})});
		},
	},
	{code: 'STC_NETWORK', when: 'the connection is reset', provoke: redeem(faults.resetBeforeHeaders())},
	{
		code: 'STC_TOKEN_REQUEST_FAILED',
		when: 'the authority is none',
		async provoke(t, home) {
			const entra = await startEntraServer();
			t.teardown(async () => entra.close());
			const host = 'login.example';
			home.writeSettled(cacheOf({accounts: [accountRecord(ann, {environment: host})], refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh', {environment: host})]}));
			return home.credential({authorityHost: host, retryOptions: {maxRetries: 0}}, entra).getToken(scope);
		},
	},
	{code: 'STC_TIMEOUT', when: 'no token comes in time', provoke: redeem(faults.noAnswer(), {}, {requestOptions: {timeout: 50}})},
	{code: 'STC_INVALID_ARGUMENT', when: 'an option has the name of another language', provoke: async () => new SharedTokenCacheCredential({tenant_id: 'x'} as object).getToken(scope)},
	{code: 'STC_INVALID_ARGUMENT', when: 'a tenant has characters that no tenant has', provoke: async () => new SharedTokenCacheCredential({tenantId: 'a/b'}).getToken(scope)},
	{code: 'STC_INVALID_ARGUMENT', when: 'a variable is wrong', provoke: async () => withEnvironment({AZURE_AUTHORITY_HOST: 'http://login.example'}, () => new SharedTokenCacheCredential()).getToken(scope)},
	{code: 'STC_INVALID_ARGUMENT', when: 'getToken gets no scopes', provoke: async () => new SharedTokenCacheCredential().getToken('')},
	{
		code: 'STC_INVALID_ARGUMENT', when: 'the arguments of getToken cannot be read', provoke: async () => new SharedTokenCacheCredential().getToken(scope, Object.defineProperty({}, 'claims', {
			get() {
				throw new Error('no');
			},
		})),
	},
	{
		code: 'STC_CLOSED',
		when: 'the credential was closed',
		async provoke(_t, home) {
			const credential = home.credential();
			await credential.close();
			return credential.getToken(scope);
		},
	},
];
