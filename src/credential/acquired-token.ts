/** What a record of the cache, or of the tokens that were granted, says about the token that is served from it. */

import type {AccessTokenEntry} from '../backend/backend.js';
import {clockSkewSec} from '../lookup/select-token.js';
import type {AcquiredToken, ReplacedToken} from '../lookup/token-request.js';

/** @param generation See {@link AcquiredToken}. */
export function toAcquired(entry: AccessTokenEntry, generation: number): AcquiredToken {
	const skewSec = clockSkewSec(entry, Math.floor(Date.now() / 1000));
	return {
		token: entry.secret,
		expiresOnSec: entry.expiresOn - skewSec,
		refreshOnSec: entry.refreshOn && entry.refreshOn - skewSec,
		issuedSec: entry.cachedAt && entry.cachedAt - skewSec,
		isLastResort: false,
		generation,
	};
}

/** A token that is `replaced` does not, although its times read differently once the clock that wrote them is no longer ahead. */
export function livesLonger(entry: AccessTokenEntry, replaced: ReplacedToken): boolean {
	return entry.secret !== replaced.token && entry.expiresOn - clockSkewSec(entry, Math.floor(Date.now() / 1000)) > replaced.expiresOnSec;
}
