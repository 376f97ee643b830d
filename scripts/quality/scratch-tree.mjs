/** Copies this repository, so that a script can change the copy or compile it with other flags. */

import fs from 'node:fs';
import path from 'node:path';
import {fromRoot} from '../lib/paths.mjs';

const copied = [
	'.ci',
	'.github',
	'README.md',
	'CHANGELOG.md',
	'CONTRIBUTING.md',
	'SECURITY.md',
	'TROUBLESHOOTING.md',
	'LICENSE',
	'package.json',
	'package-lock.json',
	'tsconfig.json',
	'ava.config.mjs',
	'binding.gyp',
	'docs',
	'dist',
	'native',
	'scripts',
	'src',
];

/**
 * @param {string} name Below `.cache`.
 * @returns {string} The copy's top folder. Its `node_modules` are links.
 */
export function makeScratchTree(name) {
	const tree = fromRoot('.cache', name);
	fs.rmSync(tree, {recursive: true, force: true});
	for (const each of copied.filter(file => fs.existsSync(fromRoot(file)))) {
		fs.cpSync(fromRoot(each), path.join(tree, each), {recursive: true});
	}

	const isInstalled = file => path.basename(file) === 'node_modules';
	const folders = [];
	fs.cpSync(fromRoot('test'), path.join(tree, 'test'), {
		recursive: true,
		filter(file) {
			if (isInstalled(file)) {
				folders.push(path.relative(fromRoot(), file));
			}

			return !isInstalled(file);
		},
	});
	for (const folder of ['node_modules', ...folders]) {
		fs.symlinkSync(fromRoot(folder), path.join(tree, folder));
	}

	return tree;
}
