/** What the grants of this process brought, kept in memory: served although the cache could not be written, or not yet. */

import type {AccessTokenEntry} from '../backend/backend.js';
import type {CacheKind} from '../cache/cache-source.js';
import {findAccessToken, type TokenCriteria} from '../lookup/select-token.js';
import {BoundedMap} from '../runtime/bounded-map.js';

/** When a token was asked for. */
export type RequestTime = {
	/** Grows with each request of this process, whatever is done to its clock. */
	order: number;
	/** Unix milliseconds: to be compared with what others cached. */
	sentMs: number;
};

/** A token that a grant of this process brought. */
export type GrantedToken = AccessTokenEntry & RequestTime & {
	kind: CacheKind;
	source: 'grant';
};

/** A challenge that a grant answered: tokens that were asked for before it are worthless. As an entry, so that it is matched like one. */
type Challenge = AccessTokenEntry & RequestTime & {kind: CacheKind};

/** A challenge outlives the tokens that it made worthless: those of continuous access evaluation live up to 28 hours. Seconds. */
const challengeLifeSec = 48 * 3600;

/** Challenges remembered at the most. */
const maxChallenges = 100;

/** Granted tokens kept in memory at the most; the oldest go first. */
const maxGrantedTokens = 1000;

/** Rotated refresh tokens remembered at the most: far more than one account has. */
const maxRotatedTokens = 100;

export class GrantedTokens {
	#granted: GrantedToken[] = [];
	/** In the order in which they were asked for. */
	#challenges: Challenge[] = [];
	#lastOrder = 0;
	/** Refresh tokens that grants of this process rotated: the cached one to its newest descendant. */
	readonly #rotated = new BoundedMap<string, string>(maxRotatedTokens);

	/** To be called when a token is asked for. */
	now(): RequestTime {
		return {order: ++this.#lastOrder, sentMs: Date.now()};
	}

	/** Access tokens for requests of one kind. */
	ofKind(kind: CacheKind): GrantedToken[] {
		return this.#granted.filter(token => token.kind === kind);
	}

	/** The last challenge, of those that have been answered, to a request such as this. */
	lastChallenge(kind: CacheKind, criteria: TokenCriteria): RequestTime | undefined {
		return this.#challenges.findLast(challenge => challenge.kind === kind && findAccessToken([challenge], criteria) !== undefined);
	}

	/** To be called with what answers a claims challenge. */
	// Without the time by which a token from a clock that was set back since would not count.
	keepChallenge({secret: _secret, cachedAt: _cachedAt, ...token}: GrantedToken): void {
		if (!this.#challenges.some(challenge => replaces(token, challenge) && challenge.order > token.order)) {
			this.#challenges = [
				...this.#challenges.filter(challenge => !replaces(token, challenge)).slice(1 - maxChallenges),
				{...token, secret: '', expiresOn: (token.sentMs / 1000) + challengeLifeSec},
			].toSorted((a, b) => a.order - b.order);
		}
	}

	/** Whether a token answers a request that was sent before a challenge, and so is worthless by now. */
	isOutdated(token: GrantedToken): boolean {
		return this.#challenges.some(challenge => replaces(token, challenge) && challenge.order > token.order);
	}

	/** The newest descendant of a cached refresh token, as far as this process knows. */
	currentRefreshToken(refreshToken: string): string {
		return this.#rotated.get(refreshToken) ?? refreshToken;
	}

	/**
	 * @param refreshToken The refresh token that was redeemed.
	 * @param newRefreshToken The refresh token that replaces it, if the authority rotated it.
	 */
	keep(accessToken: GrantedToken, refreshToken: string, newRefreshToken: string | undefined): void {
		const nowSec = Date.now() / 1000;
		// Of two requests under way at once the older one may be answered last.
		if (!this.#granted.some(token => replaces(accessToken, token) && token.order > accessToken.order)) {
			this.#granted = [
				...this.#granted.filter(token => token.expiresOn > nowSec && !replaces(accessToken, token)).slice(1 - maxGrantedTokens),
				accessToken,
			];
		}

		if (newRefreshToken && newRefreshToken !== refreshToken) {
			// The cache may hold any of its ancestors, for not every one of them could be written.
			for (const ancestor of [refreshToken, ...[...this.#rotated].filter(([, newest]) => newest === refreshToken).map(([cached]) => cached)]) {
				this.#rotated.set(ancestor, newRefreshToken);
			}
		}
	}
}

type Slot = Omit<AccessTokenEntry, 'secret'> & {kind: CacheKind};

function replaces(token: Slot, other: Slot): boolean {
	return token.kind === other.kind
		&& token.homeAccountId === other.homeAccountId
		&& token.environment === other.environment
		&& token.realm === other.realm
		&& token.target === other.target;
}
