/** What a token endpoint answered, and what follows from it. Pure: no network, no clock. */

import type {ErrorResponse} from '../errors.js';
import {type JsonObject, parseJsonObject} from '../runtime/json.js';

/** A successful answer, checked. */
export type TokenResponse = {
	accessToken: string;
	/** Unix seconds. */
	expiresOnSec: number;
	/** Unix seconds. */
	refreshOnSec?: number;
	/** Scopes that the token carries, space-separated, as the authority names them. */
	scope?: string;
	refreshToken?: string;
	/** `1` where the refresh token belongs to the family of Microsoft's clients. */
	familyId?: string;
	/** Tenant that issued the token. */
	tenantId?: string;
	/** How long the token may be served while the authority is down, Unix seconds. */
	extendedExpiresOnSec?: number;
	/** As sent, for the cache. */
	idToken?: string;
	/** The user in the issuing tenant, where the id token tells. */
	localAccountId?: string;
	username?: string;
	/** As sent, for the cache. */
	clientInfo?: string;
	/** `<uid>.<utid>` of the account that the token is for. */
	homeAccountId?: string;
};

/** No token lives longer than a day or so. What comes out of a mistaken number must not stay in a cache for ever. Seconds. */
const longestLifeSec = 10 * 365 * 86_400;

/**
 * @param sentSec When the request was sent, Unix seconds; `expires_in` counts from there, so that a slow answer is not trusted too long.
 * @returns what is wrong, in words, where the answer cannot be used.
 */
export function readTokenResponse(json: JsonObject, sentSec: number): TokenResponse | string {
	const accessToken = json['access_token'];
	if (typeof accessToken !== 'string' || accessToken === '') {
		return 'it has no access_token';
	}

	// A line break in a token would end the Authorization header that it is put into.
	if (/[^\u0021-\u007E]/.test(accessToken)) {
		return 'its access_token has characters that no token has';
	}

	const tokenType = json['token_type'];
	if (tokenType !== undefined && (typeof tokenType !== 'string' || tokenType.toLowerCase() !== 'bearer')) {
		return 'its token_type is not Bearer';
	}

	const expiresIn = readSeconds(json['expires_in']);
	const expiresOnSec = expiresIn === undefined ? readSeconds(json['expires_on']) : sentSec + expiresIn;
	if (expiresOnSec === undefined) {
		return 'it has neither expires_in nor expires_on';
	}

	if (expiresOnSec <= sentSec) {
		return 'its expiry is not ahead';
	}

	if (expiresOnSec > sentSec + longestLifeSec) {
		return 'its expiry is more than ten years ahead';
	}

	const response: TokenResponse = {accessToken, expiresOnSec};
	const refreshIn = readSeconds(json['refresh_in']);
	if (refreshIn !== undefined) {
		response.refreshOnSec = Math.min(sentSec + refreshIn, expiresOnSec);
	}

	if (typeof json['scope'] === 'string') {
		response.scope = json['scope'];
	}

	const refreshToken = readText(json, 'refresh_token');
	if (refreshToken !== undefined) {
		response.refreshToken = refreshToken;
	}

	const familyId = readText(json, 'foci');
	if (familyId !== undefined) {
		response.familyId = familyId;
	}

	const extendedIn = readSeconds(json['ext_expires_in']);
	if (extendedIn !== undefined && extendedIn <= longestLifeSec) {
		response.extendedExpiresOnSec = sentSec + extendedIn;
	}

	readIdToken(json['id_token'], response);
	const clientInfo = typeof json['client_info'] === 'string' ? decodeBase64UrlJson(json['client_info']) : undefined;
	if (typeof clientInfo?.['uid'] === 'string' && typeof clientInfo['utid'] === 'string') {
		response.clientInfo = json['client_info'] as string;
		response.homeAccountId = `${clientInfo['uid']}.${clientInfo['utid']}`;
	}

	return response;
}

/** Source: Microsoft identity platform, "ID token claims"; `upn` comes in tokens of version 1 and from AD FS. */
function readIdToken(idToken: unknown, response: TokenResponse): void {
	const claims = decodeIdToken(idToken);
	if (!claims) {
		return;
	}

	const localAccountId = readText(claims, 'oid') ?? readText(claims, 'sub');
	if (localAccountId !== undefined) {
		// One that is about nobody is of no use to anybody.
		response.idToken = idToken as string;
		response.localAccountId = localAccountId;
	}

	const tenantId = readText(claims, 'tid');
	if (tenantId !== undefined) {
		response.tenantId = tenantId;
	}

	const username = readText(claims, 'preferred_username') ?? readText(claims, 'upn');
	if (username !== undefined) {
		response.username = username;
	}
}

function readText(object: JsonObject, name: string): string | undefined {
	const value = object[name];
	return typeof value === 'string' && value !== '' ? value : undefined;
}

/**
 * Reads an OAuth error, with everything that might be a secret or end a line taken out.
 *
 * @param refreshToken What the request carried, if it carried one.
 */
export function readErrorResponse(json: JsonObject, refreshToken: string | undefined): ErrorResponse | undefined {
	if (typeof json['error'] !== 'string') {
		return undefined;
	}

	const text = (name: string) => typeof json[name] === 'string' ? sanitize(json[name], refreshToken) : undefined;
	const errorCodes = Array.isArray(json['error_codes'])
		? json['error_codes'].filter((code): code is number => Number.isSafeInteger(code))
		: undefined;
	const response: ErrorResponse = {
		error: sanitize(json['error'], refreshToken),
		errorDescription: text('error_description') ?? '',
	};
	return Object.assign(response, definedOnly({
		errorCodes,
		timestamp: text('timestamp'),
		traceId: text('trace_id'),
		correlationId: text('correlation_id'),
		suberror: text('suberror') || undefined,
	}));
}

