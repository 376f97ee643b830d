/** What the authority refused, so that it is not asked again. Refusals belong to the refresh token that was sent, and not to the account. */

import {createHash} from 'node:crypto';
import type {AuthenticationError} from '../errors.js';
import {BoundedMap} from '../runtime/bounded-map.js';
import {GrantRefusal} from './grant-refusal.js';

/**
 * Retry a request that the user could have satisfied after this long, milliseconds: an administrator may have changed a policy, which no
 * cache would show. Source: MSAL for .NET, `UiRequiredProvider`.
 */
const userRefusedMs = 120_000;

/**
 * Retry any other refused request after this long, milliseconds. Entra answers a client that repeats a refused request with AADSTS50196.
 * Source: MSAL for Python 1.39, `throttled_http_client.py`: a 400 is repeated after 60 s.
 */
const requestRefusedMs = 60_000;

/** Most refusals that are remembered: a caller may send different claims each time. */
const maxRefused = 100;

/** An answer that a repetition would get again. */
export type DefiniteAnswer = GrantRefusal | AuthenticationError;

/** The request in which a refresh token was sent. */
export type RefusalKeys = {
	/** The refresh token, as a hash: memory and notes hold no refresh tokens for this. */
	token: string;
	/** The refresh token and what was asked for. */
	request: string;
};

export class Refusals {
	readonly #refused = new BoundedMap<string, {answer: DefiniteAnswer; untilMs: number}>(maxRefused);

	/** @param request What makes two requests with one refresh token equal. */
	keysOf(refreshToken: string, request: readonly string[]): RefusalKeys {
		const token = hash(refreshToken);
		return {token, request: hash(JSON.stringify([token, ...request]))};
	}

	/** @param ancestors The refresh tokens of the same sign-in that this one has replaced. What a tenant or policy refused them, it refuses this one. */
	answerTo({token, request}: RefusalKeys, ancestors: readonly RefusalKeys[]): DefiniteAnswer | undefined {
		return this.#get(token) ?? this.#get(request) ?? ancestors.map(keys => this.#get(keys.request)).find(answer => answer && !concernsSignIn(answer));
	}

	/** @returns the key under which the answer is remembered. */
	remember({token, request}: RefusalKeys, answer: DefiniteAnswer): string {
		const key = answer instanceof GrantRefusal && answer.isTokenDead ? token : request;
		this.add(key, answer);
		return key;
	}

	/** Remembers the answer to another process. */
	add(key: string, answer: DefiniteAnswer): void {
		this.#refused.set(key, {answer, untilMs: answer instanceof GrantRefusal && answer.isTokenDead ? Number.POSITIVE_INFINITY : performance.now() + lifeMs(answer)});
	}

	/** Call this when the cache has changed: what was refused may be granted now. */
	clear(): void {
		this.#refused.clear();
	}

	#get(key: string): DefiniteAnswer | undefined {
		const refused = this.#refused.get(key);
		return refused && refused.untilMs > performance.now() ? refused.answer : undefined;
	}
}

/**
 * AADSTS number that says no more than that the grant failed, also where another process has used the refresh token. Source: Microsoft
 * identity platform, "Microsoft Entra authentication and authorization error codes".
 */
const invalidGrantCode = 70_000;

/** Whether the next refresh token may be accepted. An AADSTS number that is not known here concerns the request (`isRefreshTokenDead`). */
function concernsSignIn(answer: DefiniteAnswer): boolean {
	if (!(answer instanceof GrantRefusal) || answer.reason !== 'sign-in') {
		return false;
	}

	const {errorCodes = []} = answer.errorResponse;
	return answer.isTokenDead || errorCodes.every(code => code === invalidGrantCode);
}

function lifeMs(answer: DefiniteAnswer): number {
	if (!(answer instanceof GrantRefusal)) {
		return requestRefusedMs;
	}

	return answer.retryAfterMs ?? (answer.reason === 'client' ? requestRefusedMs : userRefusedMs);
}

/** HTTP statuses below 500 that say nothing about the request itself: time-outs, throttling, and the proxy's own. */
const passingStatuses: ReadonlySet<number> = new Set([407, 408, 425, 429]);

/** Whether the authority would answer a repetition with the same refusal. It says so itself if it tells when to ask again. */
export function isDefinite({statusCode, retryAfterInMs}: AuthenticationError): boolean {
	return statusCode >= 400 && statusCode < 500 && !passingStatuses.has(statusCode) && retryAfterInMs === undefined;
}

function hash(text: string): string {
	return createHash('sha256').update(text).digest('base64');
}
