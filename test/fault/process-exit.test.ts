/** The effect of a credential on its process: it stays alive for awaited calls only. */

import {execFile} from 'node:child_process';
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {type AddressInfo, createServer} from 'node:net';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import test, {type ExecutionContext} from 'ava';
import * as faults from '../helpers/authority/entra-faults.js';
import {type EntraServer, startEntraServer} from '../helpers/authority/entra-server.js';
import {
	accessTokenRecord, accountRecord, ann, cacheOf, nowSec, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {LockProcess} from '../helpers/locks/lock-process.js';

const run = promisify(execFile);
const root = new URL('../../', import.meta.url);
const refreshToken = 'FAKE-refresh-ann';
/**
 * Gives a module a `require`, so that one program text works for both kinds. Only a module ends with code 13 when it
 * awaits in vain.
 */
const requireInModules = `data:text/javascript,${encodeURIComponent(`import {createRequire} from 'node:module'; globalThis.require = createRequire(${JSON.stringify(fileURLToPath(root))});`)}`;

async function entraServer(t: ExecutionContext, delayMs = 0): Promise<EntraServer> {
	const server = await startEntraServer({refreshTokens: {[refreshToken]: ann}, delayMs});
	t.teardown(async () => server.close());
	return server;
}

/** Runs a program with a credential for `server`. Returns its output and its run time. It is killed after 20 s. */
async function program(home: TestHome, server: EntraServer, code: string, {flags = [], environment = {}}: {flags?: string[]; environment?: Record<string, string>} = {}) {
	const authorityPath = join(home.path, 'authority.pem');
	writeFileSync(authorityPath, server.ca);
	const startMs = Date.now();
	const {stdout} = await run(process.execPath, [...flags, '--eval', `
		const {SharedTokenCacheCredential} = require('./dist/index.js');
		const credential = new SharedTokenCacheCredential({authorityHost: '${server.origin}', retryOptions: {maxRetries: 0}});
		const getToken = () => credential.getToken('${scope}');
		${code}
	`], {
		cwd: root, timeout: 20_000, env: {
			PATH: process.env['PATH'] ?? '', HOME: home.path, NODE_EXTRA_CA_CERTS: authorityPath, ...environment,
		},
	});
	return {stdout, elapsedMs: Date.now() - startMs};
}

function homeWith(t: ExecutionContext, server: EntraServer, refreshOnSec: number | undefined): TestHome {
	const home = new TestHome(t);
	const environment = {environment: `localhost:${server.port}`};
	home.write(cacheOf({
		accounts: [accountRecord(ann, environment)],
		refreshTokens: [refreshTokenRecord(ann, refreshToken, environment)],
		accessTokens: refreshOnSec === undefined ? [] : [accessTokenRecord(ann, 'FAKE-cached', 400, {...environment, refresh_on: String(refreshOnSec)})],
	}));
	return home;
}

test('a process that awaits a token stays alive until it arrives, even if nothing else keeps it alive', async t => {
	const server = await entraServer(t, 1500);
	const {stdout, elapsedMs} = await program(homeWith(t, server, undefined), server, 'getToken().then(({token}) => console.log(token));');
	t.is(stdout.trim(), server.grants[0]!.accessToken);
	t.true(elapsedMs >= 1500);
});

test('a hanging background refresh does not keep the process alive', async t => {
	const server = await entraServer(t);
	server.scriptAll(faults.noAnswer());
	const {stdout, elapsedMs} = await program(homeWith(t, server, nowSec() - 300), server, `
		const until = Date.now() + 1500;
		(async () => {
			let token;
			while (Date.now() < until) {
				({token} = await getToken());
				await new Promise(resolve => setTimeout(resolve, 20));
			}
			console.log(token);
		})();
	`);
	t.is(stdout.trim(), 'FAKE-cached');
	t.is(server.tokenRequests.length, 1);
	t.true(elapsedMs < 10_000);
});

test('idle connections and a credential that is never closed do not keep the process alive', async t => {
	const server = await entraServer(t);
	const {elapsedMs} = await program(homeWith(t, server, undefined), server, 'getToken();');
	t.is(server.grants.length, 1);
	t.true(elapsedMs < 10_000);
});

test('an awaited retry delay keeps the process alive', async t => {
	const server = await entraServer(t);
	server.script(faults.throttled(1));
	const home = homeWith(t, server, undefined);
	const {stdout} = await program(home, server, `
		const patient = new SharedTokenCacheCredential({authorityHost: '${server.origin}'});
		patient.getToken('${scope}').then(({token}) => console.log(token));
	`);
	t.is(stdout.trim(), server.grants[0]!.accessToken);
});

test('a call that is aborted no longer keeps the process alive', async t => {
	const server = await entraServer(t);
	server.scriptAll(faults.noAnswer());
	const {stdout, elapsedMs} = await program(homeWith(t, server, undefined), server, `
		credential.getToken('${scope}', {abortSignal: AbortSignal.timeout(1000)}).catch(error => console.log(error.name));
		setTimeout(() => {}, 1500);
	`);
	t.is(stdout.trim(), 'AbortError');
	t.true(elapsedMs < 10_000);
});

const callFor1500Ms = `
	const until = Date.now() + 1500;
	let token;
	while (Date.now() < until) {
		({token} = await getToken());
		await new Promise(resolve => setTimeout(resolve, 20));
	}
`;

test('a background refresh that hangs at a proxy does not keep the process alive', async t => {
	const server = await entraServer(t);
	let connections = 0;
	const proxy = createServer(() => {
		connections++;
	});
	await new Promise<void>(resolve => {
		proxy.listen(0, '127.0.0.1', resolve);
	});
	t.teardown(() => {
		proxy.close();
	});
	const environment = {HTTPS_PROXY: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`};
	const {stdout, elapsedMs} = await program(homeWith(t, server, nowSec() - 300), server, `(async () => { ${callFor1500Ms} console.log(token); })();`, {environment});
	t.is(stdout.trim(), 'FAKE-cached');
	t.true(connections > 0);
	t.true(elapsedMs < 10_000);
});

test('an awaited close() keeps the process alive during a hanging background refresh', async t => {
	const server = await entraServer(t);
	server.scriptAll(faults.noAnswer());
	const {stdout} = await program(homeWith(t, server, nowSec() - 300), server, `${callFor1500Ms} await credential.close(); console.log('closed');`, {flags: ['--input-type=module', '--import', requireInModules]});
	t.is(stdout.trim(), 'closed');
	t.is(server.tokenRequests.length, 1);
});

test('an awaited close() keeps the process alive while a grant waits for a lock', async t => {
	const server = await entraServer(t);
	const home = homeWith(t, server, undefined);
	const holder = await LockProcess.start(t, 'native', join(home.path, '.IdentityService/msal.cache.nocae.lockfile'));
	t.is(await holder.ask('lock'), 'locked');
	const {stdout} = await program(home, server, 'await getToken(); await credential.close(); console.log(\'closed\');', {flags: ['--input-type=module', '--import', requireInModules]});
	t.is(stdout.trim(), 'closed');
});

test('a credential that was dropped without close() does not keep the connections of another one', async t => {
	const server = await entraServer(t);
	const {stdout} = await program(homeWith(t, server, undefined), server, `
		const {readdirSync, readlinkSync} = require('node:fs');
		const isSocket = descriptor => {
			try {
				return readlinkSync('/proc/self/fd/' + descriptor).startsWith('socket:');
			} catch {
				return false;
			}
		};
		const sockets = () => readdirSync('/proc/self/fd').filter(isSocket).length;
		(async () => {
			let forgotten = new SharedTokenCacheCredential({authorityHost: '${server.origin}', retryOptions: {maxRetries: 0}});
			await forgotten.getToken('${scope}');
			forgotten = undefined;
			for (let round = 0; round < 20; round++) {
				gc();
				await new Promise(resolve => setTimeout(resolve, 20));
			}
			const before = sockets();
			await credential.close();
			for (let round = 0; sockets() === before && round < 100; round++) {
				await new Promise(resolve => setTimeout(resolve, 20));
			}
			console.log(before - sockets());
		})();
	`, {flags: ['--expose-gc']});
	t.is(stdout.trim(), '1');
});
