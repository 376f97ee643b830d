/** The addon's reader threads without memory (`test/native/reader_threads_test.cc`). */

import {spawnSync} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {testWhere} from '../helpers/peers/peers.js';
import {buildProgram, missingObjects} from '../torture/native-program.js';

testWhere(test, [missingObjects()], 'native: E5: no memory for a reader thread is no crash', t => {
	const directory = mkdtempSync(join(tmpdir(), 'stc-reader-threads-'));
	t.teardown(() => {
		rmSync(directory, {recursive: true, force: true});
	});
	const {status, stdout, signal} = spawnSync(buildProgram('reader_threads_test', directory), {encoding: 'utf8', timeout: 240_000});
	t.log(stdout);
	t.is(signal, null);
	t.is(status, 0);
	t.regex(stdout, /^1\.\.1$/m);
});
