/**
 * Lock files whose holders died, were abandoned, or never existed: each kind is taken over within its time limit, and
 * the young file of a live holder never is. The limits are those of `native/io/lock_ages.h`.
 */

import {execFile, spawn, spawnSync} from 'node:child_process';
import {once} from 'node:events';
import {
	chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, utimesSync, writeFileSync,
} from 'node:fs';
import {createRequire} from 'node:module';
import {hostname} from 'node:os';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import {Worker} from 'node:worker_threads';
import test, {type ExecutionContext} from 'ava';
import type {CacheBackend} from '../../dist/backend/backend.js';
import {jsBackend} from '../../dist/backend/js/js-backend.js';
import {backends, native} from '../helpers/caches/backends.js';
import {
	lockAtAge, lockDirectory, LockProcess, lockWithin,
} from '../helpers/locks/lock-process.js';
import {debianPython, lackOf, testWhere} from '../helpers/peers/peers.js';
import {until} from '../helpers/until.js';

const require = createRequire(import.meta.url);
const churnProgram = fileURLToPath(new URL('../helpers/locks/lock-churn.mjs', import.meta.url));
const noLinksSource = fileURLToPath(new URL('../helpers/system-faults/lock-no-links.c', import.meta.url));
const noKernelLocksSource = fileURLToPath(new URL('../helpers/system-faults/lock-no-kernel.c', import.meta.url));
const forkSource = fileURLToPath(new URL('../helpers/system-faults/lock-fork.c', import.meta.url));
const run = promisify(execFile);
const nobody = 65_534;
const isRoot = process.getuid?.() === 0;

const lackOfLinux = process.platform === 'linux' ? undefined : 'LD_PRELOAD needs Linux; run there';
const lackOfRoot = isRoot ? undefined : 'only root can give files to another user; run: sudo npm test';

/** The limit while a process may run in a container, here or elsewhere on the machine. Another test makes one. */
const deadBoundSec = 5;

/** The content that each library leaves in its lock file. */
const texts = {
	node: String,
	python: (pid: number) => `${pid} /usr/bin/az`,
	java: (pid: number) => `${pid} ${hostname()}`,
	dotnet: (pid: number) => `\uFEFF${pid} dotnet\n`,
	go: (pid: number) => `{${pid}} /usr/bin/azd`,
	native: (pid: number) => `${pid} msal-shared\n`,
	pure: (pid: number) => `${pid} msal-shared-js\n`,
};
type Kind = keyof typeof texts;
const kinds = Object.keys(texts) as Kind[];
/** The libraries whose lock may be the existence of the file. */
const existenceKinds: readonly Kind[] = ['node', 'python', 'java', 'pure'];

let deadPid = 0;
let livingPid = 0;
test.before(async () => {
	deadPid = spawnSync('true').pid;
	const living = spawn(process.execPath, ['--eval', 'process.stdin.resume()'], {stdio: ['pipe', 'ignore', 'inherit']});
	await once(living, 'spawn');
	livingPid = living.pid!;
	// It ends with this process, from whose pipe it reads.
	living.unref();
});

const dayOfSec = 24 * 60 * 60;

/** @param ageSec Seconds since the last write, by the time stamp. */
function leave(path: string, text: string, ageSec = 0): void {
	writeFileSync(path, text);
	if (ageSec !== 0) {
		makeOlder(path, ageSec);
	}
}

/** Sets the time stamps of a file that exists. */
function makeOlder(path: string, ageSec: number): void {
	const writtenSec = (Date.now() / 1000) - ageSec;
	utimesSync(path, writtenSec, writtenSec);
}

async function assertTaken(t: ExecutionContext, backend: CacheBackend, path: string, {notBeforeSec = 0, boundSec}: {notBeforeSec?: number; boundSec: number}): Promise<void> {
	const leftMs = statSync(path).ctimeMs;
	const taken = await lockAtAge(async () => backend.tryLock([path]), boundSec);
	const ageMs = Date.now() - leftMs;
	t.truthy(taken, `not taken by an attempt after ${boundSec} s`);
	// The kernel's time stamps and the process's clock differ by less than a tick.
	t.true(ageMs >= (notBeforeSec * 1000) - 10, `taken after ${ageMs} ms`);
	t.true(await taken!.check());
	t.regex(readFileSync(path, 'utf8'), new RegExp(`^${process.pid} msal-shared`));
	await taken!.release();
	t.deepEqual(readdirSync(join(path, '..')), []);
}

