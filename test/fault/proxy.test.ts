/** Proxies, by environment and by option: the token request goes through a real CONNECT proxy on loopback, TLS end to end. */

import {execFile} from 'node:child_process';
import {writeFileSync} from 'node:fs';
import {createServer, type Server} from 'node:http';
import {type AddressInfo, connect} from 'node:net';
import {join} from 'node:path';
import {promisify} from 'node:util';
import test, {type ExecutionContext} from 'ava';
import {startEntraServer} from '../helpers/entra-server.js';
import {
	accountRecord, ann, cacheOf, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';

const run = promisify(execFile);
const root = new URL('../../', import.meta.url);

/** Counts the tunnels that it opens, and what they were authorised with. */
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
		cwd: root, timeout: 30_000, env: {
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

test('proxyOptions, with a password', async t => {
	const tunnels = await redeem(t, () => ({}), port => ({
		proxyOptions: {
			host: 'http://127.0.0.1', port, username: 'ann', password: 'FAKE-password',
		},
	}));
	t.deepEqual(tunnels, [`Basic ${Buffer.from('ann:FAKE-password').toString('base64')}`]);
});
