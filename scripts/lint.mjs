// `npm run lint` checks the sources. `npm run format` (lint.mjs --fix) also repairs what the tools can repair.

import process from 'node:process';
import {buildDist} from './build/build.mjs';
import {lintChecks, runLintCheck} from './quality/lint.mjs';
import {installPackages} from './lib/npm.mjs';
import {step} from './lib/steps.mjs';

const fix = process.argv.includes('--fix');

// The type check of the tests reads the declarations in dist/.
const results = [await step('npm packages', installPackages)];
if (results[0].outcome === 'passed') {
	results.push(await step('dist', buildDist));
	for (const lintCheck of lintChecks) {
		results.push(await step(lintCheck.name, () => runLintCheck(lintCheck, fix)));
	}
}

process.exitCode = results.every(({outcome}) => outcome === 'passed') ? 0 : 1;
