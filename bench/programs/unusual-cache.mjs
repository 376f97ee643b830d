// Reads one unusual cache. Argument: a job as JSON. Prints the milliseconds and the maximum growth of the process in
// bytes, or the error code.

import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {performance} from 'node:perf_hooks';
import process from 'node:process';

const {path, smallPath, query, rounds} = JSON.parse(process.argv[2]);
const load = createRequire(import.meta.url);
const {backend} = load('../../dist/backend/native-backend.js').loadNativeBackend();
const {storeOf} = load('../../dist/backend/stores.js');

const memoryBytes = field => process.platform === 'linux'
	? Number(new RegExp(String.raw`^${field}:\s+(\d+) kB$`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024
	: process.resourceUsage().maxRSS * 1024;

// Starts the thread and loads the addon.
await storeOf(backend, 'plaintext').query({path: smallPath}, query, 10_000);
const before = memoryBytes('VmRSS');
const ms = [];
let code = null;
for (let round = 0; round < rounds; round++) {
	const start = performance.now();
	try {
		await storeOf(backend, 'plaintext').query({path}, query, 60_000);
	} catch (error) {
		({code} = error);
	}

	ms.push(performance.now() - start);
}

process.stdout.write(JSON.stringify({ms, code, grownBytes: memoryBytes('VmHWM') - before}));
