/**
 * Installs the peers: the libraries with which the interoperability tests write caches. They are dependencies of `test/peers`, not of
 * this package. keytar, which MSAL's Node extensions load, is compiled from source. No other package runs an install script.
 */

import fs from 'node:fs';
import process from 'node:process';
import {installPackages, isInstalled, npm} from '../lib/npm.mjs';
import {fromRoot} from '../lib/paths.mjs';
import {run} from '../lib/run.mjs';
import {
	hashOf, isStamped, removeStamp, writeStamp,
} from '../build/stamps.mjs';
import {StepFailure, StepSkipped} from '../lib/steps.mjs';

const binaryBelow = folder => fromRoot(folder, 'node_modules', 'keytar', 'build', 'Release', 'keytar.node');

/** The packages of Debian and Ubuntu that are needed to compile keytar. */
const keytarPackages = 'g++ libsecret-1-dev make pkg-config python3';

/**
 * Installs the peers and compiles keytar, unless both are up to date.
 *
 * @param {'test/peers' | 'bench'} [folder] Contains a package.json with the peers, and a lock file.
 * @returns {Promise<string>} What was done.
 * @throws {StepSkipped} if keytar cannot be compiled, with the command that installs what is missing. The other peers are installed.
 * @throws {StepFailure} if npm or the compiler fails.
 */
export async function installPeers(folder = 'test/peers') {
	const keytarBinary = binaryBelow(folder);
	const stamp = folder === 'test/peers' ? 'peers' : `peers-${folder}`;
	const locked = () => hashOf([`${folder}/package.json`, `${folder}/package-lock.json`], [identity(keytarBinary)]);
	if (isStamped(stamp, locked()) && isInstalled(fromRoot(folder)) && fs.existsSync(keytarBinary)) {
		return 'unchanged';
	}

	removeStamp(stamp);
	const done = [await installPackages(fromRoot(folder))];
	if (!await keytarLoads(keytarBinary)) {
		await compileKeytar(folder, keytarBinary);
		done.push('keytar compiled');
	}

	writeStamp(stamp, locked());
	return done.join(', ');
}

async function compileKeytar(folder, keytarBinary) {
	const {code} = await run('pkg-config', ['--exists', 'libsecret-1']).catch(() => ({code: 1}));
	if (code !== 0) {
		const sudo = process.getuid?.() === 0 ? '' : 'sudo ';
		throw new StepSkipped(`keytar cannot be compiled without libsecret's headers. On Debian and Ubuntu: ${sudo}apt-get install --no-install-recommends ${keytarPackages}`);
	}

	// Without this setting, keytar's install script downloads a binary that no lock file verifies.
	await npm(['rebuild', 'keytar', '--no-ignore-scripts', '--foreground-scripts'], {cwd: fromRoot(folder), env: {npm_config_build_from_source: 'true'}});
	if (!await keytarLoads(keytarBinary)) {
		throw new StepFailure('keytar was compiled and does not load');
	}
}

/** Tries in a child process, because keytar loads GLib. */
async function keytarLoads(keytarBinary) {
	return fs.existsSync(keytarBinary) && (await run(process.execPath, ['--eval', `require(${JSON.stringify(keytarBinary)})`])).code === 0;
}

function identity(file) {
	const stats = fs.statSync(file, {throwIfNoEntry: false});
	return stats ? `${stats.size} ${stats.mtimeMs}` : 'absent';
}
