/**
 * Links for macOS. zig compiles and makes the archives of its C++ library, and then LLVM's linker takes over: zig's own exports what
 * it should not and cannot make a bundle, which is what node-gyp makes.
 */

import fs from 'node:fs';
import path from 'node:path';
import {compilerFlags, linkerFlags} from './native-flags.mjs';
import {fromRoot} from '../../lib/paths.mjs';
import {run, runOrFail} from '../../lib/run.mjs';
import {StepFailure} from '../../lib/steps.mjs';
import {oldestMacos} from '../targets.mjs';
import {
	explainZig, machoLinker, nodeApiSymbols, zig, zigLibrary,
} from '../toolchain.mjs';

/**
 * @param {import('../targets.mjs').Target} target
 * @param {string[]} sources
 * @param {string} file What to make, below the top folder.
 */
export async function linkMacho(target, sources, file) {
	const inputs = await compile(target, sources, `${file}.zig`);
	const symbols = await nodeApiSymbols();
	await runOrFail(machoLinker, [
		'-bundle',
		'-arch',
		target.arch === 'x64' ? 'x86_64' : 'arm64',
		'-platform_version',
		'macos',
		oldestMacos,
		oldestMacos,
		'-exported_symbols_list',
		'native/addon/exports_mac.txt',
		'-dead_strip',
		'-S',
		'-x',
		// Apple's CPUs run nothing unsigned, and a file that is signed here need not be signed by npm's users.
		'-adhoc_codesign',
		// These the host has; whatever else nobody defines is a mistake that shows now and not on a user's machine.
		...[...symbols].flatMap(name => ['-U', `_${name}`]),
		...inputs,
		...frameworks(),
		path.join(zigLibrary, 'libc', 'darwin', 'libSystem.tbd'),
		'-o',
		file,
	]);
}

/** @returns {Promise<string[]>} The objects and archives that zig would link. */
async function compile(target, sources, discarded) {
	try {
		const {code, output} = await run(zig, [
			'c++',
			...compilerFlags(target),
			...linkerFlags(target),
			// This file is not the result: what it lacks, the linker above looks for.
			'-Wl,-undefined,dynamic_lookup',
			...sources,
			'-o',
			discarded,
		], {env: {ZIG_VERBOSE_LINK: '1'}});
		const line = output.split('\n').findLast(each => each.startsWith('zig ld '));
		if (code !== 0 || !line) {
			throw new StepFailure(`zig ended with ${code}`, explainZig(output));
		}

		return line.split(' ').filter(word => /\.[ao]$/.test(word));
	} finally {
		fs.rmSync(fromRoot(discarded), {force: true});
	}
}

/** Link stubs of Apple's frameworks: Apple's own files may not be passed on. */
function frameworks() {
	return ['CoreFoundation', 'Security'].map(name => path.join('scripts', 'release', 'offline', `${name}.tbd`));
}
