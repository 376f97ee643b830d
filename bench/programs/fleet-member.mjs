// P8: one of several processes that request a token at the same time. Reads a job as a line of JSON from standard
// input, prints "ready", waits for another line, makes its calls, and prints how many tokens it got.

import {createRequire} from 'node:module';
import process from 'node:process';
import {createInterface} from 'node:readline';
import {loopbackNetwork} from '../../test/peers/loopback-network.mjs';
import {loopbackDispatcher} from './loopback.mjs';

const lines = createInterface({input: process.stdin})[Symbol.asyncIterator]();
const nextLine = async () => (await lines.next()).value;
const {
	library, cachePath, clientId, homeAccountId, scope, calls, server,
} = JSON.parse(await nextLine());

function ours() {
	const {SharedTokenCacheCredential} = createRequire(import.meta.url)('../../dist/index.js');
	const dispatcher = loopbackDispatcher(server);
	const credential = new SharedTokenCacheCredential({dispatcher});
	return {
		getToken: async () => (await credential.getToken(scope)).token,
		async close() {
			await credential.close();
			await dispatcher.close();
		},
	};
}

async function msalNode() {
	const require = createRequire(import.meta.url);
	const {PublicClientApplication} = require('@azure/msal-node');
	const {FilePersistence, PersistenceCachePlugin} = require('@azure/msal-node-extensions');
	const network = loopbackNetwork(server);
	const app = new PublicClientApplication({
		auth: {clientId, authority: 'https://login.microsoftonline.com/organizations'},
		cache: {cachePlugin: new PersistenceCachePlugin(await FilePersistence.create(cachePath))},
		system: {networkClient: network},
	});
	return {
		async getToken() {
			const account = await app.getTokenCache().getAccountByHomeId(homeAccountId);
			return (await app.acquireTokenSilent({account, scopes: [scope]})).accessToken;
		},
		close: () => network.close(),
	};
}

const client = library === 'ours' ? ours() : await msalNode();
console.log('ready');
await nextLine();
const outcomes = await Promise.allSettled(Array.from({length: calls}, async () => client.getToken()));
const tokens = outcomes.filter(({status}) => status === 'fulfilled').map(({value}) => value);
console.log(JSON.stringify({tokens: tokens.length, failed: outcomes.length - tokens.length, why: outcomes.find(({reason}) => reason)?.reason.message ?? ''}));
await client.close();
lines.return();
process.stdin.destroy();
