// P1: hits, and the cheapest thing that can be awaited. HOME has caches of both kinds. Argument: scope. Prints series of nanoseconds for
// one call as JSON.

import {createRequire} from 'node:module';
import {performance} from 'node:perf_hooks';
import process from 'node:process';
import {interleave} from '../statistics.mjs';

const load = createRequire(import.meta.url);
const {SharedTokenCacheCredential} = load('../../dist/index.js');

const [scope] = process.argv.slice(2);
const credential = new SharedTokenCacheCredential();
const list = [scope];
// What the policies of @azure/core-rest-pipeline hand over.
const clientOptions = {enableCae: true, abortSignal: new AbortController().signal, tracingOptions: undefined};
const constant = Object.freeze({token: ''});
const floor = async () => constant;
let nowMs = 0;
/** What nobody can do without who may not hand out an expired token. */
const floorWithClock = async () => {
	nowMs = Date.now();
	return constant;
};

for (const options of [undefined, clientOptions]) {
	const {token} = await credential.getToken(scope, options);
	if (!token.includes('FAKE')) {
		throw new Error('not the token of the cache');
	}
}

const calls = 50_000;
const perCall = start => (performance.now() - start) / calls * 1e6;
// Each loop stands alone: a function that calls and awaits what it is given would add to every call.
const series = await interleave({rounds: 60, warmUpRounds: 10}, [
	async () => {
		const start = performance.now();
		for (let index = 0; index < calls; index++) {
			await floor();
		}

		return perCall(start);
	},
	async () => {
		const start = performance.now();
		for (let index = 0; index < calls; index++) {
			await floorWithClock();
		}

		return perCall(start);
	},
	async () => {
		const start = performance.now();
		for (let index = 0; index < calls; index++) {
			await credential.getToken(scope);
		}

		return perCall(start);
	},
	async () => {
		const start = performance.now();
		for (let index = 0; index < calls; index++) {
			await credential.getToken(list);
		}

		return perCall(start);
	},
	async () => {
		const start = performance.now();
		for (let index = 0; index < calls; index++) {
			await credential.getToken(list, clientOptions);
		}

		return perCall(start);
	},
]);
if (!(nowMs > 0)) {
	throw new Error('the clock was not looked at');
}

await credential.close();
process.stdout.write(JSON.stringify(series));
