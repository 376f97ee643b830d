/**
 * Proxies from environment and options: the token request goes through a real CONNECT proxy on loopback, with TLS end
 * to end.
 */

import {execFile} from 'node:child_process';
import {readdirSync, writeFileSync} from 'node:fs';
import {createServer, type Server} from 'node:http';
import {type AddressInfo, connect, createServer as createTcpServer} from 'node:net';
import {join} from 'node:path';
import {promisify} from 'node:util';
import test, {type ExecutionContext} from 'ava';
import type {SharedTokenCacheCredential} from '../../dist/index.js';
import {loopbackDispatcher} from '../helpers/authority/dispatcher.js';
import {startEntraServer} from '../helpers/authority/entra-server.js';
import {
	accountRecord, ann, cacheOf, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {inTime, patienceMs, until} from '../helpers/until.js';

const run = promisify(execFile);
const root = new URL('../../', import.meta.url);

/** Records the tunnels that it opens, with the authorization of each. */
async function startProxy(t: ExecutionContext): Promise<{port: number; tunnels: Array<string | undefined>}> {
	const tunnels: Array<string | undefined> = [];
	const proxy: Server = createServer();
	proxy.on('connect', (request, client) => {
		tunnels.push(request.headers['proxy-authorization']);
		const [host, port] = (request.url ?? '').split(':');
		const upstream = connect(Number(port), host, () => {
			client.write('HTTP/1.1 200 Connection established\r\n\r\n');
			upstream.pipe(client);
			client.pipe(upstream);
		});
		const end = () => {
			upstream.destroy();
			client.destroy();
		};

		upstream.on('error', end);
		client.on('error', end);
		client.on('close', end);
	});
	await new Promise<void>(resolve => {
		proxy.listen(0, '127.0.0.1', resolve);
	});
	t.teardown(() => {
		proxy.closeAllConnections();
		proxy.close();
	});
	return {port: (proxy.address() as AddressInfo).port, tunnels};
}

async function redeem(t: ExecutionContext, environment: (proxyPort: number) => Record<string, string>, options: (proxyPort: number) => object = () => ({})) {
	const entra = await startEntraServer({refreshTokens: {'FAKE-refresh': ann}});
	t.teardown(async () => entra.close());
	const proxy = await startProxy(t);
	const home = new TestHome(t);
	const host = {environment: `localhost:${entra.port}`};
	home.write(cacheOf({accounts: [accountRecord(ann, host)], refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh', host)]}));
	const authorityPath = join(home.path, 'authority.pem');
	writeFileSync(authorityPath, entra.ca);
	const {stdout} = await run(process.execPath, ['--eval', `
		const {SharedTokenCacheCredential} = require('./dist/index.js');
		const credential = new SharedTokenCacheCredential(${JSON.stringify({authorityHost: entra.origin, ...options(proxy.port)})});
		credential.getToken('${scope}').then(({token}) => console.log(token));
	`], {
		cwd: root, timeout: patienceMs, killSignal: 'SIGKILL', env: {
			PATH: process.env['PATH'] ?? '', HOME: home.path, NODE_EXTRA_CA_CERTS: authorityPath, ...environment(proxy.port),
		},
	});
	t.is(stdout.trim(), entra.grants[0]!.accessToken);
	return proxy.tunnels;
}

test('HTTPS_PROXY', async t => {
	t.is((await redeem(t, port => ({HTTPS_PROXY: `http://127.0.0.1:${port}`}))).length, 1);
});

test('NO_PROXY', async t => {
	t.is((await redeem(t, port => ({HTTPS_PROXY: `http://127.0.0.1:${port}`, NO_PROXY: 'localhost'}))).length, 0);
});

test('proxyOptions work with a password', async t => {
	const tunnels = await redeem(t, () => ({}), port => ({
		proxyOptions: {
			host: 'http://127.0.0.1', port, username: 'ann', password: 'FAKE-password',
		},
	}));
	t.deepEqual(tunnels, [`Basic ${Buffer.from('ann:FAKE-password').toString('base64')}`]);
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
	await t.throwsAsync(inTime(stalled.getToken(scope), 'the time-out'), {name: 'AuthenticationError', code: 'STC_TIMEOUT'});
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
