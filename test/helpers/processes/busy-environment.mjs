/**
 * A program or worker thread that runs jobs of one kind, four at a time, until something ends it. Argument: JSON of
 * {kind, path, location?, counters?, end?}, in `workerData` or on the command line. `location` is the location of a
 * keyring item. `counters` is shared memory with the numbers of started and finished jobs. `end` is {how, afterMs} for
 * a process that ends itself; with how = `fall`, it starts no more jobs after the first ones and ends when the event
 * loop is empty.
 */

import {readFileSync} from 'node:fs';
import process from 'node:process';
import {isMainThread, threadId, workerData} from 'node:worker_threads';
import {loadNativeBackend} from '../../../dist/backend/native-backend.js';
import {storeOf} from '../../../dist/backend/stores.js';

const {kind, path, location = {path}, counters = new SharedArrayBuffer(8), end} = isMainThread ? JSON.parse(process.argv[2]) : workerData;
const counts = new Int32Array(counters);
const {backend, error} = loadNativeBackend();
if (!backend) {
	throw error;
}

const [what, store] = kind.startsWith('keyring-') ? [kind.slice('keyring-'.length), 'libsecret'] : [kind, 'plaintext'];
// So long that a process that waits for it is killed before, and the test fails.
const timeoutMs = 600_000;
const query = {environments: ['login.microsoftonline.com'], clientId: '04b07795-8ddb-461a-bbee-02f9e1bf7b46', nowSec: 0};
const bytes = what === 'scan' ? readFileSync(path) : undefined;
const held = [];
let count = 0;

const jobs = {
	read: async () => storeOf(backend, store).read(location, timeoutMs),
	query: async () => storeOf(backend, store).query(location, query, timeoutMs),
	stamp: async () => storeOf(backend, store).stamp(location, timeoutMs),
	commit: async () => storeOf(backend, store).commit(location, {
		change: {
			edits: [{
				section: 'Mine', action: 'put', key: 'k', set: {count: String(count++), thread: String(threadId)},
			}],
		},
		lockPaths: [`${path}.lockfile`],
		create: false,
	}, timeoutMs),
	async lock() {
		const lock = await backend.tryLock([`${path}.held`]);
		await lock?.touch();
		await lock?.check();
		await lock?.release();
	},
	/** Held until the process or thread ends. */
	async hold() {
		held.push(await backend.tryLock([`${path}.${threadId}-${count++}.held`]));
	},
	scan: async () => backend.scan(bytes, query),
};

async function work() {
	Atomics.add(counts, 0, 1);
	try {
		await jobs[what]();
	} catch (error_) {
		// Errors of the store are fine: other threads use it at the same time.
		if (error_.name !== 'StoreError') {
			throw error_;
		}
	} finally {
		Atomics.add(counts, 1, 1);
	}

	if (end?.how !== 'fall') {
		setImmediate(work);
	}
}

for (let chain = 0; chain < 4; chain++) {
	// Deliberately not awaited: the jobs run until something ends the program.
	// eslint-disable-next-line unicorn/prefer-top-level-await
	work();
}

if (end?.how !== 'fall') {
	// Keyring calls do not keep a process alive.
	setInterval(() => undefined, 1000);
	setTimeout(() => {
		switch (end?.how) {
			case 'exit': {
				process.exit(0);
				break;
			}

			case 'throw': {
				throw new Error('Thrown on purpose.');
			}

			case 'signal': {
				process.kill(process.pid, 'SIGTERM');
				break;
			}

			default: {
				break;
			}
		}
	}, end?.afterMs);
}
