/** Which peers are here: the real libraries that `test/interop` writes caches with. A test without its peer says why it is skipped. */

import {spawnSync} from 'node:child_process';
import {existsSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import type {ImplementationFn, TestFn} from 'ava';

/** `msal-node`: MSAL for Node with its extensions, which load keytar whatever they store. */
export type PeerName = 'identity' | 'msal-node' | 'msal-python' | 'msal-python-keyring';

/** Why something that a test needs is not here, with the command that changes it; `undefined`: it is here. */
export type Lack = string | undefined;

/** Debian's interpreter: the one that Debian's packages are for, whatever comes first on the path. */
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

/** Looks once for each peer. */
export function lackOf(peer: PeerName): Lack {
	if (!found.has(peer)) {
		found.set(peer, checks[peer]());
	}

	return found.get(peer);
}

/** Whether a package manager, or a runtime that is not Node, is here. @param name Its package in `test/package-managers`. */
export function lackOfPackageManager(name: string): Lack {
	return lackOfPackage('package-managers', name);
}

/** @param folder Below `test`, with a package.json of its own, which `name` is in. */
export function lackOfPackage(folder: string, name: string): Lack {
	const manifest = fileURLToPath(new URL(`../../${folder}/node_modules/${name}/package.json`, import.meta.url));
	return lackUnless(existsSync(manifest), `${name} is not installed in test/${folder}`, installCommand);
}

/** Whether the addon was built. */
export function lackOfAddon(): Lack {
	const addon = fileURLToPath(new URL('../../../build/Release/azure_shared_token_cache.node', import.meta.url));
	return lackUnless(existsSync(addon), 'the native addon is not built', 'npm run build');
}

/**
 * Declares a test that runs where nothing is lacking. Elsewhere it is skipped, with the reason and the cure in its title; where
 * `CI` is `true`, it fails with them, so that a build server never passes by not looking.
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
