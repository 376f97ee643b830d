/**
 * A program: terminates 40 worker threads, eight at a time, while each runs jobs, and then makes a commit itself.
 * Argument: JSON of {kinds, path, location?}, for `busy-environment.mjs`. Prints JSON of {inFlight, jobs, left, final}:
 * the number of threads of each kind that had a job in progress when terminated, the number of jobs started, the other
 * files in the cache's folder afterwards, and the outcome of the final commit.
 */

import {readdirSync} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';
import {Worker} from 'node:worker_threads';
import {loadNativeBackend} from '../../../dist/backend/native-backend.js';
import {storeOf} from '../../../dist/backend/stores.js';

const {kinds, path: cachePath, location} = JSON.parse(process.argv[2]);
const inFlight = Object.fromEntries(kinds.map(kind => [kind, 0]));
let jobs = 0;

async function terminateOne(kind, delayMs) {
	const counters = new SharedArrayBuffer(8);
	const counts = new Int32Array(counters);
	const worker = new Worker(new URL('busy-environment.mjs', import.meta.url), {
		workerData: {
			kind, path: cachePath, location, counters,
		},
	});
	worker.once('error', error => {
		throw error;
	});
	while (Atomics.load(counts, 0) === 0) {
		await sleep(2);
	}

	await sleep(delayMs);
	const started = Atomics.load(counts, 0);
	if (started > Atomics.load(counts, 1)) {
		inFlight[kind]++;
	}

	jobs += started;
	await worker.terminate();
}

for (let group = 0; group < 5; group++) {
	await Promise.all(Array.from({length: 8}, (_, index) => terminateOne(kinds[((group * 8) + index) % kinds.length], index * 5)));
}

// The files of the threads must be gone while this process is still running.
const left = readdirSync(path.dirname(cachePath)).filter(name => name !== path.basename(cachePath));

/** The remaining environment must still work. An abandoned keyring call may hold the lock for a moment. */
async function commit() {
	const giveUpAtMs = Date.now() + 120_000;
	for (;;) {
		const {outcome} = await storeOf(loadNativeBackend().backend, 'plaintext').commit({path: cachePath}, {
			change: {
				edits: [{
					section: 'Mine', action: 'put', key: 'last', set: {written: 'true'},
				}],
			},
			lockPaths: [`${cachePath}.lockfile`],
			create: false,
		}, 1000);
		if (outcome !== 'locked' || Date.now() > giveUpAtMs) {
			return outcome;
		}

		await sleep(20);
	}
}

console.log(JSON.stringify({
	inFlight, jobs, left, final: await commit(),
}));
