/** The caches on macOS: items of the Keychain, and plaintext files. */

import {join} from 'node:path';
import {requireLazily} from '../../runtime/lazy.js';
import {
	type CacheKind, type CacheSource, type CacheSources, defaultCacheName, directory, gcmFile, keychainAccount, keychainItem, type LocationSettings, lockPathOf, plaintext, service,
} from '../cache-source.js';

export function macosSources(kind: CacheKind, settings: LocationSettings): CacheSources {
	return {
		primary: [sharedKeychainItem(kind, settings), plaintext(settings, `.${kind}`)],
		// Not loaded until it is read: most processes find their account in the primary sources.
		get extra() {
			const {furtherMacosSources} = requireLazily(() => require('./further.js') as typeof import('./further.js'));
			return furtherMacosSources(kind, settings);
		},
	};
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
