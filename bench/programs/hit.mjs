// P1: hits, and the cheapest possible await. HOME contains caches of both kinds. Argument: scope. Prints series of
// nanoseconds per call as JSON.

import {createRequire} from 'node:module';
import {performance} from 'node:perf_hooks';
import process from 'node:process';
import {interleave} from '../statistics.mjs';

const load = createRequire(import.meta.url);
const {SharedTokenCacheCredential} = load('../../dist/index.js');

const [scope] = process.argv.slice(2);
const credential = new SharedTokenCacheCredential();
const list = [scope];
// The options that the policies of @azure/core-rest-pipeline pass.
const clientOptions = {enableCae: true, abortSignal: new AbortController().signal, tracingOptions: undefined};
const constant = Object.freeze({token: ''});
const floor = async () => constant;
let nowMs = 0;
/** The minimum for code that must not return an expired token. */
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
// Separate loops: a shared function that calls and awaits its argument would add to every call.
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
	throw new Error('the clock was not read');
}

await credential.close();
process.stdout.write(JSON.stringify(series));
