// P2: silent hits of one library, a round at a time. The first line names the library and the account; each further one asks for so many calls.

import {performance} from 'node:perf_hooks';
import {createRequire} from 'node:module';
import {distribution} from '../statistics.mjs';
import {clients} from './clients.mjs';
import {converse} from './conversation.mjs';

let client;

/** How long each of some calls takes, in nanoseconds, the timer's own 40 or so included. */
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
	/** Many calls as one sample: a call that takes less than the timer. */
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

/** Nothing between the loop and the credential but one call: a function that awaits would cost as much again as the hit. */
function hitsOf({username, scope}) {
	const {SharedTokenCacheCredential} = createRequire(import.meta.url)('../../dist/index.js');
	const credential = new SharedTokenCacheCredential({username});
	return {getToken: () => credential.getToken(scope), close: async () => credential.close()};
}

await converse(async ({action, ...question}) => actions[action](question));
await client?.close();
