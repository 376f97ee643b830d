/**
 * Compiles and links for macOS. zig compiles the sources and its C++ library, and LLVM's linker links them: zig's own linker exports too
 * many symbols and cannot make a bundle, which is what node-gyp makes.
 */

import fs from 'node:fs';
import path from 'node:path';
import {oldestMacos} from '../../build/addon-flags.mjs';
import {fromRoot} from '../../lib/paths.mjs';
import {runOrFail} from '../../lib/run.mjs';
import {StepFailure} from '../../lib/steps.mjs';
import {
	machoLinker, nodeApiSymbols, runZig, zigLibrary,
} from '../toolchain.mjs';
import {compilerFlags, linkerFlags} from './flags.mjs';

/** Link stubs, written for this package: Apple's own files may not be passed on. */
const frameworks = ['CoreFoundation.tbd', 'Security.tbd'].map(name => path.join('scripts', 'release', 'offline', name));

/**
 * @param {import('../targets.mjs').Target} target
 * @param {string[]} sources
 * @param {string} file The bundle, below the top folder.
 * @throws {StepFailure} with the compiler's or the linker's output.
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
		// Apple's CPUs run signed code only.
		'-adhoc_codesign',
		// Node defines these when it loads the addon. Any other undefined symbol is an error.
		...[...symbols].flatMap(name => ['-U', `_${name}`]),
		...inputs,
		...frameworks,
		path.join(zigLibrary, 'libc', 'darwin', 'libSystem.tbd'),
		'-o',
		file,
	]);
}

/** @returns {Promise<string[]>} The objects and archives that zig links. */
async function compile(target, sources, discarded) {
	try {
		const {output} = await runZig([
			'c++',
			...compilerFlags(target),
			...linkerFlags(target),
			// zig's own output is thrown away, so undefined symbols are no error here.
			'-Wl,-undefined,dynamic_lookup',
			...sources,
			'-o',
			discarded,
		], {env: {ZIG_VERBOSE_LINK: '1'}});
		const line = output.split('\n').findLast(each => each.startsWith('zig ld '));
		if (!line) {
			throw new StepFailure('zig did not print its link command', output);
		}

		return line.split(' ').filter(word => /\.[ao]$/.test(word));
	} finally {
		fs.rmSync(fromRoot(discarded), {force: true});
	}
}
