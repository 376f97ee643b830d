// `npm run mutation` makes the mistakes of quality/mutants.mjs in a copy of this repository, one at a time, and runs the tests of the
// rule that each breaks. It fails if no test finds a mistake. `-- --only 'expiry'` runs the mistakes of one rule. `-- --verbose` lists
// the tests that fail. Takes some minutes.

import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {parseArgs} from 'node:util';
import {runAva} from './testing/ava.mjs';
import {buildAddon, buildDist} from './build/build.mjs';
import {mutants} from './quality/mutants.mjs';
import {installPackages} from './lib/npm.mjs';
import {installPeers} from './testing/peers.mjs';
import {fromRoot} from './lib/paths.mjs';
import {runOrFail} from './lib/run.mjs';
import {makeScratchTree} from './quality/scratch-tree.mjs';
import {step, StepFailure} from './lib/steps.mjs';

const {values} = parseArgs({options: {only: {type: 'string'}, verbose: {type: 'boolean', default: false}}});
const chosen = mutants.filter(({rule}) => values.only === undefined || rule === values.only);

/** The tests of the rules. All of them pass without a mistake. */
const suites = [
	'test/unit/select-account.test.ts',
	'test/unit/authority.test.ts',
	'test/unit/token-response.test.ts',
	'test/unit/js-backend.test.ts',
	'test/unit/tenants.test.ts',
	'test/unit/select-token.test.ts',
	'test/conformance/challenges.test.ts',
	'test/conformance/accounts.test.ts',
	'test/conformance/credential.test.ts',
	'test/conformance/tenants.test.ts',
	'test/conformance/scan.test.ts',
	'test/fault/token-endpoint.test.ts',
	'test/interop/msal-node-silent.test.ts',
];

/** @returns {Promise<{passed: number, failed: string[]}>} */
async function runTests(tree) {
	// Without a type check, because a mistake may leave a variable unused.
	await runOrFail(process.execPath, ['--input-type=module', '--eval', 'import {bundle} from "./scripts/build/bundle.mjs"; await bundle("dist");'], {cwd: tree});
	const {passed, failures} = await runAva([...suites, '--fail-fast', '--timeout=2m'], {cwd: tree, isQuiet: true});
	// After the first failure AVA does not run the other tests.
	return {passed, failed: failures.filter(failure => !failure.includes('never reported'))};
}

let isReady = chosen.length > 0;
for (const [name, action] of [['npm packages', installPackages], ['addon', buildAddon], ['dist', buildDist], ['peers', () => installPeers()]]) {
	isReady &&= (await step(name, action)).outcome !== 'failed';
}

const tally = {passed: 0, failed: 0};
async function check(name, action) {
	tally[(await step(name, action)).outcome === 'passed' ? 'passed' : 'failed']++;
}

if (isReady) {
	const tree = makeScratchTree('mutated');
	fs.cpSync(fromRoot('build', 'Release', 'azure_shared_token_cache.node'), path.join(tree, 'build', 'Release', 'azure_shared_token_cache.node'));
	fs.cpSync(fromRoot('.cache', 'stamps'), path.join(tree, '.cache', 'stamps'), {recursive: true});
	await check('without a mistake', async () => {
		const {passed, failed} = await runTests(tree);
		if (failed.length > 0 || passed === 0) {
			throw new StepFailure(`the tests fail: ${failed.join(', ')}`);
		}

		return `${passed} passed`;
	});
	for (const {rule, what, file, from, to} of tally.failed === 0 ? chosen : []) {
		// All mistakes are made in the same copy, so only one at a time.
		await check(`${rule}: ${what}`, async () => {
			const text = fs.readFileSync(fromRoot(file), 'utf8');
			if (text.split(from).length !== 2) {
				throw new StepFailure(`${JSON.stringify(from)} does not occur exactly once in ${file}`);
			}

			fs.writeFileSync(path.join(tree, file), text.replace(from, () => to));
			const {failed} = await runTests(tree);
			fs.writeFileSync(path.join(tree, file), text);
			if (failed.length === 0) {
				throw new StepFailure('no test fails');
			}

			return values.verbose ? failed.join(', ') : 'found';
		});
	}
} else {
	console.error(chosen.length === 0 ? `There is no such rule. Rules: ${[...new Set(mutants.map(({rule}) => rule))].join(', ')}.` : 'A preparation failed.');
}

process.exitCode = isReady && tally.failed === 0 ? 0 : 1;
console.log(`\n${tally.passed} passed, ${tally.failed} failed`);
