/** The caches on Linux: items of the Secret Service, plaintext files, and Go's encrypted files. */

import {requireLazily} from '../../runtime/lazy.js';
import {
	type CacheKind, type CacheSources, type LocationSettings, plaintext, pythonItem,
} from '../cache-source.js';

export function linuxSources(kind: CacheKind, settings: LocationSettings): CacheSources {
	return {
		primary: [pythonItem(settings, kind), plaintext(settings, `.${kind}`)],
		// Not loaded until it is read: most processes find their account in the primary sources.
		get extra() {
			const {furtherLinuxSources} = requireLazily(() => require('./further.js') as typeof import('./further.js'));
			return furtherLinuxSources(kind, settings);
		},
	};
}
