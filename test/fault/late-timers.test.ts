/** Timers that fire late, because the process was stopped or its event loop was blocked while the answer came. */

import {writeFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import test from 'ava';
import {LineProcess} from '../helpers/processes/line-process.js';
import {startEntraServer} from '../helpers/authority/entra-server.js';
import {ann, TestHome} from '../helpers/home.js';
import {until} from '../helpers/until.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const redirect = new URL('../helpers/authority/redirect-tls.mjs', import.meta.url).href;

/** The time-out of one attempt, which no option changes. */
const attemptMs = 30_000;

/** Longer than the two requests of a loaded machine take to arrive, shorter than an attempt. */
const callerMs = 25_000;

test('A6: a process that is stopped for longer than all its time-outs takes the answer that came meanwhile', async t => {
	const entra = await startEntraServer({refreshTokens: {'FAKE-refresh': ann}});
	t.teardown(async () => entra.close());
	let answer: () => void = () => undefined;
	const stopped = new Promise<void>(resolve => {
		answer = resolve;
	});
	let sent = 0;
	entra.scriptAll(async ({answer: usual, response}) => {
		await stopped;
		response.writeHead(200, {'content-type': 'application/json'});
		response.end(JSON.stringify(usual().json), () => {
			sent++;
		});
	});
	const home = new TestHome(t);
	home.writeAccount(ann, 'FAKE-refresh');
	const authorityPath = join(home.path, 'authority.pem');
	writeFileSync(authorityPath, entra.ca);
	// At Microsoft's authority, for both requests to be under way at once: at others, those of one account take turns.
	const child = new LineProcess('The stopped program', [process.execPath, '--import', redirect, '--eval', `
		const {SharedTokenCacheCredential} = require(${JSON.stringify(join(root, 'dist', 'index.js'))});
		const credential = new SharedTokenCacheCredential({retryOptions: {maxRetries: 0}});
		Promise.all([
			credential.getToken('patient/.default'),
			credential.getToken('limited/.default', {requestOptions: {timeout: ${callerMs}}}),
		]).then(tokens => console.log(tokens.every(({token}) => token) ? 'tokens' : 'none'), error => console.log(error.message));
	`], {
		PATH: process.env['PATH'] ?? '', HOME: home.path, NODE_EXTRA_CA_CERTS: authorityPath, STC_LOOPBACK_PORT: String(entra.port),
	});
	t.teardown(async () => child.kill());
	await until(() => entra.tokenRequests.length === 2);
	child.signal('SIGSTOP');
	answer();
	await until(() => sent === 2);
	await sleep(attemptMs + 4000);
	child.signal('SIGCONT');
	t.is(await child.next(), 'tokens');
	t.is(entra.tokenRequests.length, 2);
});
