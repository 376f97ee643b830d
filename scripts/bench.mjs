// `npm run bench`: prepares what is needed, the peers too, and runs the benchmarks. Arguments go to them.

import process from 'node:process';
import {installPackages} from './lib/npm.mjs';
import {runPrepared} from './testing/prepared.mjs';
import {step} from './lib/steps.mjs';

/** The peers have a lock file of their own, and MSAL's extensions load keytar, which is compiled here. */
async function preparePeers() {
	const packages = await step('npm packages', installPackages);
	if (packages.outcome !== 'passed') {
		return false;
	}

	const {installPeers} = await import('./testing/peers.mjs');
	const peers = await step('peers', async () => installPeers('bench'));
	return peers.outcome === 'passed';
}

// For --json, standard output is the benchmarks' alone.
if (process.argv.includes('--json')) {
	console.log = console.error;
}

if (await preparePeers()) {
	await runPrepared('bench/main.ts');
} else {
	process.exitCode = 1;
}
