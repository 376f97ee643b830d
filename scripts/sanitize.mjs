// `npm run sanitize` compiles the addon with AddressSanitizer and UndefinedBehaviorSanitizer in a copy of this repository, and runs
// tests of threads that end during a job, keyring calls, commits, locks and scanning. Arguments: other test files. The first finding
// ends the process, and the test fails. Needs Linux and GCC, and takes minutes.

import process from 'node:process';
import {runAva} from './testing/ava.mjs';
import {buildDist} from './build/build.mjs';
import {installPackages, npm} from './lib/npm.mjs';
import {fromRoot} from './lib/paths.mjs';
import {runOrFail} from './lib/run.mjs';
import {makeScratchTree} from './quality/scratch-tree.mjs';
import {step} from './lib/steps.mjs';

const tree = fromRoot('.cache', 'sanitized');
const suites = [
	'test/fault/worker-termination.test.ts',
	'test/conformance/scan.test.ts',
	'test/conformance/commit.test.ts',
	'test/conformance/edit.test.ts',
	'test/conformance/locks.test.ts',
	'test/conformance/backend.test.ts',
];

async function makeTree() {
	makeScratchTree('sanitized');
}

async function compile() {
	const flags = '-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g';
	// No -D_FORTIFY_SOURCE: the sanitizer does not see what its functions do.
	await npm(['exec', '--offline', '--', 'node-gyp', 'rebuild', '--jobs=max', '--loglevel=warn'], {cwd: tree, env: {CXXFLAGS: flags, LDFLAGS: flags}});
}

async function libraryPath(name) {
	return (await runOrFail(process.env.CXX ?? 'c++', [`-print-file-name=${name}`])).stdout.trim();
}

let isReady = true;
for (const [name, action] of [['npm packages', installPackages], ['dist', buildDist], ['copy', makeTree], ['addon with sanitizers', compile]]) {
	isReady &&= (await step(name, action)).outcome === 'passed';
}

process.exitCode = 1;
if (isReady) {
	const files = process.argv.slice(2);
	const {passed, failed, skipped} = await runAva([...(files.length > 0 ? files : suites), '--match=!pure:*', '--timeout=10m', '--concurrency=1'], {
		cwd: tree,
		env: {
			// Node is not linked with the sanitizer, so its library is preloaded. The C++ library has to follow it for exceptions to work.
			LD_PRELOAD: `${await libraryPath('libasan.so')}:${await libraryPath('libstdc++.so')}`,
			// V8 does not free all memory at exit, which would be reported as leaks.
			ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=0:exitcode=99',
			UBSAN_OPTIONS: 'print_stacktrace=1',
		},
	});
	process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
	console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
}
