/**
 * The code under torture: writes grants back as the credential does, including repairs. Argument: JSON of {path, name,
 * account, updates, forMs, pauseMs}: it makes `updates` updates, or those of `forMs` ms, but twenty at least. Half of the
 * updates renew entries of the other half. Prints a JSON line for each of its
 * writes, `{name, base, stamp}`, then `{"done": ...}`. After a line on standard input, when no other library can undo a
 * write any more, it checks once more and prints `{"kept": ..., "signedOut": ...}`.
 *
 * Libraries that leave the cache empty for seconds look like a sign-out, after which the tokens must not be restored.
 * Then the program requests all of them again, as the next callers would.
 */

import {once} from 'node:events';
import {createRequire} from 'node:module';
import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';

const load = createRequire(import.meta.url);
const {AzureLogger, setLogLevel} = load('@azure/logger');
const {SharedCache} = load('../../dist/cache/shared-cache.js');
const {plaintextFile} = load('../../dist/cache/cache-source.js');
const {WriteBack} = load('../../dist/grant/write-back.js');
const {atMost} = load('../../dist/runtime/sleep.js');
const {WriteWatch} = load('../../dist/cache/write-watch.js');

// On a busy machine, peers need longer than usual for their turn, and overwrite a write when nobody watches any more.
WriteWatch.watchedForMs = 3_600_000;

const {path, name, account, updates, forMs, pauseMs} = JSON.parse(process.argv[2]);
const cache = new SharedCache({keyringTimeoutMs: 1000, lockTimeoutMs: 60_000, useNativeAddon: true});
const source = plaintextFile(path);
const print = value => {
	process.stdout.write(`${JSON.stringify(value)}\n`);
};

let commits = 0;
const writeBack = new WriteBack(cache, (_, base, stamp) => {
	commits++;
	print({name, base, stamp});
});
const slots = updates / 2;
/** The expected final content, by slot: the token and the number of the update. */
const expected = {};
const latest = {};
const nowSec = Math.floor(Date.now() / 1000);

function grantOf(update) {
	const slot = update % slots;
	const scope = `https://${name}-${slot}.example/.default`;
	const accessToken = `fake-${name}-${slot}-${update}`;
	expected[slot] = accessToken;
	latest[slot] = update;
	return {
		response: {accessToken, expiresOnSec: nowSec + 3600 + update, scope},
		account,
		environment: account.environment,
		environments: [account.environment],
		clientId: 'client',
		isAdfs: false,
		scopes: [scope],
		realm: 'home',
		redeemed: {homeAccountId: account.homeAccountId, environment: account.environment, secret: ''},
		isOwnCache: true,
		nowSec: nowSec + update,
	};
}

let signedOut = 0;
let answered = 0;
setLogLevel('info');
AzureLogger.log = (...words) => {
	signedOut += Number(words.join(' ').includes('its account was signed out meanwhile'));
};

const endings = [];

async function write(update) {
	const ended = writeBack.write(source, grantOf(update));
	endings.push(ended);
	await atMost(500, ended);
}

async function askAgainAfterSignOut() {
	while (answered < signedOut) {
		answered = signedOut;
		for (const update of Object.values(latest)) {
			await write(update);
		}
	}
}

// The write-back does not keep the event loop alive. The caller that awaits a token does.
const hold = setInterval(() => undefined, 60_000);
const endMs = performance.now() + (forMs ?? Infinity);
let update = 0;
for (; update < updates && (update < 20 || performance.now() < endMs); update++) {
	const written = commits;
	await write(update);
	// It returns after half a second, and the write continues in the background.
	// eslint-disable-next-line no-unmodified-loop-condition -- it is, by the callback.
	while (commits === written) {
		await sleep(5);
		await askAgainAfterSignOut();
	}

	await sleep(Math.random() * pauseMs);
	await askAgainAfterSignOut();
}

print({done: update});
await once(process.stdin, 'data');
await askAgainAfterSignOut();
// Those that wait for the lock.
await Promise.all(endings);
await writeBack.repair();
await writeBack.close();
clearInterval(hold);
process.stdin.destroy();
print({kept: expected, signedOut});
