/** Reads caches for all of their accounts: for lists, and for errors that tell which there are. */

import type {CacheQuery} from '../backend/backend.js';
import type {CacheSource} from '../cache/cache-source.js';
import type {SharedCache} from '../cache/shared-cache.js';
import type {SourceReading} from '../cache/source-reading.js';
import {isStoreDown} from './read-sources.js';

/** Asks for the accounts and refresh tokens of every authority, without secrets: no account has this ID. */
export function overviewQuery(clientId: string, allAccounts = false): CacheQuery {
	return {
		environments: [], clientId, nowSec: 0, homeAccountId: '', allAccounts,
	};
}

/** The sources without repetitions: those of the two kinds overlap. */
export function distinctSources(sources: readonly CacheSource[]): CacheSource[] {
	return [...new Map(sources.map(source => [source.label, source])).values()];
}

/** Reads one source after the other, because a keyring answers one question at a time. Skips the further items of a store that is down. */
export async function readSources(cache: SharedCache, sources: readonly CacheSource[], query: CacheQuery): Promise<SourceReading[]> {
	const readings: SourceReading[] = [];
	for (const source of sources) {
		if (!isStoreDown(source.store, readings)) {
			readings.push(await cache.read(source, query));
		}
	}

	return readings;
}
