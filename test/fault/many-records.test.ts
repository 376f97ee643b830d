/** G5: an application with many records: work grows with their number, and stays bounded while writes keep failing. */

import {mkdirSync, readFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {createCachePlugin} from '../../dist/index.js';
import {type CacheSections, TestHome} from '../helpers/home.js';

/** A plugin, and a token cache that only holds what it is given. */
function setUp(t: ExecutionContext, lockTimeoutInMs = 30_000) {
	const cachePath = join(new TestHome(t).path, 'app', 'cache.json');
	const plugin = createCachePlugin({cachePath, lockTimeoutInMs, tokenCachePersistenceOptions: {unsafeAllowUnencryptedStorage: true}});
	let records: CacheSections = {};
	let serial = 0;
	const tokenCache = {
		serialize: () => JSON.stringify(records),
		deserialize(text: string) {
			records = text === '' ? {} : JSON.parse(text) as CacheSections;
		},
	};
	/** Adds so many access tokens in one access. @returns the processor time that this took, milliseconds. */
	const add = async (count: number, section = 'AccessToken') => {
		const context = {cacheHasChanged: true, tokenCache};
		await plugin.beforeCacheAccess(context);
		const added = Object.fromEntries(Array.from({length: count}, () => {
			serial++;
			return [`key-${serial}`, {
				home_account_id: '', environment: 'e', client_id: 'c', realm: `r-${serial}`, target: 'scope', secret: `FAKE-${serial}-${'x'.repeat(1000)}`, expires_on: '4000000000',
			}];
		}));
		records[section] = {...records[section], ...added};
		const before = process.cpuUsage();
		await plugin.afterCacheAccess(context);
		const {user, system} = process.cpuUsage(before);
		return (user + system) / 1000;
	};

	return {cachePath, add, count: () => Object.keys(records['AccessToken'] ?? {}).length};
}

test.serial('G5: 16,000 new records in one access take about four times as long as 4,000', async t => {
	const few = setUp(t);
	// The first access loads the code.
	await few.add(10);
	const fewMs = await few.add(4000);
	const many = setUp(t);
	await many.add(10);
	const manyMs = await many.add(16_000);
	t.log(`4,000 records: ${Math.round(fewMs)} ms of processor time; 16,000: ${Math.round(manyMs)} ms`);
	t.is(Object.keys((JSON.parse(readFileSync(many.cachePath, 'utf8')) as CacheSections)['AccessToken']!).length, 16_010);
	// Quadratic work would take 16 times as long.
	t.true(manyMs < 10 * fewMs, `${manyMs} and ${fewMs} ms`);
});

test.serial('G5: what waits for a write while writes keep failing is bounded, and the newest is kept', async t => {
	const {cachePath, add, count} = setUp(t, 0);
	// A directory stands where the lock file would be.
	mkdirSync(join(dirname(cachePath), 'cache.json.lockfile'), {recursive: true});
	for (let round = 0; round < 5; round++) {
		await add(4000);
	}

	await add(1);
	t.true(count() <= 5001 + 4000, String(count()));
});
