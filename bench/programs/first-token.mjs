// P3: like first-token.cjs, for an application with ES modules. Argument: a job as JSON. Without a library it is the
// empty process. Prints the milliseconds from the start of the process to the token. Background work such as loading an
// optional logger is not included.

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
