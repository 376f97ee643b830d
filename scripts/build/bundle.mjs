/**
 * Makes the JavaScript of `dist/`.
 *
 * What every program loads is one file, because a process pays for each file that it opens and compiles. Each module that is loaded by
 * a `require` inside a function becomes a file in `dist/lazy/`, with the modules that only it needs. The code is minified, but keeps
 * the names of functions, classes and members, one statement per line, and a source map for each file: stacks stay readable.
 */

import fs from 'node:fs';
import path from 'node:path';
import {transform} from 'esbuild';
import {rollup} from 'rollup';
import {fromRoot} from '../lib/paths.mjs';
import {breakLines} from './break-lines.mjs';
import {eagerModules, makeEager} from './eager-functions.mjs';
import {markPrivateNames, unmarkPrivateNames} from './private-names.mjs';

const source = fromRoot('src');
const entry = path.join(source, 'index.ts');

/** The name of the chunk that becomes `dist/index.js`. No module of src/ has it. */
const coreName = 'core';

/** The file through which `index.mjs` loads `index.js`. No module of src/ has this name. See {@link buildEsmEntry}. */
const wholeName = 'whole';

/**
 * The other files of the package take what they need from `index.js` under this symbol, because most of it is not public.
 * A further file for it would have to be found and read before the first token.
 */
const internals = `Symbol.for('${JSON.parse(fs.readFileSync(fromRoot('package.json'), 'utf8')).name}.internals')`;

/** The oldest Node that the package runs on. */
const target = 'node20.19';

/**
 * Writes the JavaScript of `dist/`. The tests import single modules: each module of `src/` gets a file that hands on what
 * `index.js` or a file of `lazy/` holds, so that a module exists once in a process. Those files are not published.
 *
 * @param {string} dist
 * @returns {Promise<string[]>} The files, absolute.
 */
export async function bundle(dist) {
	const names = fs.readdirSync(source, {recursive: true})
		.filter(name => name.endsWith('.ts'))
		.map(name => name.slice(0, -'.ts'.length).replaceAll(path.sep, '/'));
	for (const taken of [coreName, wholeName, 'lazy']) {
		if (names.some(name => name.split('/')[0] === taken)) {
			throw new Error(`src/${taken}: the bundle uses that name.`);
		}
	}

	const lazyModules = new Set();
	const build = await rollup({
		input: Object.fromEntries(names.map(name => [name, moduleOf(name)])),
		external: id => !id.startsWith('.') && !path.isAbsolute(id),
		plugins: [typescript(lazyModules), eager, finish],
		onLog(level, log, print) {
			// A module of types alone is empty.
			if (log.code !== 'EMPTY_BUNDLE') {
				print(level === 'warn' ? 'error' : level, log);
			}
		},
	});
	try {
		const chunkOf = new Map();
		const {output} = await build.write({
			dir: dist,
			format: 'cjs',
			exports: 'named',
			// Rollup takes a module for the entry of its chunk if it can.
			entryFileNames: ({name, facadeModuleId, moduleIds}) => `${(moduleIds.length > 0 && chunkOf.get(facadeModuleId)) || name}.js`,
			chunkFileNames: '[name].js',
			// No binding changes after its module ran.
			externalLiveBindings: false,
			hoistTransitiveImports: false,
			freeze: false,
			generatedCode: {constBindings: true, objectShorthand: true, arrowFunctions: true},
			// Plain `require`, as the modules mean it.
			interop: 'default',
			sourcemap: 'hidden',
			manualChunks: assignChunks(lazyModules, chunkOf),
		});
		const files = output.map(({fileName}) => fileName);
		for (const name of names.filter(name => !files.includes(`${name}.js`))) {
			writeFile(dist, `${name}.js`, `'use strict';\n\nmodule.exports = require('${relativeTo(name, `${chunkOf.get(moduleOf(name))}.js`)}');\n`);
			files.push(`${name}.js`);
		}

		return [...files, ...await buildEsmEntry(dist)].map(name => path.join(dist, name));
	} finally {
		await build.close();
	}
}

