/** The caches on Windows: files that DPAPI encrypts, shared by .NET, Visual Studio, Azure PowerShell, Python, Node, Java and Go. */

import {join} from 'node:path';
import {localAppData} from '../../backend/addon-loader.js';
import {
	type CacheKind, type CacheSource, type CacheSources, directory, type LocationSettings, otherSuffixes, sharedFile,
} from '../cache-source.js';

export function windowsSources(kind: CacheKind, settings: LocationSettings): CacheSources {
	// Python and MSAL for Node use the variable, .NET uses the known folder. They differ only if a user changed the variable.
	const folder = settings.localAppData ?? localAppData() ?? join(settings.home, 'AppData', 'Local');
	const dpapiFile = (suffix: string): CacheSource => ({...sharedFile(join(folder, directory, settings.cacheName + suffix), suffix), store: 'dpapi'});
	return {primary: [dpapiFile(`.${kind}`)], extra: otherSuffixes(kind).map(suffix => dpapiFile(suffix))};
}
