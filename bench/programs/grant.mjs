// P7: grants over kept-alive connections, with the different ways interleaved. Reads a job as a line of JSON. Prints
// series of milliseconds.

import {createRequire} from 'node:module';
import {performance} from 'node:perf_hooks';
import {request} from 'undici';
import {loopbackNetwork} from '../../test/peers/loopback-network.mjs';
import {interleave} from '../statistics.mjs';
import {converse} from './conversation.mjs';
import {loopbackDispatcher} from './loopback.mjs';

const load = createRequire(import.meta.url);
const {TokenEndpoint} = load('../../dist/grant/token-endpoint.js');
const {defaultAuthorityHost, publicCloud} = load('../../dist/settings/authority.js');
const {SharedTokenCacheCredential} = load('../../dist/index.js');

function check(token) {
	if (!token.includes('granted')) {
		throw new Error('the token was not granted');
	}
}

async function timed(getToken) {
	const start = performance.now();
	check(await getToken());
	return performance.now() - start;
}

/** Sends only the request that our credential sends. */
function barePost({server, clientId, homeAccountId, tenantId, refreshToken, scope}) {
	const dispatcher = loopbackDispatcher(server);
	const [uid, utid] = homeAccountId.split('.');
	const url = `https://${defaultAuthorityHost}/${tenantId}/oauth2/v2.0/token`;
	const headers = {
		'content-type': 'application/x-www-form-urlencoded;charset=utf-8',
		accept: 'application/json',
		'client-request-id': '00000000-0000-4000-8000-000000000000',
		'return-client-request-id': 'true',
		'x-client-sku': 'bench',
		'x-client-ver': '1.0.0',
		'x-anchormailbox': `Oid:${uid}@${utid}`,
	};
	const body = new URLSearchParams({
		grant_type: 'refresh_token', refresh_token: refreshToken, client_id: clientId, scope: `${scope} offline_access openid profile`, client_info: '1',
	}).toString();
	return {
		async getToken() {
			const answer = await request(url, {
				method: 'POST', headers, body, dispatcher,
			});
			return (await answer.body.json()).access_token;
		},
		close: async () => dispatcher.close(),
	};
}

/** The grant only: the request and the check of the response. */
function tokenClient({server, clientId, homeAccountId, tenantId, refreshToken, scope}) {
	const dispatcher = loopbackDispatcher(server);
	const client = new TokenEndpoint({
		authority: publicCloud,
		clientId,
		disableInstanceDiscovery: true,
		retry: {maxRetries: 0, retryDelayMs: 1, maxRetryDelayMs: 1},
		dispatcher,
		proxy: undefined,
	});
	const {signal} = new AbortController();
	const wish = {
		refreshToken, scopes: [scope], tenant: tenantId, claims: undefined, enableCae: false, homeAccountId,
	};
	return {
		getToken: async () => (await client.redeem(wish, signal)).accessToken,
		async close() {
			await client.close();
			await dispatcher.close();
		},
	};
}

/** All steps: cache check, lease, grant, and the write-back in the background. */
function credential({server, username, scope}) {
	const dispatcher = loopbackDispatcher(server);
	const ours = new SharedTokenCacheCredential({username, dispatcher});
	let serial = 0;
	return {
		// New claims, which no cached token satisfies.
		getToken: async () => (await ours.getToken(scope, {claims: JSON.stringify({access_token: {nbf: {value: String(serial++)}}})})).token,
		async close() {
			await ours.close();
			await dispatcher.close();
		},
	};
}

async function msalNode({server, cachePath, clientId, homeAccountId, tenantId, scope}) {
	const {PublicClientApplication} = load('@azure/msal-node');
	const {FilePersistence, PersistenceCachePlugin} = load('@azure/msal-node-extensions');
	const network = loopbackNetwork(server);
	const app = new PublicClientApplication({
		auth: {clientId, authority: `https://login.microsoftonline.com/${tenantId}`},
		cache: {cachePlugin: new PersistenceCachePlugin(await FilePersistence.create(cachePath))},
		system: {networkClient: network},
	});
	const account = await app.getTokenCache().getAccountByHomeId(homeAccountId);
	return {
		getToken: async () => (await app.acquireTokenSilent({account, scopes: [scope], forceRefresh: true})).accessToken,
		close: async () => network.close(),
	};
}

await converse(async ({rounds, callsPerRound, ...job}) => {
	const ways = {bare: barePost(job), redeem: tokenClient(job)};
	const callers = {credential: credential(job), msalNode: await msalNode({...job, cachePath: job.peerCachePath})};
	// A sample is the median of several consecutive calls, because the first one after another client's call is slower.
	const sampleOf = ({getToken}) => async () => {
		const samples = [];
		for (let call = 0; call < callsPerRound; call++) {
			samples.push(await timed(getToken));
		}

		return samples;
	};

	// The engine needs some hundred requests to compile everything.
	const [bare, redeem] = await interleave({rounds, warmUpRounds: 200}, Object.values(ways).map(way => sampleOf(way)));
	const [whole, msalNodeSamples] = await interleave({rounds: Math.ceil(rounds / 4), warmUpRounds: 5}, Object.values(callers).map(way => sampleOf(way)));
	for (const {close} of [...Object.values(ways), ...Object.values(callers)]) {
		await close();
	}

	return {
		bare, redeem, credential: whole, msalNode: msalNodeSamples,
	};
});