const moduleOf = name => path.join(source, `${name}.ts`);

/**
 * Gives Rollup's `manualChunks`. A module belongs to the core, or to the file of the lazy modules that need it.
 *
 * @param {Set<string>} lazyModules
 * @param {Map<string, string>} chunkOf Gets each module's chunk, outside of the core.
 */
function assignChunks(lazyModules, chunkOf) {
	/** From the lazy modules that need a module, as one text, to the chunk of all modules that exactly these need. */
	const chunkOfUsers = new Map();
	return (id, {getModuleInfo}) => {
		if (reachedFrom(entry, getModuleInfo).has(id)) {
			return id === entry ? undefined : coreName;
		}

		const users = [...lazyModules].filter(lazy => reachedFrom(lazy, getModuleInfo).has(id)).toSorted();
		if (users.length === 0) {
			return undefined;
		}

		const key = users.join('\n');
		if (!chunkOfUsers.has(key)) {
			const name = path.relative(source, users.length === 1 ? users[0] : id).replace(/\.ts$/, '').replaceAll(path.sep, '/');
			chunkOfUsers.set(key, `lazy/${name}`);
		}

		chunkOf.set(id, chunkOfUsers.get(key));
		return chunkOf.get(id);
	};
}

/** Stands for `dist/` in a `require` until the folder is known to which Rollup moves the call. */
const distMark = 'dist:';

/** Removes the types, which tsc checks, and notes which modules are loaded by `require`. */
const typescript = lazyModules => ({
	name: 'typescript',
	resolveId: (id, importer) => importer && id.startsWith('.') ? path.join(path.dirname(importer), id.replace(/\.js$/, '.ts')) : null,
	async transform(text, id) {
		const marked = text.replaceAll(/\brequire\('(?<to>\.\.?\/[^']+)\.js'\)/g, (_, to) => {
			const module = path.join(path.dirname(id), `${to}.ts`);
			lazyModules.add(module);
			return `require('${distMark}${module}')`;
		});
		return transform(marked, {
			// V8 compiles a function for the fields of each class that has some, so constructors assign the public ones.
			loader: 'ts', format: 'esm', target, sourcemap: true, sourcefile: id, tsconfigRaw: {compilerOptions: {useDefineForClassFields: false}},
		});
	},
});

const eager = {
	name: 'eager',
	transform(code, id) {
		return eagerModules.some(name => id === moduleOf(name)) ? makeEager(code, this.parse(code)) : null;
	},
};

const finish = {
	name: 'finish',
	async generateBundle(_options, files) {
		moveCoreToEntry(files);
		const chunkFiles = Object.values(files).filter(({type}) => type === 'chunk');
		const fileOfModule = new Map(chunkFiles.flatMap(({fileName, moduleIds}) => moduleIds.map(id => [id, fileName])));
		for (const chunk of chunkFiles) {
			chunk.code = chunk.code.replaceAll(new RegExp(`(?<quote>['"])${distMark}(?<to>[^'"]+)['"]`, 'g'), (_, quote, to) =>
				`${quote}${relativeTo(chunk.fileName, fileOfModule.get(to))}${quote}`);
			delete files[`${chunk.fileName}.map`];
			if (chunk.moduleIds.length > 0) {
				await minify(this, chunk);
			}

			chunk.map = null;
		}

		checkNames(chunkFiles);
	},
};

/** How one file of `dist/` names another. Both are relative to `dist/`. */
function relativeTo(from, to) {
	const relative = path.posix.relative(path.posix.dirname(from), to);
	return relative.startsWith('.') ? relative : `./${relative}`;
}

