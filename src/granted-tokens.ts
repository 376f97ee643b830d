/** What the grants of this process brought, kept in memory: served although the cache could not be written, or not yet. */

import type {AccessTokenEntry} from './backend.js';
import type {CacheKind} from './locations.js';

/** A token that a grant of this process brought. */
export type GrantedToken = AccessTokenEntry & {kind: CacheKind; source: 'grant'};

/** Granted tokens kept in memory at the most; the oldest go first. */
const maxGrantedTokens = 1000;

/** Rotated refresh tokens remembered at the most: far more than one account has. */
const maxRotatedTokens = 100;

export class GrantedTokens {
	#granted: GrantedToken[] = [];
	/** Refresh tokens that grants of this process rotated: the cached one to its newest descendant. */
	readonly #rotated = new Map<string, string>();

	/** Access tokens for requests of one kind. */
	ofKind(kind: CacheKind): GrantedToken[] {
		return this.#granted.filter(token => token.kind === kind);
	}

	/** The newest descendant of a cached refresh token, as far as this process knows. */
	currentRefreshToken(secret: string): string {
		return this.#rotated.get(secret) ?? secret;
	}

	/**
	 * @param sent The refresh token that was redeemed.
	 * @param received The one that replaces it, where the authority rotated it.
	 */
	keep(accessToken: GrantedToken, sent: string, received: string | undefined): void {
		const nowSec = Date.now() / 1000;
		this.#granted = [
			...this.#granted.filter(token => token.expiresOn > nowSec && !replaces(accessToken, token)).slice(1 - maxGrantedTokens),
			accessToken,
		];
		if (received && received !== sent) {
			const [cached] = [...this.#rotated].find(([, current]) => current === sent) ?? [sent];
			this.#rotated.delete(cached);
			this.#rotated.set(cached, received);
			if (this.#rotated.size > maxRotatedTokens) {
				const [oldest] = this.#rotated.keys();
				this.#rotated.delete(oldest ?? '');
			}
		}
	}
}

function replaces(token: GrantedToken, other: GrantedToken): boolean {
	return token.kind === other.kind
		&& token.homeAccountId === other.homeAccountId
		&& token.environment === other.environment
		&& token.realm === other.realm
		&& token.target === other.target;
}
