/** The addon frees all memory that it allocates, whatever the outcome of a job. valgrind counts. */

import {spawnSync} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {testWhere} from '../helpers/peers/peers.js';
import {buildProgram, missingObjects} from '../torture/native-program.js';

function lackOfValgrind(): string | undefined {
	return spawnSync('valgrind', ['--version']).status === 0 ? undefined : 'valgrind is not installed; run: apt-get install --no-install-recommends libc6-dbg valgrind';
}

testWhere(test, [missingObjects(), lackOfValgrind()], 'scanning, writing and locking leak no memory and access none out of bounds', t => {
	const directory = mkdtempSync(join(tmpdir(), 'stc-leaks-'));
	t.teardown(() => {
		rmSync(directory, {recursive: true, force: true});
	});
	const program = buildProgram('leak_rounds', directory);
	// The exit code reports leaks, and reads and writes out of bounds.
	const {status, stdout, stderr} = spawnSync('valgrind', [
		'--leak-check=full',
		'--show-leak-kinds=definite,indirect,possible',
		'--errors-for-leak-kinds=definite,indirect,possible',
		'--error-exitcode=9',
		program,
		join(directory, 'msal.cache'),
		'70',
	], {encoding: 'utf8'});
	t.is(status, 0, stderr);
	t.is(stdout, '54 written, 67 scanned, 67 stamped, 20 refused\n');
	t.regex(stderr, /ERROR SUMMARY: 0 errors/);
});
