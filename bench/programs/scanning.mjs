// P10: the scanner alone, on bytes in memory. Argument: a job as JSON. Prints series of GB/s as JSON.

import {readFile} from 'node:fs/promises';
import {createRequire} from 'node:module';
import {performance} from 'node:perf_hooks';
import process from 'node:process';
import {interleave} from '../statistics.mjs';

const {backend, error} = createRequire(import.meta.url)('../../dist/backend/native-backend.js').loadNativeBackend();
if (!backend) {
	throw error;
}

const {path, query, rounds} = JSON.parse(process.argv[2]);
const bytes = await readFile(path);
const speedOf = work => () => {
	const start = performance.now();
	work();
	return bytes.length / (performance.now() - start) / 1e6;
};

const nobody = {...query, homeAccountId: 'nobody.nowhere'};
const [scan, scanForNobody, parse, memchr] = await interleave({rounds, warmUpRounds: 4}, [
	speedOf(() => backend.scan(bytes, query)),
	speedOf(() => backend.scan(bytes, nobody)),
	speedOf(() => JSON.parse(bytes.latin1Slice())),
	speedOf(() => bytes.indexOf(0)),
]);
process.stdout.write(JSON.stringify({
	scan, scanForNobody, parse, memchr,
}));
