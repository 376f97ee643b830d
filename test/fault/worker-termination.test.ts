/** The end of a Node environment with jobs in progress: terminated worker threads, and the process itself. */

import {execFile, type ExecFileException} from 'node:child_process';
import {
	mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test, {type ExecutionContext} from 'ava';
import {storeOf} from '../../dist/backend/stores.js';
import {buildCache, builtClientId, builtEnvironment} from '../helpers/caches/cache-builder.js';
import {native} from '../helpers/caches/backends.js';
import {itemAttributes, locationOf} from '../helpers/keyring/keyring-items.js';
import {keyringFor, keyringTest} from '../helpers/keyring/keyring-test.js';
import {patienceMs} from '../helpers/until.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const program = (name: string) => fileURLToPath(new URL(`../helpers/processes/${name}`, import.meta.url));
// Large enough that a job takes some milliseconds.
const cache = buildCache({accounts: 20, tokensPerAccount: 60}).text;

type Ended = {code: number | null; signal: string | null; stdout: string; stderr: string};

/** A process that does not end is killed, and its signal makes the test fail. */
async function run(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Ended> {
	return new Promise(resolve => {
		const child = execFile(process.execPath, args, {
			cwd: root, env: {...process.env, ...environment}, timeout: patienceMs, killSignal: 'SIGKILL',
		}, (_error: ExecFileException | null, stdout, stderr) => {
			resolve({
				code: child.exitCode, signal: child.signalCode, stdout, stderr,
			});
		});
	});
}

/** A directory that contains only a cache. */
function cacheFor(t: ExecutionContext): {directory: string; path: string} {
	const directory = mkdtempSync(join(tmpdir(), 'stc-termination-'));
	t.teardown(() => {
		rmSync(directory, {recursive: true, force: true});
	});
	const path = join(directory, 'cache');
	writeFileSync(path, cache, {mode: 0o600});
	return {directory, path};
}

type Report = {inFlight: Record<string, number>; jobs: number; left: string[]; final: string};

const kinds = ['read', 'query', 'stamp', 'commit', 'commit', 'lock', 'hold', 'scan'];

for (let round = 1; round <= 5; round++) {
	test.serial(`40 worker threads are terminated with jobs in progress, round ${round}`, async t => {
		const {directory, path} = cacheFor(t);
		const ended = await run([program('terminate-workers.mjs'), JSON.stringify({kinds, path})]);
		t.like(ended, {code: 0, signal: null, stderr: ''});
		const {inFlight, left, final} = JSON.parse(ended.stdout) as Report;
		for (const kind of kinds) {
			t.true(inFlight[kind]! > 0, `${kind}: no thread was terminated in the middle of a job`);
		}

		t.deepEqual(left, [], 'a lock lives no longer than the thread that took it');
		t.is(final, 'written');
		t.deepEqual(readdirSync(directory), ['cache']);
		const {Mine} = JSON.parse(readFileSync(path, 'utf8')) as {Mine: Record<string, unknown>};
		t.truthy(Mine['k'], 'the threads committed');
	});
}

for (let round = 1; round <= 5; round++) {
	keyringTest(test.serial, `40 worker threads are terminated during keyring calls, round ${round}`, async t => {
		const keyring = await keyringFor(t);
		await keyring.store(itemAttributes.python, buildCache({accounts: 1, tokensPerAccount: 6}).text);
		// The keyring does not answer in the last round. No call waits for it.
		if (round === 5) {
			keyring.freeze();
			t.teardown(() => {
				keyring.thaw();
			});
		}

		const {directory, path} = cacheFor(t);
		const argument = {kinds: ['keyring-query', 'keyring-commit', 'keyring-stamp'], path, location: locationOf('python')};
		const ended = await run([program('terminate-workers.mjs'), JSON.stringify(argument)], keyring.environment);
		t.like(ended, {code: 0, signal: null, stderr: ''});
		const {inFlight, final} = JSON.parse(ended.stdout) as Report;
		for (const kind of argument.kinds) {
			t.true(inFlight[kind]! > 0, `${kind}: no thread was terminated in the middle of a job`);
		}

		t.is(final, 'written');
		await tidy(directory, path);
		t.deepEqual(readdirSync(directory), ['cache']);
	});
}

const ends = {
	exit: {code: 0, signal: null, stderr: /^$/},
	fall: {code: 0, signal: null, stderr: /^$/},
	throw: {code: 1, signal: null, stderr: /^.*busy-environment\.mjs:\d+\n[^]*Error: Thrown on purpose\.\n(?: {4}at .*\n)+\nNode\.js v[\d.]+\n$/},
	signal: {code: null, signal: 'SIGTERM', stderr: /^$/},
} as const;

/** The next process cleans the directory up: both taking the locks and committing do that. */
async function tidy(directory: string, path: string): Promise<void> {
	const locks = readdirSync(directory).map(name => /^.*\.(?:held|lockfile)/.exec(name)?.[0]).filter(name => name !== undefined);
	for (const name of new Set(locks)) {
		const lock = await native.tryLock([join(directory, name)]);
		await lock?.release();
	}

	await storeOf(native, 'plaintext').commit!({path}, {change: {edits: []}, lockPaths: [`${path}.lockfile`], create: false}, 1000);
}

async function checkEnds(t: ExecutionContext, kind: string, rest: Record<string, unknown> = {}, environment?: Readonly<Record<string, string>>): Promise<void> {
	for (const [how, {code, signal, stderr}] of Object.entries(ends)) {
		for (const afterMs of how === 'fall' ? [0] : [0, 3, 20]) {
			const {directory, path} = cacheFor(t);
			const what = `${kind}, ${how} after ${afterMs} ms`;
			const ended = await run([program('busy-environment.mjs'), JSON.stringify({
				kind, path, ...rest, end: {how, afterMs},
			})], environment);
			t.like(ended, {code, signal, stdout: ''}, what);
			t.regex(ended.stderr, stderr, what);
			t.notThrows(() => JSON.parse(readFileSync(path, 'utf8')) as unknown, `${what}: the cache is complete`);
			await tidy(directory, path);
			t.deepEqual(readdirSync(directory), ['cache'], what);
		}
	}
}

for (const kind of new Set(kinds)) {
	test(`a process ends during jobs: ${kind}`, async t => {
		await checkEnds(t, kind);
	});
}

for (const frozen of [false, true]) {
	keyringTest(test.serial, `a process ends during calls to a keyring that ${frozen ? 'does not answer' : 'answers'}`, async t => {
		const keyring = await keyringFor(t);
		await keyring.store(itemAttributes.python, buildCache({accounts: 1, tokensPerAccount: 6}).text);
		if (frozen) {
			keyring.freeze();
			t.teardown(() => {
				keyring.thaw();
			});
		}

		for (const kind of ['keyring-query', 'keyring-commit']) {
			await checkEnds(t, kind, {location: locationOf('python')}, keyring.environment);
		}
	});
}

test('threads and contexts have separate addon instances and continue when one of them ends', async t => {
	const {path} = cacheFor(t);
	const query = {environments: [builtEnvironment], clientId: builtClientId, nowSec: 0};
	const ask = `
		const {readFileSync} = require('node:fs');
		const {dirname, resolve} = require('node:path');
		const vm = require('node:vm');
		const files = ['dist/backend/native-backend.js', 'dist/backend/stores.js'].map(file => resolve(file));
		/** Loads modules like a test runner that gives each test file a separate context. */
		function inContext() {
			const context = vm.createContext({process, Buffer, performance, setTimeout, clearTimeout});
			const modules = new Map();
			function load(path) {
				if (modules.has(path)) {
					return modules.get(path).exports;
				}

				const module = {exports: {}};
				modules.set(path, module);
				const requireHere = name => name.startsWith('.') ? load(resolve(dirname(path), name)) : require(name);
				const names = ['exports', 'require', 'module', '__filename', '__dirname'];
				vm.compileFunction(readFileSync(path, 'utf8'), names, {filename: path, parsingContext: context})(module.exports, requireHere, module, path, dirname(path));
				return module.exports;
			}

			return {modules: files.map(file => load(file)), prototype: vm.runInContext('Object.prototype', context)};
		}

		const environments = [inContext(), {modules: files.map(file => require(file)), prototype: Object.prototype}, inContext()];
		async function ask() {
			const answers = await Promise.all(environments.map(async ({modules: [{loadNativeBackend}, {storeOf}], prototype}) => {
				const {accounts, refreshTokens, accessTokens} = await storeOf(loadNativeBackend().backend, 'plaintext').query({path: ${JSON.stringify(path)}}, ${JSON.stringify(query)}, 1000);
				const ofOthers = [...accounts, ...refreshTokens, ...accessTokens].filter(entry => Object.getPrototypeOf(entry) !== prototype);
				return accounts.length + '-' + ofOthers.length;
			}));
			return answers.join(' ');
		}
	`;
	const {code, stdout, stderr} = await run(['--eval', `
		const {Worker} = require('node:worker_threads');
		${ask}
		const worker = () => new Worker(${JSON.stringify(`${ask}
			const {parentPort} = require('node:worker_threads');
			parentPort.on('message', async () => parentPort.postMessage(await ask()));
		`)}, {eval: true});
		const answer = thread => new Promise((resolve, reject) => {
			thread.once('message', resolve);
			thread.once('error', reject);
			thread.postMessage('ask');
		});
		(async () => {
			const threads = Array.from({length: 6}, worker);
			const answers = await Promise.all(threads.map(answer));
			while (threads.length > 0) {
				const last = threads.pop();
				answer(last);
				answers.push(...(await Promise.all([ask(), ...threads.map(answer), last.terminate()])).slice(0, -1));
			}
			console.log(JSON.stringify(answers));
		})();
	`]);
	t.is(stderr, '');
	t.is(code, 0);
	// Six; then this thread and five, four, three, two, one and none.
	t.deepEqual(JSON.parse(stdout), Array.from({length: 6 + 6 + 15}, () => '20-0 20-0 20-0'));
});
