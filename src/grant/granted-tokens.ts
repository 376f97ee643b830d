/** The tokens that this process was granted, in memory. They are served even if they are not in the cache yet, or could not be written. */

import type {AccessTokenEntry} from '../backend/backend.js';
import type {CacheKind} from '../cache/cache-source.js';
import {findAccessToken, type TokenCriteria} from '../lookup/select-token.js';
import {BoundedMap} from '../runtime/bounded-map.js';

/** When a token was requested. */
export type RequestTime = {
	/** Grows with each request of this process, even if the clock is set back. */
	order: number;
	/** Unix milliseconds, for the comparison with tokens that others cached. */
	sentMs: number;
};

/** A token that this process was granted. */
export type GrantedToken = AccessTokenEntry & RequestTime & {
	kind: CacheKind;
	source: 'grant';
};

/** A claims challenge that a grant answered. Earlier tokens for the same request are worthless. Has the fields of a token, to be matched like one. */
type Challenge = AccessTokenEntry & RequestTime & {kind: CacheKind};

/** A challenge is remembered for longer than the worthless tokens live. CAE tokens live up to 28 hours. Seconds. */
const challengeLifeSec = 48 * 3600;

/** Most challenges that are remembered. */
const maxChallenges = 100;

/** Most granted tokens in memory. Beyond that, the oldest are dropped. */
const maxGrantedTokens = 1000;

/** Most rotated refresh tokens that are remembered: far more than one account has. */
const maxRotatedTokens = 100;

export class GrantedTokens {
	#granted: GrantedToken[] = [];
	/** In the order of their requests. */
	#challenges: Challenge[] = [];
	#lastOrder = 0;
	/** From each rotated refresh token to its newest descendant. */
	readonly #rotated = new BoundedMap<string, string>(maxRotatedTokens);

	/** Call this when a token is requested. */
	now(): RequestTime {
		return {order: ++this.#lastOrder, sentMs: Date.now()};
	}

	/** Access tokens for requests of one kind. */
	ofKind(kind: CacheKind): GrantedToken[] {
		return this.#granted.filter(token => token.kind === kind);
	}

	/** The last answered challenge to requests like this one. */
	lastChallenge(kind: CacheKind, criteria: TokenCriteria): RequestTime | undefined {
		return this.#challenges.findLast(challenge => challenge.kind === kind && findAccessToken([challenge], criteria) !== undefined);
	}

	/** Call this with a token that answers a claims challenge. */
	// Leaves cachedAt out: after the clock is set back it would lie in the future, and the challenge would no longer match.
	keepChallenge({secret: _secret, cachedAt: _cachedAt, ...token}: GrantedToken): void {
		if (!this.#challenges.some(challenge => replaces(token, challenge) && challenge.order > token.order)) {
			this.#challenges = [
				...this.#challenges.filter(challenge => !replaces(token, challenge)).slice(1 - maxChallenges),
				{...token, secret: '', expiresOn: (token.sentMs / 1000) + challengeLifeSec},
			].toSorted((a, b) => a.order - b.order);
		}
	}

	/** Whether a challenge came after the token was requested, so that the token is worthless. */
	isOutdated(token: GrantedToken): boolean {
		return this.#challenges.some(challenge => replaces(token, challenge) && challenge.order > token.order);
	}

	/** The newest descendant of a cached refresh token that this process knows. */
	currentRefreshToken(refreshToken: string): string {
		return this.#rotated.get(refreshToken) ?? refreshToken;
	}

	/** The refresh tokens that this one replaced, as far as this process knows. */
	ancestorsOf(refreshToken: string): string[] {
		return [...this.#rotated].filter(([, newest]) => newest === refreshToken).map(([cached]) => cached);
	}

	/**
	 * @param refreshToken The refresh token that was redeemed.
	 * @param newRefreshToken The refresh token that replaces it, if the authority rotated it.
	 */
	keep(accessToken: GrantedToken, refreshToken: string, newRefreshToken: string | undefined): void {
		const nowSec = Date.now() / 1000;
		// Of two concurrent requests, the older one may be answered last.
		if (!this.#granted.some(token => replaces(accessToken, token) && token.order > accessToken.order)) {
			this.#granted = [
				...this.#granted.filter(token => token.expiresOn > nowSec && !replaces(accessToken, token)).slice(1 - maxGrantedTokens),
				accessToken,
			];
		}

		if (newRefreshToken && newRefreshToken !== refreshToken) {
			// The cache may hold any ancestor, because not every rotation could be written.
			for (const ancestor of [refreshToken, ...this.ancestorsOf(refreshToken)]) {
				this.#rotated.set(ancestor, newRefreshToken);
			}
		}
	}
}

/** Two tokens with the same fields here replace each other. */
type Slot = Omit<AccessTokenEntry, 'secret'> & {kind: CacheKind};

function replaces(token: Slot, other: Slot): boolean {
	return token.kind === other.kind
		&& token.homeAccountId === other.homeAccountId
		&& token.environment === other.environment
		&& token.realm === other.realm
		&& token.target === other.target;
}
