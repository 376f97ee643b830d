/**
 * The scanner's inner loop: each kernel that this processor supports gives the result of a simple byte loop and reads
 * nothing beyond the text.
 */

import {execFileSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import process from 'node:process';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {testWhere} from '../helpers/peers/peers.js';
import {missingObjects} from '../torture/native-program.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const kernels: Array<{kernel: string; flags?: string; lack?: string | undefined}> = [
	process.arch === 'arm64' ? {kernel: 'NEON'} : {kernel: 'SSE2'},
	{kernel: 'scalar', flags: '-DSTC_SCALAR_KERNEL'},
	{kernel: 'AVX2', flags: '-DSTC_WIDE', lack: lackOfAvx2()},
];

function lackOfAvx2(): string | undefined {
	if (process.arch !== 'x64' || process.platform !== 'linux') {
		return 'this check for AVX2 needs Linux on x64; run on such a machine';
	}

	return readFileSync('/proc/cpuinfo', 'utf8').includes(' avx2 ') ? undefined : 'this processor has no AVX2; run on one that does';
}

for (const {kernel, flags, lack} of kernels) {
	testWhere(test, [missingObjects(), lack], `${kernel}: finds the byte that ends a run of plain text at any position`, t => {
		const directory = mkdtempSync(join(tmpdir(), 'stc-skip-string-'));
		t.teardown(() => {
			rmSync(directory, {recursive: true, force: true});
		});
		const program = join(directory, 'skip_string_test');
		execFileSync(process.env['CXX'] ?? 'g++', [
			'-std=c++17',
			'-O2',
			'-g',
			'-fsanitize=address,undefined',
			'-fno-sanitize-recover=all',
			'-Wall',
			'-Wextra',
			'-Werror',
			...(flags ? [flags] : []),
			'-I',
			join(root, 'native'),
			join(root, 'test', 'native', 'skip_string_test.cc'),
			join(root, 'native', 'base', 'cpu_features.cc'),
			'-o',
			program,
		], {stdio: ['ignore', 'ignore', 'inherit']});
		t.regex(execFileSync(program, {encoding: 'utf8'}), new RegExp(String.raw`^${kernel} \d{6}\n$`));
	});
}
