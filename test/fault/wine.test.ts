/** The runner of the Windows tests does not wait forever if Wine loses a program's first thread. */

import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {checkWine, compile, Wine} from '../../scripts/testing/wine.mjs';
import {type Lack, testWhere} from '../helpers/peers/peers.js';

function lackOfWine(): Lack {
	try {
		checkWine();
		return undefined;
	} catch (error) {
		return (error as Error).message;
	}
}

testWhere(test, [lackOfWine()], 'a program without its first thread is ended, and the waiting process is notified', async t => {
	const wine = await Wine.start();
	t.teardown(async () => wine.end());
	const program = join(wine.folder, 'headless.exe');
	await compile(['-std=c++17', '-static', '-o', program, fileURLToPath(new URL('../helpers/system-faults/headless-win.cc', import.meta.url))]);
	const {exitCode, stdout, headless} = await wine.run([program], {timeoutMs: 90_000});
	t.deepEqual([exitCode, stdout.trim(), headless.length], [0, '0', 1]);
});
