// Memory over many hits and many grants. Reads a job as a line of JSON. Prints heap and resident size in bytes after
// collections, at regular intervals.

import {createRequire} from 'node:module';
import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';
import {converse} from './conversation.mjs';
import {loopbackDispatcher} from './loopback.mjs';

const {SharedTokenCacheCredential} = createRequire(import.meta.url)('../../dist/index.js');

/** The memory that remains after a collection, when background work has ended. */
async function reading() {
	await sleep(1000);
	for (let round = 0; round < 3; round++) {
		globalThis.gc();
		await sleep(20);
	}

	const {heapUsed, external, rss} = process.memoryUsage();
	return {heap: heapUsed + external, rss};
}

async function series(total, parts, call) {
	const readings = [];
	let done = 0;
	for (let part = 0; part <= parts; part++) {
		for (; done < total * part / parts; done++) {
			await call(done);
		}

		readings.push(await reading());
	}

	return readings;
}

await converse(async ({username, scope, server, hits, grants}) => {
	const dispatcher = loopbackDispatcher(server);
	const credential = new SharedTokenCacheCredential({username, dispatcher});
	await credential.getToken(scope);
	const grant = async serial => {
		const {token} = await credential.getToken(scope, {claims: JSON.stringify({access_token: {nbf: {essential: true, value: String(serial)}}})});
		if (!token.includes('granted')) {
			throw new Error('the token was not granted');
		}
	};

	// A first round of everything, so that code is compiled and pools are full.
	await series(100_000, 1, () => credential.getToken(scope));
	await series(2000, 1, grant);
	const result = {
		hits: await series(hits, 10, () => credential.getToken(scope)),
		grants: await series(grants, 10, async serial => grant(1e6 + serial)),
	};
	await credential.close();
	await dispatcher.close();
	return result;
});
