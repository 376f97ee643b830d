// `npm run test:platforms`: the released binaries of Linux under the runtimes that they are for: one binary for Node 20, 22, 24 and 26;
// arm64 in an emulator; musl under Bun, because npm has no Node for musl; and an old glibc. `-- --only musl-x64`, any number of times, tests
// those platforms alone. Without it, the command builds all eight binaries and checks them as before a release. scripts/testing/
// platform-suites.mjs lists the tests that each stand-in leaves out. The last line is the sum.

import process from 'node:process';
import {parseArgs} from 'node:util';
import {runAva} from './testing/ava.mjs';
import {buildDist} from './build/build.mjs';
import {buildTarget} from './release/build-target.mjs';
import {installPackagesOfDebian} from './lib/debian.mjs';
import {runSuites} from './testing/platform-suites.mjs';
import {makeTree} from './testing/platform-tree.mjs';
import {debianPackages, installRuntimes, platforms as allPlatforms} from './testing/platforms.mjs';
import {installPackages} from './lib/npm.mjs';
import {step} from './lib/steps.mjs';
import {targets as allTargets} from './release/targets.mjs';
import {installMachoLinker, installReaders, installToolchain} from './release/toolchain.mjs';

const {values} = parseArgs({options: {only: {type: 'string', multiple: true, default: []}}});
const platforms = allPlatforms.filter(({name}) => values.only.length === 0 || values.only.includes(name));
const tally = {passed: 0, failed: 0, skipped: 0};
const failures = [];
/** Skipped test -> the platforms that skipped it. @type {Map<string, string[]>} */
const skips = new Map();

async function prepare(name, action, options) {
	const {outcome} = await step(name, action, options);
	if (outcome !== 'passed') {
		tally.failed++;
		failures.push(name);
	}

	return outcome === 'passed';
}

async function testPlatforms() {
	const isEverything = values.only.length === 0;
	const targets = allTargets.filter(({name}) => isEverything || platforms.some(({target}) => target === name));
	if (!await prepare('npm packages', installPackages) || !await prepare('dist', buildDist)) {
		return;
	}

	if (isEverything && (!await prepare('linker for macOS', installMachoLinker) || !await prepare('readers of binaries', installReaders))) {
		return;
	}

	if (!await prepare('toolchain', installToolchain) || !await prepare('runtimes', installRuntimes) || !await prepare('Debian packages', () => installPackagesOfDebian(debianPackages))) {
		return;
	}

	for (const target of targets) {
		if (!await prepare(target.name, report => buildTarget(target, report), {isLong: true})) {
			return;
		}
	}

	if (isEverything) {
		const result = await runAva([], {env: {STC_TEST_PLATFORMS: '1'}});
		tally.passed += result.passed;
		tally.failed += result.failed;
		tally.skipped += result.skipped;
		failures.push(...result.failures);
	}

	const trees = new Map();
	for (const {target, isNative, name, prepare: prepareRuntime} of platforms) {
		await prepare(name, prepareRuntime);
		const key = `${target} ${isNative}`;
		if (!trees.has(key)) {
			trees.set(key, await makeTree(targets.find(each => each.name === target), {isNative}));
		}
	}

	if (platforms.some(({name}) => name === 'linux-arm64')) {
		const {testNeonKernel} = await import('./testing/platform-kernel.mjs');
		tally.passed += await prepare('scanner\'s inner loop for arm64', testNeonKernel) ? 1 : 0;
	}

	console.log();
	// Two at a time, because many tests wait.
	const waiting = platforms.values();
	await Promise.all([0, 1].map(async () => {
		for (const platform of waiting) {
			await testOn(platform, trees.get(`${platform.target} ${platform.isNative}`));
		}
	}));
}

async function testOn(platform, tree) {
	const {outcome, reason} = await step(platform.name, async () => {
		const result = await runSuites(platform, tree);
		tally.passed += result.passed;
		tally.failed += result.failures.length;
		tally.skipped += result.skipped.length;
		for (const title of result.skipped) {
			skips.set(title, [...skips.get(title) ?? [], platform.name]);
		}

		failures.push(...result.failures.map(failure => `${platform.name}: ${failure}`));
		return `${result.version}: ${result.passed} passed, ${result.failures.length} failed, ${result.skipped.length} skipped`;
	});
	if (outcome !== 'passed') {
		tally.failed++;
		failures.push(`${platform.name}: ${reason}`);
	}
}

if (platforms.length > 0) {
	await testPlatforms();
} else {
	console.error(`No such platform. Platforms: ${allPlatforms.map(({name}) => name).join(', ')}.`);
}

if (skips.size > 0) {
	console.log(`\nSkipped\n${[...skips].map(([title, names]) => `  ${title} (${names.join(', ')})`).join('\n')}`);
}

if (failures.length > 0) {
	console.log(`\nFailed\n${failures.map(each => `  ${each}`).join('\n')}`);
}

const {passed, failed, skipped} = tally;
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
