/** The package managers and the other runtimes that the packed package is tried with, in a package of their own (`test/package-managers`). */

import {isInstalled, npm} from './npm.mjs';
import {fromRoot} from './paths.mjs';

const folder = fromRoot('test', 'package-managers');

/** @returns {Promise<string>} What was done. */
export async function installPackageManagers() {
	if (isInstalled(folder)) {
		return 'as locked';
	}

	await npm(['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {cwd: folder});
	return 'installed';
}
