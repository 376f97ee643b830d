/**
 * The peers: the real libraries that the interoperability tests write caches with, in a package of their own (`test/peers`), so
 * that none of them is near what ships. keytar, which MSAL's Node extensions load, is compiled here from its source; no other
 * package runs an install script.
 */

import fs from 'node:fs';
import process from 'node:process';
import {isInstalled, npm} from './npm.mjs';
import {fromRoot} from './paths.mjs';
import {run} from './run.mjs';
import {
	hashOf, isStamped, removeStamp, writeStamp,
} from './stamps.mjs';
import {StepFailure, StepSkipped} from './steps.mjs';

const folder = fromRoot('test', 'peers');
const keytarBinary = fromRoot('test', 'peers', 'node_modules', 'keytar', 'build', 'Release', 'keytar.node');

/** What compiling keytar takes on Debian and Ubuntu. */
const keytarPackages = 'g++ libsecret-1-dev make pkg-config python3';

/**
 * Installs and compiles what changed since the last time.
 *
 * @returns {Promise<string>} What was done.
 * @throws {StepSkipped} where keytar cannot be compiled here, with the command that changes that. The other peers are installed then.
 * @throws {StepFailure} where npm or the compiler fails.
 */
export async function installPeers() {
	const locked = () => hashOf(['test/peers/package.json', 'test/peers/package-lock.json'], [identity(keytarBinary)]);
	if (isStamped('peers', locked()) && isInstalled(folder) && fs.existsSync(keytarBinary)) {
		return 'unchanged';
	}

	removeStamp('peers');
	const done = [];
	if (!isInstalled(folder)) {
		await npm(['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {cwd: folder});
		done.push('installed');
	}

	if (!await keytarLoads()) {
		await compileKeytar();
		done.push('keytar compiled');
	}

	writeStamp('peers', locked());
	return done.join(', ') || 'as locked';
}

async function compileKeytar() {
	const {code} = await run('pkg-config', ['--exists', 'libsecret-1']).catch(() => ({code: 1}));
	if (code !== 0) {
		const sudo = process.getuid?.() === 0 ? '' : 'sudo ';
		throw new StepSkipped(`keytar cannot be compiled without libsecret's headers. On Debian and Ubuntu: ${sudo}apt-get install --no-install-recommends ${keytarPackages}`);
	}

	// keytar's install script would else download a binary from where no lock file watches.
	await npm(['rebuild', 'keytar', '--no-ignore-scripts', '--foreground-scripts'], {cwd: folder, env: {npm_config_build_from_source: 'true'}});
	if (!await keytarLoads()) {
		throw new StepFailure('keytar was compiled and does not load');
	}
}

/** In a process of its own: it pulls in GLib. */
async function keytarLoads() {
	return fs.existsSync(keytarBinary) && (await run(process.execPath, ['--eval', `require(${JSON.stringify(keytarBinary)})`])).code === 0;
}

function identity(file) {
	const stats = fs.statSync(file, {throwIfNoEntry: false});
	return stats ? `${stats.size} ${stats.mtimeMs}` : 'absent';
}
