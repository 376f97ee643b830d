/**
 * Whether an optional package belongs to the application. Node looks for it in `node_modules` of every folder above, then in the folders of
 * NODE_PATH, in `~/.node_modules` and `~/.node_libraries`. Where somebody else can write, he could plant it, and its code would run here.
 */

import {existsSync, statSync} from 'node:fs';
import {createRequire} from 'node:module';
import {
	basename, dirname, isAbsolute, join, sep,
} from 'node:path';

/**
 * @param name A package, or a file in one.
 * @returns whether `require(name)` in this file finds it in a folder that others cannot write to, or nowhere: a bundle may contain it.
 */
export function isFromOwnFolder(name: string): boolean {
	const file = ownFile();
	if (file === undefined) {
		return false;
	}

	const folder = createRequire(file).resolve.paths(name)?.find(each => existsSync(join(each, name)));
	return folder === undefined ? isNowhere(name, file) : isOwn(folder, name, file);
}

/** Bun looks in folders that it does not list. Yarn's Plug'n'Play has no folders, and takes packages only as the application declares them. */
function isNowhere(name: string, file: string): boolean {
	try {
		createRequire(file).resolve(name);
		return process.versions['pnp'] !== undefined;
	} catch {
		return true;
	}
}

/** This file, or the program if a bundler has replaced `__filename` by something else. */
function ownFile(): string | undefined {
	return [typeof __filename === 'undefined' ? undefined : __filename, process.argv[1]]
		.find(file => file !== undefined && isAbsolute(file) && existsSync(file));
}

function isOwn(folder: string, name: string, file: string): boolean {
	const above = dirname(folder);
	// Folders of NODE_PATH and of the home directory are not above this file.
	if (basename(folder) !== 'node_modules' || !file.startsWith(above.endsWith(sep) ? above : `${above}${sep}`)) {
		return false;
	}

	// Who can write to the `node_modules` in which this package is can replace the package.
	const installedIn = file.lastIndexOf(`${sep}node_modules${sep}`);
	if (installedIn !== -1 && above.length >= installedIn) {
		return true;
	}

	// Beside a bundle, too, unless its folder is one like `/tmp`, where others can add files and replace none.
	return above === dirname(file)
		? !hasMode(above, 0o1002)
		: ![above, folder, join(folder, dirname(name)), join(folder, name)].some(each => isWritableByAnybody(each));
}

function isWritableByAnybody(path: string): boolean {
	// On Windows, every user can make folders in the root of a drive. Below it, only an access control list could tell.
	return process.platform === 'win32' ? dirname(path) === path : hasMode(path, 0o002);
}

/** Whether all bits of `mode` are set. Source: inode(7): S_IWOTH is 002, S_ISVTX 1000. */
function hasMode(path: string, mode: number): boolean {
	try {
		return (statSync(path).mode & mode) === mode;
	} catch {
		return true;
	}
}
