/** Internal: the authority refused one refresh token. Callers get one of the public errors once all refresh tokens are refused. */

import type {ErrorResponse} from '../errors.js';

/**
 * Who has to do what. `sign-in`: the user, again. `consent`: the user or an administrator, for these scopes. `policy`: the user, with more
 * proof, or from another device. `access`: an administrator, who assigns users to the application. `tenant`: nobody; the account is unknown
 * there. `client`: the developer; this client may not redeem it.
 */
export type RefusalReason = 'sign-in' | 'consent' | 'policy' | 'access' | 'tenant' | 'client';

/** Repeating the request does not help. Another refresh token may still be accepted. */
export class GrantRefusal extends Error {
	override readonly name = 'GrantRefusal';
	/** Whether the refresh token will never be accepted again, for any request. */
	readonly isTokenDead: boolean;
	readonly reason: RefusalReason;
	/** The id of the request in the authority's logs. */
	readonly correlationId: string | undefined;
	/** The time that the authority asked to wait, milliseconds. */
	readonly retryAfterMs: number | undefined;

	constructor(
		message: string,
		readonly errorResponse: ErrorResponse,
		{isTokenDead, reason, correlationId, retryAfterMs}: {isTokenDead: boolean; reason: RefusalReason; correlationId?: string | undefined; retryAfterMs?: number | undefined},
	) {
		super(message);
		this.isTokenDead = isTokenDead;
		this.reason = reason;
		this.correlationId = correlationId;
		this.retryAfterMs = retryAfterMs;
	}
}
