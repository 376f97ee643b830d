// `npm run test:differential`: holds Python's SharedTokenCacheCredential and MSAL for Node against ours. Not part of `npm test`, because it
// installs Debian's python3-azure (or says how). Arguments go to the program.

import process from 'node:process';
import {installPackagesOfDebian} from './lib/debian.mjs';
import {installPackages} from './lib/npm.mjs';
import {runPrepared} from './testing/prepared.mjs';
import {step} from './lib/steps.mjs';

/** MSAL for Node is one of the peers that the interoperability tests use. */
async function preparePeers() {
	const packages = await step('npm packages', installPackages);
	if (packages.outcome !== 'passed') {
		return false;
	}

	const {installPeers} = await import('./testing/peers.mjs');
	// Without its compiled keytar the rest is there.
	const peers = await step('peers (msal-node)', installPeers);
	return peers.outcome !== 'failed';
}

const python = await step('Debian packages (python3-azure)', () => installPackagesOfDebian({
	'python3-azure': '/usr/lib/python3/dist-packages/azure/identity/__init__.py', 'python3-msal-extensions': '/usr/lib/python3/dist-packages/msal_extensions/__init__.py',
}));
if (python.outcome === 'passed' && await preparePeers()) {
	await runPrepared('test/differential/main.ts');
} else {
	process.exitCode = 1;
}
