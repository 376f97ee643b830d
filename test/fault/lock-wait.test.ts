/**
 * Another process holds the lock: the credential still returns tokens, the event loop stays responsive, and processes
 * can end.
 */

import {execFile} from 'node:child_process';
import {readdirSync, readFileSync, writeFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {promisify} from 'node:util';
import test, {type ExecutionContext} from 'ava';
import {SharedCache} from '../../dist/cache/shared-cache.js';
import type {StoreError} from '../../dist/errors.js';
import {plaintextFile} from '../../dist/cache/cache-source.js';
import {type EntraServer, startEntraServer} from '../helpers/authority/entra-server.js';
import {environmentOfServer, FleetProcess, nameTokens} from '../helpers/processes/fleet.js';
import {
	accountRecord, ann, cacheOf, type CacheSections, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {LockProcess, within} from '../helpers/locks/lock-process.js';
import {lackOf, lackOfAddon, testWhere} from '../helpers/peers/peers.js';
import {storage} from '../helpers/peers/written-cache.js';
import {until} from '../helpers/until.js';

const run = promisify(execFile);
const root = new URL('../../', import.meta.url);
const refreshToken = 'FAKE-refresh-ann';
const variants = ['native', 'pure'] as const;
/** The target is 5 ms. A machine that is busy with other tests suspends a process for longer. */
const longestBlockMs = 200;
const heldMs = 5000;

type Stage = {server: EntraServer; home: TestHome; cachePath: string; directory: string; holder: LockProcess};

/** A cache whose lock file MSAL for Node holds, in another process. */
async function setStage(t: ExecutionContext): Promise<Stage> {
	const server = await startEntraServer({refreshTokens: {[refreshToken]: ann}});
	t.teardown(async () => server.close());
	const home = new TestHome(t);
	const environment = environmentOfServer(server);
	const cachePath = home.writeSettled(cacheOf({accounts: [accountRecord(ann, environment)], refreshTokens: [refreshTokenRecord(ann, refreshToken, environment)]}));
	const holder = await LockProcess.startPeer(t, 'node', `${cachePath}.lockfile`);
	if (await holder.ask('lock') !== 'locked') {
		throw new Error('MSAL for Node did not get the lock.');
	}

	return {
		server, home, cachePath, directory: dirname(cachePath), holder,
	};
}

const tokenCount = (cachePath: string) => Object.keys((JSON.parse(readFileSync(cachePath, 'utf8')) as CacheSections)['AccessToken'] ?? {}).length;
const cacheFiles = ['msal.cache.nocae'];
const lockedFiles = [...cacheFiles, 'msal.cache.nocae.lockfile'];

const change = (key: string) => ({
	edits: [{
		section: 'Mine', action: 'put' as const, key, set: {written: 'true'},
	}],
});

async function commitIn(cachePath: string, {useNativeAddon = true, lockTimeoutMs = 30_000, signal}: {useNativeAddon?: boolean; lockTimeoutMs?: number; signal?: AbortSignal} = {}) {
	const cache = new SharedCache({keyringTimeoutMs: 1000, lockTimeoutMs, useNativeAddon});
	return cache.commit(plaintextFile(cachePath), change('k'), {...(signal && {signal})});
}

/** Runs a program in the package's directory, with the test's home directory. It is killed after 20 s. */
async function program({home, server, cachePath}: Stage, code: string): Promise<{stdout: string; stderr: string; tookMs: number}> {
	const authority = join(home.path, 'authority.pem');
	writeFileSync(authority, server.ca);
	const startMs = performance.now();
	const {stdout, stderr} = await run(process.execPath, ['--eval', `
		const {SharedTokenCacheCredential} = require('./dist/index.js');
		const {SharedCache} = require('./dist/cache/shared-cache.js');
		const {plaintextFile} = require('./dist/cache/cache-source.js');
		const {setTimeout: sleep} = require('node:timers/promises');
		const credential = new SharedTokenCacheCredential({authorityHost: '${server.origin}'});
		const source = plaintextFile(${JSON.stringify(cachePath)});
		const change = ${JSON.stringify(change('k'))};
		${code}
	`], {cwd: root, timeout: 20_000, env: {PATH: process.env['PATH'] ?? '', HOME: home.path, NODE_EXTRA_CA_CERTS: authority}});
	return {stdout: stdout.trim(), stderr: stderr.trim(), tookMs: performance.now() - startMs};
}

for (const variant of variants) {
	const lacks = [lackOf('msal-node'), variant === 'native' ? lackOfAddon() : undefined];
	const useNativeAddon = variant === 'native';

	testWhere(test, lacks, `${variant}: returns a token soon while the lock is held for 5 s, and writes it after the release`, async t => {
		const stage = await setStage(t);
		const {server, home, cachePath, directory, holder} = stage;
		const service = await FleetProcess.start(t, {home, server, options: {useNativeAddon}});
		const startMs = performance.now();
		// The first grant loads code, which is not part of the wait.
		t.deepEqual(await service.names(storage), ['access token 1']);
		await service.ask({do: 'watchLoop'});
		const [token] = await service.tokens(scope);
		t.deepEqual(nameTokens([token!], server), ['access token 2']);
		t.log(`The token came after ${Math.round(token!.tookMs)} ms.`);
		t.true(token!.tookMs < 3000);
		// In the meantime the token is in memory.
		t.deepEqual(await service.names(scope, 10), Array.from({length: 10}, () => 'access token 2'));
		await sleep(heldMs - (performance.now() - startMs));
		t.is(tokenCount(cachePath), 0);
		t.deepEqual(readdirSync(directory), lockedFiles);
		const blockedMs = await service.ask<number>({do: 'longestBlockMs'});
		t.is(await holder.ask('unlock'), 'unlocked');
		await until(() => tokenCount(cachePath) === 2, 5000);
		await until(() => readdirSync(directory).length === 1, 5000);
		t.deepEqual(readdirSync(directory), cacheFiles);
		t.is(server.tokenRequests.length, 2);
		t.log(`Longest block of the event loop: ${blockedMs.toFixed(1)} ms.`);
		t.true(blockedMs < longestBlockMs);
	});

	testWhere(test, lacks, `${variant}: a commit that waits for 5 s does not block the event loop`, async t => {
		const stage = await setStage(t);
		const {holder, cachePath} = stage;
		setTimeout(() => {
			void holder.ask('unlock');
		}, heldMs);
		const [{stdout}, idle] = await Promise.all([program(stage, `
			(async () => {
				const {monitorEventLoopDelay} = require('node:perf_hooks');
				const cache = new SharedCache({keyringTimeoutMs: 1000, lockTimeoutMs: 30_000, useNativeAddon: ${useNativeAddon}});
				// Loads the lazy modules first, so that loading is not measured.
				await cache.stamp(source);
				const delays = monitorEventLoopDelay({resolution: 1});
				delays.enable();
				await sleep(50);
				delays.reset();
				const startMs = performance.now();
				const {outcome} = await cache.commit(source, change);
				console.log(JSON.stringify({outcome, waitedMs: performance.now() - startMs, blockedMs: delays.max / 1e6}));
			})();
		`), program(stage, `
			(async () => {
				// The longest block of an idle process on this machine.
				const delays = require('node:perf_hooks').monitorEventLoopDelay({resolution: 1});
				delays.enable();
				await sleep(50);
				delays.reset();
				await sleep(${heldMs - 500});
				console.log(delays.max / 1e6);
			})();
		`)]);
		const {outcome, waitedMs, blockedMs} = JSON.parse(stdout) as {outcome: string; waitedMs: number; blockedMs: number};
		t.is(outcome, 'written');
		t.log(`Waited ${Math.round(waitedMs)} ms; longest block of the event loop: ${blockedMs.toFixed(1)} ms; of an idle process at the same time: ${Number(idle.stdout).toFixed(1)} ms.`);
		t.true(waitedMs > 2000, 'it had to wait');
		t.true(blockedMs < longestBlockMs);
		t.true(readFileSync(cachePath, 'utf8').includes('"Mine"'));
	});

	testWhere(test, lacks, `${variant}: an abort signal ends the wait at once with its reason; the time-out ends it with a remedy`, async t => {
		const {cachePath, directory} = await setStage(t);
		const before = readFileSync(cachePath);
		const reason = new Error('no longer wanted');
		const leaving = new AbortController();
		const waiting = commitIn(cachePath, {useNativeAddon, signal: leaving.signal});
		t.is(await within(waiting.catch(() => undefined), 300), 'still waiting');
		const startMs = performance.now();
		leaving.abort(reason);
		await t.throwsAsync(waiting, {is: reason});
		t.true(performance.now() - startMs < 2000);
		await t.throwsAsync(commitIn(cachePath, {useNativeAddon, signal: AbortSignal.abort(reason)}), {is: reason});

		for (const lockTimeoutMs of [0, 300]) {
			const askedMs = performance.now();
			const error = await t.throwsAsync<StoreError>(commitIn(cachePath, {useNativeAddon, lockTimeoutMs}), {name: 'StoreError', code: 'STC_LOCK_TIMEOUT'});
			const tookMs = performance.now() - askedMs;
			t.true(tookMs >= lockTimeoutMs && tookMs < lockTimeoutMs + 5000);
			t.true(error.message.startsWith(`${cachePath}.lockfile: held by another program for ${lockTimeoutMs} ms.`));
			t.regex(error.message, /delete that file/);
			t.regex(error.message, /lockTimeoutInMs/);
		}

		t.true(readFileSync(cachePath).equals(before));
		t.deepEqual(readdirSync(directory), lockedFiles);
	});

	testWhere(test, lacks, `${variant}: a process that only waits for the lock in the background ends`, async t => {
		const stage = await setStage(t);
		const {stdout, stderr, tookMs} = await program(stage, `
			new SharedTokenCacheCredential({authorityHost: '${stage.server.origin}', useNativeAddon: ${useNativeAddon}}).getToken('${scope}').then(({token}) => console.log(token.length > 100));
		`);
		t.is(stdout, 'true');
		t.is(stderr, '');
		t.true(tookMs < 10_000);
		t.deepEqual(readdirSync(stage.directory), lockedFiles);
		t.is(tokenCount(stage.cachePath), 0);
	});

	testWhere(test, lacks, `${variant}: closing the credential during a wait for a lock takes a moment at most`, async t => {
		const stage = await setStage(t);
		const {stdout, stderr} = await program(stage, `
			(async () => {
				const closing = new SharedTokenCacheCredential({authorityHost: '${stage.server.origin}', useNativeAddon: ${useNativeAddon}});
				await closing.getToken('${scope}');
				const startMs = performance.now();
				await closing.close();
				console.log(performance.now() - startMs < 5000);
			})();
		`);
		t.is(stdout, 'true');
		t.is(stderr, '');
		t.deepEqual(readdirSync(stage.directory), lockedFiles);
	});
}

testWhere(test, [lackOf('msal-node'), lackOfAddon()], 'a commit that is awaited keeps the process alive until it is done', async t => {
	const stage = await setStage(t);
	setTimeout(() => {
		void stage.holder.ask('unlock');
	}, 2000);
	const {stdout} = await program(stage, 'new SharedCache({keyringTimeoutMs: 1000, lockTimeoutMs: 30_000}).commit(source, change).then(({outcome}) => console.log(outcome));');
	t.is(stdout, 'written');
});

testWhere(test, [lackOf('msal-node'), lackOfAddon()], 'many tokens that wait to be written are all written, without a warning', async t => {
	const stage = await setStage(t);
	setTimeout(() => {
		void stage.holder.ask('unlock');
	}, 3000);
	const {stdout, stderr} = await program(stage, `
		(async () => {
			const scopes = Array.from({length: 15}, (_, index) => 'https://resource-' + index + '.example/.default');
			await Promise.all(scopes.map(each => credential.getToken(each)));
			console.log(Object.keys(JSON.parse(require('node:fs').readFileSync(source.at.path, 'utf8')).AccessToken ?? {}).length);
			await sleep(4000);
		})();
	`);
	t.is(stdout, '0');
	t.is(stderr, '');
	t.is(tokenCount(stage.cachePath), 15);
	t.deepEqual(readdirSync(stage.directory), cacheFiles);
});

testWhere(test, [lackOf('msal-node'), lackOfAddon()], 'worker threads that are terminated during a wait or a write leave no lock', async t => {
	const stage = await setStage(t);
	const worker = JSON.stringify(`
		const path = require('node:path');
		const {SharedCache} = require(path.resolve('dist/cache/shared-cache.js'));
		const {plaintextFile} = require(path.resolve('dist/cache/cache-source.js'));
		const cache = new SharedCache({keyringTimeoutMs: 1000, lockTimeoutMs: 30_000});
		const {path: cachePath} = require('node:worker_threads').workerData;
		(async () => {
			for (let round = 0; ; round++) {
				await cache.commit(plaintextFile(cachePath), {edits: [{section: 'Mine', action: 'put', key: String(round % 10), set: {round: String(round)}}]});
			}
		})();
	`);
	const terminate = (count: number) => `
		const {Worker} = require('node:worker_threads');
		(async () => {
			await Promise.all(Array.from({length: ${count}}, async (_, index) => {
				const worker = new Worker(${worker}, {eval: true, workerData: {path: source.at.path}});
				await new Promise((resolve, reject) => { worker.once('online', resolve); worker.once('error', reject); });
				await sleep(300 + index * 37);
				await worker.terminate();
			}));
			console.log(require('node:fs').readdirSync(require('node:path').dirname(source.at.path)).join(' '));
			const startMs = performance.now();
			const {outcome} = await new SharedCache({keyringTimeoutMs: 1000, lockTimeoutMs: 1000}).commit(source, change).catch(({code}) => ({outcome: code}));
			console.log(outcome);
		})();
	`;
	const waited = await program(stage, terminate(4));
	t.is(waited.stdout, `${lockedFiles.join(' ')}\nSTC_LOCK_TIMEOUT`);
	t.is(await stage.holder.ask('unlock'), 'unlocked');
	const wrote = await program(stage, terminate(12));
	t.is(wrote.stdout, `${cacheFiles.join(' ')}\nwritten`);
	t.is(wrote.stderr, '');
	t.true(readFileSync(stage.cachePath, 'utf8').includes('"Mine"'));
	t.notThrows(() => {
		JSON.parse(readFileSync(stage.cachePath, 'utf8'));
	});
});
