/**
 * The code under torture: changes records through `withCache` or the plugin for msal-node. Argument: JSON of {path,
 * name, way, updates, forMs, pauseMs}. Half of the updates renew entries of the other half. Prints `{"done": ...}`, and
 * after a line on standard input, when no other library can undo a write any more, `{"kept": ...}`.
 */

import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';

const load = createRequire(import.meta.url);
const {SharedTokenCache, createCachePlugin} = load('../../dist/index.js');
const {WriteWatch} = load('../../dist/cache/write-watch.js');

// On a busy machine, peers need longer than usual for their turn, and overwrite a write when nobody watches any more.
WriteWatch.watchedForMs = 3_600_000;

const {path, name, way, updates, forMs, pauseMs} = JSON.parse(process.argv[2]);
const options = {cachePath: path, lockTimeoutInMs: 60_000, tokenCachePersistenceOptions: {unsafeAllowUnencryptedStorage: true}};
const slots = Math.max(1, updates / 2);
/** The expected final content, by slot. */
const expected = {};

function recordOf(update) {
	const slot = update % slots;
	const secret = `fake-${name}-${slot}-${update}`;
	expected[slot] = secret;
	return {
		[`${name}-${slot}`]: {
			home_account_id: name, environment: 'login.microsoftonline.com', credential_type: 'AccessToken', secret,
		},
	};
}

const cache = new SharedTokenCache(options);
const plugin = createCachePlugin(options);
let records = {};
const tokenCache = {
	serialize: () => JSON.stringify(records),
	deserialize(text) {
		records = text === '' ? {} : JSON.parse(text);
	},
};

async function access(cacheHasChanged, change) {
	const context = {cacheHasChanged, tokenCache};
	await plugin.beforeCacheAccess(context);
	change();
	await plugin.afterCacheAccess(context);
}

const ways = {
	async withCache(record) {
		await cache.withCache(sections => {
			sections.AccessToken = {...sections.AccessToken, ...record};
		});
	},
	async plugin(record) {
		await access(true, () => {
			records.AccessToken = {...records.AccessToken, ...record};
		});
	},
};

/** Another library may have left the file torn. An application tries again. */
async function write(record) {
	for (;;) {
		try {
			await ways[way](record);
			return;
		} catch {
			await sleep(20);
		}
	}
}

// The looks at what was written do not keep the event loop alive.
const hold = setInterval(() => undefined, 60_000);
const endMs = performance.now() + (forMs ?? Infinity);
let update = 0;
for (; update < updates && (update < 20 || performance.now() < endMs); update++) {
	await write(recordOf(update));
	await sleep(Math.random() * pauseMs);
}

process.stdout.write(`${JSON.stringify({done: update})}\n`);
await once(process.stdin, 'data');
const isWritten = () => {
	const text = readFileSync(path, 'utf8');
	return Object.values(expected).every(secret => text.includes(`"${secret}"`));
};

// The next looks find what other programs have undone.
const lastMs = performance.now() + 60_000;
while (!isWritten() && performance.now() < lastMs) {
	await sleep(100);
}

clearInterval(hold);
process.stdin.destroy();
process.stdout.write(`${JSON.stringify({kept: expected})}\n`);
