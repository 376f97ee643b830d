/** Builds the addon and `dist/`, each only if something that it depends on has changed. */

import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {installBuildTools} from '../lib/debian.mjs';
import {npm} from '../lib/npm.mjs';
import {fromRoot, root} from '../lib/paths.mjs';
import {runOrFail} from '../lib/run.mjs';
import {StepFailure} from '../lib/steps.mjs';
import {
	hashOf, isStamped, removeStamp, writeStamp,
} from './stamps.mjs';

const addon = fromRoot('build', 'Release', 'azure_shared_token_cache.node');
const dist = fromRoot('dist');

/**
 * Compiles `native/` with node-gyp into `build/Release/`.
 *
 * @returns {Promise<string>} What was done.
 * @throws {StepFailure} if a build tool is missing or the compilation fails.
 */
export async function buildAddon() {
	const settings = ['CC', 'CXX', 'CFLAGS', 'CXXFLAGS', 'CPPFLAGS', 'LDFLAGS', 'STC_WERROR'].map(name => process.env[name]);
	// node-gyp reads the list of sources when it configures.
	const sources = fs.readdirSync(fromRoot('native'), {recursive: true}).filter(name => name.endsWith('.cc')).toSorted();
	const inputs = hashOf(['binding.gyp', 'scripts/build/native-sources.js', 'node_modules/node-addon-api/package.json'], [...settings, ...sources]);
	const everything = hashOf(['native'], [inputs]);
	// The file's size and time: another program may have replaced the binary.
	if (isStamped('addon', everything + identity(addon))) {
		return 'unchanged';
	}

	const tools = await installBuildTools();
	// The generated makefiles reach Node's headers by a path relative to this folder, so a copy of the folder has to be configured again.
	const configuration = hashOf([], [inputs, root]);
	const isConfigured = isStamped('addon-configuration', configuration) && fs.existsSync(fromRoot('build', 'Makefile'));
	removeStamp('addon');
	// `npm exec` passes npm's settings to node-gyp, such as the folder of Node's headers, also if npm did not start this script.
	const result = await npm(['exec', '--offline', '--', 'node-gyp', isConfigured ? 'build' : 'rebuild', '--jobs=max', '--loglevel=warn'])
		.catch(error => {
			throw new StepFailure('node-gyp failed', error.log ?? String(error));
		});
	if (!fs.existsSync(addon)) {
		throw new StepFailure(`${path.relative(root, addon)} is missing after the build`, result.output);
	}

	writeStamp('addon-configuration', configuration);
	writeStamp('addon', everything + identity(addon));
	return ['compiled', tools].filter(Boolean).join(', ');
}

/**
 * Compiles `src/` to `dist/` and removes files that no source produces any more.
 *
 * @returns {Promise<string>} What was done.
 * @throws {StepFailure} with the compiler's output.
 */
export async function buildDist() {
	const hash = hashOf(['src', 'tsconfig.json', 'package-lock.json', ...['break-lines', 'bundle', 'declarations', 'eager-functions', 'private-names'].map(name => `scripts/build/${name}.mjs`)]);
	if (isStamped('dist', hash) && fs.existsSync(path.join(dist, 'index.js'))) {
		return 'unchanged';
	}

	removeStamp('dist');
	// Imported here, because this file is loaded before npm's packages are installed.
	const [{bundle}, {buildDeclarations}] = await Promise.all([import('./bundle.mjs'), import('./declarations.mjs')]);
	const written = new Set([...await bundle(dist), ...await buildDeclarations(dist)]);
	for (const name of fs.readdirSync(dist, {recursive: true})) {
		const file = path.join(dist, name);
		if (!written.has(file) && fs.statSync(file).isFile()) {
			fs.rmSync(file);
		}
	}

	writeStamp('dist', hash);
	return 'compiled';
}

/**
 * Loads the built package by `require` and by `import`, and the addon if it was built.
 *
 * @returns {Promise<string>} What was loaded.
 * @throws {StepFailure} with Node's error.
 */
export async function checkLoads() {
	const program = `
		const assert = require('node:assert');
		const required = require('./dist/index.js');
		if (require('node:fs').existsSync(${JSON.stringify(addon)})) require(${JSON.stringify(addon)});
		import('./dist/index.mjs').then(imported => {
			assert.equal(typeof required.SharedTokenCacheCredential, 'function');
			assert.equal(imported.SharedTokenCacheCredential, required.SharedTokenCacheCredential);
		});`;
	await runOrFail(process.execPath, ['--eval', program]).catch(error => {
		throw new StepFailure('the built package does not load', error.log ?? String(error));
	});
	return 'by require and import';
}

function identity(file) {
	const stats = fs.statSync(file, {throwIfNoEntry: false});
	return stats ? ` ${stats.size} ${stats.mtimeMs}` : ' absent';
}
