/** What describes a place of a shared cache: its store, its location in the store, and the lock files of all programs that write there. */

import {dirname, join} from 'node:path';
import type {StoreLocation} from '../backend/backend.js';
import type {StoreName} from '../backend/stores.js';

/** Whether a cache holds tokens for requests with Continuous Access Evaluation (CAE) or for requests without it. */
export type CacheKind = 'cae' | 'nocae';

export type CacheSource = {
	store: StoreName;
	at: StoreLocation;
	/** For log lines and error texts: the file's path, or the program that writes the keyring item. Unique among the sources. */
	label: string;
	/** Which requests its access tokens fit. `undefined`: it may hold tokens of both kinds. */
	kind: CacheKind | undefined;
	/**
	 * A file that every writer of this keyring item touches. The keyring's own stamp has a resolution of one second; this file's time
	 * stamp also shows a second change within that second.
	 */
	signalPath?: string;
	/** The lock files of every program that writes there, in the order of {@link sharedLockPaths}'s table. Empty: see there. */
	lockPaths: readonly string[];
};

export type CacheSources = {
	/** This package reads these first, and writes only to these. */
	primary: CacheSource[];
	/** Read in this order if no primary source holds an account that fits. */
	extra: CacheSource[];
};

/** The settings that decide where the caches are. */
export type LocationSettings = {
	/** The user's home directory, absolute; empty with a `homeProblem`. */
	home: string;
	/** Why the home directory is not known. */
	homeProblem?: string | undefined;
	/** `$XDG_DATA_HOME` or its default. Not used on Windows. */
	dataHome: string;
	/** `$XDG_CACHE_HOME` or its default. Not used on Windows. */
	cacheHome: string;
	/** `%LOCALAPPDATA%`, if it is set. Used on Windows alone. */
	localAppData?: string | undefined;
	/** Base name, without `.nocae` or `.cae`. */
	cacheName: string;
	/** Default false. */
	disableKeychainPrompts?: boolean;
};

export const directory = '.IdentityService';
export const defaultCacheName = 'msal.cache';
export const clientAttribute = 'MsalClientID';
export const dotnetAttribute = 'Microsoft.Developer.IdentityService';
export const service = 'Microsoft.Developer.IdentityService';
/** The account of the shared Keychain item. Java appends the kind. */
export const keychainAccount = 'MSALCache';
/** The size of a file that only signals a change of a keyring item: it is empty or holds `{}`. Bytes. */
export const signalFileSize = 2;
/** Go, Visual Studio and older libraries give the cache without CAE no suffix. */
export const noSuffix = '';

export function kindOf(suffix: string): CacheKind | undefined {
	return suffix === noSuffix ? undefined : suffix.slice(1) as CacheKind;
}

export function otherKind(kind: CacheKind): CacheKind {
	return kind === 'cae' ? 'nocae' : 'cae';
}

/** The suffixes of the caches that are not this kind's. */
export function otherSuffixes(kind: CacheKind): string[] {
	return [`.${otherKind(kind)}`, noSuffix];
}

/** A plaintext file that the libraries of one language write. */
export function file(path: string, suffix: string): CacheSource {
	return {
		store: 'plaintext', at: {path}, label: path, kind: kindOf(suffix), lockPaths: [lockPathOf(path)],
	};
}

/** A file that programs in every language may write, such as one that `cachePath` names. */
export function plaintextFile(path: string): CacheSource {
	return sharedFile(path, noSuffix);
}

/** As {@link file}, for a file that programs in every language write. */
export function sharedFile(path: string, suffix: string): CacheSource {
	return {...file(path, suffix), lockPaths: sharedLockPaths(path)};
}

/** The plaintext cache in the home directory. */
export function plaintext({home, cacheName}: LocationSettings, suffix: string): CacheSource {
	return sharedFile(join(home, directory, cacheName + suffix), suffix);
}

/** Git Credential Manager's cache. */
export function gcmFile(home: string): string {
	return join(home, '.local', directory, defaultCacheName);
}

/** Python's item of the Secret Service. Python names its schema after the cache file. */
export function pythonItem({home, cacheName}: LocationSettings, kind: CacheKind): CacheSource {
	const name = `${cacheName}.${kind}`;
	return {
		store: 'libsecret',
		at: {
			schema: name,
			attributes: {[clientAttribute]: service},
			absentAttributes: [dotnetAttribute],
		},
		label: `keyring item of Python (${name})`,
		kind,
		signalPath: join(home, directory, name),
		lockPaths: [lockPathOf(join(home, directory, name))],
	};
}

/** An item of the Keychain. */
export function keychainItem(itemService: string, account: string, label: string, kind: CacheKind | undefined, {disableKeychainPrompts}: LocationSettings): CacheSource {
	return {
		store: 'keychain', at: {attributes: {service: itemService, account}, ...(disableKeychainPrompts && {noPrompts: true})}, label, kind, lockPaths: [],
	};
}

/**
 * The lock files of a cache that programs in every language write.
 *
 * **Lock order.** A commit takes the lock files of one source in the order of this table, all of them or none, and never waits while it
 * holds one. The other libraries take one lock file each. So no two programs can wait for each other.
 *
 * | source | lock files, in this order |
 * |---|---|
 * | shared file: plaintext, DPAPI, or `cachePath` | 1. `<file>.lockfile` (.NET, Python, Node, Go) 2. `.lockfile` in its directory (Java: one for all caches there) |
 * | file of one language (.NET, Go, Git Credential Manager) | `<file>.lockfile` |
 * | Python's keyring item | `<signal file>.lockfile` |
 * | shared Keychain item | one for each program's own file name and folder: see `sharedKeychainItem` in `locations/macos.ts` |
 * | any other item | none: it is only read, and a keyring hands out whole items |
 *
 * The lock files of a keyring item may be in several directories. A directory that is missing means that its program was never used here:
 * the commit leaves that lock file out.
 */
export function sharedLockPaths(path: string): string[] {
	return [lockPathOf(path), join(dirname(path), '.lockfile')];
}

export function lockPathOf(path: string): string {
	return `${path}.lockfile`;
}
