/**
 * How the addon is compiled for release. `binding.gyp` says the same for builds from source; `test/unit/check-prebuilds.test.ts`
 * holds the two together.
 */

import {headerFolders, nodeApiVersion} from '../toolchain.mjs';

/** @param {import('../targets.mjs').Target} target @returns {string[]} */
export function compilerFlags({system, triple}) {
	return [
		// Named, else zig compiles for the CPU that it runs on.
		'-target',
		triple,
		'-mcpu=baseline',
		'-std=c++17',
		'-fexceptions',
		'-O3',
		'-g0',
		'-fvisibility=hidden',
		'-fvisibility-inlines-hidden',
		'-fstack-protector-strong',
		'-Wall',
		'-Wextra',
		'-Wpedantic',
		'-Wshadow',
		'-Werror',
		'-Inative',
		...headerFolders.flatMap(folder => ['-isystem', folder]),
		`-DNAPI_VERSION=${nodeApiVersion}`,
		'-DNAPI_CPP_EXCEPTIONS',
		'-DNODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
		'-DNDEBUG',
		...flagsOf[system],
	];
}

const flagsOf = {
	linux: ['-fPIC', '-U_FORTIFY_SOURCE', '-D_FORTIFY_SOURCE=2'],
	mac: ['-fPIC'],
	// The first makes the functions of Node-API imports, which the shim then defines.
	win: ['-DBUILDING_NODE_EXTENSION', '-DUNICODE', '-D_UNICODE'],
};

/** @param {import('../targets.mjs').Target} target @returns {string[]} For the compiler as the linker's driver. */
export function linkerFlags({system}) {
	return ['-shared', '-s', ...linkerFlagsOf[system]];
}

const linkerFlagsOf = {
	linux: [
		'-Wl,--version-script=native/addon/exports_linux.map',
		'-Wl,--no-undefined-version',
		'-Wl,--build-id=none',
		'-Wl,--gc-sections',
		'-Wl,-z,relro',
		'-Wl,-z,now',
		// A worker that ends would unload the addon from under a thread that still waits for a keyring.
		'-Wl,-z,nodelete',
	],
	mac: [],
	win: ['-lcrypt32', '-ladvapi32'],
};
