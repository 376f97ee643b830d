/** Reads the responses of a token endpoint. No I/O, no clock. */

import {type ErrorResponse, oneLine} from '../errors.js';
import {halfLifeSec} from '../lookup/half-life.js';
import {parseClaims} from '../runtime/claims.js';
import {type JsonObject, parseJsonObject} from '../runtime/json.js';
import {homeTenantOf, isTenantGuid, namedTenant} from '../settings/tenants.js';
import type {RefusalReason} from './grant-refusal.js';
import {hidden, hideSecret} from './hide-secret.js';

/** A successful response, checked. */
export type TokenResponse = {
	accessToken: string;
	/** Unix seconds. */
	expiresOnSec: number;
	/** When to refresh it: as the authority says, or at half of a long life. Unix seconds. */
	refreshOnSec?: number;
	/** Scopes that the token carries, space-separated, as the authority names them. */
	scope?: string;
	refreshToken?: string;
	/** `1` if the refresh token belongs to the family of Microsoft's clients. */
	familyId?: string;
	/** Tenant that issued the token. */
	tenantId?: string;
	/** Until when the token may be served while the authority is down, Unix seconds. */
	extendedExpiresOnSec?: number;
	/** As sent, for the cache. */
	idToken?: string;
	/** Id of the user in the issuing tenant, from the id token. */
	localAccountId?: string;
	username?: string;
	/** As sent, for the cache. */
	clientInfo?: string;
	/** `<uid>.<utid>` of the account that the token is for. */
	homeAccountId?: string;
};

/** Tokens live for about a day. A larger number is a mistake, and its token must not stay in the cache for ever. Seconds. */
const longestLifeSec = 10 * 365 * 86_400;

/**
 * @param sentSec When the request was sent, Unix seconds. `expires_in` counts from then, so that a slow response does not extend the lifetime.
 * @returns a text that says what is wrong if the response cannot be used.
 */
