/**
 * Claims challenges end to end: a service refuses a token, the Azure SDK pipeline reads the challenge, and the
 * credential gets a matching token.
 */

import {once} from 'node:events';
import {createServer} from 'node:https';
import {createRequire} from 'node:module';
import type {AddressInfo} from 'node:net';
import type {TokenCredential} from '@azure/core-auth';
import test, {type ExecutionContext} from 'ava';
import {makeServerCertificate} from '../helpers/authority/certificates.js';
import * as faults from '../helpers/authority/entra-faults.js';
import {startEntraServer} from '../helpers/authority/entra-server.js';
import {
	accessTokenRecord, accountRecord, ann, cacheOf, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {lackOf, peersFolder, testWhere} from '../helpers/peers/peers.js';

/** The parts of `@azure/core-rest-pipeline` and `@azure/core-client` that the test uses. */
type Pipeline = {addPolicy(policy: object): void; sendRequest(client: object, request: object): Promise<{status: number; bodyAsText: string}>};
type RestPipeline = {
	createEmptyPipeline: () => Pipeline;
	createDefaultHttpClient: () => object;
	createPipelineRequest: (options: {url: string}) => object;
	tlsPolicy: (settings: {ca: string}) => object;
	bearerTokenAuthenticationPolicy: (options: {credential: TokenCredential; scopes: string; challengeCallbacks?: object}) => object;
};
type CoreClient = {authorizeRequestOnClaimChallenge: object};

const load = createRequire(createRequire(peersFolder).resolve('@azure/identity'));
const challenge = {access_token: {nbf: {essential: true, value: '1700000000'}, capolids: {essential: true, values: ['FAKE-policy']}}};
const revoked = 'FAKE-revoked-access-token';

/**
 * A service that refuses the cached token with a challenge, as Microsoft Graph does after continuous access evaluation.
 */
async function startService(t: ExecutionContext) {
	const {ca, cert, key} = await makeServerCertificate();
	const tokens: string[] = [];
	const server = createServer({cert, key}, (request, response) => {
		const token = request.headers.authorization?.replace('Bearer ', '') ?? '';
		tokens.push(token);
		if (token === revoked) {
			const claims = Buffer.from(JSON.stringify(challenge)).toString('base64');
			response.writeHead(401, {'www-authenticate': `Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", error="insufficient_claims", claims="${claims}"`});
			response.end();
		} else {
			response.end('served');
		}
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	t.teardown(() => {
		server.close();
		server.closeAllConnections();
	});
	return {ca, tokens, url: `https://localhost:${(server.address() as AddressInfo).port}/`};
}

for (const [how, callbacks] of [
	['the pipeline\'s own handling', () => undefined],
	['authorizeRequestOnClaimChallenge of core-client', () => ({authorizeRequestOnChallenge: (load('@azure/core-client') as CoreClient).authorizeRequestOnClaimChallenge})],
] as const) {
	const setUp = async (t: ExecutionContext) => {
		const {bearerTokenAuthenticationPolicy, createDefaultHttpClient, createEmptyPipeline, createPipelineRequest, tlsPolicy} = load('@azure/core-rest-pipeline') as RestPipeline;
		const entra = await startEntraServer({refreshTokens: {'FAKE-refresh-ann': ann}});
		t.teardown(async () => entra.close());
		const service = await startService(t);
		const home = new TestHome(t);
		home.write(cacheOf({
			accounts: [accountRecord(ann)], refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh-ann')], accessTokens: [accessTokenRecord(ann, revoked, 20 * 3600)],
		}), '.IdentityService/msal.cache.cae');
		const credential = home.credential({}, entra);
		const pipeline = createEmptyPipeline();
		pipeline.addPolicy(tlsPolicy({ca: service.ca}));
		const challengeCallbacks = callbacks();
		pipeline.addPolicy(bearerTokenAuthenticationPolicy({credential, scopes: scope, ...(challengeCallbacks && {challengeCallbacks})}));
		const send = async () => pipeline.sendRequest(createDefaultHttpClient(), createPipelineRequest({url: service.url}));
		return {
			entra, service, credential, send,
		};
	};

	testWhere(test, [lackOf('identity')], `${how}: the claims of WWW-Authenticate reach the authority, and the new token reaches the service`, async t => {
		const {entra, service, credential, send} = await setUp(t);
		const answer = await send();
		t.is(answer.status, 200);
		t.is(answer.bodyAsText, 'served');
		t.deepEqual(service.tokens, [revoked, entra.grants[0]!.accessToken]);
		t.is(entra.grants.length, 1);
		const sent = JSON.parse(entra.tokenRequests[0]?.form.get('claims') ?? 'null') as object;
		t.deepEqual(sent, {access_token: {...challenge.access_token, xms_cc: {values: ['CP1']}}});

		// The refused token is never returned again, to any caller.
		t.is((await credential.getToken(scope, {enableCae: true})).token, entra.grants[0]!.accessToken);
		t.is((await send()).status, 200);
		t.is(entra.grants.length, 1);
	});

	testWhere(test, [lackOf('identity')], `${how}: if the user must act, the caller gets that error or the service's 401`, async t => {
		const {entra, service, send} = await setUp(t);
		entra.scriptAll(faults.interactionRequired());
		try {
			t.is((await send()).status, 401);
		} catch (error) {
			t.is((error as Error).name, 'AuthenticationRequiredError');
		}

		t.deepEqual(service.tokens, [revoked]);
		t.true(entra.tokenRequests.length > 0);
	});
}
