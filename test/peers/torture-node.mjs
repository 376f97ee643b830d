/**
 * A peer under torture: MSAL's real extensions for Node (file, lock and cache plugin) doing hits and writes on one cache. The token cache
 * that the plugin serves is a stand-in with msal-node's way of merging: what is read is added to what is known, and all of it is written.
 * Arguments: cache file, name, what it knows from the start as JSON, whether it writes, too. Prints "ready", runs until a line comes on standard input, then prints how much it did as JSON.
 */

import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';
import {FilePersistence, PersistenceCachePlugin} from '@azure/msal-node-extensions';

const [path, name, knownText, writes] = process.argv.slice(2);
const plugin = new PersistenceCachePlugin(await FilePersistence.create(path));
// The user of these tokens is the one that all writers know, as with any application that has tokens to write.
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
		// Torn files that its like wrote, and locks that its like left behind: both are known of it.
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
