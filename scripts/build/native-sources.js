/**
 * Prints the addon's sources for one system, for binding.gyp: the files whose name ends in that system's suffix, and the files without
 * a suffix. A new file in native/ needs no entry in a list.
 *
 * Usage: node scripts/build/native-sources.js <linux|mac|win>
 */

'use strict';

const fs = require('node:fs');
const path = require('node:path');

const suffixesOf = {
	linux: ['linux', 'posix'],
	mac: ['mac', 'posix'],
	win: ['win'],
};
const allSuffixes = new Set(Object.values(suffixesOf).flat());
const root = path.join(__dirname, '..', '..');

function belongsTo(system, file) {
	const suffix = path.basename(file, '.cc').split('_').at(-1);
	return !allSuffixes.has(suffix) || suffixesOf[system].includes(suffix);
}

const [system] = process.argv.slice(2);
if (!Object.hasOwn(suffixesOf, system)) {
	throw new Error(`native-sources: the system has to be one of ${Object.keys(suffixesOf).join(', ')}.`);
}

const native = path.join(root, 'native');
for (const file of fs.readdirSync(native, {recursive: true}).toSorted()) {
	if (file.endsWith('.cc') && belongsTo(system, file)) {
		console.log(path.posix.join('native', ...file.split(path.sep)));
	}
}
