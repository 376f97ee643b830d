/** The platforms that the package ships a binary for. */

import process from 'node:process';
import {parseArgs} from 'node:util';
import {fromRoot} from '../lib/paths.mjs';

/**
 * @typedef {object} Target
 * @property {string} name As on the command line.
 * @property {'darwin' | 'linux' | 'win32'} platform As `process.platform`.
 * @property {'arm64' | 'x64'} arch As `process.arch`.
 * @property {'glibc' | 'musl' | undefined} libc
 * @property {'linux' | 'mac' | 'win'} system As `native-sources.js` and file suffixes name it.
 * @property {string} triple The compiler's name for it, with the oldest version of the system that it is for.
 * @property {string} file Below `prebuilds/`; prebuildify's conventions, and what `src/backend/native-backend.ts` looks for.
 */

/** Enterprise Linux 7's, the oldest that zig has symbols for on both CPUs. Node's own binaries ask for 2.28. */
const glibc = '2.17';

/** As Node 20's own binaries. Source: https://github.com/nodejs/node/blob/v20.x/BUILDING.md, Platform list. */
export const oldestMacos = '11.0';

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
 * The targets that the command line names with an option, which may be repeated. Whoever names none means all. What cannot be
 * understood ends the process.
 *
 * @param {string} option
 * @returns {Target[]}
 */
export function targetsOfCommandLine(option) {
	try {
		const {values} = parseArgs({options: {[option]: {type: 'string', multiple: true, default: []}}});
		const names = values[option];
		const unknown = names.filter(name => !targets.some(each => each.name === name));
		if (unknown.length === 0) {
			return names.length === 0 ? targets : targets.filter(({name}) => names.includes(name));
		}

		console.error(`No such target: ${unknown.join(', ')}. Targets: ${targets.map(({name}) => name).join(', ')}.`);
	} catch (error) {
		console.error(`${error.message}. Usage: [--${option} <target>]...`);
	}

	// eslint-disable-next-line unicorn/no-process-exit -- Two commands share it, and neither has anything else to do.
	process.exit(2);
}
