/** The platforms that the package ships a binary for. */

import process from 'node:process';
import {parseArgs} from 'node:util';
import {oldestMacos} from '../build/addon-flags.mjs';
import {fromRoot} from '../lib/paths.mjs';

/**
 * @typedef {object} Target
 * @property {string} name As on the command line.
 * @property {'darwin' | 'linux' | 'win32'} platform As `process.platform`.
 * @property {'arm64' | 'x64'} arch As `process.arch`.
 * @property {'glibc' | 'musl' | undefined} libc
 * @property {'linux' | 'mac' | 'win'} system As `native-sources.js` and file suffixes name it.
 * @property {string} triple zig's name for it, with the oldest version of the system that the binary runs on.
 * @property {string} file Below `prebuilds/`, as prebuildify names it and `src/backend/addon-loader.ts` looks for it.
 */

/** The version of Enterprise Linux 7, which is the oldest that zig supports on both CPUs. Node's own binaries need 2.28. */
const glibc = '2.17';

const cpuOf = {arm64: 'aarch64', x64: 'x86_64'};

/** @type {Target[]} */
export const targets = [
	target('linux', 'x64', 'glibc'),
	target('linux', 'arm64', 'glibc'),
	target('linux', 'x64', 'musl'),
	target('linux', 'arm64', 'musl'),
	target('darwin', 'x64'),
	target('darwin', 'arm64'),
	target('win32', 'x64'),
	target('win32', 'arm64'),
];

function target(platform, arch, libc) {
	const system = {linux: 'linux', darwin: 'mac', win32: 'win'}[platform];
	const suffix = {
		linux: libc === 'musl' ? 'linux-musl' : `linux-gnu.${glibc}`,
		darwin: `macos.${oldestMacos}`,
		win32: 'windows-gnu',
	}[platform];
	return {
		name: [platform, arch, libc].filter(Boolean).join('-'),
		platform,
		arch,
		libc,
		system,
		triple: `${cpuOf[arch]}-${suffix}`,
		file: `${platform}-${arch}/azure-shared-token-cache${libc ? `.${libc}` : ''}.node`,
	};
}

/** Absolute path of a target's binary. */
export const prebuildOf = ({file}) => fromRoot('prebuilds', file);

/**
 * The targets that the command line names with an option, which may be repeated. Ends the process with exit code 2 if the command line
 * is invalid.
 *
 * @param {string} option
 * @param {Target[]} [all] The targets to choose from, which are the default. Default: every target.
 * @returns {Target[]}
 */
export function targetsOfCommandLine(option, all = targets) {
	try {
		const {values} = parseArgs({options: {[option]: {type: 'string', multiple: true, default: []}}});
		const names = values[option];
		const unknown = names.filter(name => !all.some(each => each.name === name));
		if (unknown.length === 0) {
			return names.length === 0 ? all : all.filter(({name}) => names.includes(name));
		}

		console.error(`No such target: ${unknown.join(', ')}. Targets: ${all.map(({name}) => name).join(', ')}.`);
	} catch (error) {
		console.error(`${error.message}. Usage: [--${option} <target>]...`);
	}

	// eslint-disable-next-line unicorn/no-process-exit -- Only commands call this function, before they start anything.
	process.exit(2);
}
