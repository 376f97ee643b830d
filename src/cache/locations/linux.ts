/** The caches on Linux: items of the Secret Service, plaintext files, and Go's encrypted files. */

import {join} from 'node:path';
import {
	type CacheKind,
	type CacheSource,
	type CacheSources,
	clientAttribute,
	directory,
	dotnetAttribute,
	dotnetPlaintext,
	file,
	gcmPlaintext,
	type LocationSettings,
	lockPathOf,
	otherKind,
	otherSuffixes,
	plaintext,
	service,
} from '../cache-source.js';

export function linuxSources(kind: CacheKind, settings: LocationSettings): CacheSources {
	return {
		primary: [pythonItem(settings, kind), plaintext(settings, `.${kind}`)],
		// Not made until it is read: most processes find their account in the primary sources.
		get extra() {
			return extraSources(kind, settings);
		},
	};
}

function extraSources(kind: CacheKind, settings: LocationSettings): CacheSource[] {
	const others = otherSuffixes(kind);
	return [
		...others.map(other => plaintext(settings, other)),
		pythonItem(settings, otherKind(kind)),
		dotnetItem(settings),
		...[`.${kind}`, ...others].map(each => dotnetPlaintext(settings, each)),
		javaItem(settings),
		keytarItem(settings),
		gcmPlaintext(settings),
		goFile(settings, kind),
		goFile(settings, otherKind(kind)),
	];
}

/** Python names the item's schema after the cache file. */
function pythonItem({home, cacheName}: LocationSettings, kind: CacheKind): CacheSource {
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
