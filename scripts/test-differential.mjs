// `npm run test:differential` compares Python's SharedTokenCacheCredential and MSAL for Node with this package. It is not part of
// `npm test`, because it installs azure-identity from the Python Package Index. The program gets this script's arguments.

import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {installPackages} from './lib/npm.mjs';
import {fromRoot} from './lib/paths.mjs';
import {runOrFail} from './lib/run.mjs';
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

/** Installs the pinned azure-identity into an environment of its own. Needs Python 3 with venv (Debian: python3-venv). */
async function prepareIdentity() {
	const folder = fromRoot('.cache', 'differential-python');
	const pinned = fromRoot('test', 'differential', 'python', 'requirements.txt');
	const stamp = path.join(folder, 'installed.txt');
	const wanted = fs.readFileSync(pinned, 'utf8');
	if (fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === wanted) {
		return 'as pinned';
	}

	fs.rmSync(folder, {recursive: true, force: true});
	await runOrFail('python3', ['-m', 'venv', folder]);
	await runOrFail(path.join(folder, 'bin', 'python'), ['-m', 'pip', 'install', '--quiet', '--no-deps', '--only-binary', ':all:', '--requirement', pinned]);
	fs.writeFileSync(stamp, wanted);
	return 'installed';
}

const identity = await step('azure-identity for Python', prepareIdentity);
if (identity.outcome === 'passed' && await preparePeers()) {
	await runPrepared('test/differential/main.ts');
} else {
	process.exitCode = 1;
}
