/**
 * A program: holds lock files with the code under test, in a process of its own. Arguments: `native` or `pure`, and the lock file; a
 * third one is the user id to run as from there on. Commands and answers are those of `test/peers/hold_lock.py`; besides them `try`
 * (`locked`, `held` or the code of the error) and `check` (`true` or `false`). `count` takes how often instead, and says how often the
 * lock was lost meanwhile: `counted <number> <lost>`.
 */

import {readFile, writeFile} from 'node:fs/promises';
import process from 'node:process';
import {createInterface} from 'node:readline';
import {setTimeout as sleep} from 'node:timers/promises';
import {loadNativeBackend} from '../../../dist/backend/native-backend.js';
import {pureBackend} from '../../../dist/backend/js/js-backend.js';

const [variant, path, uid] = process.argv.slice(2);
const {tryLock} = variant === 'native' ? nativeLocks() : pureBackend;
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
		await writeFile(counter, String(number + 1));
		if (!await held.check()) {
			lost++;
		}

		await held.release();
		// Long enough for those who look four times a second to get their turns.
		await sleep(Math.random() * 20);
	}

	return `counted ${times} ${lost}`;
}
