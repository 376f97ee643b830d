/**
 * A program: one process that asks for tokens. Argument: JSON of {dist, options, times?, random?}. `dist` is the folder of the built package.
 * `times` shortens the limits of leases. With `random` = {scopes, seed}, it asks for random tokens until its standard input ends; else
 * each line of standard input is a job {scope, calls?, close?}. It writes a line of JSON for each call.
 */

import {once} from 'node:events';
import path from 'node:path';
import process from 'node:process';
import {createInterface} from 'node:readline';
import {setTimeout as sleep} from 'node:timers/promises';
import {pathToFileURL} from 'node:url';
import {Agent} from 'undici';

const {dist, options, times, random: plan} = JSON.parse(process.argv[2]);
const load = async name => import(pathToFileURL(path.join(dist, name)).href);
const {SharedTokenCacheCredential} = await load('index.js');
// Loaded now, so that loading delays no process.
const [{leaseTimes}] = await Promise.all(['machine-lease', 'token-endpoint', 'write-back'].map(async name => load(`grant/${name}.js`)));
if (times) {
	Object.assign(leaseTimes, times);
}

const pid = String(process.pid);
const dispatcher = () => new Agent({keepAliveTimeout: 100}).compose(dispatch => (request, handler) => dispatch({...request, headers: [...request.headers, 'x-pid', pid]}, handler));
const makeCredential = () => new SharedTokenCacheCredential({...options, dispatcher: dispatcher()});

const say = value => {
	process.stdout.write(`${JSON.stringify(value)}\n`);
};

async function ask(credential, scope, getTokenOptions) {
	const startMs = Date.now();
	const result = await credential.getToken(scope, getTokenOptions).then(({token}) => ({token}), ({name, code, message}) => ({name, code, message}));
	say({
		scope, startMs, endMs: Date.now(), ...result,
	});
}

/** The same seed gives the same sequence. Source: Marsaglia, "Xorshift RNGs", 2003. */
function randomFrom(seed) {
	let state = seed;
	return () => {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		return (state >>> 0) / 4_294_967_296;
	};
}

async function askAtRandom({scopes, seed}) {
	process.stdin.resume();
	const random = randomFrom(seed);
	const pick = () => scopes[Math.floor(random() * scopes.length)];
	const kept = makeCredential();
	while (!process.stdin.readableEnded) {
		const isFresh = random() < 0.7;
		const credential = isFresh ? makeCredential() : kept;
		const count = 1 + Math.floor(random() * 3);
		await Promise.all(Array.from({length: count}, async () => ask(credential, pick(), random() < 0.1 ? {abortSignal: AbortSignal.timeout(Math.floor(random() * 200))} : {})));
		if (isFresh && random() < 0.5) {
			await credential.close();
		}

		await sleep(random() * 200);
	}
}

async function askAsTold() {
	const credential = makeCredential();
	say('ready');
	for await (const line of createInterface({input: process.stdin})) {
		const {scope, calls = 1, close = false} = JSON.parse(line);
		await Promise.all(Array.from({length: calls}, async () => ask(credential, scope)));
		if (close) {
			await credential.close();
			say('closed');
			break;
		}
	}
}

const work = plan ? askAtRandom : askAsTold;
await work(plan);
if (!process.stdout.writableFinished && process.stdout.writableLength > 0) {
	await once(process.stdout, 'drain');
}

process.stdin.destroy();
