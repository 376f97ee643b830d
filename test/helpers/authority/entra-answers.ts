/**
 * The responses of Entra's token endpoint, successes and errors, as JSON objects. All tokens are unsigned and contain
 * "FAKE".
 */

import {randomUUID} from 'node:crypto';

/** The account that a refresh token belongs to. */
export type EntraUser = {
	/** Object ID in the home tenant. */
	uid: string;
	/** Home tenant. */
	utid: string;
	username: string;
	/** Tenant that `organizations` and `common` resolve to. Default: the home tenant. */
	tenant?: string;
};

export type JsonObject = Record<string, unknown>;

export type GrantDetails = {
	user: EntraUser;
	clientId: string;
	/** Tenant in the request's path. */
	pathTenant: string;
	/** As requested. */
	scopes: readonly string[];
	/** Unix seconds. */
	nowSec: number;
	expiresInSec: number;
	refreshInSec: number | undefined;
	/** Makes this grant's tokens differ from those of every other grant. */
	serial: string;
	refreshToken: string | undefined;
	isFamilyClient: boolean;
	/** Whether the request contained `client_info=1`. */
	wantsClientInfo: boolean;
};

const openIdScopes = new Set(['openid', 'profile', 'email', 'offline_access']);
/** First path segments that do not name a tenant. */
const tenantlessPaths = new Set(['organizations', 'common', 'consumers', 'adfs']);

/**
 * Returns the body of a 200 response. Source for the fields: Microsoft identity platform, "OAuth 2.0 authorization code
 * flow", "Refresh the access token"; `client_info`, `foci` and `refresh_in`: MSAL for Python, `token_cache.py`;
 * `ext_expires_in`: MSAL for Node.
 */
export function tokenAnswer(details: GrantDetails): JsonObject {
	const {user, clientId, scopes, nowSec, expiresInSec, refreshInSec, serial, refreshToken} = details;
	const tenant = tenantlessPaths.has(details.pathTenant.toLowerCase()) ? user.tenant ?? user.utid : details.pathTenant;
	const times = {iat: nowSec, nbf: nowSec, exp: nowSec + expiresInSec};
	const resourceScopes = scopes.filter(scope => !openIdScopes.has(scope.toLowerCase()));
	const audience = audienceOf(resourceScopes[0]);
	const answer: JsonObject = {
		token_type: 'Bearer',
		scope: grantedScopes(resourceScopes, audience).join(' '),
		expires_in: expiresInSec,
		ext_expires_in: expiresInSec,
		...(refreshInSec !== undefined && {refresh_in: refreshInSec}),
		access_token: unsignedJwt({
			aud: audience,
			iss: `https://sts.windows.net/${tenant}/`,
			...times,
			appid: clientId,
			oid: user.uid,
			scp: 'user_impersonation',
			sub: `FAKE-${user.uid}`,
			tid: tenant,
			upn: user.username,
			uti: serial,
			ver: '1.0',
		}, `FAKE-access-token-${serial}`),
	};
	// Entra returns each of these only if the request contains the matching scope.
	if (refreshToken !== undefined && scopes.includes('offline_access')) {
		answer['refresh_token'] = refreshToken;
		if (details.isFamilyClient) {
			answer['foci'] = '1';
		}
	}

	if (scopes.includes('openid')) {
		answer['id_token'] = unsignedJwt({
			aud: clientId,
			iss: `https://login.microsoftonline.com/${tenant}/v2.0`,
			...times,
			...(scopes.includes('profile') && {name: 'Fake User', preferred_username: user.username, oid: user.uid}),
			sub: `FAKE-${user.uid}`,
			tid: tenant,
			ver: '2.0',
		}, 'FAKE');
	}

	if (details.wantsClientInfo) {
		answer['client_info'] = clientInfo(user);
	}

	return answer;
}

export function clientInfo({uid, utid}: {uid: string; utid: string}): string {
	return encodeJson({uid, utid});
}

export type EntraErrorDetails = {
	/** OAuth error code, such as `invalid_grant`. */
	error: string;
	/** AADSTS number. */
	code: number;
	/** First line of the description, without the AADSTS prefix. */
	text: string;
	suberror?: string;
	/** A claims challenge as JSON. */
	claims?: string;
};

/** Returns the JSON body that Entra sends with a 400 or 401. The description has four lines. */
export function errorAnswer({error, code, text, suberror, claims}: EntraErrorDetails, correlationId: string, now = new Date()): JsonObject {
	const traceId = randomUUID();
	const timestamp = now.toISOString().replace('T', ' ').replace(/\.\d+Z$/, 'Z');
	return {
		error,
		error_description: `AADSTS${code}: ${text}\r\nTrace ID: ${traceId}\r\nCorrelation ID: ${correlationId}\r\nTimestamp: ${timestamp}`,
		error_codes: [code],
		timestamp,
		trace_id: traceId,
		correlation_id: correlationId,
		error_uri: `https://login.microsoftonline.com/error?code=${code}`,
		...(suberror !== undefined && {suberror}),
		...(claims !== undefined && {claims}),
	};
}

/**
 * Returns a JWT with the algorithm `none` and an invalid signature: readable by code that does not verify, useless
 * otherwise.
 */
function unsignedJwt(payload: JsonObject, mark: string): string {
	return `${encodeJson({typ: 'JWT', alg: 'none'})}.${encodeJson(payload)}.${mark}`;
}

function encodeJson(value: JsonObject): string {
	return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/**
 * Removes the last segment of a scope to get the resource. Exactly one slash separates them. Source: Microsoft identity
 * platform, "The .default scope", trailing slash.
 */
function audienceOf(scope: string | undefined): string {
	const end = scope?.lastIndexOf('/') ?? -1;
	return scope !== undefined && end > 'https://'.length ? scope.slice(0, end) : 'https://graph.microsoft.com';
}

function grantedScopes(resourceScopes: readonly string[], audience: string): string[] {
	return resourceScopes.some(scope => scope.endsWith('/.default')) ? [`${audience}/user_impersonation`, ...resourceScopes] : [...resourceScopes];
}
