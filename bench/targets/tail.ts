/** The slowest hits while tokens are refreshed, a large cache is reloaded and garbage is collected. */

import {cpSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {askOnce} from '../processes.js';
import {
	type Outcome, type Plots, type Result, single,
} from '../results.js';
import {startTokenEndpoint} from '../token-endpoint.js';
import {jobOf, type Prepared} from './prepared.js';

type Tail = {median: number; p99: number; p999: number; max: number; count: number};

type Answer = Record<'hit' | 'floor' | 'turnHit' | 'turnFloor', Tail> & {
	counts: Record<'hits' | 'floors' | 'misses' | 'refreshes' | 'reloads' | 'collections', number>;
	distributions: Record<'hit' | 'floor', Plots['hit'][number]['points']>;
};

export async function measureTail({directory, caches: {M: cache, L: large}}: Prepared): Promise<Outcome> {
	const home = join(directory, 'tail');
	cpSync(cache.home, home, {recursive: true});
	const path = cache.path.replace(cache.home, home);
	const largeName = 'large';
	const largePath = path.replace('msal.cache', largeName);
	cpSync(large.path, largePath);
	makeTokensDue(path, cache.query.homeAccountId, cache.scope);
	const endpoint = await startTokenEndpoint({...jobOf(cache), scope: cache.scopes.join(' ')});
	try {
		const {hit, floor, turnHit, turnFloor, counts} = await askOnce<Answer>('tail.mjs', home, {
			username: cache.username,
			scopes: cache.scopes,
			server: endpoint.server,
			large: {
				name: largeName, path: largePath, username: large.username, scope: large.scope,
			},
			samples: 300_000,
		});
		const refreshes = endpoint.grantCount();
		if (refreshes === 0 || counts.reloads === 0 || counts.collections === 0) {
			throw new Error(`nothing happened in the background: ${refreshes} grants, ${counts.reloads} reloads, ${counts.collections} collections`);
		}

		const during = `during ${refreshes} refreshes, ${counts.reloads} reloads of ${large.label}, ${counts.collections} collections`;
		const row = (what: string, ours: number, peer: number, peerName: string): Result => ({
			id: 'tail',
			what,
			unit: 'us',
			ours: single(ours / 1000),
			peer: {name: peerName, summary: single(peer / 1000)},
			ratio: ours / peer,
			direction: 'cost',
		});
		const above = (what: string, ours: number, peer: number): Result => ({
			id: 'tail', what, unit: 'us', ours: single((ours - peer) / 1000), direction: 'cost', target: {on: 'ours', bound: 1000},
		});
		const floorName = 'await of a constant, interleaved';
		const turnName = 'a turn of the event loop alone, interleaved';
		return {
			results: [
				row(`p50 of a hit, ${counts.hits} hits ${during}`, hit.median, floor.median, floorName),
				row('p99.9 of a hit', hit.p999, floor.p999, floorName),
				above('p99.9 of a hit above the floor', hit.p999, floor.p999),
				row(`the longest of ${hit.count} hits`, hit.max, floor.max, floorName),
				row(`p99.9 of a turn of the event loop and a hit, ${turnHit.count}`, turnHit.p999, turnFloor.p999, turnName),
				above('p99.9 of a turn and a hit above the floor', turnHit.p999, turnFloor.p999),
			],
		};
	} finally {
		await endpoint.close();
	}
}

/** Makes all tokens of the account but one due for a refresh, while they stay valid. */
function makeTokensDue(path: string, homeAccountId: string, scope: string): void {
	const cache = JSON.parse(readFileSync(path, 'utf8')) as {AccessToken: Record<string, Record<string, string>>};
	const nowSec = Math.floor(Date.now() / 1000);
	for (const record of Object.values(cache.AccessToken)) {
		if (record['home_account_id'] === homeAccountId && !record['target']!.split(' ').includes(scope)) {
			record['refresh_on'] = String(nowSec - 3600);
		}
	}

	writeFileSync(path, JSON.stringify(cache), {mode: 0o600});
}
