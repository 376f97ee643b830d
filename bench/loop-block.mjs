// P5: the longest time that the event loop stands still while one large cache is read. Arguments: variant, path, query as JSON. The variant `idle`
// reads nothing: what the loop and the machine do by themselves. Prints milliseconds.

import {createRequire} from 'node:module';
import {performance} from 'node:perf_hooks';
import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';

const [variant, path, queryText] = process.argv.slice(2);
const query = JSON.parse(queryText);
const require = createRequire(import.meta.url);
const backend = variant === 'pure' ? require('../dist/pure.js').pureBackend : require('../dist/native.js').loadNativeBackend().backend;

let longestMs = 0;
let last = performance.now();
let isOn = true;
function tick() {
	const now = performance.now();
	longestMs = Math.max(longestMs, now - last);
	last = now;
	if (isOn) {
		setImmediate(tick);
	}
}

tick();
// The loop itself has to be warm, or its own first turns are what is measured.
await sleep(200);
longestMs = 0;
// About as long as the native variant reads.
const slice = variant === 'idle' ? await sleep(10) : await backend.query('plaintext', {path}, query, 10_000);
await sleep(20);
isOn = false;
if (variant !== 'idle' && slice.accessTokens.length === 0) {
	throw new Error('the cache was not read');
}

process.stdout.write(String(longestMs));
