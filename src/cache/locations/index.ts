/**
 * Where the shared caches of a user are. Every library keeps them in places of its choice; this folder is the one list of those places.
 *
 * Sources: azure-identity for Python 1.26 (`_persistent_cache.py`), Azure.Identity for .NET 1.15 (`Constants.cs`), azure-identity
 * for Java (`PersistentTokenCacheImpl.java`), `@azure/identity-cache-persistence` 1.2.0, Git Credential Manager
 * (`MicrosoftAuthentication.cs`).
 */

import {StoreError} from '../../errors.js';
import type {CacheKind, CacheSources, LocationSettings} from '../cache-source.js';
import {linuxSources} from './linux.js';
import {macosSources} from './macos.js';
import {windowsSources} from './windows.js';

/** The sources of a credential or cache with these settings, for requests of one kind. */
export function sourcesOf(settings: LocationSettings, kind: CacheKind): CacheSources {
	return cacheSources(kind, {...settings, platform: process.platform});
}

/**
 * @returns the sources for a request of one kind; none on a platform without a shared cache.
 * @throws {StoreError} `STC_CACHE_NOT_FOUND` if the home directory is not known.
 */
export function cacheSources(kind: CacheKind, settings: LocationSettings & {platform: NodeJS.Platform}): CacheSources {
	// On Windows, the caches are in another folder.
	if (settings.homeProblem !== undefined && settings.localAppData === undefined) {
		const variable = settings.platform === 'win32' ? 'USERPROFILE' : 'HOME';
		throw new StoreError('STC_CACHE_NOT_FOUND', `the home directory, in which caches are, is not known: ${settings.homeProblem}. Set ${variable} to the home directory of the user who signed in.`, {op: 'homedir'});
	}

	switch (settings.platform) {
		case 'linux': {
			return linuxSources(kind, settings);
		}

		case 'darwin': {
			return macosSources(kind, settings);
		}

		case 'win32': {
			return windowsSources(kind, settings);
		}

		default: {
			return {primary: [], extra: []};
		}
	}
}
