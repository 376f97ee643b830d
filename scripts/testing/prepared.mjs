/** Runs programs of this repository that need the built package. */

import fs from 'node:fs';
import process from 'node:process';
import {buildAddon, buildDist} from '../build/build.mjs';
import {installPackages} from '../lib/npm.mjs';
import {fromRoot} from '../lib/paths.mjs';
import {runInForeground} from '../lib/run.mjs';
import {step} from '../lib/steps.mjs';

/**
 * Builds the package unless it is up to date, and runs a TypeScript program with this process's arguments and terminal.
 *
 * @param {string} program Below the top folder.
 * @returns {Promise<void>} Sets the exit code.
 */
export async function runPrepared(program) {
	if (!fs.existsSync(fromRoot(program))) {
		console.error(`${program} is missing. This copy of the repository is incomplete.`);
		process.exitCode = 1;
		return;
	}

	process.exitCode = 1;
	const packages = await step('npm packages', installPackages);
	if (packages.outcome !== 'passed') {
		return;
	}

	// If the addon does not compile, the package uses its pure-JS variant, and the program reports that.
	await step('addon', buildAddon);
	const dist = await step('dist', buildDist);
	if (dist.outcome !== 'passed') {
		return;
	}

	console.log();
	process.exitCode = await runInForeground(process.execPath, ['--import=tsx', fromRoot(program), ...process.argv.slice(2)]);
}
