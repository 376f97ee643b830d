/**
 * A program: an application of MSAL for Node with a cache plugin. The first line of standard input is a job, each
 * further line a command. It answers each line with one line. All lines are JSON.
 */

import {createInterface} from 'node:readline';
import process from 'node:process';
import {PublicClientApplication} from '@azure/msal-node';
import {FilePersistence, PersistenceCachePlugin} from '@azure/msal-node-extensions';
import {loopbackNetwork} from './loopback-network.mjs';

const lines = createInterface({input: process.stdin})[Symbol.asyncIterator]();
const next = async () => {
	const {value, done} = await lines.next();
	return done ? undefined : JSON.parse(value);
};

/** @type {import('../helpers/peers/msal-process.js').MsalJob} */
const {plugin, cachePath, options, server, clientId, authority} = await next();
const network = loopbackNetwork(server);
const app = new PublicClientApplication({
	auth: {clientId, authority},
	cache: {cachePlugin: await makePlugin()},
	system: {networkClient: network},
});

async function makePlugin() {
	if (plugin === 'extensions') {
		return new PersistenceCachePlugin(await FilePersistence.create(cachePath));
	}

	const {createCachePlugin} = await import('../../dist/cache-api/msal-node-plugin.js');
	return createCachePlugin(options);
}

async function accountOf(username) {
	const accounts = await app.getTokenCache().getAllAccounts();
	return accounts.find(account => account.username === username);
}

const actions = {
	async accounts() {
		const accounts = await app.getTokenCache().getAllAccounts();
		return accounts.map(({username}) => username);
	},
	deviceCode: async ({scopes}) => tokenOf(await app.acquireTokenByDeviceCode({scopes, deviceCodeCallback: () => undefined})),
	/** Signs in the users of these refresh tokens, one after another. */
	async signIn({refreshTokens, scopes}) {
		const results = [];
		for (const refreshToken of refreshTokens) {
			results.push(tokenOf(await app.acquireTokenByRefreshToken({refreshToken, scopes, forceCache: true})));
		}

		return results;
	},
	silent: async ({username, scopes, forceRefresh}) => tokenOf(await app.acquireTokenSilent({account: await accountOf(username), scopes, forceRefresh})),
	async signOut({username}) {
		await app.getTokenCache().removeAccount(await accountOf(username));
		return 'done';
	},
};

function tokenOf(result) {
	return {accessToken: result.accessToken, fromCache: result.fromCache, username: result.account?.username};
}

const answer = value => {
	process.stdout.write(`${JSON.stringify(value)}\n`);
};

answer('ready');
for (;;) {
	const command = await next();
	if (!command) {
		break;
	}

	try {
		answer({value: await actions[command.do](command)});
	} catch (error) {
		answer({error: {name: error.name, code: error.code ?? error.errorCode, message: error.message}});
	}
}

await network.close();
