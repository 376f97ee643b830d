/** Finds the addon's binary for this machine and loads it. The one file that touches the `.node`. */

import {
	closeSync, existsSync, openSync, readSync,
} from 'node:fs';
import {
	dirname, isAbsolute, join, sep,
} from 'node:path';
import {
	cureOfTooManyFiles, type ErrorDetail, isOutOfFiles, StoreError,
} from '../errors.js';
import {requireLazily} from '../runtime/lazy.js';
import {apiVersion, type NativeAddon} from './addon-interface.js';

/** Exactly one of the two is set. */
export type LoadedAddon = {addon?: NativeAddon; error?: StoreError};

let loaded: LoadedAddon | undefined;

/**
 * Loads the addon. Each later call returns the same result.
 *
 * @returns `addon`, or an `error` with code `STC_ADDON_MISSING` that says what to do. Its details name the files that were tried.
 * @throws {StoreError} `STC_IO` if the process can open no more files: the next call tries again.
 */
export function loadAddon(): LoadedAddon {
	if (!loaded) {
		const refusals: ErrorDetail[] = [];
		loaded = load(candidates(refusals), openAddon, refusals);
	}

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
 * @param refusals Places that are not looked at, and why.
 * @throws {StoreError} As {@link loadAddon}.
 */
export function load(paths: Iterable<string>, open: (path: string) => unknown = openAddon, refusals: readonly ErrorDetail[] = []): LoadedAddon {
	const missing: ErrorDetail[] = [];
	const unusable: ErrorDetail[] = [];
	let isDisabled = false;
	for (const place of paths) {
		try {
			const addon = open(place) as NativeAddon;
			if (addon.apiVersion === apiVersion) {
				return {addon};
			}

			unusable.push({place, text: 'is of another version of this package'});
		} catch (error) {
			// Asked only now: the file is there nearly always, and each look costs start-up time.
			if (!existsSync(place)) {
				missing.push({place, text: 'is missing'});
				continue;
			}

			const {code, message} = error as NodeJS.ErrnoException;
			isDisabled ||= code === 'ERR_DLOPEN_DISABLED';
			unusable.push({place, text: `does not load: ${message}`});
		}
	}

	const lack = lackOfFiles();
	if (lack !== undefined) {
		throw new StoreError('STC_IO', `The native addon could not be loaded: ${lack}. ${cureOfTooManyFiles}`, {op: 'load'});
	}

	const isInstalled = lackOfFolder() === undefined && isInPackage();
	const target = targetName();
	return {
		error: lackModule().addonMissing({
			target, hasBinary: binaries[target] !== undefined, isBundle: !isInstalled, isClone: isInstalled && isInClone(), isDisabled, unusable, refusals, missing,
		}),
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
 * The paths at which a binary for this machine may be, best first: in the package, its own `prebuilds/`, and in a clone the build; in a
 * bundle, only `prebuilds/` in the bundle's folder. No environment variable changes them. A generator, because the first path does not need
 * the machine's target name, which takes time to find out.
 *
 * @param refusals Gets the reasons why places are left out.
 */
function * candidates(refusals: ErrorDetail[]): Generator<string, void> {
	const lack = lackOfFolder();
	if (lack !== undefined) {
		refusals.push({place: 'this bundle', text: `${lack}, so there is nowhere to look`});
		return;
	}

	// A clone is looked for first, because it is the package, too: each look costs start-up time.
	const isClone = isInClone();
	const isPackage = isClone || isInPackage();
	const root = join(__dirname, '..');
	const build = isClone ? join(root, 'build', 'Release', 'azure_shared_token_cache.node') : undefined;
	const isBuilt = build !== undefined && existsSync(build);
	if (isBuilt) {
		// It is newer than the other binaries.
		yield build;
	}

	const binary = binaries[targetName()];
	if (binary !== undefined) {
		const place = join('prebuilds', `${process.platform}-${process.arch}`, binary);
		// Somebody copied `prebuilds/` beside a bundle.
		const stranger = isPackage ? undefined : lackModule().strangerIn(__dirname, __filename);
		if (stranger === undefined) {
			yield * withUnpacked(join(isPackage ? root : __dirname, place));
		} else {
			refusals.push(stranger);
		}
	}

	if (build !== undefined && !isBuilt) {
		yield build;
	}
}

/**
 * By a file that the package has below `dist/` and no bundle has, because bundlers put the package's files into one. Only what is inside
 * `__dirname` can tell whether this is the package: in a bundle, the folder above may belong to anybody, and hold anything.
 */
function isInPackage(): boolean {
	return isInDist(`lazy${sep}credential${sep}token-granter.js`);
}

/** By a file that `dist/` has in a clone, and that is not published. */
function isInClone(): boolean {
	return isInDist(`backend${sep}addon-loader.js`);
}

function isInDist(mark: string): boolean {
	return __dirname.endsWith(`${sep}dist`) && existsSync(__dirname + sep + mark);
}

/** Electron cannot load a binary from an asar archive; its packagers unpack binaries next to the archive. The innermost one is meant. */
function * withUnpacked(path: string): Generator<string, void> {
	const archive = `.asar${sep}`;
	const end = path.lastIndexOf(archive);
	if (end !== -1) {
		yield `${path.slice(0, end)}.asar.unpacked${sep}${path.slice(end + archive.length)}`;
	}

	yield path;
}

/** Why `__dirname` is not the folder of this file. */
function lackOfFolder(): string | undefined {
	if (typeof __dirname === 'undefined') {
		return 'is an ES module and has no __dirname';
	}

	// webpack can replace it by a path that is relative to the current folder, or by "/". On Windows, anybody can make folders there.
	return isAbsolute(__dirname) && (process.platform !== 'win32' || dirname(__dirname) !== __dirname)
		? undefined
		: `has "${__dirname}" in place of __dirname (webpack: set node: {__dirname: false})`;
}

/** Loaded where no addon is, and in bundles, which hold it already. */
function lackModule() {
	return requireLazily(() => require('./addon-lack.js') as typeof import('./addon-lack.js'));
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
