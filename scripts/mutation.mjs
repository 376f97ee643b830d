// `npm run mutation`: makes one mistake after the other in a copy of this repository, in the rules of quality/mutants.mjs, and runs the tests of
// those rules. A mistake that no test finds is a failure. `-- --only 'expiry'` takes those of one rule; `-- --verbose` names the
// tests that fail. Takes three minutes.

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

/** Those that are about the rules; all of them pass without a mistake. */
const suites = [
	'test/unit/select-account.test.ts',
	'test/unit/authority.test.ts',
	'test/unit/token-response.test.ts',
	'test/unit/js-backend.test.ts',
	'test/unit/tenants.test.ts',
	'test/unit/select-token.test.ts',
	'test/conformance/challenges.test.ts',
	'test/conformance/credential.test.ts',
	'test/conformance/scan.test.ts',
	'test/fault/token-endpoint.test.ts',
	'test/interop/msal-node-silent.test.ts',
];

/** @returns {Promise<{passed: number, failed: string[]}>} */
async function runTests(tree) {
	// Types are not checked: a mistake may leave something unused.
	await runOrFail(process.execPath, ['--input-type=module', '--eval', 'import {bundle} from "./scripts/build/bundle.mjs"; await bundle("dist");'], {cwd: tree});
	const {passed, failures} = await runAva([...suites, '--fail-fast'], {cwd: tree, isQuiet: true});
	// Those that are not run after a failure are no finding.
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
		// One tree, one mistake at a time.
		await check(`${rule}: ${what}`, async () => {
			const text = fs.readFileSync(fromRoot(file), 'utf8');
			if (text.split(from).length !== 2) {
				throw new StepFailure(`${JSON.stringify(from)} is not there once in ${file}`);
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
	console.error(chosen.length === 0 ? `No such rule. Rules: ${[...new Set(mutants.map(({rule}) => rule))].join(', ')}.` : 'Not ready.');
}

process.exitCode = isReady && tally.failed === 0 ? 0 : 1;
console.log(`\n${tally.passed} passed, ${tally.failed} failed`);
