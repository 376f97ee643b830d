// Hundreds of credentials for one cache in a new process. Argument: a job as JSON. Prints the milliseconds until all
// have their first token, the nanoseconds of a hit if they are called in turn, and the bytes of heap that they use.

import {createRequire} from 'node:module';
import {performance} from 'node:perf_hooks';
import process from 'node:process';

const {count, username, scope, rounds, calls} = JSON.parse(process.argv[2]);
const {SharedTokenCacheCredential} = createRequire(import.meta.url)('../../dist/index.js');

globalThis.gc();
const heapBefore = process.memoryUsage().heapUsed;
const startMs = performance.now();
const credentials = Array.from({length: count}, () => new SharedTokenCacheCredential({username}));
const tokens = await Promise.all(credentials.map(async credential => credential.getToken(scope)));
const firstMs = performance.now() - startMs;
if (new Set(tokens).size !== 1 || !tokens[0].token.includes('FAKE')) {
	throw new Error('the tokens differ');
}

const hitNs = [];
for (let round = 0; round < rounds; round++) {
	let next = 0;
	const start = performance.now();
	for (let index = 0; index < calls; index++) {
		await credentials[next].getToken(scope);
		next = next + 1 === count ? 0 : next + 1;
	}

	hitNs.push((performance.now() - start) / calls * 1e6);
}

globalThis.gc();
const heapBytes = process.memoryUsage().heapUsed - heapBefore;
for (const credential of credentials) {
	await credential.close();
}

process.stdout.write(JSON.stringify({firstMs, hitNs, heapBytes}));
