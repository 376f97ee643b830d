/** Shared input of the measurements. */

import {
	prepareLargestCache, type SizedCache, type SizeName,
} from '../caches.js';

/** Versions as in bench/package.json. */
export const peerNames = {
	'msal-node': 'msal-node 7.2.1 + extensions 5.6.0',
	identity: '@azure/identity 4.13.1 + cache-persistence 1.2.0',
} as const;

export type Options = {
	isExplained: boolean;
	/** Also runs measurements that need a file of one gigabyte. */
	largeFiles: boolean;
};

export class Prepared {
	/** For temporary files of a measurement. */
	readonly directory: string;
	readonly caches: Record<SizeName, SizedCache>;
	readonly options: Options;
	#largest: SizedCache | undefined;

	constructor(directory: string, caches: Record<SizeName, SizedCache>, options: Options) {
		this.directory = directory;
		this.caches = caches;
		this.options = options;
	}

	/** Created on first use, because it takes 5 s. */
	get largest(): SizedCache {
		this.#largest ??= prepareLargestCache(this.directory);
		return this.#largest;
	}
}

/** The account in the middle of a cache, as a job for `programs/clients.mjs`. */
export function jobOf({path, query, tenantId, username, scope}: SizedCache) {
	return {
		cachePath: path, clientId: query.clientId, homeAccountId: query.homeAccountId, tenantId, username, scope,
	};
}
