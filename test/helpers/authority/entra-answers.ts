/** What Entra's token endpoint says: answers and errors as JSON objects. Every token is unsigned, worthless and says FAKE. */

import {randomUUID} from 'node:crypto';

/** An account that a refresh token stands for. */
export type EntraUser = {
	/** Object id in the home tenant. */
	uid: string;
	/** Home tenant. */
	utid: string;
	username: string;
	/** Tenant that `organizations` and `common` lead to. Default: the home tenant. */
	tenant?: string;
};

export type JsonObject = Record<string, unknown>;

export type GrantDetails = {
	user: EntraUser;
	clientId: string;
	/** Tenant of the request's path. */
	pathTenant: string;
	/** As requested. */
	scopes: readonly string[];
	/** Unix seconds. */
	nowSec: number;
	expiresInSec: number;
	refreshInSec: number | undefined;
	/** Makes this grant's tokens differ from every other's. */
	serial: string;
	refreshToken: string | undefined;
	isFamilyClient: boolean;
	/** `client_info=1` was sent. */
	wantsClientInfo: boolean;
};

const openIdScopes = new Set(['openid', 'profile', 'email', 'offline_access']);
/** First segments of a path that name no tenant. */
const tenantlessPaths = new Set(['organizations', 'common', 'consumers', 'adfs']);

/**
 * The body of a 200. Source for the fields: Microsoft identity platform, "OAuth 2.0 authorization code flow", "Refresh the access
 * token"; `client_info`, `foci` and `refresh_in`: MSAL for Python, `token_cache.py`; `ext_expires_in`: MSAL for Node.
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
	// The endpoint gives each of these only to who asks for it.
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
	/** OAuth's code, such as `invalid_grant`. */
	error: string;
	/** AADSTS number. */
	code: number;
	/** First line of the description, without the AADSTS prefix. */
	text: string;
	suberror?: string;
	/** A claims challenge, JSON. */
	claims?: string;
};

/** The body of an error: the JSON that the endpoint sends with a 400 or 401, the description in its four lines. */
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

/** A JWT with the algorithm `none` and a third part that is no signature: readable by whoever does not check one, useless else. */
function unsignedJwt(payload: JsonObject, mark: string): string {
	return `${encodeJson({typ: 'JWT', alg: 'none'})}.${encodeJson(payload)}.${mark}`;
}

function encodeJson(value: JsonObject): string {
	return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** The resource is the scope without its last part; one slash alone separates them. Source: Microsoft identity platform, "The .default scope", trailing slash. */
function audienceOf(scope: string | undefined): string {
	const end = scope?.lastIndexOf('/') ?? -1;
	return scope !== undefined && end > 'https://'.length ? scope.slice(0, end) : 'https://graph.microsoft.com';
}

function grantedScopes(resourceScopes: readonly string[], audience: string): string[] {
	return resourceScopes.some(scope => scope.endsWith('/.default')) ? [`${audience}/user_impersonation`, ...resourceScopes] : [...resourceScopes];
}
