// P5: the longest block of the event loop while one large cache is read. Argument: a job as JSON. The variant `idle`
// reads nothing and measures the loop and the machine alone. Prints milliseconds.

import {createRequire} from 'node:module';
import {performance} from 'node:perf_hooks';
import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';
import {clients} from './clients.mjs';

const {variant, job, query} = JSON.parse(process.argv[2]);
const require = createRequire(import.meta.url);

const readers = {
	async native() {
		const {storeOf} = require('../../dist/backend/stores.js');
		const {backend} = require('../../dist/backend/native-backend.js').loadNativeBackend();
		return async () => (await storeOf(backend, 'plaintext').query({path: job.cachePath}, query, 10_000)).accessTokens.length > 0;
	},
	async pure() {
		const {storeOf} = require('../../dist/backend/stores.js');
		const {jsBackend} = require('../../dist/backend/js/js-backend.js');
		return async () => (await storeOf(jsBackend, 'plaintext').query({path: job.cachePath}, query, 10_000)).accessTokens.length > 0;
	},
	// Creating its application reads the cache once, to find the account. The measured read is warm, as for the other
	// libraries.
	async 'msal-node'() {
		const client = await clients['msal-node'](job);
		return async () => (await client.getToken()).includes('FAKE');
	},
	// About as long as the native backend reads.
	idle: async () => async () => sleep(10, true),
};

const read = await readers[variant]();
let longestMs = 0;
let last = performance.now();
let isOn = true;
function tick() {
	const now = performance.now();
	longestMs = Math.max(longestMs, now - last);
	last = now;
	if (isOn) {
		setImmediate(tick);
	}
}

tick();
// Warms the loop up, otherwise its first turns would be measured.
await sleep(200);
longestMs = 0;
const isRead = await read();
await sleep(20);
isOn = false;
if (!isRead) {
	throw new Error('the cache was not read');
}

process.stdout.write(String(longestMs));