async function assertTakenAtOnce(t: ExecutionContext, backend: CacheBackend, path: string): Promise<void> {
	const lock = await backend.tryLock([path]);
	t.truthy(lock);
	await lock?.release();
	t.deepEqual(readdirSync(join(path, '..')), []);
}

async function assertHeld(t: ExecutionContext, backend: CacheBackend, path: string, forMs: number): Promise<void> {
	const before = readFileSync(path, 'utf8');
	t.is(await lockWithin(backend, path, forMs), undefined);
	t.is(readFileSync(path, 'utf8'), before);
}

for (const backend of backends) {
	for (const kind of kinds) {
		test(`${backend.kind}: takes over a lock file of ${kind} whose holder died`, async t => {
			const {path} = lockDirectory(t);
			leave(path, texts[kind](deadPid), 10);
			await assertTakenAtOnce(t, backend, path);
			leave(path, texts[kind](deadPid));
			await assertTaken(t, backend, path, {boundSec: deadBoundSec});
		});

		if (kind === 'native' && backend === native) {
			continue;
		}

		const isKernelLocked = kind === 'dotnet' || kind === 'go';
		test(`${backend.kind}: respects a young lock file of ${kind} whose holder lives`, async t => {
			const {path} = lockDirectory(t);
			leave(path, texts[kind](livingPid), 30);
			if (backend === native && isKernelLocked) {
				// It holds no kernel lock: it is between unlocking and deleting, or has been there.
				await assertTaken(t, backend, path, {notBeforeSec: 0.2, boundSec: 0.25});
				return;
			}

			await assertHeld(t, backend, path, 1000);
			leave(path, texts[kind](livingPid), 61);
			await (kind === 'native' ? assertHeld(t, backend, path, 500) : assertTakenAtOnce(t, backend, path));
		});
	}

	test(`${backend.kind}: takes over an empty lock file`, async t => {
		await Promise.all(['', '\0\0\0\0', ' \n'].map(async text => {
			const {path} = lockDirectory(t);
			leave(path, text, 3);
			await assertTakenAtOnce(t, backend, path);
			leave(path, text);
			await assertTaken(t, backend, path, {notBeforeSec: 1, boundSec: 2});
		}));
	});

	test(`${backend.kind}: takes over a lock file of an unknown program`, async t => {
		const huge = '9'.repeat(40);
		for (const text of ['locked by me', 'pid=12', '-1', '0', huge, `${huge} msal-shared\n`, '0 msal-shared\n', '\u0000\u0001\uFFFF', 'x'.repeat(10_000)]) {
			const {path} = lockDirectory(t);
			leave(path, text, 30);
			await assertHeld(t, backend, path, 100);
			leave(path, text, 61);
			await assertTakenAtOnce(t, backend, path);
		}
	});

	test(`${backend.kind}: takes over a file with .NET's or Go's mark without a process`, async t => {
		for (const text of ['\uFEFF', '\uFEFFnobody', '{', '{}', '{nobody}']) {
			const {path} = lockDirectory(t);
			leave(path, text, backend === native ? 0 : 61);
			await (backend === native ? assertTaken(t, backend, path, {boundSec: 0.25}) : assertTakenAtOnce(t, backend, path));
		}
	});

	test(`${backend.kind}: handles a time stamp in the future`, async t => {
		const {path} = lockDirectory(t);
		leave(path, texts.node(deadPid), -dayOfSec);
		await assertTaken(t, backend, path, {boundSec: deadBoundSec});
		leave(path, '', -dayOfSec);
		await assertTaken(t, backend, path, {notBeforeSec: 1, boundSec: 2});
		leave(path, texts.node(livingPid), -dayOfSec);
		await assertHeld(t, backend, path, 1000);
	});

	test(`${backend.kind}: respects a live holder whose lock is the file's existence for 3 s, whatever the content`, async t => {
		const {directory} = lockDirectory(t);
		await Promise.all(existenceKinds.map(async kind => {
			const path = join(directory, `${kind}.lockfile`);
			leave(path, texts[kind](livingPid));
			await assertHeld(t, backend, path, 3000);
		}));
	});

	test.serial(`${backend.kind}: one of many concurrent attempts takes over a stale lock file`, async t => {
		const {directory, path} = lockDirectory(t);
		for (let round = 0; round < 20; round++) {
			leave(path, texts.node(deadPid), 10);
			const tries = await Promise.all(Array.from({length: 20}, async (_, index) => backends[index % 2 === 0 ? 0 : (round % 2)]!.tryLock([path])));
			const held = tries.filter(each => each !== null);
			t.true(held.length <= 1);
			t.not(await held[0]?.check(), false);
			t.true(held.length === 1 || (await backend.tryLock([path]).then(async lock => {
				await lock?.release();
				return lock !== null;
			})), 'or it is free');
			await held[0]?.release();
		}

		t.deepEqual(readdirSync(directory), []);
	});

	test(`${backend.kind}: a killed holder is succeeded at once`, async t => {
		const {directory, path} = lockDirectory(t);
		for (let round = 0; round < 5; round++) {
			const holder = await LockProcess.start(t, backend.kind, path);
			t.is(await holder.ask('lock'), 'locked');
			t.is(await backend.tryLock([path]), null);
			await holder.kill();
			const first = await backend.tryLock([path]);
			// Without kernel locks, and while there is a container on the machine, the process may run in it.
			t.true(first !== null || backend === jsBackend, 'the first attempt');
			const lock = first ?? await lockWithin(backend, path, 60_000);
			t.true(await lock?.check());
			await lock?.release();
			if (first) {
				t.deepEqual(readdirSync(directory), [], 'its private file is removed, too');
			}
		}
	});

	for (const heir of backends.filter(each => each !== backend)) {
		test(`${backend.kind} was killed as the holder: ${heir.kind} succeeds within the limit for dead holders`, async t => {
			const {path} = lockDirectory(t);
			const holder = await LockProcess.start(t, backend.kind, path);
			t.is(await holder.ask('lock'), 'locked');
			t.is(await heir.tryLock([path]), null);
			await holder.kill();
			const taken = await lockAtAge(async () => heir.tryLock([path]), deadBoundSec);
			t.truthy(taken);
			await taken?.release();
		});
	}

	testWhere(test, [lackOf('msal-python')], `${backend.kind}: a zombie process holds no lock`, async t => {
		const {path} = lockDirectory(t);
		// A parent that never collects the exit status of its child.
		const parent = spawn(debianPython, ['-c', 'import os, sys\npid = os.fork()\nif pid == 0: os._exit(0)\nprint(pid, flush=True)\nsys.stdin.read()'], {stdio: ['pipe', 'pipe', 'inherit']});
		t.teardown(() => parent.stdin.end());
		const [line] = await once(parent.stdout, 'data') as [Buffer];
		const zombiePid = Number(line.toString());
		await until(() => readFileSync(`/proc/${zombiePid}/stat`, 'latin1').includes(' Z '));
		leave(path, texts.node(zombiePid));
		await assertTaken(t, backend, path, {boundSec: deadBoundSec});
		t.true(readFileSync(`/proc/${zombiePid}/stat`, 'latin1').includes(' Z '));
	});
}

