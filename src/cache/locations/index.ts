/**
 * Where the shared caches of a user are. Every library keeps them at a place of its own; this is the one list of those places.
 *
 * Sources: azure-identity for Python 1.26 (`_persistent_cache.py`), Azure.Identity for .NET 1.15 (`Constants.cs`), azure-identity
 * for Java (`PersistentTokenCacheImpl.java`), `@azure/identity-cache-persistence` 1.2.0, Git Credential Manager
 * (`MicrosoftAuthentication.cs`).
 */

import {dirname, join} from 'node:path';
import type {StoreLocation, StoreName} from '../../backend/backend.js';
import {part} from '../../runtime/lazy.js';

export type CacheKind = 'cae' | 'nocae';

export type CacheSource = {
	store: StoreName;
	at: StoreLocation;
	/** For people: the file, or the item's writer. */
	label: string;
	/** Which requests its access tokens fit. `undefined`: it may hold tokens of both kinds. */
	kind: CacheKind | undefined;
	/**
	 * A file that every writer of this keyring item touches. Its time stamp tells of a change within the second in which the
	 * keyring's own stamp stands still.
	 */
	signalPath?: string;
	/**
	 * The lock files of every program that writes there, in the order in which to take them. Java's is one for all caches of a
	 * directory. Empty for a keyring item that is only read: the keyring gives whole items. Those of an item that is written may be
	 * in several directories: where one is missing, its program has never been here.
	 */
	lockPaths: readonly string[];
};

export type CacheSources = {
	/** Where this package's own writes go, and where it looks first. */
	primary: CacheSource[];
	/** Looked at, in this order, where the primary ones hold no account that fits. */
	extra: CacheSource[];
};

export type LocationSettings = {
	platform: NodeJS.Platform;
	home: string;
	dataHome: string;
	cacheHome: string;
	cacheName: string;
	/** Default false. */
	disableKeychainPrompts?: boolean;
};

export const directory = '.IdentityService';
const defaultCacheName = 'msal.cache';
export const clientAttribute = 'MsalClientID';
export const dotnetAttribute = 'Microsoft.Developer.IdentityService';
export const service = 'Microsoft.Developer.IdentityService';
export const keychainAccount = 'MSALCache';
/** What Go, Visual Studio and older libraries call the other-than-CAE cache: no suffix at all. */
export const noSuffix = '';

/** @returns the sources for a request of one kind; none on a platform without a shared cache. */
export function cacheSources(kind: CacheKind, settings: LocationSettings): CacheSources {
	switch (settings.platform) {
		case 'linux': {
			return linuxSources(kind, settings);
		}

		case 'darwin': {
			return macosSources(kind, settings);
		}

		case 'win32': {
			return {primary: [dpapi(settings, `.${kind}`)], extra: otherSuffixes(kind).map(suffix => dpapi(settings, suffix))};
		}

		default: {
			return {primary: [], extra: []};
		}
	}
}

/** Loaded where the primary sources do not have the account: 4 KB that every other process's first token would pay 0.08 ms for. */
function further() {
	return part(() => require('../further-locations.js') as typeof import('../further-locations.js'));
}

function macosSources(kind: CacheKind, settings: LocationSettings): CacheSources {
	return {
		primary: [sharedKeychainItem(kind, settings), plaintext(settings, `.${kind}`)],
		get extra() {
			return further().macosExtra(kind, settings);
		},
	};
}

/**
 * The Keychain item of Python, Node, Git Credential Manager and older .NET: one for every name and kind of cache. Each of them locks by
 * the name of a file of its own, in a folder of its own, so all of those are taken.
 */
function sharedKeychainItem(kind: CacheKind, settings: LocationSettings): CacheSource {
	const {home, dataHome, cacheName} = settings;
	const names = [...new Set([defaultCacheName, cacheName])];
	const files = [
		...names.flatMap(name => [`${name}.nocae`, `${name}.cae`, name].map(each => join(home, directory, each))),
		gcmFile(home),
		// .NET up to 7, and from 8 on.
		...[dataHome, join(home, 'Library', 'Application Support')].flatMap(folder => names.map(name => join(folder, directory, name))),
	];
	return {
		// Of the kind that is asked for: nothing that every library keeps tells its tokens apart, and its other readers take them as they are.
		// Otherwise each process would make its own request for each client of an Azure SDK, which always asks for the one kind.
		...keychainItem(service, keychainAccount, 'Keychain item of Python and Node', kind, settings),
		signalPath: join(home, directory, `${cacheName}.${kind}`),
		lockPaths: files.map(path => lockPathOf(path)),
	};
}

export function keychainItem(itemService: string, account: string, label: string, kind: CacheKind | undefined, {disableKeychainPrompts}: LocationSettings): CacheSource {
	return {
		store: 'keychain', at: {attributes: {service: itemService, account}, ...(disableKeychainPrompts && {noPrompts: true})}, label, kind, lockPaths: [],
	};
}

export function kindOf(suffix: string): CacheKind | undefined {
	return suffix === noSuffix ? undefined : suffix.slice(1) as CacheKind;
}

function linuxSources(kind: CacheKind, settings: LocationSettings): CacheSources {
	const suffix = `.${kind}`;
	return {
		primary: [pythonItem(settings, suffix), plaintext(settings, suffix)],
		get extra() {
			return further().linuxExtra(kind, settings);
		},
	};
}

export function plaintext({home, cacheName}: LocationSettings, suffix: string): CacheSource {
	return withJavasLock(file(join(home, directory, cacheName + suffix), suffix));
}

/** Every library's, in one place: the cache of .NET, Visual Studio, Azure PowerShell, Python, Node, Java and, without a suffix, Go. */
function dpapi({dataHome, cacheName}: LocationSettings, suffix: string): CacheSource {
	return {...withJavasLock(file(join(dataHome, directory, cacheName + suffix), suffix)), store: 'dpapi'};
}

/** A file that a program named, which programs in every language may write. */
export function plaintextFile(path: string): CacheSource {
	return withJavasLock(file(path, noSuffix));
}

function withJavasLock(source: CacheSource): CacheSource {
	return {...source, lockPaths: sharedLockPaths(source.at.path ?? '')};
}

/** The lock files of a cache that programs in every language write: Java's is one for all caches of a directory. */
export function sharedLockPaths(path: string): string[] {
	return [lockPathOf(path), join(dirname(path), '.lockfile')];
}

function lockPathOf(path: string): string {
	return `${path}.lockfile`;
}

export function gcmFile(home: string): string {
	return join(home, '.local', directory, defaultCacheName);
}

export function file(path: string, suffix: string): CacheSource {
	return {
		store: 'plaintext', at: {path}, label: path, kind: kindOf(suffix), lockPaths: [lockPathOf(path)],
	};
}

/** Python names the item's schema after the cache file. */
export function pythonItem({home, cacheName}: LocationSettings, suffix: string): CacheSource {
	return {
		store: 'libsecret',
		at: {
			schema: cacheName + suffix,
			attributes: {[clientAttribute]: service},
			absentAttributes: [dotnetAttribute],
		},
		label: `keyring item of Python (${cacheName}${suffix})`,
		kind: suffix.slice(1) as CacheKind,
		signalPath: join(home, directory, cacheName + suffix),
		lockPaths: [lockPathOf(join(home, directory, cacheName + suffix))],
	};
}

export function otherSuffixes(kind: CacheKind): string[] {
	return [`.${otherKind(kind)}`, noSuffix];
}

export function otherKind(kind: CacheKind): CacheKind {
	return kind === 'cae' ? 'nocae' : 'cae';
}
