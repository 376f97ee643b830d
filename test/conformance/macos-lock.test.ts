/**
 * The lock file as macOS has it, by flock alone: the addon's own code, compiled for this machine without the other kernel lock
 * (`test/native/flock_alone_test.cc`). Each case is a line of TAP.
 */

import {spawnSync} from 'node:child_process';
import {mkdtempSync, readdirSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {testWhere} from '../helpers/peers/peers.js';
import {buildProgram, missingObjects} from '../torture/native-program.js';

testWhere(test, [missingObjects()], 'flock alone: whoever creates exclusively or uses flock is kept out, the dead are not waited for', t => {
	t.timeout(120_000);
	const directory = mkdtempSync(join(tmpdir(), 'stc-flock-alone-'));
	t.teardown(() => {
		rmSync(directory, {recursive: true, force: true});
	});
	const name = 'flock_alone_test';
	const program = buildProgram(name, directory, [], ['io/file_lock_posix.o']);
	const {status, stdout, signal} = spawnSync(program, {cwd: directory, encoding: 'utf8', timeout: 60_000});
	for (const line of stdout.split('\n').filter(each => /^(?:not ok|ok|#)/.test(each))) {
		t.log(line);
	}

	t.is(signal, null);
	t.is(status, 0);
	t.regex(stdout, /^1\.\.6$/m);
	t.notRegex(stdout, /^not ok/m);
	t.deepEqual(readdirSync(directory), [name], 'nothing is left behind');
});
