// `npm run bench` builds the package, installs the libraries to compare with, and runs the benchmarks with this script's arguments.

import process from 'node:process';
import {installPackages} from './lib/npm.mjs';
import {runPrepared} from './testing/prepared.mjs';
import {step} from './lib/steps.mjs';

/** Installs the libraries to compare with. MSAL's extensions load keytar, which is compiled here. */
async function preparePeers() {
	const packages = await step('npm packages', installPackages);
	if (packages.outcome !== 'passed') {
		return false;
	}

	const {installPeers} = await import('./testing/peers.mjs');
	const peers = await step('peers', async () => installPeers('bench'));
	return peers.outcome === 'passed';
}

// With --json, only the benchmarks write to standard output.
if (process.argv.includes('--json')) {
	console.log = console.error;
}

if (await preparePeers()) {
	await runPrepared('bench/main.ts');
} else {
	process.exitCode = 1;
}
