/** Lock files and leases that are not what they seem: of processes that are not visible, seen by wrong clocks, or made by somebody else. */

import {spawn, spawnSync} from 'node:child_process';
import {once} from 'node:events';
import {
	existsSync, linkSync, mkdirSync, readFileSync, statSync, symlinkSync, truncateSync, unlinkSync, utimesSync, writeFileSync,
} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {storeOf} from '../../dist/backend/stores.js';
import {backends} from '../helpers/caches/backends.js';
import {lockDirectory, LockProcess} from '../helpers/locks/lock-process.js';
import {testWhere} from '../helpers/peers/peers.js';
import {lackOfWrongClocks, wrongClock} from '../helpers/processes/fleet.js';
import {until} from '../helpers/until.js';

const leaseName = 'a'.repeat(32);

function makeOlder(path: string, bySec: number): void {
	const thenSec = (Date.now() / 1000) - bySec;
	utimesSync(path, thenSec, thenSec);
}

function lackOfNamespaces(): string | undefined {
	if (process.platform !== 'linux') {
		return 'pid namespaces are Linux\'s; run there';
	}

	return spawnSync('unshare', ['--pid', '--fork', 'true']).status === 0 ? undefined : 'pid namespaces cannot be made here; run as root with that permission';
}

for (const backend of backends) {
	testWhere(test, [lackOfNamespaces()], `${backend.kind}: E8: the lock of a process in an inner pid namespace is not taken because its process id is free here`, async t => {
		const {path} = lockDirectory(t);
		const freePid = spawnSync('true').pid;
		// In the namespace, the next process gets that id.
		const container = spawn('unshare', ['--pid', '--fork', '--kill-child', 'sh', '-c', `echo ${freePid - 1} > /proc/sys/kernel/ns_last_pid; sh -c 'echo $$; read line'`], {stdio: ['pipe', 'pipe', 'inherit']});
		t.teardown(() => container.kill());
		const [line] = await once(container.stdout, 'data') as [Buffer];
		t.is(Number(line.toString()), freePid);
		for (const text of [`${freePid}`, `${freePid} /usr/bin/az`, `${freePid} msal-shared-js\n`]) {
			writeFileSync(path, text);
			makeOlder(path, 3);
			t.is(await backend.tryLock([path]), null, text);
			t.is(readFileSync(path, 'utf8'), text);
			makeOlder(path, 6);
			const lock = await backend.tryLock([path]);
			t.truthy(lock, 'older than the rule for processes that are not visible');
			await lock?.release();
		}

		container.stdin.end();
		await once(container, 'exit');
	});

	testWhere(test, [lackOfWrongClocks()], `${backend.kind}: E7: a lock file is not older because our clock is ahead`, async t => {
		const {path} = lockDirectory(t);
		for (const clock of ['+120s', '+40d', '-40d']) {
			const trier = await LockProcess.start(t, backend.kind, path, {environment: {...process.env, ...wrongClock(clock)}});
			writeFileSync(path, String(process.pid));
			t.is(await trier.ask('try'), 'held', clock);
			writeFileSync(path, '');
			t.is(await trier.ask('try'), 'held', `${clock}, empty`);
			t.is(readFileSync(path, 'utf8'), '');
			writeFileSync(path, String(process.pid));
			if (clock.startsWith('+')) {
				makeOlder(path, 61);
				t.is(await trier.ask('try'), 'locked', 'by the clock of the file system');
				t.is(await trier.ask('unlock'), 'unlocked');
			}

			await trier.kill();
		}
	});

	const lease = (path: string) => storeOf(backend, 'plaintext').lease!({path: join(path, '..', 'msal.cache')}, leaseName)!;

	const impostors: ReadonlyArray<[what: string, make: (leasePath: string, elsewhere: string) => void]> = [
		['a sparse file of 1.9 GB', leasePath => {
			writeFileSync(leasePath, `${process.pid} msal-shared\n`);
			truncateSync(leasePath, 1_900_000_000);
		}],
		['another name of a file', (leasePath, elsewhere) => {
			linkSync(elsewhere, leasePath);
		}],
		['a link', (leasePath, elsewhere) => {
			symlinkSync(elsewhere, leasePath);
		}],
		['a dangling link', leasePath => {
			symlinkSync('/nowhere/at/all', leasePath);
		}],
		['a FIFO', leasePath => {
			spawnSync('mkfifo', [leasePath]);
		}],
		['the lock file of another library', leasePath => {
			writeFileSync(leasePath, `${process.pid} /usr/bin/az`);
		}],
		['a cache', leasePath => {
			writeFileSync(leasePath, '{"Account":{}}');
		}],
	];
	for (const [what, make] of impostors) {
		test(`${backend.kind}: G9: at the name of a lease is ${what}: it is judged at once`, async t => {
			const {directory, path} = lockDirectory(t);
			const leasePath = join(directory, `.${leaseName}.lease`);
			const elsewhere = join(directory, 'elsewhere');
			writeFileSync(elsewhere, `${process.pid} other`);
			make(leasePath, elsewhere);
			const state = await lease(path).state();
			t.true(JSON.stringify(state).length < 1000, 'no more than a lease has is read');
			const held = await lease(path).tryTake();
			t.truthy(held);
			t.is(await lease(path).tryTake(), null);
			t.is(readFileSync(leasePath, 'utf8').split(' ')[0], String(process.pid));
			t.is(readFileSync(elsewhere, 'utf8'), `${process.pid} other`);
			await held!.release();
			t.false(existsSync(leasePath));
		});
	}

	test(`${backend.kind}: G9: a folder at the name of a lease is an error, and stays`, async t => {
		const {directory, path} = lockDirectory(t);
		const leasePath = join(directory, `.${leaseName}.lease`);
		mkdirSync(leasePath);
		await t.throwsAsync(lease(path).tryTake(), {code: 'STC_IO'});
		t.true(statSync(leasePath).isDirectory());
	});

	test(`${backend.kind}: G9: a living holder keeps its lease, with the addon and without`, async t => {
		const {directory, path} = lockDirectory(t);
		const leasePath = join(directory, `.${leaseName}.lease`);
		for (const kind of ['native', 'pure'] as const) {
			const holder = await LockProcess.start(t, kind, leasePath);
			t.is(await holder.ask('lock'), 'locked');
			t.is(await lease(path).tryTake(), null, kind);
			t.is(await holder.ask('check'), 'true');
			t.is(await holder.ask('unlock'), 'unlocked');
			await until(() => !existsSync(leasePath));
			await holder.kill();
		}

		writeFileSync(leasePath, '');
		t.is(await lease(path).tryTake(), null, 'its writer may be about to write it');
		unlinkSync(leasePath);
	});
}
