// P2: silent hits of one library, one round at a time. The first line names the library and the account. Each further
// line requests a number of calls.

import {performance} from 'node:perf_hooks';
import {createRequire} from 'node:module';
import {distribution} from '../statistics.mjs';
import {clients} from './clients.mjs';
import {converse} from './conversation.mjs';

let client;

/** Nanoseconds of each call, including about 40 for the timer. */
async function timed(call, calls) {
	const samples = new Float64Array(calls);
	for (let index = 0; index < calls; index++) {
		const start = performance.now();
		await call();
		samples[index] = (performance.now() - start) * 1e6;
	}

	return samples;
}

const actions = {
	async start({library, job}) {
		client = library === 'floor' ? {getToken: await floor(), close: async () => undefined} : (library === 'ours' ? hitsOf(job) : await clients[library](job));
		const token = await client.getToken();
		if (library !== 'floor' && !token.includes?.('FAKE') && !token.token?.includes('FAKE')) {
			throw new Error('not the token of the cache');
		}

		return {};
	},
	/** Many calls as one sample, for calls that are faster than the timer. */
	async batch({calls}) {
		const {getToken} = client;
		const start = performance.now();
		for (let index = 0; index < calls; index++) {
			await getToken();
		}

		return (performance.now() - start) / calls * 1e6;
	},
	each: async ({calls}) => [...await timed(client.getToken, calls)],
	distribution: async ({calls}) => distribution(await timed(client.getToken, calls)),
};

async function floor() {
	const constant = Object.freeze({token: ''});
	return async () => constant;
}

/** Calls the credential directly from the loop: an async function in between would double the cost of a hit. */
function hitsOf({username, scope}) {
	const {SharedTokenCacheCredential} = createRequire(import.meta.url)('../../dist/index.js');
	const credential = new SharedTokenCacheCredential({username});
	return {getToken: () => credential.getToken(scope), close: async () => credential.close()};
}

await converse(async ({action, ...question}) => actions[action](question));
await client?.close();
