/** The caches that are read if the primary ones lack the account, best first. */

import {join} from 'node:path';
import {
	type CacheKind,
	type CacheSource,
	clientAttribute,
	directory,
	dotnetAttribute,
	file,
	gcmFile,
	keychainAccount,
	keychainItem,
	kindOf,
	type LocationSettings,
	noSuffix,
	otherKind,
	otherSuffixes,
	plaintext,
	pythonItem,
	service,
} from '../cache-source.js';

export function furtherLinuxSources(kind: CacheKind, settings: LocationSettings): CacheSource[] {
	const others = otherSuffixes(kind);
	return [
		...others.map(suffix => plaintext(settings, suffix)),
		pythonItem(settings, otherKind(kind)),
		dotnetItem(settings),
		...[`.${kind}`, ...others].map(suffix => dotnetPlaintext(settings, suffix)),
		javaItem(settings),
		keytarItem(settings),
		gcmPlaintext(settings),
		goFile(settings, kind),
		goFile(settings, otherKind(kind)),
	];
}

export function furtherMacosSources(kind: CacheKind, settings: LocationSettings): CacheSource[] {
	const others = otherSuffixes(kind);
	const suffixes = [`.${kind}`, ...others];
	return [
		...others.map(suffix => plaintext(settings, suffix)),
		...suffixes.map(suffix => dotnetKeychainItem(settings, suffix)),
		...[kind, otherKind(kind)].map(each => javaKeychainItem(settings, each)),
		...suffixes.map(suffix => goKeychainItem(settings, suffix)),
		...suffixes.map(suffix => dotnetPlaintext(settings, suffix)),
		gcmPlaintext(settings),
	];
}

/** .NET's plaintext cache. */
function dotnetPlaintext({dataHome, cacheName}: LocationSettings, suffix: string): CacheSource {
	return file(join(dataHome, directory, cacheName + suffix), suffix);
}

function gcmPlaintext({home}: LocationSettings): CacheSource {
	return file(gcmFile(home), noSuffix);
}

/** .NET keeps the caches of every name and kind in one item. */
function dotnetItem({dataHome, cacheName}: LocationSettings): CacheSource {
	return {
		store: 'libsecret',
		at: {schema: 'msal.cache', attributes: {[clientAttribute]: service, [dotnetAttribute]: '1.0.0.0'}},
		label: 'keyring item of .NET',
		kind: undefined,
		signalPath: join(dataHome, directory, `${cacheName}.nocae`),
		lockPaths: [],
	};
}

/** The item of Java, and of Python before 1.14. It has all of .NET's attributes but one. */
function javaItem({home, cacheName}: LocationSettings): CacheSource {
	return {
		store: 'libsecret',
		at: {schema: 'msal.cache', attributes: {[clientAttribute]: service}, absentAttributes: [dotnetAttribute]},
		label: 'keyring item of Java',
		kind: undefined,
		signalPath: join(home, directory, `${cacheName}.nocae`),
		lockPaths: [],
	};
}

/** The item of keytar, in which MSAL for Node keeps caches of every name. */
function keytarItem({home, cacheName}: LocationSettings): CacheSource {
	return {
		store: 'libsecret',
		at: {schema: 'org.freedesktop.Secret.Generic', attributes: {service, account: 'MSALCache'}},
		label: 'keyring item of Node (keytar)',
		kind: undefined,
		signalPath: join(home, directory, `${cacheName}.nocae`),
		lockPaths: [],
	};
}

/** Go's encrypted file. Its name has no suffix for requests without CAE. */
function goFile({cacheHome, cacheName}: LocationSettings, kind: CacheKind): CacheSource {
	return {...file(join(cacheHome, directory, kind === 'cae' ? `${cacheName}.cae` : cacheName), `.${kind}`), store: 'jwe'};
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
