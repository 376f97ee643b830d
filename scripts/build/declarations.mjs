/**
 * Writes the declarations of `dist/`. tsc writes a file for each module, which the tests use. The entry's file is bundled: it contains
 * all types that it refers to, also those of Azure's packages. Only the entry's declarations are published.
 */

import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {rollup} from 'rollup';
import {dts} from 'rollup-plugin-dts';
import {tool} from '../lib/npm.mjs';
import {run} from '../lib/run.mjs';
import {StepFailure} from '../lib/steps.mjs';

const notice = '// With declarations of @azure/core-auth, @azure/core-util and @azure/abort-controller. Copyright (c) Microsoft Corporation. MIT License.\n\n';

/** `@azure/core-util` declares an empty global `Event` for compilers without the DOM's. Nothing here refers to it. */
const emptyGlobals = /^declare global \{\n\s+interface Event \{\n\s+\}\n\}\n\n/m;

/**
 * @param {string} dist
 * @returns {Promise<string[]>} The files, absolute.
 * @throws {StepFailure} with tsc's messages.
 */
export async function buildDeclarations(dist) {
	const {code, stdout, output} = await run(process.execPath, [tool.tsc, '--project', '.', '--emitDeclarationOnly', '--outDir', dist, '--listEmittedFiles', '--pretty', 'false']);
	if (code !== 0) {
		throw new StepFailure('src/ does not compile', output.replaceAll(/^TSFILE:.*\n/gm, ''));
	}

	await bundleEntry(dist);
	return [...stdout.matchAll(/^TSFILE: (?<file>.*)$/gm)].map(match => path.resolve(match.groups.file));
}

async function bundleEntry(dist) {
	const entry = path.join(dist, 'index.d.ts');
	const build = await rollup({
		input: entry,
		external: id => id.startsWith('node:'),
		plugins: [dts({respectExternal: true})],
	});
	try {
		const {output: [{code}]} = await build.generate({format: 'es'});
		fs.writeFileSync(entry, notice + code.replace(emptyGlobals, ''));
	} finally {
		await build.close();
	}

	// Classes with private members are assignable only if they have the same declaration, so `import` and `require` share one.
	fs.writeFileSync(path.join(dist, 'index.d.mts'), 'export * from \'./index.js\';\n');
}
