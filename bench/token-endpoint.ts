/**
 * A token endpoint with almost no cost: it grants every request, to one user, with new tokens each time. The tests'
 * endpoint parses requests, which would be measured, too.
 */

import {createServer} from 'node:https';
import type {AddressInfo} from 'node:net';
import {makeServerCertificate} from '../test/helpers/authority/certificates.js';

export type TokenEndpoint = {server: {port: number; ca: string}; grantCount(): number; close(): Promise<void>};

/** @param account The account that the tokens belong to. */
export async function startTokenEndpoint({homeAccountId, username, scope}: {homeAccountId: string; username: string; scope: string}): Promise<TokenEndpoint> {
	const certificate = await makeServerCertificate();
	const [uid, utid] = homeAccountId.split('.');
	const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
	const idToken = `${encode({typ: 'JWT', alg: 'none'})}.${encode({
		oid: uid, tid: utid, preferred_username: username, name: 'Fake User', sub: 'FAKE', ver: '2.0', iss: `https://login.microsoftonline.com/${utid}/v2.0`,
	})}.FAKE`;
	// As long as real tokens.
	const filler = 'x'.repeat(1500);
	let grants = 0;
	const server = createServer({cert: certificate.cert, key: certificate.key, keepAliveTimeout: 60_000}, (request, response) => {
		request.resume();
		request.on('end', () => {
			grants++;
			response.setHeader('content-type', 'application/json; charset=utf-8');
			// The scopes of every request, so that the granted scopes are the requested ones.
			response.end(JSON.stringify({
				token_type: 'Bearer',
				scope,
				expires_in: 3600,
				ext_expires_in: 3600,
				access_token: `FAKE-granted-${grants}-${filler}`,
				refresh_token: `FAKE-refresh-${grants}-${filler.slice(0, 1000)}`,
				foci: '1',
				id_token: idToken,
				client_info: encode({uid, utid}),
			}));
		});
	});
	await new Promise<void>(resolve => {
		server.listen(0, '127.0.0.1', resolve);
	});
	return {
		server: {port: (server.address() as AddressInfo).port, ca: certificate.ca},
		grantCount: () => grants,
		async close() {
			const closed = new Promise(resolve => {
				server.close(resolve);
			});
			server.closeAllConnections();
			await closed;
		},
	};
}
