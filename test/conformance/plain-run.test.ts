/** The scanner's inner loop: each kernel that this processor runs does what a loop over bytes does, and reads nothing beyond the text. */

import {execFileSync} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import process from 'node:process';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {testWhere} from '../helpers/peers.js';
import {missingObjects} from '../torture/native-program.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const vectorKernel = process.arch === 'arm64' ? 'NEON' : 'SSE2';

for (const [kernel, flags] of [[vectorKernel, []], ['scalar', ['-DSTC_SCALAR_KERNEL']]] as const) {
	testWhere(test, [missingObjects()], `${kernel}: finds what ends a run of plain text, wherever it stands`, t => {
		const directory = mkdtempSync(join(tmpdir(), 'stc-plain-run-'));
		t.teardown(() => {
			rmSync(directory, {recursive: true, force: true});
		});
		const program = join(directory, 'plain_run_test');
		execFileSync(process.env['CXX'] ?? 'g++', [
			'-std=c++17',
			'-O2',
			'-g',
			'-fsanitize=address,undefined',
			'-fno-sanitize-recover=all',
			'-Wall',
			'-Wextra',
			'-Werror',
			...flags,
			'-I',
			join(root, 'native'),
			join(root, 'test', 'native', 'plain_run_test.cc'),
			'-o',
			program,
		], {stdio: ['ignore', 'ignore', 'inherit']});
		t.regex(execFileSync(program, {encoding: 'utf8'}), new RegExp(String.raw`^${kernel} \d{6}\n$`));
	});
}
