/**
 * Where the shared caches of a user are. Every library keeps them in places of its choice; this folder is the one list of those places.
 *
 * Sources: azure-identity for Python 1.26 (`_persistent_cache.py`), Azure.Identity for .NET 1.15 (`Constants.cs`), azure-identity
 * for Java (`PersistentTokenCacheImpl.java`), `@azure/identity-cache-persistence` 1.2.0, Git Credential Manager
 * (`MicrosoftAuthentication.cs`).
 */

import type {CacheKind, CacheSources, LocationSettings} from '../cache-source.js';
import {linuxSources} from './linux.js';
import {macosSources} from './macos.js';
import {windowsSources} from './windows.js';

/** The sources of a credential or cache with these settings, for requests of one kind. */
export function sourcesOf(settings: LocationSettings, kind: CacheKind): CacheSources {
	return cacheSources(kind, {...settings, platform: process.platform});
}

/** @returns the sources for a request of one kind; none on a platform without a shared cache. */
export function cacheSources(kind: CacheKind, settings: LocationSettings & {platform: NodeJS.Platform}): CacheSources {
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
