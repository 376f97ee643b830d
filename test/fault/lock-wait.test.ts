/**
 * Another process holds the lock: the credential still returns tokens, the event loop stays responsive, and processes
 * can end.
 */

import {execFile} from 'node:child_process';
import {
	existsSync, readdirSync, readFileSync, writeFileSync,
} from 'node:fs';
import {dirname, join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {promisify} from 'node:util';
import test, {type ExecutionContext} from 'ava';
import {SharedCache} from '../../dist/cache/shared-cache.js';
import type {StoreError} from '../../dist/errors.js';
import {plaintextFile} from '../../dist/cache/cache-source.js';
import {type EntraServer, startEntraServer} from '../helpers/authority/entra-server.js';
import {
	asEntra, FleetProcess, type LoopReport, nameTokens,
} from '../helpers/processes/fleet.js';
import {
	accountRecord, ann, cacheOf, type CacheSections, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {LockProcess, within} from '../helpers/locks/lock-process.js';
import {lackOf, lackOfAddon, testWhere} from '../helpers/peers/peers.js';
import {storage} from '../helpers/peers/written-cache.js';
import {patienceMs, until} from '../helpers/until.js';

const run = promisify(execFile);
const root = new URL('../../', import.meta.url);
const refreshToken = 'FAKE-refresh-ann';
const variants = ['native', 'pure'] as const;
const heldMs = 5000;
/** So long that a test fails if its code waits for the lock, although it should not. */
const endless = 2 * patienceMs;
/** Turns of the event loop during a wait. If the wait blocks the event loop, it has none, or one for each attempt to get the lock. */
const manyTurns = 1000;

type Stage = {server: EntraServer; home: TestHome; cachePath: string; directory: string; holder: LockProcess};

/**
 * A cache whose lock file MSAL for Node holds, in another process. The authority is Microsoft's: at others, where a refresh
 * token works once, a process waits until the new one is written.
 */
async function setStage(t: ExecutionContext): Promise<Stage> {
	const server = await startEntraServer({refreshTokens: {[refreshToken]: ann}});
	t.teardown(async () => server.close());
	const home = new TestHome(t);
	const cachePath = home.writeSettled(cacheOf({accounts: [accountRecord(ann)], refreshTokens: [refreshTokenRecord(ann, refreshToken)]}));
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
/** Without leases and their notes, which the next process removes. */
const cachesIn = (directory: string) => readdirSync(directory).filter(name => !name.startsWith('.'));
const lockedFiles = [...cacheFiles, 'msal.cache.nocae.lockfile'];

const change = (key: string) => ({
	edits: [{
		section: 'Mine', action: 'put' as const, key, set: {written: 'true'},
	}],
});

async function commitIn(cachePath: string, {useNativeAddon = true, lockTimeoutMs = endless, signal}: {useNativeAddon?: boolean; lockTimeoutMs?: number; signal?: AbortSignal} = {}) {
	const cache = new SharedCache({keyringTimeoutMs: 1000, lockTimeoutMs, useNativeAddon});
	return cache.commit(plaintextFile(cachePath), change('k'), {...(signal && {signal})});
}

const signalPath = ({home}: Stage) => join(home.path, 'signal');

/**
 * Runs a program in the package's directory, with the test's home directory. It calls `signal()` when the test may go on:
 * see {@link signalOf}.
 */
async function program(stage: Stage, code: string): Promise<{stdout: string; stderr: string}> {
	const {home, server, cachePath} = stage;
	const authority = join(home.path, 'authority.pem');
	writeFileSync(authority, server.ca);
	const {stdout, stderr} = await run(process.execPath, ['--eval', `
		const {SharedTokenCacheCredential} = require('./dist/index.js');
		const {SharedCache} = require('./dist/cache/shared-cache.js');
		const {plaintextFile} = require('./dist/cache/cache-source.js');
		const {setTimeout: sleep} = require('node:timers/promises');
		const {writeFileSync, readFileSync, readdirSync} = require('node:fs');
		const options = {lockTimeoutInMs: ${endless}};
		const signal = () => writeFileSync(${JSON.stringify(signalPath(stage))}, '');
		const source = plaintextFile(${JSON.stringify(cachePath)});
		const change = ${JSON.stringify(change('k'))};
		${code}
	`], {
		cwd: root, timeout: patienceMs, killSignal: 'SIGKILL', env: {
			PATH: process.env['PATH'] ?? '', HOME: home.path, NODE_EXTRA_CA_CERTS: authority, ...asEntra(server),
		},
	});
	return {stdout: stdout.trim(), stderr: stderr.trim()};
}

async function signalOf(stage: Stage): Promise<void> {
	await until(() => existsSync(signalPath(stage)));
}

for (const variant of variants) {
	const lacks = [lackOf('msal-node'), variant === 'native' ? lackOfAddon() : undefined];
	const useNativeAddon = variant === 'native';

	testWhere(test, lacks, `${variant}: returns a token soon while the lock is held for 5 s, and writes it after the release`, async t => {
		const stage = await setStage(t);
		const {server, home, cachePath, directory, holder} = stage;
		const service = await FleetProcess.start(t, {
			home, server, isEntra: true, options: {useNativeAddon, lockTimeoutInMs: endless},
		});
		const startMs = performance.now();
		// The first grant loads code, which is not part of the wait.
		t.deepEqual(await service.names(storage), ['access token 1']);
		await service.ask({do: 'watchLoop'});
		const [token] = await service.tokens(scope);
		t.deepEqual(nameTokens([token!], server), ['access token 2']);
		t.log(`The token came after ${Math.round(token!.tookMs)} ms.`);
		// In the meantime the token is in memory.
		t.deepEqual(await service.names(scope, 10), Array.from({length: 10}, () => 'access token 2'));
		await sleep(heldMs - (performance.now() - startMs));
		await until(async () => (await service.ask<LoopReport>({do: 'loop'})).turns >= manyTurns);
		t.is(tokenCount(cachePath), 0);
		t.deepEqual(cachesIn(directory), lockedFiles);
		const {longestBlockMs} = await service.ask<LoopReport>({do: 'loop'});
		t.is(await holder.ask('unlock'), 'unlocked');
		await until(() => tokenCount(cachePath) === 2);
		await until(() => cachesIn(directory).length === 1);
		t.is(server.tokenRequests.length, 2);
		t.log(`Longest block of the event loop: ${longestBlockMs.toFixed(1)} ms.`);
	});

	testWhere(test, lacks, `${variant}: a commit that waits does not block the event loop`, async t => {
		const stage = await setStage(t);
		const {holder, cachePath} = stage;
		const committing = program(stage, `
			(async () => {
				const cache = new SharedCache({keyringTimeoutMs: 1000, lockTimeoutMs: ${endless}, useNativeAddon: ${useNativeAddon}});
				let turns = 0;
				const ticker = setInterval(() => {
					turns++;
					if (turns === ${manyTurns}) {
						signal();
					}
				}, 1);
				const {outcome} = await cache.commit(source, change);
				clearInterval(ticker);
				console.log(outcome);
			})();
		`);
		// The lock is free only after the turns.
		await Promise.race([signalOf(stage), committing]);
		t.true(existsSync(signalPath(stage)), 'the event loop turned');
		t.is(await holder.ask('unlock'), 'unlocked');
		t.is((await committing).stdout, 'written');
		t.true(readFileSync(cachePath, 'utf8').includes('"Mine"'));
	});

	testWhere(test, lacks, `${variant}: an abort signal ends the wait at once with its reason; the time-out ends it with a remedy`, async t => {
		const {cachePath, directory} = await setStage(t);
		const before = readFileSync(cachePath);
		const reason = new Error('no longer wanted');
		const leaving = new AbortController();
		const waiting = commitIn(cachePath, {useNativeAddon, signal: leaving.signal});
		t.is(await within(waiting.catch(() => undefined), 300), 'still waiting');
		leaving.abort(reason);
		await t.throwsAsync(waiting, {is: reason});
		await t.throwsAsync(commitIn(cachePath, {useNativeAddon, signal: AbortSignal.abort(reason)}), {is: reason});

		const patience = new AbortController();
		const patient = commitIn(cachePath, {useNativeAddon, signal: patience.signal});
		for (const lockTimeoutMs of [0, 300]) {
			const askedMs = performance.now();
			const error = await t.throwsAsync<StoreError>(commitIn(cachePath, {useNativeAddon, lockTimeoutMs}), {name: 'StoreError', code: 'STC_LOCK_TIMEOUT'});
			const tookMs = performance.now() - askedMs;
			t.true(tookMs >= lockTimeoutMs);
			t.true(error.message.startsWith(`${cachePath}.lockfile: held by another program for ${lockTimeoutMs} ms.`));
			t.regex(error.message, /delete that file/);
			t.regex(error.message, /lockTimeoutInMs/);
		}

		t.is(await within(patient.catch(() => undefined), 0), 'still waiting', 'each wait has its own time-out');
		patience.abort(reason);
		await t.throwsAsync(patient, {is: reason});

		t.true(readFileSync(cachePath).equals(before));
		t.deepEqual(readdirSync(directory), lockedFiles);
	});

	testWhere(test, lacks, `${variant}: a process that only waits for the lock in the background ends`, async t => {
		const stage = await setStage(t);
		const {stdout, stderr} = await program(stage, `
			new SharedTokenCacheCredential({...options, useNativeAddon: ${useNativeAddon}}).getToken('${scope}').then(({token}) => console.log(token.length > 100));
		`);
		t.is(stdout, 'true');
		t.is(stderr, '');
		t.deepEqual(cachesIn(stage.directory), lockedFiles);
		t.is(tokenCount(stage.cachePath), 0);
	});

	testWhere(test, lacks, `${variant}: closing the credential during a wait for a lock does not wait for it`, async t => {
		const stage = await setStage(t);
		const {stdout, stderr} = await program(stage, `
			(async () => {
				const closing = new SharedTokenCacheCredential({...options, useNativeAddon: ${useNativeAddon}});
				await closing.getToken('${scope}');
				await closing.close();
				console.log(true);
			})();
		`);
		t.is(stdout, 'true');
		t.is(stderr, '');
		t.deepEqual(cachesIn(stage.directory), lockedFiles);
	});
}

testWhere(test, [lackOf('msal-node'), lackOfAddon()], 'a commit that is awaited keeps the process alive until it is done', async t => {
	const stage = await setStage(t);
	// Nothing else keeps the process alive.
	const committing = program(stage, `
		setTimeout(signal, 500).unref();
		new SharedCache({keyringTimeoutMs: 1000, lockTimeoutMs: ${endless}}).commit(source, change).then(({outcome}) => console.log(outcome));
	`);
	await Promise.race([signalOf(stage), committing]);
	t.is(await stage.holder.ask('unlock'), 'unlocked');
	t.is((await committing).stdout, 'written');
});

testWhere(test, [lackOf('msal-node'), lackOfAddon()], 'many tokens that wait to be written are all written, without a warning', async t => {
	const stage = await setStage(t);
	const running = program(stage, `
		(async () => {
			const credential = new SharedTokenCacheCredential(options);
			const count = () => Object.keys(JSON.parse(readFileSync(source.at.path, 'utf8')).AccessToken ?? {}).length;
			const scopes = Array.from({length: 15}, (_, index) => 'https://resource-' + index + '.example/.default');
			await Promise.all(scopes.map(each => credential.getToken(each)));
			console.log(count());
			signal();
			while (count() < scopes.length || readdirSync(require('node:path').dirname(source.at.path)).some(name => name.endsWith('.lockfile'))) {
				await sleep(10);
			}
		})();
	`);
	await Promise.race([signalOf(stage), running]);
	t.is(await stage.holder.ask('unlock'), 'unlocked');
	const {stdout, stderr} = await running;
	t.is(stdout, '0');
	t.is(stderr, '');
	t.is(tokenCount(stage.cachePath), 15);
	t.deepEqual(cachesIn(stage.directory), cacheFiles);
});

testWhere(test, [lackOf('msal-node'), lackOfAddon()], 'worker threads that are terminated during a wait or a write leave no lock', async t => {
	const stage = await setStage(t);
	const worker = JSON.stringify(`
		const path = require('node:path');
		const {SharedCache} = require(path.resolve('dist/cache/shared-cache.js'));
		const {plaintextFile} = require(path.resolve('dist/cache/cache-source.js'));
		const cache = new SharedCache({keyringTimeoutMs: 1000, lockTimeoutMs: ${endless}});
		const {path: cachePath} = require('node:worker_threads').workerData;
		(async () => {
			for (let round = 0; ; round++) {
				await cache.commit(plaintextFile(cachePath), {edits: [{section: 'Mine', action: 'put', key: String(round % 10), set: {round: String(round)}}]});
			}
		})();
	`);
	const terminate = (count: number, lockTimeoutMs: number) => `
		const {Worker} = require('node:worker_threads');
		(async () => {
			await Promise.all(Array.from({length: ${count}}, async (_, index) => {
				const worker = new Worker(${worker}, {eval: true, workerData: {path: source.at.path}});
				await new Promise((resolve, reject) => { worker.once('online', resolve); worker.once('error', reject); });
				await sleep(300 + index * 37);
				await worker.terminate();
			}));
			console.log(readdirSync(require('node:path').dirname(source.at.path)).join(' '));
			const {outcome} = await new SharedCache({keyringTimeoutMs: 1000, lockTimeoutMs: ${lockTimeoutMs}}).commit(source, change).catch(({code}) => ({outcome: code}));
			console.log(outcome);
		})();
	`;
	const waited = await program(stage, terminate(4, 1000));
	t.is(waited.stdout, `${lockedFiles.join(' ')}\nSTC_LOCK_TIMEOUT`);
	t.is(await stage.holder.ask('unlock'), 'unlocked');
	const wrote = await program(stage, terminate(12, endless));
	t.is(wrote.stdout, `${cacheFiles.join(' ')}\nwritten`);
	t.is(wrote.stderr, '');
	t.true(readFileSync(stage.cachePath, 'utf8').includes('"Mine"'));
	t.notThrows(() => {
		JSON.parse(readFileSync(stage.cachePath, 'utf8'));
	});
});
