// P3: as first-token.cjs, for an application of ES modules. Argument: a job as JSON; without a library, it is the empty process. Prints the
// milliseconds from the start of the process to the token: what goes on behind it, such as the loading of an optional logger, is no part of it.

import {performance} from 'node:perf_hooks';
import process from 'node:process';
import {clientsBy} from './clients.mjs';

const job = JSON.parse(process.argv[2]);
let tokenMs = performance.now();
if (job.library !== 'none') {
	const clients = clientsBy(name => import(name), '../../dist/index.mjs');
	const client = await clients[job.library](job);
	const token = await client.getToken();
	tokenMs = performance.now();
	if (!token.includes('FAKE')) {
		throw new Error('not the token of the cache');
	}
}

console.log(tokenMs);
