/**
 * Checks which peers are installed: the real libraries that share caches with this package. A test whose peer is
 * missing is skipped with the reason.
 */

import {spawnSync} from 'node:child_process';
import {existsSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import type {ImplementationFn, TestFn} from 'ava';

/** `msal-node` includes its extensions, which load keytar in any case. */
export type PeerName = 'identity' | 'msal-node' | 'msal-python' | 'msal-python-keyring';

/**
 * The reason why something that a test needs is missing, with the command to install it. `undefined` if it is present.
 */
export type Lack = string | undefined;

/**
 * The interpreter for which Debian's Python packages are installed. The first `python3` on the path may be another one.
 */
export const debianPython = '/usr/bin/python3';

export const peersFolder = fileURLToPath(new URL('../../peers/', import.meta.url));

/** `npm test` installs and compiles what it can. */
const installCommand = 'npm test';
const keytarCommand = 'apt-get install --no-install-recommends g++ libsecret-1-dev make pkg-config python3, then npm test';
const pythonCommand = 'apt-get install --no-install-recommends python3-msal python3-msal-extensions';

const checks: Readonly<Record<PeerName, () => Lack>> = {
	identity: () => isInstalled('@azure/identity'),
	'msal-node': () => isInstalled('@azure/msal-node') ?? isInstalled('@azure/msal-node-extensions') ?? lackUnless(
		runs(process.execPath, ['--eval', 'require("keytar")']),
		'keytar is not compiled in test/peers, or does not load',
		keytarCommand,
	),
	'msal-python': () => lackUnless(
		runs(debianPython, ['-c', 'import msal, msal_extensions']),
		'Debian\'s msal and msal_extensions for Python are not installed',
		pythonCommand,
	),
	'msal-python-keyring': () => lackUnless(
		runs(debianPython, ['-c', 'import msal, msal_extensions, gi; gi.require_version("Secret", "1"); from gi.repository import Secret']),
		'Debian\'s msal, msal_extensions and libsecret bindings for Python are not installed',
		`${pythonCommand} python3-gi gir1.2-secret-1`,
	),
};
const found = new Map<PeerName, Lack>();

/** Checks each peer once. */
export function lackOf(peer: PeerName): Lack {
	if (!found.has(peer)) {
		found.set(peer, checks[peer]());
	}

	return found.get(peer);
}

/** Checks for a package manager, or a runtime other than Node. @param name The package in `test/package-managers`. */
export function lackOfPackageManager(name: string): Lack {
	return lackOfPackage('package-managers', name);
}

/** @param folder The folder below `test` whose package.json contains `name`. */
export function lackOfPackage(folder: string, name: string): Lack {
	const manifest = fileURLToPath(new URL(`../../${folder}/node_modules/${name}/package.json`, import.meta.url));
	return lackUnless(existsSync(manifest), `${name} is not installed in test/${folder}`, installCommand);
}

/** Checks whether the addon was built. */
export function lackOfAddon(): Lack {
	const addon = fileURLToPath(new URL('../../../build/Release/azure_shared_token_cache.node', import.meta.url));
	return lackUnless(existsSync(addon), 'the native addon is not built', 'npm run build');
}

/**
 * Declares a test that needs something. If anything is missing, the test is skipped, with the reason and the remedy in
 * its title. With `CI=true` it fails instead, so that a build server cannot pass by skipping tests.
 */
export function testWhere(declare: TestFn['serial'], lacks: readonly Lack[], title: string, implementation: ImplementationFn<[]>): void {
	const lack = lacks.find(each => each !== undefined);
	if (!lack) {
		declare(title, implementation);
		return;
	}

	if (process.env['CI'] === 'true') {
		declare(title, t => {
			t.fail(lack);
		});
		return;
	}

	declare.skip(`${title} (skipped: ${lack})`, implementation);
}

function isInstalled(name: string): Lack {
	return lackUnless(existsSync(`${peersFolder}node_modules/${name}/package.json`), `${name} is not installed in test/peers`, installCommand);
}

function lackUnless(isThere: boolean, reason: string, command: string): Lack {
	return isThere ? undefined : `${reason}; run: ${command}`;
}

function runs(command: string, args: readonly string[]): boolean {
	return spawnSync(command, args, {cwd: peersFolder, stdio: 'ignore'}).status === 0;
}
