/**
 * Holds a lock file with the lock of MSAL's extensions for Node. Argument: the lock file. Commands and answers are
 * those of `hold_lock.py`.
 */

import {existsSync} from 'node:fs';
import {readFile, writeFile} from 'node:fs/promises';
import process from 'node:process';
import {createInterface} from 'node:readline';
import {setTimeout as sleep} from 'node:timers/promises';
// The package does not export it, and its index would also load keytar.
import {CrossPlatformLock} from './node_modules/@azure/msal-node-extensions/dist/lock/CrossPlatformLock.mjs';

const silent = () => undefined;
const logger = {info: silent, warning: silent, error: silent};

const lock = new CrossPlatformLock(process.argv[2], logger);
console.log('ready');
for await (const line of createInterface({input: process.stdin})) {
	const [command, ...rest] = line.split(' ');
	console.log(await answer(command, rest.join(' ')));
}

async function answer(command, argument) {
	switch (command) {
		case 'lock': {
			return await tryLock() ? 'locked' : 'refused';
		}

		case 'unlock': {
			await lock.unlock();
			return 'unlocked';
		}

		case 'count': {
			return `counted ${await count(argument)}`;
		}

		default: {
			return 'unknown';
		}
	}
}

async function tryLock() {
	try {
		await lock.lock();
		return true;
	} catch {
		return false;
	}
}

async function count(counter) {
	let counted = 0;
	while (!existsSync(`${counter}.stop`)) {
		if (!await tryLock()) {
			continue;
		}

		const number = Number(await readFile(counter, 'utf8'));
		await sleep(1);
		await writeFile(counter, String(number + 1).padStart(9, '0'), {flag: 'r+'});
		await lock.unlock();
		counted++;
		await sleep(2);
	}

	return counted;
}
