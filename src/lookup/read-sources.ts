/** Reading several sources in turn. */

import type {CacheQuery} from '../backend/backend.js';
import type {StoreName} from '../backend/stores.js';
import type {CacheSource} from '../cache/cache-source.js';
import type {SharedCache} from '../cache/shared-cache.js';
import type {SourceReading} from '../cache/source-reading.js';
import type {ErrorCode} from '../errors.js';

/** The store itself does not answer, so none of its items will. */
const storeDownCodes: ReadonlySet<ErrorCode> = new Set(['STC_STORE_UNAVAILABLE', 'STC_STORE_TIMEOUT', 'STC_ADDON_MISSING']);

export function isDownCode(code: ErrorCode): boolean {
	return storeDownCodes.has(code);
}

/** Whether a reading showed that a store is missing or stalls. */
export function isStoreDown(store: StoreName, readings: readonly SourceReading[]): boolean {
	return readings.some(({source, error}) => source.store === store && error !== undefined && isDownCode(error.code));
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

/** Other libraries write an empty file or `{}` beside a keyring item to signal a change. Bytes. */
export const leastContentBytes = 2;

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
