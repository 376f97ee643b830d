/** The build marks functions that V8 compiles at once: those of modules that nearly every program needs for its first token. */

import {execFile} from 'node:child_process';
import {readFileSync} from 'node:fs';
import process from 'node:process';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import vm from 'node:vm';
import test from 'ava';
import {parseAst} from 'rollup/parseAst';
import {eagerModules, makeEager} from '../../scripts/build/eager-functions.mjs';
import {
	accessTokenRecord, accountRecord, ann, cacheOf, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {lackOfAddon, testWhere} from '../helpers/peers/peers.js';

const run = promisify(execFile);
const program = fileURLToPath(new URL('../helpers/first-token-program.cjs', import.meta.url));

test('a declared function becomes a constant of the same name and behaviour', t => {
	const code = `function sum(...values) { return values.reduce(add, 0); }
const add = (a, b) => a + b;
async function later() { return sum(1, 2); }
function * all() { yield sum(3); }
result = [sum.name, later.name, sum(1, 2, 3), [...all()]];
`;
	const {code: eager, map} = makeEager(code, parseAst(code));
	t.is(eager.match(/^const \w+ = \((?:async )?function/gm)?.length, 3);
	t.deepEqual(vm.runInNewContext(`let result;${eager}result`), ['sum', 'later', 6, [3]]);
	t.is(eager.split('\n').length, code.split('\n').length);
	t.truthy((map as {mappings: string}).mappings);
});

test('an exported function stays exported', t => {
	const code = 'export function sum() { return 1; }\n';
	t.is(makeEager(code, parseAst(code)).code, 'export const sum = (function sum() { return 1; });\n');
});

testWhere(test, [lackOfAddon()], 'most functions of each listed module run before the first token', async t => {
	if (process.platform !== 'linux') {
		t.pass('elsewhere other locations are searched');
		return;
	}

	const home = new TestHome(t);
	home.writeSettled(cacheOf({
		accounts: [accountRecord(ann)], refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh')], accessTokens: [accessTokenRecord(ann, 'FAKE-token', 3600)],
	}));
	const {stdout} = await run(process.execPath, [program, scope], {env: {HOME: home.path}});
	const ran = new Set(JSON.parse(stdout) as string[]);
	for (const name of eagerModules) {
		const declared = readFileSync(new URL(`../../src/${name}.ts`, import.meta.url), 'utf8').matchAll(/^(?:export )?(?:async )?function \*? ?(?<name>\w+)/gm);
		const functions = [...declared].map(({groups}) => groups!['name']!);
		// In an installed package, the addon's loader runs more.
		t.true(functions.filter(each => ran.has(each)).length >= 0.4 * functions.length, `${name}: ${functions.filter(each => !ran.has(each)).join(', ')} did not run`);
		t.true(functions.length > 0, name);
	}
});