testWhere(test, [lackOfLinux], 'native: a program that is started during the takeover inherits no lock of the dead holder', async t => {
	const {directory, path} = lockDirectory(t);
	const {directory: elsewhere} = lockDirectory(t);
	const library = join(elsewhere, 'fork.so');
	await run('cc', ['-shared', '-fPIC', '-o', library, forkSource, '-ldl']);
	const [holder, heir] = await Promise.all([
		LockProcess.start(t, 'native', path), LockProcess.start(t, 'native', path, {environment: {...process.env, LD_PRELOAD: library}}),
	]);
	t.is(await holder.ask('lock'), 'locked');
	await holder.kill();
	t.is(await heir.ask('lock'), 'locked');
	t.is(await heir.ask('unlock'), 'unlocked');
	t.deepEqual(readdirSync(directory), []);
});

test('pure: a claim to remove a stale lock file is removed after its owner died', async t => {
	const {directory, path} = lockDirectory(t);
	leave(path, texts.node(deadPid), 10);
	const claim = `${path}.${statSync(path, {bigint: true}).ino}.x`;
	writeFileSync(claim, '');
	const claimedMs = performance.now();
	const first = await jsBackend.tryLock([path]);
	// Unless the machine was so busy that the claim has aged in the meantime.
	if (first === null || performance.now() - claimedMs < 1000) {
		t.is(first, null);
		await assertTaken(t, jsBackend, path, {notBeforeSec: 1, boundSec: 2});
	}

	await first?.release();
	// Its lock file no longer exists: the next process that locks here removes the claim.
	writeFileSync(claim, '');
	await sleep(2100);
	const heir = await LockProcess.start(t, 'pure', path);
	t.is(await heir.ask('try'), 'locked');
	t.is(await heir.ask('unlock'), 'unlocked');
	t.deepEqual(readdirSync(directory), []);
});

