/** What a reading says about its store. */

import type {StoreName} from '../backend/stores.js';
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

/** Other libraries write an empty file or `{}` beside a keyring item to signal a change. Bytes. */
export const leastContentBytes = 2;
