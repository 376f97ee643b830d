/** What a credential does to the process around it: waits for those who wait, and for nobody else. */

import {execFile} from 'node:child_process';
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {promisify} from 'node:util';
import test, {type ExecutionContext} from 'ava';
import * as faults from '../helpers/entra-faults.js';
import {type EntraServer, startEntraServer} from '../helpers/entra-server.js';
import {
	accessTokenRecord, accountRecord, ann, cacheOf, nowSec, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';

const run = promisify(execFile);
const root = new URL('../../', import.meta.url);
const refreshToken = 'FAKE-refresh-ann';

async function entraServer(t: ExecutionContext, delayMs = 0): Promise<EntraServer> {
	const server = await startEntraServer({refreshTokens: {[refreshToken]: ann}, delayMs});
	t.teardown(async () => server.close());
	return server;
}

/** Runs a program with a credential for `server` and returns its output and how long it lived. It is ended after 20 s. */
async function program(home: TestHome, server: EntraServer, code: string) {
	const authorityPath = join(home.path, 'authority.pem');
	writeFileSync(authorityPath, server.ca);
	const startMs = Date.now();
	const {stdout} = await run(process.execPath, ['--eval', `
		const {SharedTokenCacheCredential} = require('./dist/index.js');
		const credential = new SharedTokenCacheCredential({authorityHost: '${server.origin}', retryOptions: {maxRetries: 0}});
		const getToken = () => credential.getToken('${scope}');
		${code}
	`], {cwd: root, timeout: 20_000, env: {PATH: process.env['PATH'] ?? '', HOME: home.path, NODE_EXTRA_CA_CERTS: authorityPath}});
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

test('a process that waits for a token lives until it comes, though nothing else holds it', async t => {
	const server = await entraServer(t, 1500);
	const {stdout, elapsedMs} = await program(homeWith(t, server, undefined), server, 'getToken().then(({token}) => console.log(token));');
	t.is(stdout.trim(), server.grants[0]!.accessToken);
	t.true(elapsedMs >= 1500);
});

test('a refresh in the background that hangs does not hold the process', async t => {
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

test('idle connections and a credential that is never closed do not hold the process', async t => {
	const server = await entraServer(t);
	const {elapsedMs} = await program(homeWith(t, server, undefined), server, 'getToken();');
	t.is(server.grants.length, 1);
	t.true(elapsedMs < 10_000);
});

test('pauses between retries are waited for', async t => {
	const server = await entraServer(t);
	server.script(faults.throttled(1));
	const home = homeWith(t, server, undefined);
	const {stdout} = await program(home, server, `
		const patient = new SharedTokenCacheCredential({authorityHost: '${server.origin}'});
		patient.getToken('${scope}').then(({token}) => console.log(token));
	`);
	t.is(stdout.trim(), server.grants[0]!.accessToken);
});

test('a caller who leaves lets the process go', async t => {
	const server = await entraServer(t);
	server.scriptAll(faults.noAnswer());
	const {stdout, elapsedMs} = await program(homeWith(t, server, undefined), server, `
		credential.getToken('${scope}', {abortSignal: AbortSignal.timeout(1000)}).catch(error => console.log(error.name));
		setTimeout(() => {}, 1500);
	`);
	t.is(stdout.trim(), 'AbortError');
	t.true(elapsedMs < 10_000);
});
