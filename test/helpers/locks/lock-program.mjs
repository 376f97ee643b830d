/**
 * A program: holds lock files with the code under test. Arguments: `native` or `pure`, the lock file, and optionally
 * the user ID to switch to after loading. Commands and answers are those of `test/peers/hold_lock.py`, and two more:
 * `try` (answers `locked`, `held` or the error code) and `check` (answers `true` or `false`). `count` takes the number
 * of increments and answers `counted <number> <lost>`, where <lost> is how often the lock was lost.
 */

import {readFile, writeFile} from 'node:fs/promises';
import process from 'node:process';
import {createInterface} from 'node:readline';
import {setTimeout as sleep} from 'node:timers/promises';
import {loadNativeBackend} from '../../../dist/backend/native-backend.js';
import {jsBackend} from '../../../dist/backend/js/js-backend.js';

const [variant, path, uid] = process.argv.slice(2);
const {tryLock} = variant === 'native' ? nativeLocks() : jsBackend;
if (uid) {
	process.setgroups([]);
	process.setgid(Number(uid));
	process.setuid(Number(uid));
}

let held;
console.log('ready');
for await (const line of createInterface({input: process.stdin})) {
	const [command, ...rest] = line.split(' ');
	console.log(await answer(command, rest));
}

function nativeLocks() {
	const {backend, error} = loadNativeBackend();
	if (!backend) {
		throw error;
	}

	return {tryLock: async paths => backend.tryLock(paths)};
}

async function answer(command, [argument, counter]) {
	switch (command) {
		case 'lock': {
			held = await lock();
			return 'locked';
		}

		case 'try': {
			try {
				held = await tryLock([path]);
			} catch (error) {
				return error.code;
			}

			return held ? 'locked' : 'held';
		}

		case 'check': {
			return String(await held.check());
		}

		case 'unlock': {
			await held.release();
			return 'unlocked';
		}

		case 'count': {
			return count(Number(argument), counter);
		}

		default: {
			return 'unknown';
		}
	}
}

async function lock() {
	for (;;) {
		const lock = await tryLock([path]);
		if (lock) {
			return lock;
		}

		await sleep(1 + (Math.random() * 9));
	}
}

async function count(times, counter) {
	let lost = 0;
	for (let counted = 0; counted < times; counted++) {
		const held = await lock();
		const number = Number(await readFile(counter, 'utf8'));
		await sleep(1);
		// In place, and always as long: a library that takes deleted lock files may read it at this moment.
		await writeFile(counter, String(number + 1).padStart(9, '0'), {flag: 'r+'});
		if (!await held.check()) {
			lost++;
		}

		await held.release();
		// Long enough for other processes, which retry four times a second, to get the lock.
		await sleep(Math.random() * 20);
	}

	return `counted ${times} ${lost}`;
}