test('a process with the reused ID of a dead one is not taken for the holder', async t => {
	const {directory} = lockDirectory(t);
	// A process ID cannot be chosen, so the test writes lock files for all IDs that may come next.
	const start = spawnSync('true').pid;
	const count = 4000;
	const pathOf = (backend: CacheBackend, pid: number) => join(directory, backend.kind, String(pid));
	for (const backend of backends) {
		mkdirSync(join(directory, backend.kind));
		for (let pid = start + 1; pid <= start + count; pid++) {
			leave(pathOf(backend, pid), texts.node(pid));
		}
	}

	// The start time of a process is known to the second. The limit for dead holders in a container is 5 s.
	await sleep(5500);
	const living = spawn('sleep', ['3600']);
	await once(living, 'spawn');
	t.teardown(() => living.kill());
	const pid = living.pid!;
	t.true(pid > start && pid <= start + count, `Process IDs are not consecutive here: ${pid} came after ${start}.`);
	for (const backend of backends) {
		const path = pathOf(backend, pid);
		const lock = await backend.tryLock([path]);
		t.truthy(lock, backend.kind);
		await lock?.release();
		// A lock file written after the start of the process belongs to it.
		leave(path, texts.node(pid), 10);
		await assertHeld(t, backend, path, 500);
	}
});

