// `npm run build` installs npm's packages and builds the addon and `dist/`, unless they are up to date.

import process from 'node:process';
import {buildAddon, buildDist, checkLoads} from './build/build.mjs';
import {installPackages} from './lib/npm.mjs';
import {step} from './lib/steps.mjs';

const results = [await step('npm packages', installPackages)];
if (results[0].outcome === 'passed') {
	results.push(
		await step('addon', buildAddon),
		await step('dist', buildDist),
		await step('package loads', checkLoads),
	);
}

process.exitCode = results.every(({outcome}) => outcome === 'passed') ? 0 : 1;
