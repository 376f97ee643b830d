/** Decides what `npm test` prepares for the test files that it is given. Without files, it prepares everything. */

import fs from 'node:fs';
import path from 'node:path';
import {fromRoot} from '../lib/paths.mjs';

/**
 * From a preparation to the text by which a test file shows that it needs it. Test files name their needs in calls of `lackOf...()`,
 * which skip a test if something is missing. The first three are steps of `scripts/test.mjs`, the others groups of Debian packages.
 *
 * @type {Record<string, RegExp>}
 */
export const needs = {
	peers: /\blackOf(?:Peer)?\(|\bpeersFolder\b/,
	packageManagers: /\blackOfPackageManager\(/,
	bundlers: /\blackOfPackage\('bundlers'/,
	keyring: /helpers\/keyring\//,
	keytarBuild: /\blackOf(?:Peer)?\(|\bpeersFolder\b/,
	pythonPeers: /\bmsal-python\b|\bpython-process\b|\bdebianPython\b|\blackOfPeer\(/,
	windows: /\blackOfWine\(/,
	wrongClocks: /\blackOfWrongClocks\(/,
	systemCalls: /\blackOfStrace\(/,
	instructionCounts: /\blackOfValgrind\(/,
	disks: /\blackOfDisk\(/,
};

/**
 * @param {string[]} arguments_ What AVA is given: files, folders, patterns and flags.
 * @param {string} [base] The folder that the files are relative to.
 * @returns {Set<string>} Names in {@link needs}. All of them if no file is named, or if an argument is not a file or folder, such as a pattern.
 */
export function neededFor(arguments_, base = fromRoot()) {
	const places = arguments_.filter(argument => !argument.startsWith('-')).map(argument => path.resolve(base, argument.replace(/:[\d,-]+$/, '')));
	if (places.length === 0 || places.some(place => !fs.existsSync(place))) {
		return new Set(Object.keys(needs));
	}

	const texts = places.flatMap(place => testFilesAt(place)).map(file => fs.readFileSync(file, 'utf8'));
	return new Set(Object.keys(needs).filter(name => texts.some(text => needs[name].test(text))));
}

/** @param {string} place A test file, or a folder. */
export function testFilesAt(place) {
	return fs.statSync(place).isDirectory()
		? fs.readdirSync(place, {recursive: true, encoding: 'utf8'}).filter(name => name.endsWith('.test.ts') && !name.includes('node_modules')).map(name => path.join(place, name))
		: [place];
}
