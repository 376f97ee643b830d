/**
 * Which caches are read on the event loop's thread: on Linux, small ones in the page cache. A read that may have to
 * wait uses another thread.
 */

import {execFileSync} from 'node:child_process';
import {
	mkdtempSync, readFileSync, rmSync, statSync, writeFileSync,
} from 'node:fs';
import {release, tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test, {type ExecutionContext} from 'ava';
import {lackOfAddon, testWhere} from '../helpers/peers/peers.js';

const program = fileURLToPath(new URL('../helpers/processes/thread-program.mjs', import.meta.url));
const slowOpenSource = fileURLToPath(new URL('../helpers/system-faults/slow-open.c', import.meta.url));
const sandboxSource = fileURLToPath(new URL('../helpers/system-faults/without-openat2.c', import.meta.url));

type Reading = {threads: number; sizeBytes: number | null};

function read(paths: readonly string[], {preload, launcher}: {preload?: string; launcher?: string} = {}): Reading[] {
	const [command, ...parameters] = [...(launcher ? [launcher] : []), process.execPath, program, ...paths] as [string, ...string[]];
	return JSON.parse(execFileSync(command, parameters, {
		encoding: 'utf8', env: {...process.env, ...(preload && {LD_PRELOAD: preload})},
	})) as Reading[];
}

/** `undefined` if files in `directory` can be read on the event loop's thread. */
function lackOfOnTheSpot(directory: string): string | undefined {
	if (process.platform !== 'linux') {
		return 'only Linux can say what is in the page cache; run there';
	}

	const [major, minor] = release().split('.').map(Number) as [number, number];
	if (major < 5 || (major === 5 && minor < 12)) {
		return 'a kernel older than 5.12 cannot say what is in the page cache; run on a later one';
	}

	if (!/^Seccomp:\t0$/m.test(readFileSync('/proc/self/status', 'utf8'))) {
		return 'a sandbox filters system calls here; run without one';
	}

	// Source: gnu_dev_major of glibc, for numbers below 4096.
	return Math.trunc(statSync(directory).dev / 256) % 4096 === 0 ? `${directory} is not on a disk; set TMPDIR to a folder that is` : undefined;
}

const lacks = [lackOfAddon(), lackOfOnTheSpot(tmpdir())];

function directoryFor(t: ExecutionContext, parent = tmpdir()): string {
	const directory = mkdtempSync(join(parent, 'stc-threads-'));
	t.teardown(() => {
		rmSync(directory, {recursive: true, force: true});
	});
	return directory;
}

function cacheIn(directory: string, name: string, sizeBytes: number): string {
	const path = join(directory, name);
	const empty = '{"Theirs":""}';
	writeFileSync(path, empty.replace('""', `"${'x'.repeat(sizeBytes - empty.length)}"`));
	return path;
}

const windowBytes = 65_536;

testWhere(test, lacks, 'a small cache in memory is read without a thread', t => {
	const directory = directoryFor(t);
	const small = cacheIn(directory, 'small', 20_000);
	const largest = cacheIn(directory, 'largest', windowBytes);
	t.deepEqual(read([small, largest]), [{threads: 0, sizeBytes: 20_000}, {threads: 0, sizeBytes: windowBytes}]);
	const large = cacheIn(directory, 'large', 2_000_000);
	t.deepEqual(read(['stamp', small, large]), [{threads: 0, sizeBytes: 20_000}, {threads: 0, sizeBytes: 2_000_000}]);
});

testWhere(test, lacks, 'a missing cache is noticed without a thread', t => {
	const absent = join(directoryFor(t), 'absent');
	// After one lookup, the kernel remembers that the file does not exist.
	t.throws(() => statSync(absent), {code: 'ENOENT'});
	t.deepEqual(read([absent]), [{threads: 0, sizeBytes: null}]);
	t.deepEqual(read(['stamp', absent]), [{threads: 0, sizeBytes: null}]);
});

testWhere(test, lacks, 'a larger cache is read by a thread', t => {
	const larger = cacheIn(directoryFor(t), 'larger', windowBytes + 1);
	t.deepEqual(read([larger]), [{threads: 1, sizeBytes: windowBytes + 1}]);
});

testWhere(test, lacks, 'a cache that must come from the disk is read by a thread', t => {
	const path = cacheIn(directoryFor(t), 'cold', 20_000);
	const forget = 'import os, sys; f = os.open(sys.argv[1], os.O_RDONLY); os.fsync(f); os.posix_fadvise(f, 0, 0, os.POSIX_FADV_DONTNEED)';
	execFileSync('python3', ['-c', forget, path]);
	t.deepEqual(read([path, path]), [{threads: 1, sizeBytes: 20_000}, {threads: 0, sizeBytes: 20_000}]);
});

testWhere(test, [lackOfAddon(), process.platform === 'linux' ? undefined : '/dev/shm is of Linux; run there'], 'a cache that is not on a disk is read by a thread', t => {
	const path = cacheIn(directoryFor(t, '/dev/shm'), 'small', 20_000);
	t.deepEqual(read([path]), [{threads: 1, sizeBytes: 20_000}]);
	t.deepEqual(read(['stamp', path]), [{threads: 1, sizeBytes: 20_000}]);
});

testWhere(test, lacks, 'after a slow file lookup, threads make all later ones', t => {
	const directory = directoryFor(t);
	const path = cacheIn(directory, 'small', 20_000);
	const preload = join(directory, 'slow-open.so');
	execFileSync('cc', ['-shared', '-fPIC', '-o', preload, slowOpenSource, '-ldl']);
	t.deepEqual(read([path, path], {preload}), [{threads: 0, sizeBytes: 20_000}, {threads: 1, sizeBytes: 20_000}]);
});

testWhere(test, lacks, 'in a sandbox, which may not know the required system calls, threads do the work', t => {
	const directory = directoryFor(t);
	const path = cacheIn(directory, 'small', 20_000);
	const launcher = join(directory, 'without-openat2');
	execFileSync('cc', ['-o', launcher, sandboxSource]);
	t.deepEqual(read([path], {launcher}), [{threads: 1, sizeBytes: 20_000}]);
});
