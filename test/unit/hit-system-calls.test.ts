/** Hits make no system call: a million of them, watched by strace. */

import {spawnSync} from 'node:child_process';
import {
	mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {buildCache, cacheSizes} from '../helpers/caches/cache-builder.js';
import {lackOfAddon, testWhere} from '../helpers/peers/peers.js';

const program = fileURLToPath(new URL('../helpers/processes/hit-program.mjs', import.meta.url));

/**
 * What the engine's memory management does whatever the program is: pages are asked for and given back, its threads are woken and
 * waited for, and each collection asks once for the process's id.
 */
const ofTheEngine = new Set(['futex', 'getpid', 'madvise', 'mmap', 'mprotect', 'munmap', 'sched_yield']);

function lackOfStrace(): string | undefined {
	if (process.platform !== 'linux') {
		return 'strace is for Linux';
	}

	return spawnSync('strace', ['-f', '-o', '/dev/null', 'true']).status === 0
		? undefined
		: 'strace is not installed, or may not trace here; run: apt-get install --no-install-recommends strace';
}

testWhere(test, [lackOfAddon(), lackOfStrace()], 'a million hits make no system call', t => {
	const home = mkdtempSync(join(tmpdir(), 'stc-hits-'));
	t.teardown(() => {
		rmSync(home, {recursive: true, force: true});
	});
	const {text, accounts} = buildCache(cacheSizes.S);
	mkdirSync(join(home, '.IdentityService'), {mode: 0o700});
	writeFileSync(join(home, '.IdentityService', 'msal.cache.nocae'), text, {mode: 0o600});
	const tracePath = join(home, 'trace');
	const {status, stdout, stderr} = spawnSync('strace', ['-f', '-o', tracePath, process.execPath, program, accounts[0]!.scopes[0]!], {
		env: {PATH: process.env['PATH'] ?? '', HOME: home}, encoding: 'utf8',
	});
	t.is(status, 0, stderr);
	t.is(stdout, 'served');

	const lines = readFileSync(tracePath, 'utf8').split('\n');
	const begin = lines.findIndex(line => line.includes('"/hits-begin"'));
	const end = lines.findIndex(line => line.includes('"/hits-end"'));
	t.true(begin !== -1 && end > begin);
	// The thread that makes the hits; the engine's others compile and collect.
	const [thread] = lines[begin]!.split(' ');
	// Where a call ends that another thread interrupted in the trace, it is not counted again.
	const calls = lines.slice(begin + 1, end)
		.filter(line => line.startsWith(`${thread} `) && !line.includes(' resumed>'))
		.map(line => line.slice(thread!.length).trim());
	// Once in a process, glibc asks whether it may shrink a heap: it opens this file, reads and closes it.
	const asked = calls.findIndex(call => call.includes('"/proc/sys/vm/overcommit_memory"'));
	if (asked !== -1) {
		calls.splice(asked, 3);
	}

	t.deepEqual(calls.filter(call => !ofTheEngine.has(/^\w*/.exec(call)![0])), []);
	// For a million hits: a few collections, and nothing that grows with their number.
	t.true(calls.length < 10_000, `${calls.length} calls of the engine`);
});
