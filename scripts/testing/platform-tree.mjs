/** Copies of this repository for tests, with a released binary in place of the compiled one. */

import {createRequire} from 'node:module';
import fs from 'node:fs';
import path from 'node:path';
import {fromRoot} from '../lib/paths.mjs';
import {prebuildOf} from '../release/targets.mjs';

/**
 * @param {import('../release/targets.mjs').Target} target
 * @param {{isNative: boolean}} options Not native: the tests are compiled to JavaScript and use the stand-in for AVA.
 * @returns {Promise<string>} The copy's top folder.
 */
export async function makeTree(target, {isNative}) {
	const tree = fromRoot('.cache', 'platforms', `${target.name}${isNative ? '' : '-plain'}`);
	fs.rmSync(tree, {recursive: true, force: true});
	fs.mkdirSync(path.join(tree, 'build', 'Release'), {recursive: true});
	fs.copyFileSync(prebuildOf(target), path.join(tree, 'build', 'Release', 'azure_shared_token_cache.node'));
	for (const name of ['package.json', 'tsconfig.json', 'ava.config.mjs', 'dist', 'scripts', 'README.md', 'src']) {
		fs.cpSync(fromRoot(name), path.join(tree, name), {recursive: true});
	}

	fs.cpSync(fromRoot('test'), path.join(tree, 'test'), {
		recursive: true,
		filter: file => path.basename(file) !== 'node_modules',
	});
	fs.symlinkSync(fromRoot('node_modules'), path.join(tree, 'node_modules'));
	fs.symlinkSync(fromRoot('test', 'peers', 'node_modules'), path.join(tree, 'test', 'peers', 'node_modules'));
	if (!isNative) {
		await compileTests(path.join(tree, 'test'));
	}

	return tree;
}

/** Compiles the tests here with tsx's esbuild, because esbuild has no binary for the CPU that the tests run on. */
async function compileTests(folder) {
	const esbuild = createRequire(createRequire(import.meta.url).resolve('tsx/package.json'))('esbuild');
	const files = fs.readdirSync(folder, {recursive: true}).filter(name => name.endsWith('.ts') && !name.endsWith('.d.ts')).map(name => path.join(folder, name));
	for (const file of files) {
		const {code} = await esbuild.transform(fs.readFileSync(file, 'utf8'), {
			loader: 'ts',
			target: 'es2022',
			// In Bun 1.4, `String.raw` returns other text if it is not ASCII.
			supported: {'template-literal': false},
		});
		const standIn = path.relative(path.dirname(file), path.join(folder, 'platforms', 'ava-stand-in.mjs'));
		fs.writeFileSync(file.replace(/\.ts$/, '.js'), code.replaceAll('from "ava"', `from ${JSON.stringify(standIn.startsWith('.') ? standIn : `./${standIn}`)}`));
		fs.rmSync(file);
	}
}
