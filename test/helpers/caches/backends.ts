/** The backends under test, and a conversion of their results to the oracle's format. */

import type {CacheBackend, CacheQuery, CacheSlice} from '../../../dist/backend/backend.js';
import type {StoreError} from '../../../dist/errors.js';
import {loadNativeBackend} from '../../../dist/backend/native-backend.js';
import {jsBackend} from '../../../dist/backend/js/js-backend.js';
import {type OracleAnswer, sorted} from './oracle.js';

const {backend: nativeBackend, error} = loadNativeBackend();
if (!nativeBackend) {
	throw error ?? new Error('The native addon is not loaded.');
}

export const native: CacheBackend = nativeBackend;
export const backends: readonly CacheBackend[] = [native, jsBackend];

export function toAnswer({sizeBytes, chosenAccount, accountsLeftOut, accounts, refreshTokens, accessTokens, appMetadata}: CacheSlice): OracleAnswer {
	return {
		sizeBytes, chosenAccount, accountsLeftOut, accounts: sorted(accounts), refreshTokens: sorted(refreshTokens), accessTokens: sorted(accessTokens), appMetadata: sorted(appMetadata),
	};
}

/** Returns what a backend finds in these bytes, or its error code. */
export function scan(backend: CacheBackend, bytes: Uint8Array, query: CacheQuery): OracleAnswer {
	try {
		return toAnswer(backend.scan(bytes, query));
	} catch (error_) {
		const {code} = error_ as StoreError;
		if (typeof code !== 'string') {
			throw error_;
		}

		return {code};
	}
}