/** Rollup makes of the entry a file that hands on what is in the core. Here the core becomes the entry. */
function moveCoreToEntry(files) {
	const core = files[`${coreName}.js`];
	const index = files['index.js'];
	const lines = new Set(core.exports.filter(name => !index.exports.includes(name)).map(name => `exports.${name} = ${name};`));
	const kept = core.code.trimEnd().split('\n').filter(line => !lines.delete(line));
	if (lines.size > 0) {
		throw new Error(`The bundle does not export as expected: ${[...lines].join(' ')}`);
	}

	index.code = [...kept, `Object.defineProperty(exports, ${internals}, { value: { ${core.exports.join(', ')} } });`, ''].join('\n');
	index.map = core.map;
	index.moduleIds = core.moduleIds;
	delete files[core.fileName];
	delete files[`${core.fileName}.map`];
	for (const file of Object.values(files).filter(({type}) => type === 'chunk')) {
		file.code = file.code.replace(`require('${relativeTo(file.fileName, core.fileName)}')`, `require('${relativeTo(file.fileName, 'index.js')}')[${internals}]`);
	}
}

/**
 * A lazy module is loaded by the names that it exports. Rollup renames an export if another module in the same file exports the same name.
 */
function checkNames(chunkFiles) {
	for (const {fileName, exports} of chunkFiles) {
		const renamed = exports.filter(name => name.includes('$'));
		if (renamed.length > 0) {
			throw new Error(`Two modules in dist/${fileName} export the same name: ${renamed.join(', ')}`);
		}
	}
}

async function minify(context, chunk) {
	// Relative to dist/, where no sources are: the map carries them.
	const {map} = chunk;
	const inline = `//# sourceMappingURL=data:application/json;base64,${Buffer.from(JSON.stringify(map)).toString('base64')}\n`;
	const minified = await transform(markPrivateNames(chunk.code, context.parse(chunk.code)) + inline, {
		loader: 'js',
		target,
		// Of local variables only: V8 reads a fifth less.
		minifyIdentifiers: true,
		minifySyntax: true,
		minifyWhitespace: true,
		legalComments: 'none',
		sourcemap: 'external',
		sourcefile: chunk.fileName,
		sourcesContent: true,
	});
	// In one long line, Node would print all of it with an uncaught error. esbuild's `lineLimit` splits strings, which bundlers that indent then change.
	const program = context.parse(minified.code);
	const broken = breakLines({code: unmarkPrivateNames(minified.code, program), map: minified.map}, program);
	chunk.code = `${broken.code}//# sourceMappingURL=${path.posix.basename(chunk.fileName)}.map\n`;
	context.emitFile({type: 'asset', fileName: `${chunk.fileName}.map`, source: broken.map});
}

/**
 * Writes `index.mjs`, and the small file through which it loads `index.js`. Node searches each CommonJS file that an ES module imports
 * for the names of its exports, which for the whole package takes longer than a first token. `createRequire` would avoid the search, too,
 * but bundlers do not follow it. The small file exports a function, because webpack reads plain exports as a namespace, without symbols.
 */
async function buildEsmEntry(dist) {
	const {code} = await transform(fs.readFileSync(path.join(source, 'index.mts'), 'utf8'), {
		loader: 'ts', format: 'esm', target, tsconfigRaw: {},
	});
	const replacements = [
		[/^import \{ (?<name>\w+) \} from "\.\/runtime\/log\.js";$/m, `import { load } from './${wholeName}.js';\nconst ${wholeName} = load();\nconst { $<name> } = ${wholeName}[${internals}];`],
		[/^import \{\s+(?<names>[\w,\s]+?)\s+\} from "\.\/index\.js";\n/m, `const { $<names> } = ${wholeName};\n`],
	];
	let wrapped = code;
	for (const [pattern, replacement] of replacements) {
		if (!pattern.test(wrapped)) {
			throw new Error(`src/index.mts has no line ${pattern}\n${code}`);
		}

		wrapped = wrapped.replace(pattern, replacement);
	}

	writeFile(dist, 'index.mjs', wrapped);
	writeFile(dist, `${wholeName}.js`, '\'use strict\';\n\nexports.load = () => require(\'./index.js\');\n');
	return ['index.mjs', `${wholeName}.js`];
}

function writeFile(dist, name, text) {
	fs.mkdirSync(path.dirname(path.join(dist, name)), {recursive: true});
	fs.writeFileSync(path.join(dist, name), text);
}

/** @type {Map<string, Set<string>>} */
const reached = new Map();

/** Every module that `id` imports, directly or not, and `id` itself. */
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
