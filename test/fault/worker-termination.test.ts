/** The end of an environment with jobs under way: worker threads that are terminated, and the process itself. */

import {execFile} from 'node:child_process';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';
import test from 'ava';
import {buildCache, builtClientId, builtEnvironment} from '../helpers/cache-builder.js';

const run = promisify(execFile);
const root = new URL('../../', import.meta.url);
const query = JSON.stringify({environments: [builtEnvironment], clientId: builtClientId, nowSec: 0});

const directory = mkdtempSync(join(tmpdir(), 'stc-termination-'));
const path = join(directory, 'cache');
test.before(() => {
	// Large enough that a job lasts some milliseconds.
	writeFileSync(path, buildCache({accounts: 20, tokensPerAccount: 60}).text);
});
test.after.always(() => {
	rmSync(directory, {recursive: true, force: true});
});

/** Asks again and again, without ever waiting. */
const asking = `
	const {backend} = require(require('node:path').resolve('dist/native.js')).loadNativeBackend();
	const ask = () => {
		backend.query('plaintext', {path: ${JSON.stringify(path)}}, ${query}, 1000).then(ask, ask);
		backend.stamp('plaintext', {path: ${JSON.stringify(path)}}, 1000).catch(() => undefined);
	};
	for (let chain = 0; chain < 4; chain++) { ask(); }
`;

for (let round = 1; round <= 5; round++) {
	test(`40 worker threads terminated with jobs under way, round ${round}`, async t => {
		const {stdout} = await run(process.execPath, ['--eval', `
			const {Worker} = require('node:worker_threads');
			(async () => {
				for (let group = 0; group < 5; group++) {
					await Promise.all(Array.from({length: 8}, async (_, index) => {
						const worker = new Worker(${JSON.stringify(asking)}, {eval: true});
						await new Promise((resolve, reject) => { worker.once('online', resolve); worker.once('error', reject); });
						await new Promise(resolve => setTimeout(resolve, 5 + index * 9));
						await worker.terminate();
					}));
				}
				// The environment that stays still works.
				const {backend} = require('./dist/native.js').loadNativeBackend();
				const {accounts} = await backend.query('plaintext', {path: ${JSON.stringify(path)}}, ${query}, 1000);
				console.log(accounts.length);
			})();
		`], {cwd: root, timeout: 100_000});
		t.is(stdout.trim(), '20');
	});
}

test('process.exit with jobs under way', async t => {
	for (let round = 0; round < 10; round++) {
		const {stderr} = await run(process.execPath, ['--eval', `${asking} setTimeout(() => process.exit(0), ${round * 3});`], {cwd: root, timeout: 20_000});
		t.is(stderr, '');
	}
});

test('several worker threads read at once, each with an addon of its own', async t => {
	const {stdout} = await run(process.execPath, ['--eval', `
		const {Worker} = require('node:worker_threads');
		const code = ${JSON.stringify(`
			const {backend} = require(require('node:path').resolve('dist/native.js')).loadNativeBackend();
			backend.query('plaintext', {path: ${JSON.stringify(path)}}, ${query}, 1000).then(({accounts}) => require('node:worker_threads').parentPort.postMessage(accounts.length));
		`)};
		Promise.all(Array.from({length: 6}, () => new Promise(resolve => new Worker(code, {eval: true}).once('message', resolve)))).then(counts => console.log(counts.join(' ')));
	`], {cwd: root, timeout: 60_000});
	t.is(stdout.trim(), '20 20 20 20 20 20');
});
