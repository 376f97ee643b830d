/** The places where an account may be that is not in the primary sources: those of single languages, and of the other kind of request. */

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
} from './locations/index.js';

export function macosExtra(kind: CacheKind, settings: LocationSettings): CacheSource[] {
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

export function linuxExtra(kind: CacheKind, settings: LocationSettings): CacheSource[] {
	const others = otherSuffixes(kind);
	return [
		...others.map(other => plaintext(settings, other)),
		pythonItem(settings, `.${otherKind(kind)}`),
		dotnetItem(settings),
		...[`.${kind}`, ...others].map(each => dotnetPlaintext(settings, each)),
		javaItem(settings),
		keytarItem(settings),
		gcmPlaintext(settings),
		goFile(settings, kind),
		goFile(settings, otherKind(kind)),
	];
}

function dotnetKeychainItem(settings: LocationSettings, suffix: string): CacheSource {
	const name = settings.cacheName + suffix;
	return keychainItem(service, name, `Keychain item of .NET (${name})`, kindOf(suffix), settings);
}

function javaKeychainItem(settings: LocationSettings, kind: CacheKind): CacheSource {
	return keychainItem(service, `${keychainAccount}.${kind}`, `Keychain item of Java (${kind})`, kind, settings);
}

/** Go has service and account the other way round. */
function goKeychainItem(settings: LocationSettings, suffix: string): CacheSource {
	const name = settings.cacheName + suffix;
	return keychainItem(name, keychainAccount, `Keychain item of Go (${name})`, kindOf(suffix), settings);
}

function dotnetPlaintext({dataHome, cacheName}: LocationSettings, suffix: string): CacheSource {
	return file(join(dataHome, directory, cacheName + suffix), suffix);
}

function gcmPlaintext({home}: LocationSettings): CacheSource {
	return file(gcmFile(home), noSuffix);
}

/** Go's encrypted file, whose name has no suffix for requests without CAE. */
function goFile({cacheHome, cacheName}: LocationSettings, kind: CacheKind): CacheSource {
	return {...file(join(cacheHome, directory, kind === 'cae' ? `${cacheName}.cae` : cacheName), `.${kind}`), store: 'jwe'};
}

/** .NET keeps all its caches, of whatever name and kind, in one item. */
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

/** Java's item, and Python's before 1.14: the attributes of .NET's less one. */
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

/** keytar's item, which Node's MSAL uses for every cache. */
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
