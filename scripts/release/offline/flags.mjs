/** zig's flags for the addon: those of `binding.gyp`, and zig's counterparts of what gyp and Node's `common.gypi` add. */

import {compilerFlags as addonFlags, defineFlags, windowsLibraries} from '../../build/addon-flags.mjs';
import {headerFolders} from '../toolchain.mjs';

/** @param {import('../targets.mjs').Target} target @returns {string[]} */
export function compilerFlags({system, triple}) {
	return [
		// Without a target and a CPU, zig compiles for the CPU that it runs on.
		'-target',
		triple,
		'-mcpu=baseline',
		...addonFlags,
		'-g0',
		'-Werror',
		'-Inative',
		...headerFolders.flatMap(folder => ['-isystem', folder]),
		...defineFlags,
		...flagsOf[system],
	];
}

const flagsOf = {
	mac: ['-fPIC'],
	// BUILDING_NODE_EXTENSION makes the functions of Node-API imports, which windows-imports.mjs defines.
	win: ['-DBUILDING_NODE_EXTENSION', '-DUNICODE', '-D_UNICODE'],
};

/** @param {import('../targets.mjs').Target} target @returns {string[]} For the compiler, which runs the linker. */
export function linkerFlags({system}) {
	return ['-shared', '-s', ...(system === 'win' ? windowsLibraries : [])];
}
