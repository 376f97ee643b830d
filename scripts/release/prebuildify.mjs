/** Builds a binary with prebuildify and `binding.gyp`: on Linux with zig for every CPU and C library, elsewhere with the system's compiler. */

import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {npm} from '../lib/npm.mjs';
import {fromRoot} from '../lib/paths.mjs';
import {runOrFail} from '../lib/run.mjs';
import {StepFailure} from '../lib/steps.mjs';
import {prebuildOf} from './targets.mjs';
import {errorsOf, runZig, zig} from './toolchain.mjs';

/**
 * @param {import('./targets.mjs').Target} target
 * @param {(text: string) => void} report Gets the number of compiled sources.
 * @throws {StepFailure} with the compiler's errors.
 */
export async function buildWithPrebuildify(target, report) {
	// A copy, because prebuildify compiles in build/, which holds this machine's own addon.
	const folder = path.join('.cache', 'prebuildify', target.name);
	fs.rmSync(fromRoot(folder), {recursive: true, force: true});
	for (const name of ['binding.gyp', 'package.json', 'native', path.join('scripts', 'build')]) {
		fs.cpSync(fromRoot(name), fromRoot(folder, name), {recursive: true});
	}

	fs.symlinkSync(fromRoot('node_modules'), fromRoot(folder, 'node_modules'), 'junction');
	const env = {...process.platform === 'linux' ? await zigEnvironment(target, folder) : environmentOf[process.platform], JOBS: 'max'};
	const args = ['--napi', `--target=${process.versions.node}`, `--arch=${target.arch}`, ...(target.libc ? ['--tag-libc', `--libc=${target.libc}`] : ['--strip'])];
	let compiled = 0;
	await npm(['exec', '--offline', '--', 'prebuildify', ...args], {
		cwd: fromRoot(folder),
		env,
		onOutput(text) {
			compiled += text.match(/^ {2}CXX\(target\)/gm)?.length ?? 0;
			report(`prebuildify, ${compiled} sources compiled`);
		},
	}).catch(error => {
		throw new StepFailure('prebuildify failed', errorsOf(error.log ?? String(error)));
	});
	const made = fromRoot(folder, 'prebuilds', target.file);
	if (!fs.existsSync(made)) {
		throw new StepFailure(`prebuildify made no ${target.file}`);
	}

	if (process.platform === 'darwin') {
		// Apple's CPUs run signed code only, and Apple's linker signs for these alone.
		await runOrFail('codesign', ['--force', '--sign', '-', made]);
	}

	fs.chmodSync(made, 0o644);
	fs.mkdirSync(path.dirname(prebuildOf(target)), {recursive: true});
	fs.copyFileSync(made, prebuildOf(target));
}

const environmentOf = {
	// Fix-ups as every supported macOS reads them. The check before a release reads no others.
	darwin: {LDFLAGS: '-Wl,-no_fixup_chains'},
	win32: {},
};

/** zig as the compiler. Its flags here are about zig alone; all others are in `binding.gyp`. */
async function zigEnvironment({triple}, folder) {
	// Without a target and a CPU, zig compiles for the CPU that it runs on.
	const machine = ['-target', triple, '-mcpu=baseline'];
	const noDemangler = path.join(folder, 'no_demangler.o');
	await runZig(['c++', ...machine, '-O3', '-fPIC', '-fvisibility=hidden', '-c', path.join('scripts', 'release', 'no_demangler.cc'), '-o', noDemangler]);
	return {
		CC: [zig, 'cc', ...machine].join(' '),
		CXX: [zig, 'c++', ...machine].join(' '),
		// zig compiles its C++ library with the optimization of the link command.
		LDFLAGS: ['-O3', '-s', '-Wl,--build-id=none', fromRoot(noDemangler)].join(' '),
		STC_WERROR: '1',
	};
}
