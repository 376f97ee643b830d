/** Runs `test/native/skip_string_test.cc`, the test of the scanner's inner loop, cross-compiled for arm64 under the emulator. */

import fs from 'node:fs';
import path from 'node:path';
import {fromRoot} from '../lib/paths.mjs';
import {runOrFail} from '../lib/run.mjs';
import {StepFailure} from '../lib/steps.mjs';
import {compilerFlags} from '../build/addon-flags.mjs';
import {runZig} from '../release/toolchain.mjs';

const languageFlag = compilerFlags.find(flag => flag.startsWith('-std='));

/** @returns {Promise<string>} The kernel and the number of texts. @throws {StepFailure} if another kernel than arm64's ran. */
export async function testNeonKernel() {
	const program = fromRoot('.cache', 'platforms', 'skip_string_test');
	fs.mkdirSync(path.dirname(program), {recursive: true});
	await runZig(['c++', '-target', 'aarch64-linux-musl', languageFlag, '-O2', '-static', '-I', 'native', 'test/native/skip_string_test.cc', 'native/base/cpu_features.cc', '-o', program]);
	const {stdout} = await runOrFail('qemu-aarch64-static', [program]);
	if (!stdout.startsWith('NEON ')) {
		throw new StepFailure(`the test ran another kernel than arm64's: ${stdout.trim()}`);
	}

	return `${stdout.trim()} texts`;
}
