// `npm run lint` checks, `npm run format` (lint.mjs --fix) repairs what can be repaired first.

import process from 'node:process';
import {buildDist} from './build/build.mjs';
import {lintChecks, runLintCheck} from './quality/lint.mjs';
import {installPackages} from './lib/npm.mjs';
import {step} from './lib/steps.mjs';

const fix = process.argv.includes('--fix');

// The tests are typed against dist/, so it has to be there.
const results = [await step('npm packages', installPackages)];
if (results[0].outcome === 'passed') {
	results.push(await step('dist', buildDist));
	for (const lintCheck of lintChecks) {
		results.push(await step(lintCheck.name, () => runLintCheck(lintCheck, fix)));
	}
}

process.exitCode = results.every(({outcome}) => outcome === 'passed') ? 0 : 1;
