/** The scanner's kernel for arm64, cross-compiled, under the emulator: `test/native/skip_string_test.cc`. */

import fs from 'node:fs';
import path from 'node:path';
import {fromRoot} from '../lib/paths.mjs';
import {runOrFail} from '../lib/run.mjs';
import {StepFailure} from '../lib/steps.mjs';
import {zig} from '../release/toolchain.mjs';

/** @returns {Promise<string>} What it checked. */
export async function testNeonKernel() {
	const program = fromRoot('.cache', 'platforms', 'skip_string_test');
	fs.mkdirSync(path.dirname(program), {recursive: true});
	await runOrFail(zig, ['c++', '-target', 'aarch64-linux-musl', '-std=c++17', '-O2', '-static', '-I', 'native', 'test/native/skip_string_test.cc', 'native/base/cpu_features.cc', '-o', program]);
	const {stdout} = await runOrFail('qemu-aarch64-static', [program]);
	if (!stdout.startsWith('NEON ')) {
		throw new StepFailure(`this is not the kernel for arm64: ${stdout.trim()}`);
	}

	return `${stdout.trim()} texts`;
}
