/**
 * Proxies from environment and options: token requests go through a real CONNECT or SOCKS proxy on loopback, with TLS end
 * to end. Every tunnel leads to the embedded server, whatever host it is for.
 */

import {execFile} from 'node:child_process';
import {readdirSync, writeFileSync} from 'node:fs';
import {type AddressInfo, createServer as createTcpServer} from 'node:net';
import {join} from 'node:path';
import {promisify} from 'node:util';
import test, {type ExecutionContext} from 'ava';
import type {AuthenticationError} from '../../dist/errors.js';
import type {SharedTokenCacheCredential} from '../../dist/index.js';
import {makeServerCertificate, type ServerCertificate} from '../helpers/authority/certificates.js';
import {
	answering, answeringForEver, type ConnectProxyOptions, startConnectProxy,
} from '../helpers/authority/connect-proxy.js';
import {loopbackDispatcher} from '../helpers/authority/dispatcher.js';
import {startEntraServer} from '../helpers/authority/entra-server.js';
import {
	accountRecord, ann, cacheOf, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {inTime, patienceMs, until} from '../helpers/until.js';

const run = promisify(execFile);
const root = new URL('../../', import.meta.url);

type Outcome = {token?: string; code?: string; message?: string};

type Setup = {
	proxy?: ConnectProxyOptions;
	environment?: (proxyPort: number) => Record<string, string>;
	options?: (proxyPort: number) => object;
	/** The proxy has TLS, with the server's certificate. */
	isTlsProxy?: boolean;
	certificate?: ServerCertificate;
};

/** Gets a token in a process of its own, which has the environment and trusts the certificates. */
async function redeem(t: ExecutionContext, {proxy: proxyOptions = {}, environment = () => ({}), options = () => ({}), isTlsProxy = false, certificate: given}: Setup) {
	const certificate = given ?? await makeServerCertificate();
	const entra = await startEntraServer({refreshTokens: {'FAKE-refresh': ann}, certificate});
	t.teardown(async () => entra.close());
	const proxy = await startConnectProxy(t, {target: entra, ...(isTlsProxy && {certificate}), ...proxyOptions});
	const home = new TestHome(t);
	home.writeAccount(ann, 'FAKE-refresh');
	const authorityPath = join(home.path, 'authority.pem');
	writeFileSync(authorityPath, certificate.ca);
	const {stdout} = await run(process.execPath, ['--eval', `
		const {SharedTokenCacheCredential} = require('./dist/index.js');
		const credential = new SharedTokenCacheCredential(${JSON.stringify({retryOptions: {maxRetries: 1, retryDelayInMs: 1}, ...options(proxy.port)})});
		credential.getToken('${scope}').then(({token}) => ({token}), ({code, message}) => ({code, message})).then(outcome => console.log(JSON.stringify(outcome)));
	`], {
		cwd: root, timeout: patienceMs, env: {
			PATH: process.env['PATH'] ?? '', HOME: home.path, NODE_EXTRA_CA_CERTS: authorityPath, ...environment(proxy.port),
		},
	});
	const outcome = JSON.parse(stdout) as Outcome;
	if (outcome.token !== undefined) {
		t.is(outcome.token, entra.grants[0]!.accessToken);
		t.is(entra.tokenRequests[0]?.serverName, 'login.microsoftonline.com');
	}

	return {outcome, proxy, entra};
}

for (const name of ['HTTPS_PROXY', 'https_proxy', 'ALL_PROXY', 'all_proxy', 'HTTP_PROXY']) {
	test(`D13: ${name}, beside a variable that is not used and wrong`, async t => {
		const {outcome, proxy} = await redeem(t, {environment: port => ({...(name.toLowerCase() !== 'http_proxy' && {HTTP_PROXY: 'nonsense'}), [name]: `http://127.0.0.1:${port}`})});
		t.truthy(outcome.token, outcome.message);
		t.deepEqual(proxy.asked, ['login.microsoftonline.com:443']);
	});
}

test('D13: NO_PROXY "a,*"', async t => {
	// Without a proxy, there is no connection to the public cloud.
	const {outcome, proxy} = await redeem(t, {environment: port => ({HTTPS_PROXY: `http://127.0.0.1:${port}`, NO_PROXY: 'a,*'})});
	t.is(outcome.code, 'STC_NETWORK');
	t.is(proxy.connections, 0);
});

test('D13: a domain and user with a backslash: one error, which says how to write it', async t => {
	const {outcome, proxy} = await redeem(t, {environment: port => ({HTTPS_PROXY: String.raw`http://corp\user:FAKE-password@127.0.0.1:${port}`})});
	t.is(outcome.code, 'STC_NETWORK');
	t.regex(outcome.message ?? '', /: the environment variable HTTPS_PROXY is not the URL of a proxy\. .*%5C/);
	t.notRegex(outcome.message ?? '', /tries|FAKE/);
	t.is(proxy.connections, 0);
});

test('a user name and password in the variable, percent-encoded', async t => {
	const credentials = String.raw`corp\user:FAKE@pass:word`;
	const {outcome, proxy} = await redeem(t, {proxy: {credentials}, environment: port => ({HTTPS_PROXY: `http://corp%5Cuser:FAKE%40pass%3Aword@127.0.0.1:${port}`})});
	t.truthy(outcome.token, outcome.message);
	t.deepEqual(proxy.authorizations, [`Basic ${Buffer.from(credentials).toString('base64')}`]);
});

test('proxyOptions work with a password', async t => {
	const {outcome, proxy} = await redeem(t, {
		proxy: {credentials: 'ann:FAKE-password'}, options: port => ({
			proxyOptions: {
				host: 'http://127.0.0.1', port, username: 'ann', password: 'FAKE-password',
			},
		}),
	});
	t.truthy(outcome.token, outcome.message);
	t.is(proxy.authorizations.length, 1);
});

test('a proxy with TLS, by the variable and by the option', async t => {
	for (const setup of [
		{environment: (port: number) => ({HTTPS_PROXY: `https://localhost:${port}`})},
		{options: (port: number) => ({proxyOptions: {host: 'https://127.0.0.1', port}})},
	]) {
		const {outcome, proxy} = await redeem(t, {...setup, isTlsProxy: true});
		t.truthy(outcome.token, outcome.message);
		t.is(proxy.connections, 1);
	}
});

test('a proxy at an IPv6 address', async t => {
	const {outcome} = await redeem(t, {proxy: {address: '::1'}, environment: port => ({HTTPS_PROXY: `http://[::1]:${port}`})});
	t.truthy(outcome.token, outcome.message);
});

test('a SOCKS 5 proxy, with and without a password; it resolves the name', async t => {
	for (const [scheme, credentials] of [['socks5', undefined], ['socks5h', 'ann:FAKE:password']] as const) {
		const {outcome, proxy} = await redeem(t, {
			proxy: {socks: true, ...(credentials && {credentials})}, environment: port => ({ALL_PROXY: `${scheme}://${credentials ? 'ann:FAKE%3Apassword@' : ''}127.0.0.1:${port}`}),
		});
		t.truthy(outcome.token, outcome.message);
		t.deepEqual(proxy.asked, ['login.microsoftonline.com:443']);
		t.deepEqual(proxy.authorizations, credentials ? [credentials] : []);
	}
});

test('interim answers of a proxy, and the length of a body that a tunnel does not have', async t => {
	const {outcome} = await redeem(t, {
		proxy: {head: 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nX-A: b\r\n\r\nHTTP/1.0 299 Yes\r\nContent-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n'}, environment: port => ({HTTPS_PROXY: `http://127.0.0.1:${port}`}),
	});
	t.truthy(outcome.token, outcome.message);
});

for (const [variables, options] of [[['HTTPS_PROXY', 'HTTP_PROXY', 'ALL_PROXY'], false], [[], true]] as const) {
	test(`G3: a refresh token for a plain http authority on loopback does not go through a proxy ${options ? 'of the option' : 'of the environment'}`, async t => {
		const requests: string[] = [];
		const proxy = await startConnectProxy(t, {behaviour: answering('')});
		const server = createTcpServer(socket => {
			socket.once('data', data => {
				requests.push(data.toString('latin1').split('\r\n', 1)[0]!);
				socket.end('HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n');
			});
		});
		server.listen(0, '127.0.0.1');
		await until(() => server.listening);
		t.teardown(() => {
			server.close();
		});
		const {port} = server.address() as AddressInfo;
		const home = new TestHome(t);
		const host = {environment: `127.0.0.1:${port}`};
		home.write(cacheOf({accounts: [accountRecord(ann, host)], refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh', host)]}));
		await run(process.execPath, ['--eval', `
			const {SharedTokenCacheCredential} = require('./dist/index.js');
			new SharedTokenCacheCredential(${JSON.stringify({authorityHost: `http://127.0.0.1:${port}`, ...(options && {proxyOptions: {host: 'http://127.0.0.1', port: proxy.port}})})}).getToken('${scope}').catch(() => undefined);
		`], {cwd: root, timeout: patienceMs, env: {PATH: process.env['PATH'] ?? '', HOME: home.path, ...Object.fromEntries(variables.map(name => [name, `http://127.0.0.1:${proxy.port}`]))}});
		t.deepEqual(requests, ['POST /organizations/oauth2/v2.0/token HTTP/1.1']);
		t.is(proxy.connections, 0);
	});
}

/** A call through a proxy of the option, in this process. */
async function fail(t: ExecutionContext, options: ConnectProxyOptions, {scheme = 'http', ...further}: {scheme?: string; username?: string; password?: string} = {}) {
	const proxy = await startConnectProxy(t, options);
	const home = new TestHome(t);
	home.writeAccount(ann, 'FAKE-refresh');
	const credential = home.credential({proxyOptions: {host: `${scheme}://localhost`, port: proxy.port, ...further}, retryOptions: {maxRetries: 2, retryDelayInMs: 1}});
	const error = await t.throwsAsync<AuthenticationError>(credential.getToken(scope), {name: 'AuthenticationError'});
	t.true(error.message.startsWith('SharedTokenCacheCredential: no token from login.microsoftonline.com'), error.message);
	t.notRegex(error.message, /FAKE/);
	return {error, proxy, name: `${scheme}://localhost:${proxy.port}`};
}

for (const [status, headers, why, tries] of [
	[407, 'Proxy-Authenticate: Basic realm="x"\r\n', 'it wants a user name and a password', 1],
	[407, 'Proxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM\r\n', 'it wants Negotiate or NTLM authentication, and only Basic is supported', 1],
	[407, '', 'it wants a user name and a password', 1],
	[401, '', 'it wants a user name and a password', 1],
	[403, '', 'it does not allow connections to login.microsoftonline.com:443', 1],
	[302, 'Location: http://portal.example/\r\n', 'it answers with a redirect, as the sign-in page of a network does', 1],
	[404, '', 'it opens no tunnels', 1],
	[405, '', 'it opens no tunnels', 1],
	[501, '', 'it opens no tunnels', 3],
	[408, '', 'it opens no tunnels', 3],
	[429, '', 'it has too many requests', 3],
	[500, '', 'it cannot reach login.microsoftonline.com:443', 3],
	[502, '', 'it cannot reach login.microsoftonline.com:443', 3],
	[503, '', 'it cannot reach login.microsoftonline.com:443', 3],
	[504, '', 'it cannot reach login.microsoftonline.com:443', 3],
] as const) {
	test(`D3: a proxy that answers ${status}${headers && ` with ${headers.split('\r\n', 1)[0]}`}: the error names it and says what to do`, async t => {
		const {error, proxy, name} = await fail(t, {behaviour: answering(`HTTP/1.1 ${status} FAKE\r\n${headers}Content-Length: 4\r\n\r\nFAKE`)});
		t.is(error.code, 'STC_NETWORK');
		t.true(error.message.includes(`: the proxy ${name} refused (${status}): ${why}. `), error.message);
		t.is(proxy.asked.length, tries);
		t.is(error.message.includes('after 3 tries'), tries === 3);
	});
}

test('D3: a wrong password is sent once', async t => {
	const {error, proxy, name} = await fail(t, {credentials: 'ann:right'}, {username: 'ann', password: 'FAKE-wrong'});
	t.true(error.message.includes(`: the proxy ${name} refused (407): it does not accept the user name and password. Correct them in proxyOptions.`), error.message);
	t.is(proxy.asked.length, 1);
});

test('D3: a proxy that refuses the connection', async t => {
	const home = new TestHome(t);
	home.writeAccount(ann, 'FAKE-refresh');
	const credential = home.credential({proxyOptions: {host: 'http://127.0.0.1', port: 1}, retryOptions: {maxRetries: 1, retryDelayInMs: 1}});
	await t.throwsAsync(credential.getToken(scope), {message: /: the proxy http:\/\/127\.0\.0\.1:1 cannot be reached \(ECONNREFUSED\)\. Start it, or correct proxyOptions\./});
});

test('D3: https:// for a plain proxy', async t => {
	const {error, proxy, name} = await fail(t, {behaviour: answering('')}, {scheme: 'https'});
	t.true(error.message.includes(`: the proxy ${name} does not answer with TLS (`), error.message);
	t.true(error.message.includes('Write http:// instead of https:// in proxyOptions.'), error.message);
	t.is(proxy.asked.length, 0);
});

test('D3: http:// for a proxy with TLS', async t => {
	const {error, proxy, name} = await fail(t, {certificate: await makeServerCertificate()});
	// OpenSSL answers with an alert, or closes the connection.
	t.true(error.message.includes(`: the proxy ${name} does not answer as an HTTP proxy. `) || error.message.includes(`: the proxy ${name} closed the connection. `), error.message);
	t.is(proxy.asked.length, 0);
});

for (const [what, options, message] of [
	['has expired', {untilMs: -3_600_000}, /the proxy https:\/\/localhost:\d+: its certificate has expired \(CERT_HAS_EXPIRED\)\. Check the clock of this machine\./],
	['is not valid yet', {fromMs: 3_600_000}, /the proxy https:\/\/localhost:\d+: its certificate is not valid yet \(CERT_NOT_YET_VALID\)\. Check the clock of this machine\./],
	['is for another name', {onlyNames: ['proxy.example']}, /the proxy https:\/\/localhost:\d+: its certificate is for another host name \(ERR_TLS_CERT_ALTNAME_INVALID\)\. Write the name of the certificate in HTTPS_PROXY\./],
] as const) {
	test(`D4: a proxy whose certificate ${what}`, async t => {
		const certificate = await makeServerCertificate([], options);
		const {outcome} = await redeem(t, {certificate, isTlsProxy: true, environment: port => ({HTTPS_PROXY: `https://localhost:${port}`})});
		t.is(outcome.code, 'STC_NETWORK');
		t.regex(outcome.message ?? '', message);
		t.notRegex(outcome.message ?? '', /tries/);
	});
}

test('D4: a proxy whose certificate is not trusted', async t => {
	const {error: untrusted, name} = await fail(t, {certificate: await makeServerCertificate()}, {scheme: 'https'});
	t.true(untrusted.message.includes(`the proxy ${name}: its certificate is not trusted (`), untrusted.message);
	t.regex(untrusted.message, /NODE_EXTRA_CA_CERTS/);
	t.notRegex(untrusted.message, /tries/);
});

for (const [what, text] of [
	['garbage', 'hello\r\n\r\n'],
	['a TLS alert', Buffer.from([0x15, 3, 1, 0, 2, 2, 70])],
	['an endless line', `HTTP/1.1 200 ${'x'.repeat(100_000)}`],
	['an HTTP version that is none', 'HTTP/9 200 OK\r\n\r\n'],
	['no status', 'HTTP/1.1 OK\r\n\r\n'],
	['an HTTP 2 frame', Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])],
] as const) {
	test(`D3: a proxy that answers with ${what}`, async t => {
		const {error, proxy, name} = await fail(t, {behaviour: answeringForEver(text)});
		t.is(error.code, 'STC_NETWORK');
		t.true(error.message.includes(`: the proxy ${name} does not answer as an HTTP proxy. Check scheme and port in proxyOptions.`), error.message);
		t.is(proxy.asked.length, 1);
	});
}

for (const [what, text] of [['without an answer', ''], ['in the middle of its answer', 'HTTP/1.1 200 OK\r\nX-A']] as const) {
	test(`D3: a proxy that closes the connection ${what}`, async t => {
		const {error, proxy, name} = await fail(t, {behaviour: answering(text)});
		t.true(error.message.includes(` after 3 tries: the proxy ${name} closed the connection. `), error.message);
		t.is(proxy.asked.length, 3);
	});
}

test('D3: a SOCKS proxy that refuses', async t => {
	for (const [options, url, why] of [
		[{socks: true, credentials: 'ann:right'}, 'socks5://ann:FAKE@', 'refused: it does not accept the user name and password'],
		[{socks: true, credentials: 'ann:right'}, 'socks5://', 'refused: it wants a user name and a password'],
		[{socks: true, socksReply: 2}, 'socks5://', 'refused (2): it does not allow the connection'],
		[{socks: true, socksReply: 5}, 'socks5://', 'refused (5): the host refused the connection'],
		[{behaviour: answering('')}, 'socks5://', 'does not answer as a SOCKS 5 proxy'],
	] as const) {
		const {outcome} = await redeem(t, {proxy: options, environment: port => ({HTTPS_PROXY: `${url}127.0.0.1:${port}`})});
		t.regex(outcome.message ?? '', new RegExp(String.raw`: the proxy socks5://127\.0\.0\.1:\d+ ${why.replaceAll(/[()]/g, String.raw`\$&`)}\. `));
		t.notRegex(outcome.message ?? '', /FAKE/);
	}
});

test('D3: an injected proxy agent that is refused', async t => {
	const {ProxyAgent} = await import('undici');
	for (const [status, tries] of [[407, 1], [502, 3]] as const) {
		const proxy = await startConnectProxy(t, {behaviour: answering(`HTTP/1.1 ${status} FAKE\r\nContent-Length: 0\r\n\r\n`)});
		const dispatcher = new ProxyAgent(`http://127.0.0.1:${proxy.port}`);
		t.teardown(async () => dispatcher.destroy());
		const home = new TestHome(t);
		home.writeAccount(ann, 'FAKE-refresh');
		const error = await t.throwsAsync<AuthenticationError>(home.credential({dispatcher, retryOptions: {maxRetries: 2, retryDelayInMs: 1}}).getToken(scope), {name: 'AuthenticationError'});
		t.true(error.message.includes(`: the dispatcher's proxy refused (${status}). `), error.message);
		t.is(proxy.asked.length, tries);
	}
});

/** Accepts connections and never answers. */
async function startSilentServer(t: ExecutionContext): Promise<{port: number; connections: number}> {
	const server = createTcpServer(socket => {
		started.connections++;
		t.teardown(() => socket.destroy());
	});
	const started = {port: 0, connections: 0};
	await new Promise<void>(resolve => {
		server.listen(0, '127.0.0.1', resolve);
	});
	t.teardown(() => {
		server.close();
	});
	started.port = (server.address() as AddressInfo).port;
	return started;
}

/** Requests a token with a time-out that is long enough for a connection. On a busy machine, the first may not be. */
async function timeOutAfterConnecting(t: ExecutionContext, credential: SharedTokenCacheCredential, silent: {connections: number}): Promise<void> {
	for (let timeout = 500; silent.connections === 0; timeout *= 4) {
		await t.throwsAsync(credential.getToken(scope, {requestOptions: {timeout}}), {name: 'AuthenticationError', code: 'STC_TIMEOUT'});
	}
}

const leasesIn = (home: TestHome) => readdirSync(join(home.path, '.IdentityService')).filter(name => name.endsWith('.lease'));

test('a proxy that never answers: an aborted caller leaves no lease, and the next process is not delayed', async t => {
	const entra = await startEntraServer({refreshTokens: {'FAKE-refresh': ann}});
	t.teardown(async () => entra.close());
	const proxy = await startSilentServer(t);
	const home = new TestHome(t);
	home.writeAccount(ann, 'FAKE-refresh');
	const stalled = home.credential({proxyOptions: {host: 'http://127.0.0.1', port: proxy.port}, retryOptions: {maxRetries: 0}});
	await timeOutAfterConnecting(t, stalled, proxy);
	await until(() => leasesIn(home).length === 0);
	t.is((await home.credential({}, entra).getToken(scope)).token, entra.grants[0]!.accessToken);
});

test('a proxy that never answers: a request ends after its 30 s', async t => {
	const proxy = await startSilentServer(t);
	const home = new TestHome(t);
	home.writeAccount(ann, 'FAKE-refresh');
	const stalled = home.credential({proxyOptions: {host: 'http://127.0.0.1', port: proxy.port}, retryOptions: {maxRetries: 0}});
	const startMs = performance.now();
	const message = new RegExp(String.raw`: the proxy http://127\.0\.0\.1:${proxy.port} opened no tunnel within 30 s\. Check the proxy, proxyOptions and NO_PROXY`);
	await t.throwsAsync(inTime(stalled.getToken(scope), 'the time-out'), {name: 'AuthenticationError', code: 'STC_TIMEOUT', message});
	t.true(performance.now() - startMs > 29_000);
});

test('instance discovery without an answer: an aborted caller leaves no lease', async t => {
	const silent = await startSilentServer(t);
	const home = new TestHome(t);
	const environment = 'login.new-cloud.example';
	home.write(cacheOf({accounts: [accountRecord(ann, {environment})], refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh', {environment})]}));
	const dispatcher = loopbackDispatcher({port: silent.port, ca: ''});
	t.teardown(async () => dispatcher.destroy());
	const credential = home.credential({authorityHost: environment, dispatcher});
	await timeOutAfterConnecting(t, credential, silent);
	await until(() => leasesIn(home).length === 0);
});
