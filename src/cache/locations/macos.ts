/** The caches on macOS: items of the Keychain, and plaintext files. */

import {join} from 'node:path';
import {
	type CacheKind,
	type CacheSource,
	type CacheSources,
	defaultCacheName,
	directory,
	dotnetPlaintext,
	gcmFile,
	gcmPlaintext,
	kindOf,
	type LocationSettings,
	lockPathOf,
	otherKind,
	otherSuffixes,
	plaintext,
	service,
} from '../cache-source.js';

/** The account of the shared item. Java appends the kind. */
const keychainAccount = 'MSALCache';

export function macosSources(kind: CacheKind, settings: LocationSettings): CacheSources {
	return {
		primary: [sharedKeychainItem(kind, settings), plaintext(settings, `.${kind}`)],
		// Not made until it is read: most processes find their account in the primary sources.
		get extra() {
			return extraSources(kind, settings);
		},
	};
}

function extraSources(kind: CacheKind, settings: LocationSettings): CacheSource[] {
	const others = otherSuffixes(kind);
	const suffixes = [`.${kind}`, ...others];
	return [
		...others.map(other => plaintext(settings, other)),
		...suffixes.map(each => dotnetKeychainItem(settings, each)),
		...[kind, otherKind(kind)].map(each => javaKeychainItem(settings, each)),
		...suffixes.map(each => goKeychainItem(settings, each)),
		...suffixes.map(each => dotnetPlaintext(settings, each)),
		gcmPlaintext(settings),
	];
}

/**
 * The Keychain item of Python, Node, Git Credential Manager and older .NET: one item for caches of every name and kind. Each of these
 * programs locks a file with a name and folder of its choice, so a commit takes all of those lock files.
 */
function sharedKeychainItem(kind: CacheKind, settings: LocationSettings): CacheSource {
	const {home, dataHome, cacheName} = settings;
	const names = [...new Set([defaultCacheName, cacheName])];
	const files = [
		...names.flatMap(name => [`${name}.nocae`, `${name}.cae`, name].map(each => join(home, directory, each))),
		gcmFile(home),
		// .NET up to 7 uses the first folder, .NET 8 and later the second.
		...[dataHome, join(home, 'Library', 'Application Support')].flatMap(folder => names.map(name => join(folder, directory, name))),
	];
	return {
		// Tagged with the requested kind: this item mixes CAE and non-CAE tokens, and no field distinguishes them. Its other readers ignore
		// the difference, too. Without the tag, no process could use a token that another one cached there.
		...keychainItem(service, keychainAccount, 'Keychain item of Python and Node', kind, settings),
		signalPath: join(home, directory, `${cacheName}.${kind}`),
		lockPaths: files.map(path => lockPathOf(path)),
	};
}

function dotnetKeychainItem(settings: LocationSettings, suffix: string): CacheSource {
	const name = settings.cacheName + suffix;
	return keychainItem(service, name, `Keychain item of .NET (${name})`, kindOf(suffix), settings);
}

function javaKeychainItem(settings: LocationSettings, kind: CacheKind): CacheSource {
	return keychainItem(service, `${keychainAccount}.${kind}`, `Keychain item of Java (${kind})`, kind, settings);
}

/** Go swaps service and account. */
function goKeychainItem(settings: LocationSettings, suffix: string): CacheSource {
	const name = settings.cacheName + suffix;
	return keychainItem(name, keychainAccount, `Keychain item of Go (${name})`, kindOf(suffix), settings);
}

function keychainItem(itemService: string, account: string, label: string, kind: CacheKind | undefined, {disableKeychainPrompts}: LocationSettings): CacheSource {
	return {
		store: 'keychain', at: {attributes: {service: itemService, account}, ...(disableKeychainPrompts && {noPrompts: true})}, label, kind, lockPaths: [],
	};
}
