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
	accessTokenRecord, accountRecord, ann, cacheOf, nowSec, publicCloud, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {LockProcess} from '../helpers/locks/lock-process.js';
import {patienceMs, until} from '../helpers/until.js';

const run = promisify(execFile);
const root = new URL('../../', import.meta.url);
const refreshToken = 'FAKE-refresh-ann';
/**
 * Gives a module a `require`, so that one program text works for both kinds. Only a module ends with code 13 when it
 * awaits in vain.
 */
const requireInModules = `data:text/javascript,${encodeURIComponent(`import {createRequire} from 'node:module'; globalThis.require = createRequire(${JSON.stringify(fileURLToPath(root))});`)}`;

/** Much longer than the rest of a turn of the event loop, and shorter than a time-out of the credential. */
const noticeableMs = 10_000;

async function entraServer(t: ExecutionContext, delayMs = 0): Promise<EntraServer> {
	const server = await startEntraServer({refreshTokens: {[refreshToken]: ann}, delayMs});
	t.teardown(async () => server.close());
	return server;
}

/** When this exists, the program may end its calls. */
const signalPath = (home: TestHome) => join(home.path, 'signal');

/**
 * Runs a program with a credential for `server`. Returns its output and its run time. It calls `end()` when it has
 * nothing more to do, and `callUntilSignal()` for calls that last until the test writes the signal. If something keeps it
 * alive for some seconds after its end, it says so.
 */
async function program(home: TestHome, server: EntraServer, code: string, {flags = [], environment = {}, options = ''}: {flags?: string[]; environment?: Record<string, string>; options?: string} = {}) {
	const authorityPath = join(home.path, 'authority.pem');
	writeFileSync(authorityPath, server.ca);
	const startMs = Date.now();
	const {stdout} = await run(process.execPath, [...flags, '--eval', `
		const {SharedTokenCacheCredential} = require('./dist/index.js');
		const credential = new SharedTokenCacheCredential({authorityHost: '${server.origin}', retryOptions: {maxRetries: 0}, ${options}});
		const getToken = () => credential.getToken('${scope}');
		const end = () => { setTimeout(() => console.log('It is kept alive.'), ${noticeableMs}).unref(); };
		const callUntilSignal = async () => {
			let token;
			for (let isLast = false; !isLast;) {
				isLast = require('node:fs').existsSync(${JSON.stringify(signalPath(home))});
				({token} = await getToken());
				await new Promise(resolve => setTimeout(resolve, 20));
			}
			return token;
		};
		${code}
	`], {
		cwd: root, timeout: patienceMs, killSignal: 'SIGKILL', env: {
			PATH: process.env['PATH'] ?? '', HOME: home.path, NODE_EXTRA_CA_CERTS: authorityPath, ...environment,
		},
	});
	return {stdout, elapsedMs: Date.now() - startMs};
}

/** Writes the signal for {@link program} when `condition` is true. */
async function signalWhen(home: TestHome, running: Promise<unknown>, condition: () => boolean): Promise<void> {
	await Promise.race([until(condition), running]);
	writeFileSync(signalPath(home), '');
}

function homeWith(t: ExecutionContext, server: EntraServer, refreshOnSec: number | undefined, host = `localhost:${server.port}`): TestHome {
	const home = new TestHome(t);
	const environment = {environment: host};
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
	const home = homeWith(t, server, nowSec() - 300);
	const running = program(home, server, '(async () => { console.log(await callUntilSignal()); end(); })();');
	await signalWhen(home, running, () => server.tokenRequests.length > 0);
	t.is((await running).stdout.trim(), 'FAKE-cached');
	t.is(server.tokenRequests.length, 1);
});

test('idle connections and a credential that is never closed do not keep the process alive', async t => {
	const server = await entraServer(t);
	const {stdout} = await program(homeWith(t, server, undefined), server, 'getToken().then(end);');
	t.is(server.grants.length, 1);
	t.is(stdout, '');
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
	const {stdout} = await program(homeWith(t, server, undefined), server, `
		credential.getToken('${scope}', {abortSignal: AbortSignal.timeout(1000)}).catch(error => console.log(error.name));
		setTimeout(end, 1500);
	`);
	t.is(stdout.trim(), 'AbortError');
});

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
	// A loopback host has no proxy.
	const home = homeWith(t, server, nowSec() - 300, publicCloud);
	const running = program(home, server, '(async () => { console.log(await callUntilSignal()); end(); })();', {environment, options: `authorityHost: '${publicCloud}'`});
	await signalWhen(home, running, () => connections > 0);
	t.is((await running).stdout.trim(), 'FAKE-cached');
});

test('an awaited close() keeps the process alive during a hanging background refresh', async t => {
	const server = await entraServer(t);
	server.scriptAll(faults.noAnswer());
	const home = homeWith(t, server, nowSec() - 300);
	const running = program(home, server, 'await callUntilSignal(); await credential.close(); console.log(\'closed\');', {flags: ['--input-type=module', '--import', requireInModules]});
	await signalWhen(home, running, () => server.tokenRequests.length > 0);
	t.is((await running).stdout.trim(), 'closed');
	t.is(server.tokenRequests.length, 1);
});

test('an awaited close() keeps the process alive while a grant waits for a lock', async t => {
	const server = await entraServer(t);
	const home = homeWith(t, server, undefined);
	const holder = await LockProcess.start(t, 'native', join(home.path, '.IdentityService/msal.cache.nocae.lockfile'));
	t.is(await holder.ask('lock'), 'locked');
	const {stdout} = await program(home, server, 'await getToken(); await credential.close(); console.log(\'closed\');', {flags: ['--input-type=module', '--import', requireInModules], options: 'lockTimeoutInMs: 2000'});
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
			for (let round = 0; sockets() === before && round < 5000; round++) {
				await new Promise(resolve => setTimeout(resolve, 20));
			}
			console.log(before - sockets());
		})();
	`, {flags: ['--expose-gc']});
	t.is(stdout.trim(), '1');
});
