// Calls the native backend in a separate process, because libsecret keeps its connection and reads the environment of
// the process. Argument: {call: 'probe' | 'query' | 'stamp' | 'commit', at, request?, timeoutMs, times?, together?,
// pauseMs?, pausePath?, turnsPath?}, as described in `store-child.ts`. Prints JSON: an array of outcomes, each with the result or the error's code, osDomain, osCode and message,
// and with the elapsed time; and the longest time that the event loop was blocked.

import {existsSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {performance} from 'node:perf_hooks';
import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';

const load = createRequire(import.meta.url);
const {loadNativeBackend} = load('../../../dist/backend/native-backend.js');
const {storeOf} = load('../../../dist/backend/stores.js');
const {backend, error: loadError} = loadNativeBackend();
if (!backend) {
	throw loadError;
}

const {call, at, request, timeoutMs, times = 1, together = false, pauseMs = 0, pausePath, turnsPath} = JSON.parse(process.argv[2]);
const query = {
	environments: ['login.microsoftonline.com'], clientId: 'client', nowSec: 0, refreshTokenSecrets: true,
};

const calls = {
	async probe() {
		const failure = storeOf(backend, 'libsecret').probe();
		if (failure) {
			throw failure;
		}

		return 'here';
	},
	query: async () => storeOf(backend, 'libsecret').query(at, query, timeoutMs),
	stamp: async () => storeOf(backend, 'libsecret').stamp(at, timeoutMs),
	commit: async () => storeOf(backend, 'libsecret').commit(at, request, timeoutMs),
};

async function ask() {
	const start = performance.now();
	const outcome = {};
	try {
		outcome.answer = await calls[call]();
	} catch (error) {
		const {code, osDomain, osCode, message, stack} = error;
		Object.assign(outcome, {
			code, osDomain, osCode, message, hasFrames: stack.includes('store-program'),
		});
	}

	outcome.elapsedMs = performance.now() - start;
	return outcome;
}

let longestBlockMs = 0;
let last = performance.now();
let turns = 0;
const ticker = setInterval(() => {
	const now = performance.now();
	longestBlockMs = Math.max(longestBlockMs, now - last - 2);
	last = now;
	turns++;
	if (turnsPath && turns === 100) {
		writeFileSync(turnsPath, '');
	}
}, 2);

const outcomes = [];
if (together) {
	outcomes.push(...await Promise.all(Array.from({length: times}, ask)));
} else {
	for (let index = 0; index < times; index++) {
		if (index > 0 && pauseMs > 0) {
			process.stdout.write('\n');
			await sleep(pauseMs);
		}

		if (index === 1 && pausePath) {
			writeFileSync(`${pausePath}.reached`, '');
			while (!existsSync(pausePath)) {
				await sleep(10);
			}
		}

		outcomes.push(await ask());
	}
}

clearInterval(ticker);
process.stdout.write(JSON.stringify({outcomes, longestBlockMs, rssBytes: process.memoryUsage.rss()}));
