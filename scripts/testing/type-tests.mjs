/** Runs the tests of the types: compiles `test/types/*.test-d.ts` against the declarations in `dist/`. */

import fs from 'node:fs';
import process from 'node:process';
import {tool} from '../lib/npm.mjs';
import {fromRoot} from '../lib/paths.mjs';
import {run} from '../lib/run.mjs';
import {StepFailure} from '../lib/steps.mjs';

/** @returns {Promise<Array<{name: string, check: () => Promise<void>}>>} A test for each file. */
export async function typeTests() {
	const folder = 'test/types';
	const names = fs.readdirSync(fromRoot(folder)).filter(name => name.endsWith('.test-d.ts'));
	const {code, stdout, output} = await run(process.execPath, [tool.tsc, '--project', folder, '--noEmit', '--pretty', 'false']);
	// A message begins at the start of a line. The lines of its explanation are indented.
	const messages = stdout.split(/\n(?=\S)/).filter(message => message.trim() !== '');
	const ofFile = name => messages.filter(message => message.startsWith(`${folder}/${name}(`));
	const others = messages.filter(message => !names.some(name => ofFile(name).includes(message)));

	const tests = names.map(name => ({
		name: `types: ${name}`,
		async check() {
			if (ofFile(name).length > 0) {
				throw new StepFailure('does not compile', ofFile(name).join('\n'));
			}
		},
	}));
	if (others.length > 0 || names.length === 0 || (code !== 0 && messages.length === 0)) {
		tests.push({
			name: 'types: what the tests compile against',
			async check() {
				throw new StepFailure(names.length === 0 ? 'no type tests found' : `tsc ended with ${code}`, others.join('\n') || output);
			},
		});
	}

	return tests;
}
