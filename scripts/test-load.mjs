// `npm run test:load` runs test files beside 24 processes that compute all the time: no test may depend on how fast the machine is.
// Arguments: files and flags for AVA. Build first. STC_BUSY is another number of processes.

import {spawn} from 'node:child_process';
import process from 'node:process';
import {runAva} from './testing/ava.mjs';

const busy = Array.from({length: Number(process.env.STC_BUSY ?? 24)}, () => spawn(process.execPath, ['--eval', `
	// Ends with this process, also if that is killed.
	process.stdin.on('close', () => process.exit()).resume();
	setInterval(() => { for (const endMs = Date.now() + 1000; Date.now() < endMs;); }, 0);
`], {stdio: ['pipe', 'ignore', 'inherit']}));
try {
	const {passed, failed, skipped, failures} = await runAva(process.argv.slice(2));
	console.log(`\n${failures.map(name => `  ${name}\n`).join('')}${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
	process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
} finally {
	for (const child of busy) {
		child.kill('SIGKILL');
	}
}
