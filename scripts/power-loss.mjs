// `npm run power-loss` builds the package and runs the power-loss tests with this script's arguments.

import process from 'node:process';
import {installTestPackages} from './lib/debian.mjs';
import {step} from './lib/steps.mjs';
import {runPrepared} from './testing/prepared.mjs';

const {outcome} = await step('Debian packages', () => installTestPackages(['disks']));
if (outcome === 'failed') {
	process.exitCode = 1;
} else {
	// If they are missing and only the user can install them, it names the file systems that it skips.
	await runPrepared('test/power-loss/main.ts');
}
