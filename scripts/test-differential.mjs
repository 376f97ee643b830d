// `npm run test:differential` compares Python's SharedTokenCacheCredential and MSAL for Node with this package. It is not part of
// `npm test`, because it installs Debian's python3-azure. The program gets this script's arguments.

import process from 'node:process';
import {installPackagesOfDebian} from './lib/debian.mjs';
import {installPackages} from './lib/npm.mjs';
import {runPrepared} from './testing/prepared.mjs';
import {step} from './lib/steps.mjs';

/** Installs the peers of the interoperability tests, of which MSAL for Node is one. */
async function preparePeers() {
	const packages = await step('npm packages', installPackages);
	if (packages.outcome !== 'passed') {
		return false;
	}

	const {installPeers} = await import('./testing/peers.mjs');
	// A skip means that keytar could not be compiled. The other peers are installed.
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