export function readTokenResponse(json: JsonObject, sentSec: number): TokenResponse | string {
	const accessToken = json['access_token'];
	if (typeof accessToken !== 'string' || accessToken === '') {
		return 'it has no access_token';
	}

	// A line break in a token would end the Authorization header of its requests.
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
		return 'its expiry is not in the future';
	}

	if (expiresOnSec > sentSec + longestLifeSec) {
		return 'its expiry is more than ten years in the future';
	}

	const response: TokenResponse = {accessToken, expiresOnSec};
	const refreshIn = readSeconds(json['refresh_in']);
	const refreshOnSec = refreshIn === undefined ? halfLifeSec(sentSec, expiresOnSec) : Math.min(sentSec + refreshIn, expiresOnSec);
	if (refreshOnSec !== undefined) {
		response.refreshOnSec = refreshOnSec;
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

/** Source: Microsoft identity platform, "ID token claims". `upn` is in tokens of version 1 and of AD FS. */
function readIdToken(idToken: unknown, response: TokenResponse): void {
	const claims = decodeIdToken(idToken);
	if (!claims) {
		return;
	}

	const localAccountId = readText(claims, 'oid') ?? readText(claims, 'sub');
	if (localAccountId !== undefined) {
		// An id token without a subject is useless.
		response.idToken = idToken as string;
		response.localAccountId = localAccountId;
	}

	const tenantId = readText(claims, 'tid');
	if (tenantId !== undefined && isTenantGuid(tenantId)) {
		response.tenantId = tenantId;
	}

	const username = readText(claims, 'preferred_username') ?? readText(claims, 'upn');
	if (username !== undefined) {
		response.username = username;
	}
}

/** What a response must be for. */
export type AskedFor = {
	homeAccountId: string;
	username?: string | undefined;
	/** Tenant ID, domain name, or a word for the home tenant. */
	tenant: string;
	isAdfs: boolean;
};

const otherAccount = 'it is for another account than the one whose refresh token was sent';

/**
 * Whether a response is for the account and the tenant that were asked for. `client_info` names the account. Without it, the ID token does: by
 * the object ID in the account's home tenant; in other tenants the user has other IDs.
 *
 * @returns a text that says what is wrong.
 */
export function checkAccount(json: JsonObject, response: TokenResponse, {homeAccountId, username, tenant, isAdfs}: AskedFor): string | undefined {
	const isConfirmed = response.homeAccountId !== undefined;
	if (isConfirmed && !equalIgnoringCase(response.homeAccountId, homeAccountId)) {
		return otherAccount;
	}

	const claims = decodeIdToken(json['id_token']);
	if (!claims) {
		return undefined;
	}

	if (isAdfs) {
		// Its accounts are named by a subject, which another client may see as another one.
		const isOther = !isConfirmed && !equalIgnoringCase(readText(claims, 'sub'), homeAccountId) && username && response.username !== undefined && !equalIgnoringCase(response.username, username);
		return isOther ? otherAccount : undefined;
	}

	const homeTenant = homeTenantOf(homeAccountId);
	const named = namedTenant(tenant);
	const expected = named ?? homeTenant;
	const issuer = response.tenantId;
	if (issuer !== undefined && expected !== undefined && isTenantGuid(expected) && !equalIgnoringCase(issuer, expected)) {
		if (named !== undefined) {
			return 'it is for another tenant than the one that was asked for';
		}

		return isConfirmed ? undefined : otherAccount;
	}

	const userId = homeAccountId.split('.')[0]!;
	const objectId = readText(claims, 'oid');
	const isHome = homeTenant !== undefined && equalIgnoringCase(issuer ?? expected, homeTenant);
	return isHome && objectId !== undefined && isTenantGuid(userId) && !equalIgnoringCase(objectId, userId) ? otherAccount : undefined;
}

function equalIgnoringCase(one: string | undefined, other: string | undefined): boolean {
	return one?.toLowerCase() === other?.toLowerCase();
}

function readText(object: JsonObject, name: string): string | undefined {
	const value = object[name];
	return typeof value === 'string' && value !== '' ? value : undefined;
}

/**
 * Reads an OAuth error, without anything that might be a secret or break a line.
 *
 * @param refreshToken The refresh token of the request, if it had one.
 */
export function readErrorResponse(json: JsonObject, refreshToken: string | undefined): ErrorResponse | undefined {
	if (typeof json['error'] !== 'string') {
		return undefined;
	}

	const text = (name: string, maxLength: number) => typeof json[name] === 'string' ? sanitize(json[name], refreshToken, maxLength) : undefined;
	const errorCodes = Array.isArray(json['error_codes'])
		? json['error_codes'].slice(0, maxErrorCodes).filter((code): code is number => Number.isSafeInteger(code))
		: undefined;
	const response: ErrorResponse = {
		error: sanitize(json['error'], refreshToken, maxWordLength),
		errorDescription: text('error_description', maxDescriptionLength) ?? '',
	};
	return Object.assign(response, definedOnly({
		errorCodes,
		timestamp: text('timestamp', maxWordLength),
		traceId: text('trace_id', maxWordLength),
		correlationId: text('correlation_id', maxWordLength),
		suberror: text('suberror', maxWordLength) || undefined,
		claims: readClaims(json['claims'], refreshToken),
	}));
}

/** The claims that a new sign-in has to satisfy, to be handed on unchanged. */
function readClaims(claims: unknown, refreshToken = ''): string | undefined {
	return typeof claims === 'string' && claims.length <= maxClaimsLength && parseClaims(claims) && hideSecret(claims, refreshToken) === claims
		? claims
		: undefined;
}

/**
 * Errors that only the user can resolve, by signing in again, consenting, or proving more. Repeating the request does not help.
 * Source: Microsoft identity platform, "Handling errors and exceptions in MSAL"; OpenID Connect Core 1.0, 3.1.2.6.
 */
const userErrors: ReadonlySet<string> = new Set(['invalid_grant', 'interaction_required', 'login_required', 'consent_required']);

/** Errors by which the authority says that this client may not redeem the account's refresh tokens. Source: RFC 6749, 5.2. */
const clientErrors: ReadonlySet<string> = new Set(['unauthorized_client', 'invalid_client']);

/** Suberrors and AADSTS numbers by which Entra asks for consent. Source: MSAL for .NET, `UiRequiredExceptionClassification`. */
const consentCodes: ReadonlySet<number> = new Set([65_001, 65_004, 90_094, 90_095]);

/**
 * Suberrors and AADSTS numbers of conditional access, second factors and devices. Sources: MSAL for .NET,
 * `UiRequiredExceptionClassification`; Microsoft identity platform, "Microsoft Entra authentication and authorization error codes".
 */
const policySuberrors: ReadonlySet<string> = new Set(['basic_action', 'additional_action', 'message_only', 'protection_policy_required']);
const policyCodes: ReadonlySet<number> = new Set([
	50_005, 50_072, 50_074, 50_076, 50_078, 50_079, 50_097, 50_129, 50_131, 50_142, 50_158, 70_043, 53_000, 53_001, 53_002, 53_003, 53_004, 53_009, 53_010, 53_011, 530_002, 530_003, 530_034,
]);

/** AADSTS numbers for a user who is not assigned to the application. Source: as above. */
const accessCodes: ReadonlySet<number> = new Set([50_105, 50_177]);

/** AADSTS numbers for an account that the tenant does not know. Source: as above. */
const tenantCodes: ReadonlySet<number> = new Set([50_020, 50_034, 51_004, 90_072, 500_011, 500_341]);

/** @returns `undefined` if the error is no refusal of this refresh token. */
export function refusalReason({error, suberror = '', errorCodes = [], claims}: ErrorResponse): RefusalReason | undefined {
	if (clientErrors.has(error) || (error === 'invalid_grant' && suberror === 'client_mismatch')) {
		return 'client';
	}

	if (!userErrors.has(error)) {
		return undefined;
	}

	if (error === 'consent_required' || suberror === 'consent_required' || errorCodes.some(code => consentCodes.has(code))) {
		return 'consent';
	}

	if (error === 'interaction_required' || claims !== undefined || policySuberrors.has(suberror) || errorCodes.some(code => policyCodes.has(code))) {
		return 'policy';
	}

	if (errorCodes.some(code => accessCodes.has(code))) {
		return 'access';
	}

	return errorCodes.some(code => tenantCodes.has(code)) ? 'tenant' : 'sign-in';
}

/** Suberrors of `invalid_grant` that concern the refresh token itself. Source: MSAL for .NET, `MsalError`; MSAL for Node, `InteractionRequiredAuthError`. */
const deadSuberrors: ReadonlySet<string> = new Set(['bad_token', 'token_expired']);

/**
 * AADSTS numbers for the same if there is no suberror: the refresh token has expired, was revoked, or is older than the password. 70000 is
 * not listed: it also refuses a consumer's refresh token for scopes without consent. Sources: Microsoft identity platform, "Microsoft Entra
 * authentication and authorization error codes"; for 700081 (maximum lifetime), the tests of MSAL for JS.
 */
const deadErrorCodes: ReadonlySet<number> = new Set([50_132, 50_133, 50_173, 70_008, 700_081, 700_082, 700_084]);

/**
 * Whether the refresh token itself is dead, so that it need not be sent again. Every other refusal, also an unknown one, concerns the
 * requested tenant or scopes: the user is not in that tenant, has to do more for that resource, or has not consented. Treating it as a dead
 * token would end the sign-in for all other requests.
 */
export function isRefreshTokenDead({error, suberror, errorCodes}: ErrorResponse): boolean {
	return error === 'invalid_grant' && (deadSuberrors.has(suberror ?? '') || (errorCodes ?? []).some(code => deadErrorCodes.has(code)));
}

/** Longest part of a description that an error's text repeats, characters. */
const maxSentenceLength = 180;

/** The OAuth error with its AADSTS number, which users can look up, and its description. */
export function describeErrorResponse({error, errorCodes, errorDescription, suberror}: ErrorResponse): string {
	const code = /^AADSTS\d+/.exec(errorDescription)?.[0] ?? (errorCodes?.[0] === undefined ? undefined : `AADSTS${errorCodes[0]}`);
	const description = errorDescription.replace(/^AADSTS\d+:\s*/, '').replace(/\s*(?:Trace ID|Correlation ID|Timestamp):.*$/s, '');
	// The error's text has to have room for what follows.
	const sentence = description.length > maxSentenceLength ? `${description.slice(0, maxSentenceLength - 1)}…` : description;
	return `${error}${suberror ? ` (${suberror})` : ''}${code ? `, ${code}` : ''}${sentence ? `: ${sentence}` : ''}`;
}

/**
 * Reads `Retry-After` in its two forms, and Azure's headers in milliseconds. A date is compared with the response's own date if there is
 * one, because the authority's clock may differ from ours.
 *
 * @returns milliseconds to wait, or `undefined` if there is no valid header.
 */
export function readRetryAfterMs(header: (name: string) => string | undefined, nowMs: number): number | undefined {
	for (const name of ['retry-after-ms', 'x-ms-retry-after-ms']) {
		const value = header(name);
		if (value !== undefined && /^\d{1,10}$/.test(value)) {
			return Number(value);
		}
	}

	const value = header('retry-after')?.trim() ?? '';
	if (/^\d{1,15}$/.test(value)) {
		return Number(value) * 1000;
	}

	const untilMs = readHttpDateMs(value);
	return untilMs === undefined ? undefined : Math.max(0, untilMs - (readHttpDateMs(header('date')?.trim() ?? '') ?? nowMs));
}

const monthNames = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** The form of today, and the two obsolete ones that recipients must accept. Source: RFC 9110, 5.6.7. */
const httpDates = [
	/^[A-Z][a-z]{2}, (?<day>\d\d) (?<month>[A-Z][a-z]{2}) (?<year>\d{4}) (?<time>\d\d:\d\d:\d\d) GMT$/,
	/^[A-Z][a-z]{5,8}, (?<day>\d\d)-(?<month>[A-Z][a-z]{2})-(?<year>\d\d) (?<time>\d\d:\d\d:\d\d) GMT$/,
	/^[A-Z][a-z]{2} (?<month>[A-Z][a-z]{2}) (?<day>[ \d]\d) (?<time>\d\d:\d\d:\d\d) (?<year>\d{4})$/,
];

/** `Date.parse` also takes "-5" and "5, 10" for dates. */
function readHttpDateMs(text: string): number | undefined {
	const {day = '', month = '', year = '', time = ''} = httpDates.map(form => form.exec(text)?.groups).find(Boolean) ?? {};
	const number = monthNames.indexOf(month) + 1;
	const fullYear = year.length === 2 ? `${Number(year) > 70 ? 19 : 20}${year}` : year;
	const dateMs = number === 0 ? Number.NaN : Date.parse(`${fullYear}-${String(number).padStart(2, '0')}-${day.trim().padStart(2, '0')}T${time}Z`);
	return Number.isNaN(dateMs) ? undefined : dateMs;
}

/** Entra sends numbers, older authorities send decimal strings. */
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

/** A word of this length may be a token. */
const minSecretLength = 100;

/** Longest texts that are kept of an error, characters. Entra's descriptions have a few hundred. */
const maxDescriptionLength = 2000;
const maxWordLength = 200;
const maxClaimsLength = 16_384;
const maxErrorCodes = 20;

function sanitize(text: string, refreshToken: string | undefined, maxLength: number): string {
	// Cut first: an authority may send a megabyte. A word that is cut may be a part of a secret that is no longer recognized.
	const start = text.length > 2 * maxLength ? text.slice(0, 2 * maxLength).replace(/\S{0,100}$/, '') : text;
	const shown = oneLine(hideSecret(start, refreshToken ?? '').replaceAll(new RegExp(String.raw`\S{${minSecretLength},}`, 'g'), hidden));
	return shown.slice(0, maxLength).trim();
}

function definedOnly<Fields extends object>(fields: Fields): Partial<Fields> {
	return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<Fields>;
}
