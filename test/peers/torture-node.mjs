/**
 * A peer for the torture test: MSAL's real extensions for Node (file, lock and cache plugin) read and write one cache.
 * A stand-in replaces msal-node's token cache and merges like it: it adds what it reads to what it knows, and writes
 * all of it. Arguments: cache file, name, initial content as JSON, whether it writes. Prints "ready", runs until it
 * reads a line from standard input, and prints its counts as JSON.
 */

import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';
import {FilePersistence, PersistenceCachePlugin} from '@azure/msal-node-extensions';

const [path, name, knownText, writes] = process.argv.slice(2);
const plugin = new PersistenceCachePlugin(await FilePersistence.create(path));
// All writers know the user of these tokens, like an application that has tokens to write.
const known = JSON.parse(knownText);
const tokenCache = {
	deserialize(text) {
		for (const [section, records] of Object.entries(JSON.parse(text))) {
			known[section] = {...known[section], ...records};
		}
	},
	serialize: () => JSON.stringify(known),
};

const report = {hits: 0, writes: 0, failures: 0};
let isOver = false;

async function access(cacheHasChanged, change) {
	const context = {cacheHasChanged, tokenCache};
	try {
		await plugin.beforeCacheAccess(context);
		change();
		await plugin.afterCacheAccess(context);
		return true;
	} catch {
		// Known failures of these libraries: files torn by another writer of their kind, and locks that it left behind.
		report.failures++;
		return false;
	}
}

console.log('ready');
process.stdin.once('data', () => {
	isOver = true;
});
// eslint-disable-next-line no-unmodified-loop-condition -- it is, by the listener.
for (let round = 0; !isOver; round++) {
	const isWrite = writes === 'true' && round % 4 === 3;
	const isDone = await access(isWrite, () => {
		if (isWrite) {
			known.AccessToken = {...known.AccessToken, [`${name}-${round % 40}`]: {home_account_id: name, secret: `fake-${name}-${round}`, credential_type: 'AccessToken'}};
		}
	});
	report[isWrite ? 'writes' : 'hits'] += Number(isDone);
	await sleep(5 + (Math.random() * 20));
}

console.log(JSON.stringify(report));
process.stdin.destroy();
