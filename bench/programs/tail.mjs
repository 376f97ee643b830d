// The slowest hits under load: a token of the same credential is refreshed in the background repeatedly, another
// credential reloads a large cache, and garbage is produced and collected. The floor is an await of a constant,
// interleaved with the hits. Reads a job as a line of JSON. Prints distributions in nanoseconds, and the number of each
// event.

import {Buffer} from 'node:buffer';
import {utimesSync} from 'node:fs';
import {createRequire} from 'node:module';
import {performance, PerformanceObserver} from 'node:perf_hooks';
import {setTimeout as sleep} from 'node:timers/promises';
import {distribution, quantile} from '../statistics.mjs';
import {converse} from './conversation.mjs';
import {loopbackDispatcher} from './loopback.mjs';

const {SharedTokenCacheCredential} = createRequire(import.meta.url)('../../dist/index.js');
const nextTurn = () => new Promise(resolve => {
	setImmediate(resolve);
});

await converse(async ({username, scopes, large, server, samples: sampleCount}) => {
	const [scope, ...others] = scopes;
	const dispatcher = loopbackDispatcher(server);
	const hitting = new SharedTokenCacheCredential({username, dispatcher});
	const loading = new SharedTokenCacheCredential({username: large.username, tokenCachePersistenceOptions: {name: large.name}, cacheCheckIntervalInMs: 0});
	const constant = Promise.resolve(Object.freeze({token: ''}));
	const floor = async () => constant;
	const counts = {
		hits: 0, floors: 0, misses: 0, refreshes: 0, reloads: 0, collections: 0,
	};
	const observer = new PerformanceObserver(list => {
		counts.collections += list.getEntries().length;
	});
	observer.observe({entryTypes: ['gc']});
	let lastLoaded;
	/** Ends the background work. */
	const ending = new AbortController();
	const disturbances = [
		// The tokens of the cache are due for a refresh: a second request returns the token and starts a refresh.
		(async () => {
			for (let next = 0; !ending.signal.aborted; next++) {
				const other = others[next % others.length];
				await hitting.getToken(other);
				await hitting.getToken(other);
				counts.refreshes++;
				await sleep(20);
			}
		})(),
		(async () => {
			while (!ending.signal.aborted) {
				const now = new Date();
				utimesSync(large.path, now, now);
				// A token that is read again is another object.
				const token = await loading.getToken(large.scope);
				if (token !== lastLoaded) {
					lastLoaded = token;
					counts.reloads++;
				}

				await sleep(5);
			}
		})(),
		(async () => {
			let kept = [];
			while (!ending.signal.aborted) {
				kept.push(Array.from({length: 2000}, (_, index) => ({index, text: `garbage ${index}`})), Buffer.alloc(10_000));
				if (kept.length > 200) {
					kept = [];
				}

				await sleep(1);
			}
		})(),
	];
	const hitNs = new Float64Array(sampleCount);
	const floorNs = new Float64Array(sampleCount);
	const turnHitNs = [];
	const turnFloorNs = [];
	let last = await hitting.getToken(scope);
	const timeHit = async () => {
		const start = performance.now();
		const token = await hitting.getToken(scope);
		const end = performance.now();
		// Another token, or the same one read again, was a miss.
		if (token === last) {
			hitNs[counts.hits++] = (end - start) * 1e6;
		} else {
			counts.misses++;
			last = token;
		}
	};

	const timeFloor = async () => {
		const start = performance.now();
		await floor();
		const end = performance.now();
		floorNs[counts.floors++] = (end - start) * 1e6;
	};

	while (counts.hits < sampleCount) {
		for (let index = 0; index < 50 && counts.hits < sampleCount; index++) {
			await timeHit();
			// After a miss there is one more floor sample.
			if (counts.floors < counts.hits) {
				await timeFloor();
			}
		}

		// The time that a caller experiences, including everything that blocks the event loop before the call's turn.
		let start = performance.now();
		await nextTurn();
		await floor();
		turnFloorNs.push((performance.now() - start) * 1e6);
		start = performance.now();
		await nextTurn();
		const token = await hitting.getToken(scope);
		if (token === last) {
			turnHitNs.push((performance.now() - start) * 1e6);
		}

		last = token;
	}

	ending.abort();
	await Promise.all(disturbances);
	observer.disconnect();
	await Promise.all([hitting.close(), loading.close()]);
	await dispatcher.close();
	const tail = samples => {
		const sorted = samples.toSorted((a, b) => a - b);
		return {
			median: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), p999: quantile(sorted, 0.999), max: sorted.at(-1), count: sorted.length,
		};
	};

	return {
		hit: tail(hitNs), floor: tail(floorNs), turnHit: tail(turnHitNs), turnFloor: tail(turnFloorNs), counts, distributions: {hit: distribution(hitNs), floor: distribution(floorNs)},
	};
});