for (const {kind} of backends) {
	testWhere(test, [lackOfRoot], `${kind}: takes over another user's lock file that cannot be opened`, async t => {
		const {directory, path} = lockDirectory(t);
		chownSync(directory, nobody, nobody);
		const trier = await LockProcess.start(t, kind, path, {uid: nobody});
		leave(path, texts.node(deadPid), 10);
		chmodSync(path, 0o600);
		t.is(await trier.ask('try'), 'held');
		leave(path, texts.node(deadPid), 31);
		t.is(await trier.ask('try'), 'locked');
		t.is(await trier.ask('check'), 'true');
		t.is(statSync(path).uid, nobody);
		t.is(await trier.ask('unlock'), 'unlocked');
		t.deepEqual(readdirSync(directory), []);
	});

	testWhere(test, [lackOfRoot], `${kind}: handles a stale file in a directory where only owners may delete`, async t => {
		const {directory, path} = lockDirectory(t);
		chmodSync(directory, 0o1777);
		const trier = await LockProcess.start(t, kind, path, {uid: nobody});
		leave(path, texts.node(livingPid), 31);
		chmodSync(path, 0o600);
		t.is(await trier.ask('try'), 'STC_STORE_DENIED');
		t.is(readFileSync(path, 'utf8'), texts.node(livingPid));
		t.deepEqual(readdirSync(directory).length, 1);
	});

	testWhere(test, [lackOfRoot], `${kind}: takes over another user's lock file that can be opened`, async t => {
		const {path} = lockDirectory(t);
		leave(path, texts.python(deadPid), 10);
		chownSync(path, nobody, nobody);
		await assertTakenAtOnce(t, kind === 'native' ? native : jsBackend, path);
		leave(path, texts.python(livingPid), 10);
		chownSync(path, nobody, nobody);
		await assertHeld(t, kind === 'native' ? native : jsBackend, path, 500);
	});

	test.serial(`${kind}: 200 threads in 20 processes leave no file and lose no update`, async t => {
		const {directory, path} = lockDirectory(t);
		const counter = join(directory, 'counter');
		writeFileSync(counter, '0');
		for (let round = 0; round < 5; round++) {
			await Promise.all(Array.from({length: 4}, async () => run(process.execPath, [churnProgram, kind, path, counter, '10', '2'])));
		}

		t.is(readFileSync(counter, 'utf8'), '400');
		t.deepEqual(readdirSync(directory), ['counter']);
	});

	test.serial(`${kind}: the next process removes the files of processes that were killed at any moment`, async t => {
		const {directory, path} = lockDirectory(t);
		const counter = join(directory, 'counter');
		writeFileSync(counter, '0');
		let killed = 0;
		let left = 0;
		// The moments are random, so that a round may leave nothing.
		for (let round = 0; round < 6 || (left === 0 && round < 100); round++) {
			const before = statSync(counter).mtimeMs;
			await Promise.all(Array.from({length: 4}, async (_, index) => {
				const child = spawn(process.execPath, [churnProgram, kind, path, counter, '3', '10000'], {stdio: 'ignore'});
				const exit = once(child, 'exit');
				// One of the processes at least holds the lock by turns.
				await until(() => statSync(counter).mtimeMs > before);
				await sleep((index * 60) + (round * 11));
				child.kill('SIGKILL');
				const [, signal] = await exit as [number | null, string | null];
				killed += Number(signal === 'SIGKILL');
			}));
			left += readdirSync(directory).length - 1;
		}

		t.true(killed >= 24);
		t.true(left > 0, 'some were killed as holders');
		for (const name of readdirSync(directory)) {
			makeOlder(join(directory, name), deadBoundSec + 2);
		}

		// A process that has not used this directory before.
		const heir = await LockProcess.start(t, kind, path);
		t.is(await heir.ask('try'), 'locked');
		t.is(await heir.ask('unlock'), 'unlocked');
		t.deepEqual(readdirSync(directory), ['counter']);
	});

	test(`${kind}: a thread that is terminated as the holder ${kind === 'native' ? 'releases its lock' : 'leaves it for 60 s (documented)'}`, async t => {
		const {directory, path} = lockDirectory(t);
		const worker = new Worker(`
			const {jsBackend} = require(${JSON.stringify(require.resolve('../../dist/backend/js/js-backend.js'))});
			const {loadNativeBackend} = require(${JSON.stringify(require.resolve('../../dist/backend/native-backend.js'))});
			const backend = ${kind === 'native' ? 'loadNativeBackend().backend' : 'jsBackend'};
			const {parentPort} = require('node:worker_threads');
			backend.tryLock([${JSON.stringify(path)}]).then(lock => {
				globalThis.lock = lock;
				parentPort.postMessage(lock !== null);
				setInterval(() => undefined, 1000);
			});
		`, {eval: true});
		t.deepEqual(await once(worker, 'message'), [true]);
		for (const backend of backends) {
			t.is(await backend.tryLock([path]), null);
		}

		await worker.terminate();
		if (kind === 'native') {
			for (const backend of backends) {
				await assertTakenAtOnce(t, backend, path);
			}

			return;
		}

		for (const backend of backends) {
			t.is(await backend.tryLock([path]), null);
		}

		const writtenSec = (Date.now() / 1000) - 61;
		utimesSync(path, writtenSec, writtenSec);
		const lock = await jsBackend.tryLock([path]);
		t.truthy(lock);
		await lock?.release();
		t.is(readdirSync(directory).length, 1, 'its private file remains until the process ends');
	});

	testWhere(test, [lackOfCompiler()], `${kind}: works on a file system without hard links`, async t => {
		const {directory, path} = lockDirectory(t);
		const {directory: elsewhere} = lockDirectory(t);
		const library = join(elsewhere, 'nolinks.so');
		await run('cc', ['-shared', '-fPIC', '-o', library, noLinksSource]);
		const options = {environment: {...process.env, LD_PRELOAD: library}};
		const [one, other] = await Promise.all([LockProcess.start(t, kind, path, options), LockProcess.start(t, kind, path, options)]);
		const backend = kind === 'native' ? native : jsBackend;
		t.is(await one.ask('try'), 'locked');
		t.deepEqual(readdirSync(directory).length, 1, 'without links there is no private file');
		t.is(await one.ask('check'), 'true');
		t.is(await other.ask('try'), 'held');
		t.is(await backend.tryLock([path]), null);
		t.is(await one.ask('unlock'), 'unlocked');
		t.deepEqual(readdirSync(directory), []);

		leave(path, texts.java(deadPid), 10);
		t.is(await other.ask('try'), 'locked', 'a stale file is taken over');
		t.is(await one.ask('try'), 'held');
		writeFileSync(join(directory, 'x'), '');
		renameSync(join(directory, 'x'), path);
		t.is(await other.ask('check'), 'false');
		t.is(await other.ask('unlock'), 'unlocked');
		t.deepEqual(readdirSync(directory).length, 1, 'another process\'s file is kept');
		utimesSync(path, 1, 1);

		const counter = join(elsewhere, 'counter');
		writeFileSync(counter, '0');
		t.deepEqual(await Promise.all([one.ask(`count 100 ${counter}`), other.ask(`count 100 ${counter}`)]), ['counted 100 0', 'counted 100 0']);
		t.is(Number(readFileSync(counter, 'utf8')), 200);
		t.deepEqual(readdirSync(directory), []);
	});

	testWhere(test, [lackOfLinux, lackOfCompiler()], `${kind}: works on a file system without kernel locks`, async t => {
		const {directory, path} = lockDirectory(t);
		const {directory: elsewhere} = lockDirectory(t);
		const library = join(elsewhere, 'nolocks.so');
		await run('cc', ['-shared', '-fPIC', '-o', library, noKernelLocksSource, '-ldl']);
		const options = {environment: {...process.env, LD_PRELOAD: library}};
		const [one, other] = await Promise.all([LockProcess.start(t, kind, path, options), LockProcess.start(t, kind, path, options)]);
		t.is(await one.ask('try'), 'locked');
		t.is(await other.ask('try'), 'held', 'a live holder holds by the file only');
		t.is(await other.ask('try'), 'held');
		t.is(await one.ask('check'), 'true');
		t.is(await one.ask('unlock'), 'unlocked');
		t.deepEqual(readdirSync(directory), []);

		const counter = join(elsewhere, 'counter');
		writeFileSync(counter, '0');
		t.deepEqual(await Promise.all([one.ask(`count 50 ${counter}`), other.ask(`count 50 ${counter}`)]), ['counted 50 0', 'counted 50 0']);
		t.is(Number(readFileSync(counter, 'utf8')), 100);

		t.is(await one.ask('try'), 'locked');
		if (kind === 'native') {
			// Held for a long time, by its time stamp. That is the limit of the pure-JS lock.
			utimesSync(path, 1, 1);
			t.is(await other.ask('try'), 'held');
		}

		await one.kill();
		const attempt = async () => await other.ask('try') === 'locked' || null;
		t.true(await lockAtAge(attempt, Math.max(1, deadBoundSec)), 'the file of the dead holder is taken over');
		t.is(await other.ask('unlock'), 'unlocked');
		t.deepEqual(readdirSync(directory), [], 'and its other files are removed');
	});
}

function lackOfCompiler(): string | undefined {
	return spawnSync('cc', ['--version']).status === 0 ? undefined : 'there is no C compiler; run: apt-get install --no-install-recommends gcc libc6-dev';
}
