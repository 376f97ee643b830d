/**
 * Prints the addon's sources for one system, for binding.gyp: those whose name ends in its suffix, and those without one. A new
 * file in native/ or native/stores/ is compiled by being there.
 *
 * Usage: node scripts/native-sources.js <linux|mac|win>
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
const root = path.join(__dirname, '..');

function belongsTo(system, file) {
	const suffix = path.basename(file, '.cc').split('_').at(-1);
	return !allSuffixes.has(suffix) || suffixesOf[system].includes(suffix);
}

const [system] = process.argv.slice(2);
if (!Object.hasOwn(suffixesOf, system)) {
	throw new Error(`native-sources: the system has to be one of ${Object.keys(suffixesOf).join(', ')}.`);
}

for (const directory of ['native', 'native/stores']) {
	for (const file of fs.readdirSync(path.join(root, directory)).toSorted()) {
		if (file.endsWith('.cc') && belongsTo(system, file)) {
			console.log(`${directory}/${file}`);
		}
	}
}
