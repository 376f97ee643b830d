// Reads one unusual cache. Argument: a job as JSON. Prints the milliseconds and the maximum growth of the process in
// bytes, or the error code; then, of further readings, the longest blocks of the event loop in milliseconds, each with
// that of the same loop without a reading.

import {
	openSync, readFileSync, readSync, writeFileSync,
} from 'node:fs';
import {Buffer} from 'node:buffer';
import {createRequire} from 'node:module';
import {performance} from 'node:perf_hooks';
import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';

const {path, smallPath, query, rounds, blockRounds = 0} = JSON.parse(process.argv[2]);
const load = createRequire(import.meta.url);
const {backend} = load('../../dist/backend/native-backend.js').loadNativeBackend();
const {storeOf} = load('../../dist/backend/stores.js');
const isLinux = process.platform === 'linux';

const memoryBytes = field => isLinux
	? Number(new RegExp(String.raw`^${field}:\s+(\d+) kB$`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024
	: process.resourceUsage().maxRSS * 1024;

const timesFile = isLinux ? openSync(`/proc/self/task/${process.pid}/schedstat`, 'r') : undefined;
// Reused, because garbage would be collected during the measured turns.
const times = Buffer.alloc(64);

// The time that a processor spent on this thread: a machine that gives it to another process blocks no loop. Linux
// writes the time down every 4 ms, and when a process asks for its usage.
function threadMs() {
	if (!isLinux) {
		return performance.now();
	}

	process.cpuUsage();
	return Number.parseInt(times.latin1Slice(0, readSync(timesFile, times, 0, times.length, 0)), 10) / 1e6;
}

async function longestBlockMs(work) {
	let longestMs = 0;
	let isOn = true;
	let last = threadMs();
	function tick() {
		const now = threadMs();
		longestMs = Math.max(longestMs, now - last);
		last = now;
		if (isOn) {
			setImmediate(tick);
		}
	}

	tick();
	// Warms the loop up, otherwise its first turns would be measured.
	await sleep(200);
	longestMs = 0;
	await work();
	await sleep(20);
	isOn = false;
	return longestMs;
}

let code = null;
async function read() {
	try {
		await storeOf(backend, 'plaintext').query({path}, query, 60_000);
	} catch (error) {
		({code} = error);
	}
}

// Starts the thread and loads the addon.
await storeOf(backend, 'plaintext').query({path: smallPath}, query, 10_000);
if (isLinux) {
	// The highest memory so far is forgotten.
	writeFileSync('/proc/self/clear_refs', '5');
}

const before = memoryBytes('VmRSS');
const ms = [];
for (let round = 0; round < rounds; round++) {
	const start = performance.now();
	await read();
	ms.push(performance.now() - start);
}

const grownBytes = memoryBytes('VmHWM') - before;
const blocks = [];
for (let round = 0; round < blockRounds; round++) {
	const idle = await longestBlockMs(async () => sleep(ms.at(-1)));
	blocks.push({reading: await longestBlockMs(read), idle});
}

process.stdout.write(JSON.stringify({
	ms, code, grownBytes, blocks,
}));
