/**
 * Puts the modules that every program loads into one file: a process that needs one token pays for each file that it opens and
 * compiles. What only some programs need stays in files of its own, loaded by `require` where it is needed.
 */

import fs from 'node:fs';
import path from 'node:path';
import {rollup} from '@rollup/wasm-node';
import ts from 'typescript';
import {fromRoot} from './paths.mjs';

const source = fromRoot('src');
const entry = path.join(source, 'index.ts');

/** The bundle's name, beside the modules' own: no module of that name is in src/. */
const coreName = 'core';

/**
 * Writes `dist/core.js`, and each module of `dist/` anew: those that are in it hand on what is there, so that whoever loads one of
 * them gets the same copy.
 *
 * @param {string} dist
 * @returns {Promise<string[]>} The files, absolute.
 */
export async function bundle(dist) {
	const names = fs.readdirSync(source).filter(name => name.endsWith('.ts')).map(name => path.basename(name, '.ts'));
	if (names.includes(coreName)) {
		throw new Error(`src/${coreName}.ts: that name is the bundle's.`);
	}

	const build = await rollup({
		input: Object.fromEntries(names.map(name => [name, path.join(source, `${name}.ts`)])),
		external: id => !id.startsWith('.') && !path.isAbsolute(id),
		plugins: [typescript],
		// A module of types alone is empty.
		onLog(level, log, print) {
			if (log.code !== 'EMPTY_BUNDLE') {
				print(level === 'warn' ? 'error' : level, log);
			}
		},
	});
	try {
		const {output} = await build.write({
			dir: dist,
			format: 'cjs',
			exports: 'named',
			entryFileNames: '[name].js',
			chunkFileNames: '[name].js',
			// The bindings are what they are once all is loaded: nothing is exported twice, and no module waits for another.
			externalLiveBindings: false,
			hoistTransitiveImports: false,
			freeze: false,
			generatedCode: {constBindings: true, objectShorthand: true, arrowFunctions: true},
			// Plain `require` is what the modules mean.
			interop: 'default',
			manualChunks: (id, {getModuleInfo}) => reachedFrom(entry, getModuleInfo).has(id) && id !== entry ? coreName : undefined,
		});
		return output.map(({fileName}) => path.join(dist, fileName));
	} finally {
		await build.close();
	}
}

/** Types are checked elsewhere; here they are taken out. */
const typescript = {
	name: 'typescript',
	resolveId: (id, importer) => importer && id.startsWith('.') ? path.join(path.dirname(importer), id.replace(/\.js$/, '.ts')) : null,
	transform: code => ({
		code: ts.transpileModule(code, {
			compilerOptions: {target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext},
		}).outputText,
		map: null,
	}),
};

/** @type {Map<string, Set<string>>} */
const reached = new Map();

/** Every module that `id` loads at once, itself included. */
function reachedFrom(id, getModuleInfo) {
	let modules = reached.get(id);
	if (!modules) {
		modules = new Set([id]);
		reached.set(id, modules);
		for (const each of modules) {
			for (const imported of getModuleInfo(each)?.importedIds ?? []) {
				modules.add(imported);
			}
		}
	}

	return modules;
}