/**
 * Errors that end with the user: signing in again, consenting or proving more helps, asking again does not.
 * Source: Microsoft identity platform, "Handling errors and exceptions in MSAL"; OpenID Connect Core 1.0, 3.1.2.6.
 */
const userErrors: ReadonlySet<string> = new Set(['invalid_grant', 'interaction_required', 'login_required', 'consent_required']);

export function needsUser(response: ErrorResponse): boolean {
	return userErrors.has(response.error);
}

/** Suberrors of `invalid_grant` that are about the refresh token itself. Source: MSAL for .NET, `MsalError`; MSAL for Node, `InteractionRequiredAuthError`. */
const deadSuberrors: ReadonlySet<string> = new Set(['bad_token', 'token_expired']);

/**
 * The same where there is no suberror: expired, revoked, or older than a change of the password. 70000 is not among them: with it a
 * consumer's refresh token is refused for scopes that were not consented to. Source: Microsoft identity platform, "Microsoft
 * Entra authentication and authorization error codes"; 700081, of the longest life: MSAL for JS, its tests.
 */
const deadErrorCodes: ReadonlySet<number> = new Set([50_132, 50_133, 50_173, 70_008, 700_081, 700_082, 700_084]);

/**
 * Whether the refresh token itself is dead, so that it need not be sent again for anything. Every other refusal, unknown ones
 * included, is about the tenant or the scopes that were asked for: the user is not in that tenant, has to do more for that
 * resource, or has not consented. Taken for a dead token, it would end the sign-in for all others.
 */
export function isRefreshTokenDead({error, suberror, errorCodes}: ErrorResponse): boolean {
	return error === 'invalid_grant' && (deadSuberrors.has(suberror ?? '') || (errorCodes ?? []).some(code => deadErrorCodes.has(code)));
}

/** The AADSTS number with its name, as people look it up, or the OAuth error. */
export function describeErrorResponse({error, errorCodes, errorDescription, suberror}: ErrorResponse): string {
	const code = /^AADSTS\d+/.exec(errorDescription)?.[0] ?? (errorCodes?.[0] === undefined ? undefined : `AADSTS${errorCodes[0]}`);
	const sentence = errorDescription.replace(/^AADSTS\d+:\s*/, '').replace(/\s*(?:Trace ID|Correlation ID|Timestamp):.*$/s, '').slice(0, 300);
	return `${error}${suberror ? ` (${suberror})` : ''}${code ? `, ${code}` : ''}${sentence ? `: ${sentence}` : ''}`;
}

/**
 * Reads `Retry-After` in its two forms, and Azure's finer ones. A date counts from the answer's own, where it has one: the
 * authority's clock may not be ours.
 *
 * @returns milliseconds to wait, or `undefined` where the header is missing or makes no sense.
 */
export function readRetryAfterMs(header: (name: string) => string | undefined, nowMs: number): number | undefined {
	for (const name of ['retry-after-ms', 'x-ms-retry-after-ms']) {
		const value = header(name);
		if (value !== undefined && /^\d{1,10}$/.test(value)) {
			return Number(value);
		}
	}

	const value = header('retry-after')?.trim() ?? '';
	if (/^\d{1,7}$/.test(value)) {
		return Number(value) * 1000;
	}

	const untilMs = readHttpDateMs(value);
	return untilMs === undefined ? undefined : Math.max(0, untilMs - (readHttpDateMs(header('date') ?? '') ?? nowMs));
}

/** The one form of a date that is sent today: `Date.parse` takes "-5" and "5, 10" for dates, too. Source: RFC 9110, 5.6.7, IMF-fixdate. */
function readHttpDateMs(text: string): number | undefined {
	const dateMs = /^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/.test(text) ? Date.parse(text) : Number.NaN;
	return Number.isNaN(dateMs) ? undefined : dateMs;
}

/** Entra sends numbers, older authorities decimal strings. */
function readSeconds(value: unknown): number | undefined {
	const seconds = typeof value === 'string' && /^\d{1,15}(?:\.\d+)?$/.test(value) ? Number(value) : value;
	return typeof seconds === 'number' && Number.isFinite(seconds) && seconds >= 0 ? Math.floor(seconds) : undefined;
}

function decodeIdToken(idToken: unknown): JsonObject | undefined {
	const payload = typeof idToken === 'string' ? idToken.split('.')[1] : undefined;
	return payload === undefined ? undefined : decodeBase64UrlJson(payload);
}

function decodeBase64UrlJson(text: string): JsonObject | undefined {
	return parseJsonObject(Buffer.from(text, 'base64url').toString('utf8'));
}

/** Anything without a space that is this long may be a token. */
const longestHarmlessWord = 100;

function sanitize(text: string, refreshToken: string | undefined): string {
	return (refreshToken === undefined ? text : text.replaceAll(refreshToken, '[hidden]'))
		.replaceAll(new RegExp(String.raw`\S{${longestHarmlessWord},}`, 'g'), '[hidden]')
		// eslint-disable-next-line no-control-regex
		.replaceAll(/[\u0000-\u001F\u007F\u2028\u2029]+/g, ' ')
		.slice(0, 2000)
		.trim();
}

function definedOnly<Fields extends object>(fields: Fields): Partial<Fields> {
	return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<Fields>;
}
