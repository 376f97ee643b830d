/** What reading a source gives. */

import type {CacheSlice} from '../backend/backend.js';
import type {StoreError} from '../errors.js';
import type {CacheSource} from './cache-source.js';

/**
 * A stamp of a source's store and signal file. Equal for two looks at an unchanged source. `readable: false`: the look failed with the
 * error code in `value`, so the source may have changed or not.
 */
export type SourceStamp = {value: string; readable: boolean};

/** A reading of one source: either `slice`, which is `null` if there is no such cache, or `error`. */
export type SourceReading = {
	source: CacheSource;
	slice: CacheSlice | null;
	error: StoreError | undefined;
	/** What `SharedCache.stamp` returned just before the reading, or would have. */
	stamp: SourceStamp;
};
