/**
 * The lock and the replacement of files on Windows: programs that call them as the addon does, and the other libraries' system calls
 * beside them. Compiled and run under Wine. What they test stands in `test/native`.
 */

import test from 'ava';
import {testWhere} from '../helpers/peers.js';
import {lackOfWine, Wine} from '../helpers/wine.js';

const shared = ['native/status.cc', 'native/wide_path_win.cc', 'native/win32_status_win.cc'];
const programs = {
	file_lock_win_test: ['native/file_lock_win.cc'],
	file_replace_win_test: ['native/file_replace_win.cc', 'native/temp_name_win.cc'],
};
/** A minute is what the longest takes on a busy machine. */
const timeoutMs = 240_000;

let started: Promise<Wine> | undefined;

test.after.always(async () => {
	const wine = await started;
	await wine?.end();
});

for (const [name, sources] of Object.entries(programs)) {
	testWhere(test, [lackOfWine()], `Windows: ${name}`, async t => {
		t.timeout(timeoutMs + 60_000);
		started ??= Wine.start();
		const wine = await started;
		const program = await wine.compile(name, [`test/native/${name}.cc`, ...sources, ...shared]);
		const {exitCode, stdout, stderr} = await wine.run(program, timeoutMs);
		const lines = stdout.split(/\r?\n/);
		const passed = lines.filter(line => /^ok \d+ - /.test(line));
		for (const line of lines.filter(each => each.startsWith('# '))) {
			t.log(line);
		}

		t.deepEqual(lines.filter(line => line.startsWith('not ok ')), []);
		t.is(exitCode, 0, stderr);
		// The plan comes last: without it the program ended early, whatever it exited with.
		t.is(lines.find(line => line.startsWith('1..')), `1..${passed.length}`);
		t.true(passed.length > 0);
	});
}
