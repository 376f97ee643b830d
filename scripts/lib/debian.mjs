/** Installs Debian packages if this process runs as root. Otherwise its errors contain the command to run. */

import fs from 'node:fs';
import path from 'node:path';
import {performance} from 'node:perf_hooks';
import process from 'node:process';
import {setTimeout} from 'node:timers/promises';
import {fromRoot} from './paths.mjs';
import {run} from './run.mjs';
import {StepFailure, StepSkipped} from './steps.mjs';

const isRoot = process.getuid?.() === 0;

/** The packages that the addon's build needs, and the commands of which one shows that a package is installed. */
const buildTools = {'g++': ['c++', 'g++', 'clang++'], make: ['make'], python3: ['python3']};

/**
 * Installs what the addon's build needs.
 *
 * @returns {Promise<string | undefined>} What was done.
 * @throws {StepFailure} if only the user can install it, with the command.
 */
export async function installBuildTools() {
	const missing = Object.entries(buildTools)
		.filter(([name, commands]) => !(name === 'g++' && process.env.CXX) && !commands.some(command => isOnPath(command)))
		.map(([name]) => name);
	if (missing.length === 0) {
		return undefined;
	}

	if (!isRoot || !isOnPath('apt-get')) {
		throw new StepFailure(isOnPath('apt-get')
			? `missing to compile the addon. Run: sudo ${installCommand(missing)}`
			: `missing to compile the addon: ${missing.join(', ')}`);
	}

	return install(missing);
}

/**
 * Installs packages. A command or a file shows whether one is installed.
 *
 * @param {Record<string, string>} signOf From a package to a command on the path, or to the absolute path of a file.
 * @param {(text: string) => void} [report] Gets the reason for a wait.
 * @returns {Promise<string>} What was done.
 * @throws {StepFailure} if only the user can install them, with the command.
 */
export async function installPackagesOfDebian(signOf, report) {
	const missing = Object.keys(signOf).filter(name => !(path.isAbsolute(signOf[name]) ? fs.existsSync(signOf[name]) : isOnPath(signOf[name])));
	if (missing.length === 0) {
		return 'present';
	}

	if (!isRoot || !isOnPath('apt-get')) {
		throw new StepFailure(`missing: ${missing.map(name => signOf[name]).join(', ')}. On Debian and Ubuntu: sudo ${installCommand(missing)}`);
	}

	return install(missing, report);
}

const testGroups = JSON.parse(fs.readFileSync(fromRoot('test', 'helpers', 'keyring', 'debian-packages.json'), 'utf8'));

/** The purposes for which the tests need packages: the groups of `debian-packages.json`. */
export const testPurposes = Object.keys(testGroups);

/**
 * Installs the packages that the tests need for some purposes and that the machine lacks.
 *
 * @param {string[]} purposes
 * @returns {Promise<string>} What was done.
 * @throws {StepSkipped} if only the user can install them, with the command.
 * @throws {StepFailure} if apt-get fails.
 */
export async function installTestPackages(purposes) {
	const packages = [...new Set(purposes.flatMap(purpose => testGroups[purpose].packages))];
	if (packages.length === 0) {
		return 'none needed';
	}

	if (!isOnPath('dpkg-query')) {
		throw new StepSkipped(`not Debian or Ubuntu. Install the equivalent of: ${packages.join(' ')}`);
	}

	const missing = await missingPackages(packages);
	if (missing.length === 0) {
		return 'present';
	}

	if (!isRoot) {
		throw new StepSkipped(`missing for some tests. Run: sudo ${installCommand(missing)}`);
	}

	return install(missing);
}

async function missingPackages(packages) {
	// dpkg-query prints the packages that it knows, even if it fails because of others. Its placeholders look like those of a template.
	// eslint-disable-next-line no-template-curly-in-string
	const {stdout} = await run('dpkg-query', ['--show', '--showformat=${db:Status-Status} ${Package}\n', ...packages]);
	const present = new Set(stdout.split('\n').filter(line => line.startsWith('installed ')).map(line => line.slice('installed '.length)));
	return packages.filter(name => !present.has(name));
}

const installCommand = packages => `apt-get install --no-install-recommends ${packages.join(' ')}`;

/** @type {(packages: string[], report?: (text: string) => void) => Promise<string>} */
async function install(packages, report) {
	const command = installCommand(packages);
	const apt = async args => whileLocked(() => run('apt-get', args, {env: {DEBIAN_FRONTEND: 'noninteractive'}}), {report, command});
	const installation = ['install', '--yes', '--no-install-recommends', ...packages];
	// Fetching the package lists takes long, and only fresh machines lack them.
	let result = await apt(installation);
	if (result.code !== 0) {
		const update = await apt(['update']);
		const second = await apt(installation);
		result = {...second, output: update.output + second.output};
	}

	if (result.code !== 0) {
		throw new StepFailure(`apt-get failed. Once it is repaired, run: ${command}`, result.output);
	}

	return `installed ${packages.join(' ')}`;
}

/** What apt-get says if another process holds one of its locks. */
const lockMessage = /^E: (?:Could not get lock|Unable to (?:acquire|lock)).*$/m;

/**
 * Runs apt-get again until no other process holds its locks.
 *
 * @param {() => Promise<{code: number, output: string}>} runApt
 * @param {{report?: (text: string) => void, command: string, patienceMs?: number, pauseMs?: number}} options `report` gets the reason for
 * the wait. `command` is what the user should run if it takes too long.
 * @returns {Promise<{code: number, output: string}>}
 * @throws {StepFailure} if the lock is still held after `patienceMs`, 5 minutes by default.
 */
export async function whileLocked(runApt, {report = text => console.log(`      ${text}`), command, patienceMs = 300_000, pauseMs = 3000}) {
	const startMs = performance.now();
	for (let isReported = false; ; isReported = true) {
		const result = await runApt();
		const [message] = result.code === 0 ? [] : lockMessage.exec(result.output) ?? [];
		if (message === undefined) {
			return result;
		}

		const holder = /It is held by (?<holder>process \d+(?: \([^)]*\))?)/.exec(result.output)?.groups.holder ?? 'another process';
		if (performance.now() - startMs > patienceMs) {
			throw new StepFailure(`${holder} has held apt's lock for ${Math.round(patienceMs / 60_000)} minutes. When it has ended, run: ${command}`, result.output);
		}

		if (!isReported) {
			report(`waiting for apt's lock, which ${holder} holds`);
		}

		await setTimeout(pauseMs);
	}
}

function isOnPath(command) {
	return (process.env.PATH ?? '').split(path.delimiter).some(folder => {
		try {
			fs.accessSync(path.join(folder, command), fs.constants.X_OK);
			return folder !== '';
		} catch {
			return false;
		}
	});
}
