/** Finds the addon's binary for this machine and loads it. The one file that touches the `.node`. */

import {
	closeSync, existsSync, openSync, readSync,
} from 'node:fs';
import {join, sep} from 'node:path';
import {
	cureOfTooManyFiles, isOutOfFiles, oneLine, StoreError,
} from '../errors.js';
import {apiVersion, type NativeAddon} from './addon-interface.js';

/** Exactly one of the two is set. */
export type LoadedAddon = {addon?: NativeAddon; error?: StoreError};

let loaded: LoadedAddon | undefined;

/**
 * Loads the addon. Each later call returns the same result.
 *
 * @returns `addon`, or an `error` with code `STC_ADDON_MISSING` that names the files that were tried and what to do.
 * @throws {StoreError} `STC_IO` if the process can open no more files: the next call tries again.
 */
export function loadAddon(): LoadedAddon {
	loaded ??= load(candidates());
	return loaded;
}

/** Windows' known folder for the user's local application data; `undefined` on other systems, and if the addon cannot be loaded. */
export function localAppData(): string | undefined {
	try {
		const folder = loadAddon().addon?.localAppData?.();
		return typeof folder === 'string' ? folder : undefined;
	} catch {
		// Too many open files: see loadAddon.
		return undefined;
	}
}

/**
 * Loads the first of `paths` that is an addon of the right version.
 *
 * @param open Returns the exports of a file, and throws if it cannot be loaded.
 * @throws {StoreError} As {@link loadAddon}.
 */
export function load(paths: Iterable<string>, open: (path: string) => unknown = openAddon): LoadedAddon {
	const failures: string[] = [];
	for (const path of paths) {
		if (!existsSync(path)) {
			failures.push(`${path} is missing`);
			continue;
		}

		try {
			const addon = open(path) as NativeAddon;
			if (addon.apiVersion === apiVersion) {
				return {addon};
			}

			failures.push(`${path} is of another version of this package`);
		} catch (error) {
			failures.push(`${path} does not load: ${oneLine((error as Error).message)}`);
		}
	}

	const lack = lackOfFiles();
	if (lack !== undefined) {
		throw new StoreError('STC_IO', `The native addon could not be loaded: ${lack}. ${cureOfTooManyFiles}`, {op: 'load'});
	}

	if (failures.length === 0) {
		failures.push('this bundle is an ES module and has no __dirname, so there is nowhere to look');
	}

	return {
		error: new StoreError(
			'STC_ADDON_MISSING',
			`No native addon for ${targetName()}: ${failures.join('; ')}. ${advice()}`,
			{op: 'load'},
		),
	};
}

/** The error code if the process can open no more files. The dynamic loader's message for that depends on the C library. */
function lackOfFiles(): string | undefined {
	try {
		closeSync(openSync(process.execPath, 'r'));
	} catch (error) {
		const {code} = error as NodeJS.ErrnoException;
		return isOutOfFiles(code) ? code : undefined;
	}

	return undefined;
}

/**
 * Uses `dlopen`, because bundlers would try to resolve a `require` at build time, and the `require` of a single executable application
 * loads nothing but Node's built-in modules.
 */
function openAddon(path: string): unknown {
	const holder = {exports: {}};
	process.dlopen(holder, path);
	return holder.exports;
}

/** The platforms with a binary, and the binary's name in `prebuilds/`, which follows prebuildify's conventions. */
const binaries: Readonly<Record<string, string>> = {
	'darwin-arm64': 'azure-shared-token-cache.node',
	'darwin-x64': 'azure-shared-token-cache.node',
	'linux-arm64 (glibc)': 'azure-shared-token-cache.glibc.node',
	'linux-arm64 (musl)': 'azure-shared-token-cache.musl.node',
	'linux-x64 (glibc)': 'azure-shared-token-cache.glibc.node',
	'linux-x64 (musl)': 'azure-shared-token-cache.musl.node',
	'win32-arm64': 'azure-shared-token-cache.node',
	'win32-x64': 'azure-shared-token-cache.node',
};

/** This machine's key in {@link binaries}. */
function targetName(): string {
	return `${process.platform}-${process.arch}${process.platform === 'linux' ? ` (${libc()})` : ''}`;
}

/**
 * The paths at which a binary for this machine may be, best first. No environment variable changes them. A generator, because the first
 * path does not need the machine's target name, which takes time to find out.
 */
function * candidates(): Generator<string, void> {
	if (typeof __dirname === 'undefined') {
		return;
	}

	const root = join(__dirname, '..');
	// A build in a clone. It exists in no installed package, and in a clone it is newer than the other binaries.
	const build = join(root, 'build', 'Release', 'azure_shared_token_cache.node');
	const isBuilt = existsSync(build);
	if (isBuilt) {
		yield build;
	}

	const binary = binaries[targetName()];
	if (binary !== undefined) {
		const directory = `${process.platform}-${process.arch}`;
		const installed = join(root, 'prebuilds', directory, binary);
		// Electron cannot load a binary from an asar archive; its packagers unpack binaries next to the archive.
		const unpacked = installed.replace(`.asar${sep}`, `.asar.unpacked${sep}`);
		if (unpacked !== installed) {
			yield unpacked;
		}

		yield installed;
		// In a bundle, `__dirname` is the bundle's folder, and `prebuilds/` was copied there.
		yield join(__dirname, 'prebuilds', directory, binary);
	}

	if (!isBuilt) {
		yield build;
	}
}

function advice(): string {
	return binaries[targetName()] === undefined
		? 'The package has no binary for this platform. Build one in a clone with npm run build; until then, only plaintext caches can be read.'
		: 'Reinstall the package. If the program was bundled, leave this package out of the bundle, or copy its folder prebuilds beside it. In a clone: npm run build.';
}

/** The dynamic loaders of musl and of glibc. Source: musl, `Makefile` and `configure`, `LDSO_PATHNAME`; the psABI supplements of x86-64 and AArch64. */
const loaders = {
	arm64: ['/lib/ld-musl-aarch64.so.1', '/lib/ld-linux-aarch64.so.1'],
	x64: ['/lib/ld-musl-x86_64.so.1', '/lib64/ld-linux-x86-64.so.2'],
} as const;

/** The C library that Node is linked against, on Linux. */
function libc(): 'glibc' | 'musl' {
	// Nearly every machine has one of the two loaders, so two calls of `existsSync` answer the question; `process.report` is much slower.
	// If both exist, the loader that is named in Node's own binary decides.
	const [loader, other] = process.arch === 'arm64' ? loaders.arm64 : loaders.x64;
	if (!existsSync(loader)) {
		return 'glibc';
	}

	if (!existsSync(other)) {
		return 'musl';
	}

	try {
		return beginningOf(process.execPath).includes(loader) ? 'musl' : 'glibc';
	} catch {
		// Node's binary may be executed but not read. A machine with both loaders is most likely a musl one.
		return 'musl';
	}
}

/** The first page of a binary: the name of its dynamic loader follows the ELF headers. */
function beginningOf(path: string): Buffer {
	const bytes = Buffer.alloc(4096);
	const file = openSync(path, 'r');
	try {
		readSync(file, bytes);
	} finally {
		closeSync(file);
	}

	return bytes;
}
