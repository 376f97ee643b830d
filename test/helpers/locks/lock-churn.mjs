/**
 * A program: several threads increment one number under one lock file. Arguments: `native` or `pure`, the lock file,
 * the number's file, the number of threads, and the number of increments per thread.
 */

import {readFile, writeFile} from 'node:fs/promises';
import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';
import {isMainThread, Worker, workerData} from 'node:worker_threads';
import {loadNativeBackend} from '../../../dist/backend/native-backend.js';
import {jsBackend} from '../../../dist/backend/js/js-backend.js';

if (isMainThread) {
	const [kind, path, counter, threads, times] = process.argv.slice(2);
	for (let thread = 0; thread < Number(threads); thread++) {
		const worker = new Worker(new URL(import.meta.url), {
			workerData: {
				kind, path, counter, times: Number(times),
			},
		});
		worker.once('error', error => {
			throw error;
		});
	}
} else {
	await churn(workerData);
}

async function churn({kind, path, counter, times}) {
	const backend = kind === 'native' ? loadNativeBackend().backend : jsBackend;
	for (let time = 0; time < times; time++) {
		const held = await lock(backend, path);
		const number = Number(await readFile(counter, 'utf8'));
		await writeFile(counter, String(number + 1));
		if (!await held.check()) {
			throw new Error('The lock was lost.');
		}

		await held.release();
	}
}

async function lock(backend, path) {
	for (;;) {
		const held = await backend.tryLock([path]);
		if (held) {
			return held;
		}

		await sleep(1 + (Math.random() * 19));
	}
}
