/** What the authority answers in the comparisons: the same for the same refresh token, so that both sides get the same tokens. */

import {changedGrant} from '../helpers/authority/entra-faults.js';
import type {Behaviour, EntraServer, JsonObject} from '../helpers/authority/entra-server.js';

const noTenant = 'no-tenant';

/** The access token that this refresh token gives. */
export function grantedToken(refreshToken: string): string {
	return `FAKE-granted-for-${refreshToken}`;
}

export const grantedForSec = 3600;

const renewedMark = '-renewed';

/** The refresh token that replaces this one. */
export function renewed(refreshToken: string): string {
	return `${refreshToken}${renewedMark}`;
}

/** The refresh token that was in the cache at first. */
export function firstOf(refreshToken: string): string {
	return refreshToken.replaceAll(renewedMark, '');
}

/** Makes the authority accept these refresh tokens alone, and those that replace them. */
export function acceptTokens(server: EntraServer, tokens: ReadonlyArray<{secret: string; homeAccountId: string; username: string}>, answerTo: (refreshToken: string) => Behaviour): void {
	server.requests.length = 0;
	server.grants.length = 0;
	server.refreshTokens.clear();
	for (const {secret, homeAccountId, username} of tokens) {
		const [uid = '', utid = noTenant] = homeAccountId.split('.');
		server.refreshTokens.set(secret, {uid, utid, username});
	}

	server.scriptAll(async exchange => {
		const sent = exchange.request.form.get('refresh_token') ?? '';
		const user = server.refreshTokens.get(sent);
		if (user) {
			server.refreshTokens.set(renewed(sent), user);
		}

		await answerTo(sent)(exchange);
	});
}

/** A grant. It names all scopes that were asked for, sorted. */
export function granted(refreshToken: string, further: JsonObject = {}): Behaviour {
	return async exchange => changedGrant(({client_info: info, id_token: idToken, ...json}) => ({
		...json,
		// The authority never returns an account ID without a tenant.
		...(info !== undefined && !isOfNoTenant(info as string) && {client_info: info}),
		...(idToken !== undefined && {id_token: timeless(idToken as string)}),
		scope: (exchange.request.form.get('scope') ?? '').split(' ').toSorted().join(' '),
		access_token: grantedToken(refreshToken),
		...further,
	}))(exchange);
}

/** A grant with a new refresh token of the family. */
export function rotated(refreshToken: string): Behaviour {
	return granted(refreshToken, {refresh_token: renewed(refreshToken), foci: '1'});
}

function timeless(idToken: string): string {
	const [head, payload = '', signature] = idToken.split('.');
	const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as JsonObject;
	const kept = Object.entries(claims).filter(([name]) => !['iat', 'nbf', 'exp'].includes(name));
	return [head, Buffer.from(JSON.stringify(Object.fromEntries(kept))).toString('base64url'), signature].join('.');
}

function isOfNoTenant(info: string): boolean {
	return (JSON.parse(Buffer.from(info, 'base64url').toString()) as {utid: string}).utid === noTenant;
}
