/** Memory over many hits and many grants: it must not grow. */

import {cpSync} from 'node:fs';
import {join} from 'node:path';
import {askOnce} from '../processes.js';
import {type Outcome, type Result, single} from '../results.js';
import {summarize} from '../statistics.mjs';
import {startTokenEndpoint} from '../token-endpoint.js';
import {jobOf, type Prepared} from './prepared.js';

type Reading = {heap: number; rss: number};

const hits = 1_000_000;
const grants = 10_000;

export async function measureMemoryGrowth({directory, caches: {S: cache}}: Prepared): Promise<Outcome> {
	const home = join(directory, 'growth');
	cpSync(cache.home, home, {recursive: true});
	const endpoint = await startTokenEndpoint({...jobOf(cache), scope: cache.scope});
	try {
		const readings = await askOnce<Record<'hits' | 'grants', Reading[]>>('growth.mjs', home, {
			...jobOf(cache), server: endpoint.server, hits, grants,
		}, ['--expose-gc']);
		// Medians of three, because a write-back may still be running during a reading. The first reading still
		// contains earlier work.
		const begin = (series: number[]) => summarize(series.slice(1, 4)).median;
		const end = (series: number[]) => summarize(series.slice(-3)).median;
		const row = (what: string, series: number[], boundKb?: number): Result => ({
			id: 'growth',
			what: `${what}, from ${(begin(series) / 1e6).toFixed(2)} MB`,
			unit: 'KB',
			ours: single((end(series) - begin(series)) / 1000),
			direction: 'cost',
			...(boundKb !== undefined && {target: {on: 'ours', bound: boundKb}}),
		});
		const rows = (name: string, series: Reading[]) => [
			// V8's data about the code and pages that the allocator keeps are not a leak of ours: 100 bytes per hit
			// would be 100 MB.
			row(`heap growth over ${name}`, series.map(({heap}) => heap), 500),
			row(`resident memory growth over ${name}`, series.map(({rss}) => rss), 10_000),
		];
		return {
			results: [
				...rows(`${hits.toLocaleString('en')} hits`, readings.hits),
				...rows(`${grants.toLocaleString('en')} grants with write-back`, readings.grants),
			],
		};
	} finally {
		await endpoint.close();
	}
}
