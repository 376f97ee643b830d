// P4: reading and scanning a file for one account's tokens, asynchronously, page cache warm; and the scanner alone. Argument: JSON. Prints series
// as JSON: milliseconds for one reading, GB/s for the scanner.

import {readFile} from 'node:fs/promises';
import {createRequire} from 'node:module';
import {performance} from 'node:perf_hooks';
import process from 'node:process';
import {readAndSkip} from './skip-scan.mjs';
import {interleave} from './statistics.mjs';

const load = createRequire(import.meta.url);
const {pureBackend: pure} = load('../dist/pure.js');
const {backend: native, error} = load('../dist/native.js').loadNativeBackend();

if (!native) {
	throw error;
}

const {
	path, query, tokenCount, rounds, callsPerRound, withScan,
} = JSON.parse(process.argv[2]);

/** A sample: a few readings one after the other, since the first one after another way of reading meets cold caches and a sleeping thread. */
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

const viaBackend = backend => sampleOf(async () => (await backend.query('plaintext', {path}, query, 10_000)).accessTokens.length);

const parseText = text => {
	const {AccessToken: tokens} = JSON.parse(text);
	return Object.values(tokens).filter(record => record.home_account_id === query.homeAccountId).length;
};

const [ours, utf8, variant, skipping] = await interleave({rounds, warmUpRounds: 4}, [
	viaBackend(native),
	sampleOf(async () => parseText(await readFile(path, 'utf8'))),
	viaBackend(pure),
	sampleOf(async () => (await readAndSkip(path, query.homeAccountId)).filter(record => record.credential_type === 'AccessToken').length),
]);

const result = {
	ours, utf8, variant, skipping,
};
if (withScan) {
	const bytes = await readFile(path);
	const speedOf = work => () => {
		const start = performance.now();
		work();
		return bytes.length / (performance.now() - start) / 1e6;
	};

	const nobody = {...query, homeAccountId: 'nobody.nowhere'};
	[result.scan, result.scanForNobody, result.parse] = await interleave({rounds: 15, warmUpRounds: 4}, [
		speedOf(() => native.scan(bytes, query)),
		speedOf(() => native.scan(bytes, nobody)),
		speedOf(() => parseText(bytes.latin1Slice())),
	]);
}

process.stdout.write(JSON.stringify(result));
