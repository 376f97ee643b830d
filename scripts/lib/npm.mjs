/** Runs the npm that started this process, if any, so that its settings (registry, proxy, headers for node-gyp) reach child processes. */

import fs from 'node:fs';
import process from 'node:process';
import {root, fromRoot} from './paths.mjs';
import {runOrFail} from './run.mjs';

/** @throws {StepFailure} with npm's output if it fails. */
export function npm(args, options) {
	const path = process.env.npm_execpath;
	return path?.endsWith('.js') && path.includes('npm-cli')
		? runOrFail(process.execPath, [path, ...args], options)
		: runOrFail('npm', args, options);
}

/**
 * Installs the packages of the lock file unless they are installed. Install scripts do not run.
 *
 * @param {string} [folder] Contains a package.json and a lock file. Default: the top folder.
 * @param {string[]} [flags]
 * @returns {Promise<string>} What was done.
 */
export async function installPackages(folder = root, flags = []) {
	if (isInstalled(folder)) {
		return 'as locked';
	}

	await npm(['ci', '--ignore-scripts', '--include=dev', '--no-audit', '--no-fund', ...flags], {cwd: folder});
	return 'installed';
}

/**
 * Whether `node_modules` contains the packages of `package-lock.json`. npm writes a copy of the lock file there when an installation is
 * complete. Optional packages, such as those of other platforms, may be absent.
 *
 * @param {string} folder
 */
export function isInstalled(folder) {
	const wanted = readLock(`${folder}/package-lock.json`);
	const present = readLock(`${folder}/node_modules/.package-lock.json`);
	return Boolean(wanted && present) && Object.entries(wanted).every(([key, {version, integrity, optional, link}]) => {
		if (key === '') {
			return true;
		}

		const found = present[key];
		return found
			? found.version === version && (found.integrity === integrity || link === true) && fs.existsSync(`${folder}/${key}`)
			: optional === true;
	});
}

function readLock(file) {
	try {
		return JSON.parse(fs.readFileSync(file, 'utf8')).packages;
	} catch {
		// Absent or incomplete.
		return undefined;
	}
}

/** The JavaScript files of the development tools' commands. */
export const tool = {
	ava: fromRoot('node_modules', 'ava', 'entrypoints', 'cli.mjs'),
	clangFormat: fromRoot('node_modules', 'clang-format', 'index.js'),
	dependencyCruiser: fromRoot('node_modules', 'dependency-cruiser', 'bin', 'dependency-cruise.mjs'),
	markdownlint: fromRoot('node_modules', 'markdownlint-cli2', 'markdownlint-cli2-bin.mjs'),
	publint: fromRoot('node_modules', 'publint', 'src', 'cli.js'),
	tsc: fromRoot('node_modules', 'typescript', 'bin', 'tsc'),
	xo: fromRoot('node_modules', 'xo', 'dist', 'cli.js'),
};
