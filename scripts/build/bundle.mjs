/**
 * Puts the modules that every program loads into one file: a process that needs one token pays for each file that it opens and
 * compiles. What only some programs need stays in files of its own, loaded by `require` where it is needed.
 */

import fs from 'node:fs';
import path from 'node:path';
import {rollup} from 'rollup';
import ts from 'typescript';
import {fromRoot} from '../lib/paths.mjs';

const source = fromRoot('src');
const entry = path.join(source, 'index.ts');

/** What the bundle is called until it becomes the entry: no module of that name is in src/. */
const coreName = 'core';

/** The file through which `import` gets at the entry: no module of that name is in src/. See {@link wrap}. */
const wholeName = 'whole';

/**
 * Under this symbol, the entry holds what the package's other files take from it, most of which is not for users. A file of its own would
 * take 0.2 ms of a process's first token to be found and read.
 */
const internals = `Symbol.for('${JSON.parse(fs.readFileSync(fromRoot('package.json'), 'utf8')).name}.internals')`;

/**
 * Writes `dist/index.js`, and each module of `dist/` anew: those that are in it hand on what is there, so that whoever loads one of
 * them gets the same copy.
 *
 * @param {string} dist
 * @returns {Promise<string[]>} The files, absolute.
 */
export async function bundle(dist) {
	const names = fs.readdirSync(source, {recursive: true})
		.filter(name => name.endsWith('.ts'))
		.map(name => name.slice(0, -'.ts'.length).replaceAll(path.sep, '/'));
	for (const taken of [coreName, wholeName]) {
		if (names.includes(taken)) {
			throw new Error(`src/${taken}.ts: that name is the bundle's.`);
		}
	}

	const build = await rollup({
		input: Object.fromEntries(names.map(name => [name, path.join(source, `${name}.ts`)])),
		external: id => !id.startsWith('.') && !path.isAbsolute(id),
		plugins: [typescript, coreInEntry],
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
		return [...output.map(({fileName}) => path.join(dist, fileName)), ...wrap(dist)];
	} finally {
		await build.close();
	}
}

/** Types are checked elsewhere; here they are taken out. So are comments, a quarter of the file: to pass them over takes 0.1 ms of a process's first token. */
const typescript = {
	name: 'typescript',
	resolveId: (id, importer) => importer && id.startsWith('.') ? path.join(path.dirname(importer), id.replace(/\.js$/, '.ts')) : null,
	transform: (code, id) => ({
		code: markRequires(ts.transpileModule(code, {
			compilerOptions: {target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, removeComments: true},
		}).outputText, id),
		map: null,
	}),
	renderChunk: (code, {fileName}) => ({code: resolveRequires(code, fileName), map: null}),
};

/** Stands for dist/ in a `require` until the file that the call ends up in is known. */
const distMark = 'dist:';

/** Rollup leaves `require('./x.js')` as it is, but moves the code around it to another folder. */
function markRequires(code, id) {
	const folder = path.relative(source, path.dirname(id)).replaceAll(path.sep, '/');
	return code.replaceAll(/\brequire\('(?<to>\.\.?\/[^']+)'\)/g, (_, to) => `require('${distMark}${path.posix.join(folder, to)}')`);
}

function resolveRequires(code, fileName) {
	return code.replaceAll(new RegExp(`'${distMark}(?<to>[^']+)'`, 'g'), (_, to) => `'${relativeTo(fileName, to)}'`);
}

/** How one file of dist/ names another. Both relative to dist/. */
function relativeTo(from, to) {
	const relative = path.posix.relative(path.posix.dirname(from), to);
	return relative.startsWith('.') ? relative : `./${relative}`;
}

/** Rollup leaves the entry a file that hands on what is in the bundle; here the bundle becomes the entry. */
const coreInEntry = {
	name: 'core-in-entry',
	generateBundle(_options, files) {
		const core = files[`${coreName}.js`];
		const index = files['index.js'];
		const lines = new Set(core.exports.filter(name => !index.exports.includes(name)).map(name => `exports.${name} = ${name};`));
		const kept = core.code.trimEnd().split('\n').filter(line => !lines.delete(line));
		if (lines.size > 0) {
			throw new Error(`The bundle does not export as expected: ${[...lines].join(' ')}`);
		}

		index.code = [...kept, `Object.defineProperty(exports, ${internals}, { value: { ${core.exports.join(', ')} } });`, ''].join('\n');
		delete files[core.fileName];
		for (const file of Object.values(files)) {
			file.code = file.code.replace(`require('${relativeTo(file.fileName, core.fileName)}')`, `require('${relativeTo(file.fileName, 'index.js')}')[${internals}]`);
		}
	},
};

/**
 * Has `dist/index.mjs` get the entry from a file that is next to nothing. Node looks through the text of each CommonJS file that an ES module
 * imports, for the names of its exports. With Node 20, for the entry that is 7 of the 16 ms to a first token (`npm run bench -- --only P3`),
 * and it goes on behind it: a process that imports the package and no more lives 32 ms longer than an empty one, and so 5. With Node 22 it is
 * 21 and 5, from 24 on the same. `createRequire` would do without any such look, but esbuild, for one, does not follow it. A function, because webpack
 * looks through what is exported as it is, and makes a namespace of it that has no symbols.
 */
function wrap(dist) {
	const file = path.join(dist, 'index.mjs');
	const whole = path.join(dist, `${wholeName}.js`);
	const replacements = [
		[/^import \{ (?<name>\w+) \} from '\.\/runtime\/log\.js';$/m, `import { load } from './${wholeName}.js';\nconst ${wholeName} = load();\nconst { $<name> } = ${wholeName}[${internals}];`],
		[/^export \{ (?<names>[\w, ]+?),? \} from '\.\/index\.js';$/m, `export const { $<names> } = ${wholeName};`],
	];
	let wrapped = fs.readFileSync(file, 'utf8');
	for (const [pattern, replacement] of replacements) {
		if (!pattern.test(wrapped)) {
			throw new Error(`src/index.mts has no line ${pattern}`);
		}

		wrapped = wrapped.replace(pattern, replacement);
	}

	fs.writeFileSync(file, wrapped);
	fs.writeFileSync(whole, '\'use strict\';\n\nexports.load = () => require(\'./index.js\');\n');
	return [file, whole];
}

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
