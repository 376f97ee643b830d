/**
 * The lock file as on macOS, with flock only: the addon's code, compiled for this machine without the second kernel
 * lock (`test/native/flock_alone_test.cc`). Each case is a TAP line.
 */

import {spawnSync} from 'node:child_process';
import {mkdtempSync, readdirSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {testWhere} from '../helpers/peers/peers.js';
import {buildProgram, missingObjects} from '../torture/native-program.js';

testWhere(test, [missingObjects()], 'flock only: excludes programs that create exclusively or use flock, and does not wait for dead holders', t => {
	const directory = mkdtempSync(join(tmpdir(), 'stc-flock-alone-'));
	t.teardown(() => {
		rmSync(directory, {recursive: true, force: true});
	});
	const name = 'flock_alone_test';
	const program = buildProgram(name, directory, [], ['io/file_lock_posix.o']);
	const {status, stdout, signal} = spawnSync(program, {cwd: directory, encoding: 'utf8', timeout: 300_000});
	for (const line of stdout.split('\n').filter(each => /^(?:not ok|ok|#)/.test(each))) {
		t.log(line);
	}

	t.is(signal, null);
	t.is(status, 0);
	t.regex(stdout, /^1\.\.6$/m);
	t.notRegex(stdout, /^not ok/m);
	t.deepEqual(readdirSync(directory), [name], 'no file remains');
});
