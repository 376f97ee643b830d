/**
 * A program: a service with a credential, in a process of its own. Its first line on standard input is a {@link FleetJob}, each further
 * one a command; each is answered by one line. All lines are JSON. `fleet.ts` starts it.
 */

import process from 'node:process';
import {monitorEventLoopDelay} from 'node:perf_hooks';
import {createInterface} from 'node:readline';
import {setTimeout as sleep} from 'node:timers/promises';
import {SharedTokenCacheCredential} from '../../../dist/index.js';

// What a grant needs is loaded when it is needed: here before the race, so that none of them is late.
await Promise.all(['token-endpoint', 'machine-lease', 'write-back'].map(async name => import(`../../../dist/grant/${name}.js`)));

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

const getToken = async (scope, {abortAfterMs, ...rest} = {}) => {
	const startMs = performance.now();
	const got = await credential.getToken(scope, {...rest, ...(abortAfterMs !== undefined && {abortSignal: AbortSignal.timeout(abortAfterMs)})}).then(
		({token, expiresOnTimestamp}) => ({token, expiresOnMs: expiresOnTimestamp}),
		({name, code, message}) => ({error: `${name} ${code}: ${message}`}),
	);
	return {...got, tookMs: performance.now() - startMs};
};

const actions = {
	/** Many at once. */
	tokens: async ({scope, calls, options: getTokenOptions}) => Promise.all(Array.from({length: calls}, async () => getToken(scope, getTokenOptions))),
	/** Asks again and again until another token is given. */
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
	async watchLoop() {
		delays = monitorEventLoopDelay({resolution: 1});
		delays.enable();
		await sleep(50);
		delays.reset();
		return 'watching';
	},
	async longestBlockMs() {
		delays.disable();
		return delays.max / 1e6;
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
