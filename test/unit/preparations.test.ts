/** What `npm test FILE` prepares: see `scripts/testing/preparations.mjs`. */

import fs from 'node:fs';
import path from 'node:path';
import test from 'ava';
import {testPurposes} from '../../scripts/lib/debian.mjs';
import {neededFor, needs, testFilesAt} from '../../scripts/testing/preparations.mjs';

const root = path.resolve(import.meta.dirname, '..', '..');
const everything = Object.keys(needs);
const needed = (...arguments_: string[]) => [...neededFor(arguments_)];

test('everything is prepared without arguments, for flags alone and for patterns', t => {
	t.deepEqual(needed(), everything);
	t.deepEqual(needed('--verbose'), everything);
	t.deepEqual(needed('test/unit/*.test.ts'), everything);
	t.deepEqual(needed('test/unit/tenants.test.ts', 'test/interop/*'), everything);
});

test('a test file gets what it needs and no more', t => {
	t.deepEqual(needed('test/unit/tenants.test.ts'), []);
	t.deepEqual(needed('test/unit/tenants.test.ts:12', '--match=x'), []);
	t.deepEqual(needed('test/fault/package.test.ts'), []);
	t.deepEqual(needed('test/fault/bundlers.test.ts'), ['bundlers']);
	t.deepEqual(needed('test/fault/package-managers.test.ts'), ['packageManagers']);
	t.deepEqual(needed('test/interop/msal-node-writers.test.ts'), ['peers', 'keytarBuild']);
	t.deepEqual(needed('test/fault/wine.test.ts'), ['windows']);
	t.deepEqual(needed('test/conformance/libsecret.test.ts'), ['keyring']);
	t.deepEqual(needed('test/fault/power-loss.test.ts'), ['disks']);
	t.deepEqual(needed('test/unit/tenants.test.ts', 'test/fault/bundlers.test.ts'), ['bundlers']);
});

test('a folder gets what its files need', t => {
	const interop = needed('test/interop');
	t.true(['peers', 'keytarBuild', 'pythonPeers', 'keyring'].every(name => interop.includes(name)), interop.join(' '));
	t.false(interop.includes('bundlers'));
});

test('every group of Debian packages and every preparation is needed by a test file', t => {
	t.deepEqual(testPurposes.filter(purpose => !everything.includes(purpose)), []);
	t.deepEqual(needed('test').toSorted(), everything.toSorted());
});

test('every kind of lack that a test names is in the table', t => {
	// These need what every run prepares, what the platform has, or a compiler.
	const others = new Set(['Addon', 'Avx2', 'Compiler', 'KernelKeys', 'Namespaces', 'OnTheSpot', 'Package', 'Prebuild']);
	const patterns = Object.values(needs).map(pattern => pattern.source).join('\n');
	const names = testFilesAt(path.join(root, 'test'))
		.filter(file => !/[/\\](?:windows|platforms)[/\\]/.test(file))
		.flatMap(file => [...fs.readFileSync(file, 'utf8').matchAll(/\blackOf(?<name>[A-Z]\w*)\(/g)].map(({groups}) => groups!['name']!));
	t.deepEqual([...new Set(names)].filter(name => !others.has(name) && !new RegExp(String.raw`lackOf(?:\(\?:)?${name}`).test(patterns)), []);
});
