// P4: asynchronous read and scan of a file for one account's tokens, with a warm page cache. Argument: a job as JSON.
// Prints series of milliseconds per read as JSON.

import {
	closeSync, openSync, readFileSync, readSync,
} from 'node:fs';
import {readFile} from 'node:fs/promises';
import {createRequire} from 'node:module';
import {performance} from 'node:perf_hooks';
import process from 'node:process';
import {interleave} from '../statistics.mjs';
import {readAndSkip} from './skip-scan.mjs';

const load = createRequire(import.meta.url);
const {jsBackend: pure} = load('../../dist/backend/js/js-backend.js');
const {backend: native, error} = load('../../dist/backend/native-backend.js').loadNativeBackend();
const {storeOf} = load('../../dist/backend/stores.js');

if (!native) {
	throw error;
}

const {
	path, query, tokenCount, rounds, callsPerRound, ways,
} = JSON.parse(process.argv[2]);

/**
 * The same file. Linux reads a small file on the main thread if it is in the page cache, which cannot be determined
 * behind this kind of link.
 */
const threadedPath = process.platform === 'linux' ? `/proc/self/root${path}` : path;

/**
 * A sample is several consecutive reads, because the first one after another way of reading meets cold caches and a
 * sleeping thread.
 */
const sampleOf = read => async () => {
	let count = 0;
	const start = performance.now();
	for (let call = 0; call < callsPerRound; call++) {
		count = await read();
	}

	const elapsedMs = performance.now() - start;
	if (count !== tokenCount) {
		throw new Error(`${count} tokens instead of ${tokenCount}`);
	}

	return elapsedMs / callsPerRound;
};

const viaBackend = (backend, at = path) => sampleOf(async () => (await storeOf(backend, 'plaintext').query({path: at}, query, 10_000)).accessTokens.length);

const parseText = text => {
	const {AccessToken: tokens = {}} = JSON.parse(text);
	return Object.values(tokens).filter(record => record.home_account_id === query.homeAccountId).length;
};

/** As large as the addon's read buffer. */
const window = Buffer.alloc(64 * 1024);

/** The minimum for every way of reading: the kernel copies the bytes. */
function copyBytes() {
	const file = openSync(path, 'r');
	while (readSync(file, window) > 0) {
		// Reads the next part.
	}

	closeSync(file);
}

const readers = {
	native: () => viaBackend(native),
	threaded: () => viaBackend(native, threadedPath),
	utf8: () => sampleOf(async () => parseText(await readFile(path, 'utf8'))),
	pure: () => viaBackend(pure),
	// A job that only gets a file's state: one round trip to a thread.
	trip: () => sampleOf(async () => await storeOf(native, 'plaintext').stamp({path: threadedPath}, 10_000) && tokenCount),
	bytes: () => sampleOf(async () => copyBytes() ?? tokenCount),
	// The scanner alone, with a query for a missing account.
	checked() {
		const bytes = readFileSync(path);
		const nobody = {...query, homeAccountId: 'nobody.nowhere'};
		return sampleOf(async () => native.scan(bytes, nobody).accessTokens.length + tokenCount);
	},
	skipping: () => sampleOf(async () => (await readAndSkip(path, query.homeAccountId)).filter(record => record.credential_type === 'AccessToken').length),
};
const series = await interleave({rounds, warmUpRounds: 4}, ways.map(way => readers[way]()));
process.stdout.write(JSON.stringify(Object.fromEntries(ways.map((way, index) => [way, series[index]]))));
