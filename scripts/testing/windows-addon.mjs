/** The addon for Windows that the tests load: the binary of `npm run prebuild` if it is up to date, else MinGW-w64 compiles one. */

import {execFileSync} from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {createRequire} from 'node:module';
import {defineFlags, nodeApiVersion, windowsLibraries} from '../build/addon-flags.mjs';
import {fromRoot} from '../lib/paths.mjs';
import {importShim} from '../release/offline/windows-imports.mjs';
import {compile, compilerFlags} from './wine.mjs';

const prebuild = fromRoot('prebuilds', 'win32-x64', 'azure-shared-token-cache.node');
const packages = createRequire(fromRoot('test', 'windows', 'package.json'));

/**
 * @param {string} folder For compiled files.
 * @returns {Promise<{file: string, origin: string}>}
 */
export async function windowsAddon(folder) {
	const sources = execFileSync(process.execPath, [fromRoot('scripts', 'build', 'native-sources.js'), 'win'], {encoding: 'utf8'}).trim().split('\n');
	if (isNewerThanSources(prebuild)) {
		return {file: prebuild, origin: 'the prebuild'};
	}

	const flags = [
		...compilerFlags,
		'-O2',
		'-fvisibility=hidden',
		'-isystem',
		fromRoot('node_modules', 'node-addon-api'),
		'-isystem',
		path.join(path.dirname(packages.resolve('node-api-headers')), 'include'),
		...defineFlags,
		'-DBUILDING_NODE_EXTENSION',
	];
	const objectOf = source => path.join(folder, `${source.replaceAll('/', '-')}.o`);
	const queue = [...sources];
	await Promise.all(Array.from({length: os.availableParallelism()}, async () => {
		for (let source = queue.shift(); source !== undefined; source = queue.shift()) {
			await compile([...flags, '-c', fromRoot(source), '-o', objectOf(source)]);
		}
	}));
	const shim = path.join(folder, 'node_api_imports.cc');
	fs.writeFileSync(shim, importShim(nodeApiFunctions()));
	await compile(['-O2', '-c', shim, '-o', objectOf('shim')]);
	const file = path.join(folder, 'azure-shared-token-cache.node');
	await compile(['-shared', '-static', '-s', '-o', file, ...sources.map(source => objectOf(source)), objectOf('shim'), ...windowsLibraries]);
	return {file, origin: 'compiled by MinGW-w64'};
}

function isNewerThanSources(file) {
	const made = fs.statSync(file, {throwIfNoEntry: false});
	const folder = fromRoot('native');
	return made !== undefined && fs.readdirSync(folder, {recursive: true}).every(name => fs.statSync(path.join(folder, name)).mtimeMs <= made.mtimeMs);
}

export function nodeApiFunctions() {
	const {symbols} = packages('node-api-headers');
	const {js_native_api_symbols: engine, node_api_symbols: node} = symbols[`v${nodeApiVersion}`];
	return [...new Set([...engine, ...node])].toSorted();
}
