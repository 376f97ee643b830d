/** Debian's packages: installed as root, named with the exact command otherwise. */

import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {fromRoot} from './paths.mjs';
import {run} from './run.mjs';
import {StepFailure, StepSkipped} from './steps.mjs';

const isRoot = process.getuid?.() === 0;

/** Commands that the addon's build needs, and the package that has each. */
const buildTools = {'g++': ['c++', 'g++', 'clang++'], make: ['make'], python3: ['python3']};

/** @throws {StepFailure} naming the command that installs what the build lacks. */
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
 * Installs packages that are known by a command or a file of theirs.
 *
 * @param {Record<string, string>} signOf Package -> command on the path, or absolute path of a file.
 * @returns {Promise<string>} What was done.
 * @throws {StepFailure} where only the user can do that, with the command.
 */
export async function installPackagesOfDebian(signOf) {
	const missing = Object.keys(signOf).filter(name => !(path.isAbsolute(signOf[name]) ? fs.existsSync(signOf[name]) : isOnPath(signOf[name])));
	if (missing.length === 0) {
		return 'present';
	}

	if (!isRoot || !isOnPath('apt-get')) {
		throw new StepFailure(`missing: ${missing.map(name => signOf[name]).join(', ')}. On Debian and Ubuntu: sudo ${installCommand(missing)}`);
	}

	return install(missing);
}

/** The packages for the tests, by purpose. */
export function testPackages() {
	const groups = JSON.parse(fs.readFileSync(fromRoot('test', 'helpers', 'keyring', 'debian-packages.json'), 'utf8'));
	return [...new Set(Object.values(groups).flatMap(group => Array.isArray(group) ? group : group.packages ?? []))];
}

/**
 * Installs what the tests need and the machine lacks.
 *
 * @throws {StepSkipped} where only the user can do that, with the command.
 * @throws {StepFailure} if apt-get fails.
 */
export async function installTestPackages() {
	const packages = testPackages();
	if (!isOnPath('dpkg-query')) {
		throw new StepSkipped(`not Debian or Ubuntu: install what matches ${packages.join(' ')}`);
	}

	const missing = await missingPackages(packages);
	if (missing.length === 0) {
		return 'present';
	}

	if (!isRoot) {
		throw new StepSkipped(`missing for the keyring and Python tests. Run: sudo ${installCommand(missing)}`);
	}

	return install(missing);
}

async function missingPackages(packages) {
	// dpkg-query complains about unknown names and still lists the others. Its placeholders look like a template's.
	// eslint-disable-next-line no-template-curly-in-string
	const {stdout} = await run('dpkg-query', ['--show', '--showformat=${db:Status-Status} ${Package}\n', ...packages]);
	const present = new Set(stdout.split('\n').filter(line => line.startsWith('installed ')).map(line => line.slice('installed '.length)));
	return packages.filter(name => !present.has(name));
}

const installCommand = packages => `apt-get install --no-install-recommends ${packages.join(' ')}`;

async function install(packages) {
	const options = {env: {DEBIAN_FRONTEND: 'noninteractive'}};
	const installation = ['install', '--yes', '--no-install-recommends', ...packages];
	// The lists of a fresh machine are empty or old, those of others are good: look first, fetch them when that fails.
	let result = await run('apt-get', installation, options);
	if (result.code !== 0) {
		const update = await run('apt-get', ['update'], options);
		const second = await run('apt-get', installation, options);
		result = {...second, output: update.output + second.output};
	}

	if (result.code !== 0) {
		throw new StepFailure(`apt-get failed. Once it is repaired, run: ${installCommand(packages)}`, result.output);
	}

	return `installed ${packages.join(' ')}`;
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
