/**
 * The compilers of `npm run prebuild`, in a package of their own (`tools/cross`), so that their 86 MB reach nobody who does not
 * build binaries: zig, which is clang with the libraries of every target, and the headers of Node-API. macOS binaries are
 * linked by LLVM's own linker, which is Debian's.
 */

import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {createRequire} from 'node:module';
import {installPackagesOfDebian} from '../lib/debian.mjs';
import {installPackages} from '../lib/npm.mjs';
import {fromRoot, root} from '../lib/paths.mjs';
import {StepFailure} from '../lib/steps.mjs';

const folder = fromRoot('tools', 'cross');
const packages = path.join('tools', 'cross', 'node_modules');

/** zig. Its packages for other machines are left out: binaries are built on linux-x64. */
export const zig = fromRoot(packages, '@zigc', `${process.platform}-${process.arch}`, 'bin', 'zig');

export const zigLibrary = path.join(packages, '@zigc', 'lib');

/**
 * What is of interest in zig's output after a failure. When it compiles libc++ for a target for the first time, 4 MB of warnings
 * about that come out, too.
 *
 * @param {string} output
 */
export function explainZig(output) {
	const lines = output.split('\n');
	const first = lines.findIndex(line => line.includes('error:'));
	return lines.slice(Math.max(0, first === -1 ? lines.length - 60 : first - 3)).slice(0, 60).join('\n');
}

/** Relative to the top folder, as all paths that a compiler is given: no binary may hold where it was made. */
export const headerFolders = ['node-addon-api', path.join('node-api-headers', 'include')].map(name => path.join(packages, name));

/** The linker for macOS, and the version of Debian's package that has it. */
export const machoLinker = 'ld64.lld-19';

/** @returns {Promise<string>} What was done. */
export async function installToolchain() {
	const result = await installPackages(folder);
	if (!fs.existsSync(zig)) {
		throw new StepFailure(`there is no zig for ${process.platform}-${process.arch} in ${path.relative(root, folder)}: binaries are built on linux-x64`);
	}

	return result;
}

/** @returns {Promise<string>} What was done. @throws {StepFailure} with the command to run, where this user may not install. */
export async function installMachoLinker() {
	return installPackagesOfDebian({'lld-19': machoLinker});
}

/** The functions that a Node-API addon may call: of the version that we ask for, which every supported Node has. */
export async function nodeApiSymbols() {
	await installToolchain();
	const {symbols} = createRequire(path.join(folder, 'package.json'))('node-api-headers');
	const {js_native_api_symbols: engine, node_api_symbols: node} = symbols[`v${nodeApiVersion}`];
	return new Set([...engine, ...node]);
}

/** As in binding.gyp. */
export const nodeApiVersion = 8;
