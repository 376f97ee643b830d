/**
 * A program: a service with a credential. The first line of standard input is a {@link FleetJob}, each further line a
 * command. It answers each line with one line. All lines are JSON. `fleet.ts` starts it.
 */

import process from 'node:process';
import {monitorEventLoopDelay} from 'node:perf_hooks';
import {createInterface} from 'node:readline';
import {setTimeout as sleep} from 'node:timers/promises';
import {SharedTokenCache, SharedTokenCacheCredential} from '../../../dist/index.js';

// Loads the lazily loaded modules before the race starts, so that loading delays no process.
await Promise.all(['token-endpoint', 'machine-lease', 'write-back', 'refresh-grant'].map(async name => import(`../../../dist/grant/${name}.js`)));

const lines = createInterface({input: process.stdin})[Symbol.asyncIterator]();
const next = async () => {
	const {value, done} = await lines.next();
	return done ? undefined : JSON.parse(value);
};

const answer = value => {
	process.stdout.write(`${JSON.stringify(value)}\n`);
};

/** @type {import('./fleet.js').FleetJob} */
const {options, uid} = await next();
const credential = new SharedTokenCacheCredential(options);
if (uid !== undefined) {
	process.setgroups([]);
	process.setgid(uid);
	process.setuid(uid);
}

let delays;
let turns = 0;

const getToken = async (scope, {abortAfterMs, ...rest} = {}) => {
	const startMs = performance.now();
	const got = await credential.getToken(scope, {...rest, ...(abortAfterMs !== undefined && {abortSignal: AbortSignal.timeout(abortAfterMs)})}).then(
		({token, expiresOnTimestamp}) => ({token, expiresOnMs: expiresOnTimestamp}),
		({name, code, message}) => ({error: `${name} ${code}: ${message}`}),
	);
	return {...got, tookMs: performance.now() - startMs};
};

const actions = {
	/** Makes `calls` concurrent requests. */
	tokens: async ({scope, calls, options: getTokenOptions}) => Promise.all(Array.from({length: calls}, async () => getToken(scope, getTokenOptions))),
	/** Repeats the request until it returns another token. */
	async newToken({scope, withinMs}) {
		const endMs = performance.now() + withinMs;
		const first = await getToken(scope);
		for (;;) {
			const latest = await getToken(scope);
			if (latest.token !== first.token || performance.now() > endMs) {
				return [first, latest];
			}

			await sleep(10);
		}
	},
	/** Signs out with a cache that has the credential's settings. */
	removeAccount: async ({homeAccountId, options: cacheOptions}) => new SharedTokenCache(cacheOptions).removeAccount({homeAccountId}),
	listAccounts: async ({options: cacheOptions}) => new SharedTokenCache(cacheOptions).listAccounts(),
	async watchLoop() {
		delays = monitorEventLoopDelay({resolution: 1});
		delays.enable();
		setInterval(() => {
			turns++;
		}, 1).unref();
		return 'watching';
	},
	/** What `watchLoop` has seen. */
	async loop() {
		return {turns, longestBlockMs: delays.max / 1e6};
	},
	async close() {
		await credential.close();
		return 'closed';
	},
};

answer('ready');
for (;;) {
	const command = await next();
	if (!command) {
		break;
	}

	answer(await actions[command.do](command));
}
