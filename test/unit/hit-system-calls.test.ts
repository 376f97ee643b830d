/** Cache hits make no system call: strace watches a million of them. */

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
 * System calls of the engine's memory management in any program: it maps and unmaps pages, wakes and awaits its
 * threads, and gets the process ID in each collection.
 */
const ofTheEngine = new Set(['futex', 'getpid', 'madvise', 'mmap', 'mprotect', 'munmap', 'sched_yield']);

function lackOfStrace(): string | undefined {
	if (process.platform !== 'linux') {
		return 'strace needs Linux';
	}

	return spawnSync('strace', ['-f', '-o', '/dev/null', 'true']).status === 0
		? undefined
		: 'strace is not installed or not permitted here; run: apt-get install --no-install-recommends strace';
}

testWhere(test, [lackOfAddon(), lackOfStrace()], 'a million cache hits make no system call', t => {
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
	// The thread that makes the hits. The engine's other threads compile and collect.
	const [thread] = lines[begin]!.split(' ');
	// The end of a call that another thread interrupted in the trace is not counted again.
	const calls = lines.slice(begin + 1, end)
		.filter(line => line.startsWith(`${thread} `) && !line.includes(' resumed>'))
		.map(line => line.slice(thread!.length).trim());
	// Once per process, glibc checks whether it may shrink a heap: it opens this file, reads it and closes it.
	const asked = calls.findIndex(call => call.includes('"/proc/sys/vm/overcommit_memory"'));
	if (asked !== -1) {
		calls.splice(asked, 3);
	}

	t.deepEqual(calls.filter(call => !ofTheEngine.has(/^\w*/.exec(call)![0])), []);
	// For a million hits: a few collections, and nothing that grows with the number of hits.
	t.true(calls.length < 10_000, `${calls.length} system calls of the engine`);
});
