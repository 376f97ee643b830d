// `npm test` prepares what the tests need, lints, and runs the tests and the tests of the types. With arguments (files or flags
// for AVA) it prepares what those files need and runs only them. The last line is the sum: "N passed, N failed", and
// ", N skipped" if tests were skipped.

import process from 'node:process';
import {runAva} from './testing/ava.mjs';
import {checkInstructionCounts} from './quality/bench-count.mjs';
import {buildAddon, buildDist, checkLoads} from './build/build.mjs';
import {consumerTests, installConsumers} from './testing/consumer-types.mjs';
import {installTestPackages, testPurposes} from './lib/debian.mjs';
import {lintChecks, runLintCheck} from './quality/lint.mjs';
import {installPackages} from './lib/npm.mjs';
import {fromRoot} from './lib/paths.mjs';
import {step} from './lib/steps.mjs';
import {neededFor} from './testing/preparations.mjs';
import {typeTests} from './testing/type-tests.mjs';

const avaArguments = process.argv.slice(2);
const isContinuousIntegration = Boolean(process.env.CI) && process.env.CI !== 'false';
const tally = {passed: 0, failed: 0, skipped: 0};
/** Repeated at the end of the output. */
const failures = [];
const skips = [];

/** Runs a step that counts as a test. */
async function check(name, action) {
	const result = await step(name, action);
	tally[result.outcome]++;
	if (result.outcome === 'failed') {
		failures.push(`${name}: ${result.reason}`);
	} else if (result.outcome === 'skipped') {
		skips.push(`${name}: ${result.reason}`);
	}

	return result.outcome === 'passed';
}

/** Runs a step that the tests need. It counts as a test only if it does not succeed. */
async function prepare(name, action) {
	const isReady = await check(name, action);
	if (isReady) {
		tally.passed--;
	}

	return isReady;
}

/** @param {import('./testing/ava.mjs').Tally} result */
function add(result) {
	tally.passed += result.passed;
	tally.failed += result.failed;
	tally.skipped += result.skipped;
	failures.push(...result.failures);
	skips.push(...result.skips);
}

async function testEverything() {
	console.log('Preparing');
	if (!await prepare('npm packages', installPackages)) {
		return;
	}

	const needed = neededFor(avaArguments);
	await prepare('Debian packages', () => installTestPackages(testPurposes.filter(purpose => needed.has(purpose))));
	await prepare('addon', buildAddon);
	const isBuilt = await prepare('dist', buildDist) && await prepare('package loads', checkLoads);
	if (needed.has('peers')) {
		await prepare('peers (msal-node and others)', async () => {
			const {installPeers} = await import('./testing/peers.mjs');
			return installPeers();
		});
	}

	if (needed.has('packageManagers')) {
		await prepare('package managers', () => installPackages(fromRoot('test', 'package-managers')));
	}

	if (needed.has('bundlers')) {
		await prepare('bundlers', () => installPackages(fromRoot('test', 'bundlers')));
	}

	if (avaArguments.length === 0) {
		await prepare('oldest and newest TypeScript', installConsumers);
		console.log('\nLint');
		for (const lintCheck of lintChecks) {
			await check(lintCheck.name, () => runLintCheck(lintCheck, false));
		}
	}

	if (!isBuilt) {
		return;
	}

	console.log('\nTests');
	add(await runAva(avaArguments));
	if (avaArguments.length === 0 && isContinuousIntegration) {
		console.log('\nWindows');
		const {testWindows} = await import('./test-windows.mjs');
		add(await testWindows());
	}

	if (avaArguments.length === 0) {
		console.log('\nInstruction counts');
		await check('native kernels', checkInstructionCounts);
		console.log('\nTypes');
		for (const typeTest of [...await typeTests(), ...consumerTests()]) {
			await check(typeTest.name, typeTest.check);
		}
	}
}

function printList(heading, names) {
	if (names.length > 0) {
		console.log(`\n${heading}\n${names.map(name => `  ${name}`).join('\n')}`);
	}
}

try {
	await testEverything();
} catch (error) {
	console.log(error.stack);
	tally.failed++;
	failures.push('the test command itself');
}

if (isContinuousIntegration && tally.skipped > 0) {
	// A continuous integration machine has everything that the tests need.
	tally.failed += tally.skipped;
	failures.push(...skips.splice(0).map(name => `${name}. No test may be skipped if CI is set`));
	tally.skipped = 0;
}

printList('Skipped', skips);
printList('Failed', failures);
const {passed, failed, skipped} = tally;
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
