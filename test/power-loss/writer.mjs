/**
 * A program: commits to a cache until the disk is gone. Argument: JSON of {variant, path}. Prints "begun N" and "written N" for the Nth
 * commit, and at the end the error that ended it.
 */

import {readFileSync, writeSync} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {loadNativeBackend} from '../../dist/backend/native-backend.js';
import {jsBackend} from '../../dist/backend/js/js-backend.js';
import {storeOf} from '../../dist/backend/stores.js';
import {recordOf} from './record.mjs';

const {variant, path: cachePath} = JSON.parse(process.argv[2]);
const store = storeOf(variant === 'native' ? loadNativeBackend().backend : jsBackend, 'plaintext');
// Synchronous: a line must be out before the next step begins.
const print = text => writeSync(1, `${text}\n`);

let {number} = JSON.parse(readFileSync(cachePath, 'utf8')).Mine.counter;
try {
	for (;;) {
		number++;
		print(`begun ${number}`);
		const {record} = recordOf(number);
		const set = Object.fromEntries(Object.entries(record).map(([name, value]) => [name, JSON.stringify(value)]));
		const change = {
			edits: [{
				section: 'Mine', action: 'put', key: 'counter', set,
			}],
		};
		const {outcome} = await store.commit({path: cachePath}, {change, lockPaths: [`${cachePath}.lockfile`, path.join(path.dirname(cachePath), '.lockfile')], create: false}, 1000);
		if (outcome === 'written') {
			print(`written ${number}`);
		} else {
			// A lock file that the last power loss left behind may have to age first.
			number--;
			await new Promise(resolve => {
				setTimeout(resolve, 10);
			});
		}
	}
} catch (error) {
	print(`ended ${error.code ?? error.message}`);
}
