/** The token object that callers get. */

import type {AccessToken} from '../types.js';

/**
 * Its fields are ordinary own properties, so spreading and JSON work as with any `AccessToken`. `util.inspect` does not show the secret, also
 * inside another object.
 */
class IssuedAccessToken implements AccessToken {
	readonly tokenType = 'Bearer';
	declare readonly refreshAfterTimestamp?: number;

	constructor(readonly token: string, readonly expiresOnTimestamp: number, refreshAfterTimestamp: number | undefined) {
		if (refreshAfterTimestamp !== undefined) {
			this.refreshAfterTimestamp = refreshAfterTimestamp;
		}

		Object.freeze(this);
	}

	// By the symbol's registered name: importing node:util for it would cost start-up time.
	[Symbol.for('nodejs.util.inspect.custom')](): object {
		return {...this, token: '[hidden]'};
	}
}

/**
 * @param expiresOnMs Unix milliseconds.
 * @param refreshOnMs Unix milliseconds, if known.
 */
export function issueAccessToken(token: string, expiresOnMs: number, refreshOnMs?: number): AccessToken {
	return new IssuedAccessToken(token, expiresOnMs, refreshOnMs);
}
