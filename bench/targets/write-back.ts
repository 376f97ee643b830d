/** P9: the write-back of one grant, compared with writing the same bytes without parsing them. */

import type {SizedCache, SizeName} from '../caches.js';
import {run} from '../processes.js';
import {type Outcome, pairedRatio, type Result} from '../results.js';
import {summarize} from '../statistics.mjs';
import type {Prepared} from './prepared.js';

export async function measureWriteBack({caches}: Prepared): Promise<Outcome> {
	const rounds: Record<SizeName, number> = {S: 200, M: 60, L: 25};
	const results: Result[] = [];
	for (const [name, {label, home, path, query, scope}] of Object.entries(caches) as Array<[SizeName, SizedCache]>) {
		const {ours, floor, parsed, variant, unflushed} = JSON.parse(run('write-back.mjs', home, [JSON.stringify({
			path, clientId: query.clientId, scope, rounds: rounds[name], account: {homeAccountId: query.homeAccountId, environment: query.environments[0], realm: query.homeAccountId.split('.')[1]},
		})])) as Record<'ours' | 'floor' | 'parsed' | 'unflushed' | 'variant', number[]>;
		const row = (peerName: string, peer: number[], bound?: number): Result => ({
			id: 'P9',
			what: `write-back of one grant, ${label}`,
			unit: 'ms',
			ours: summarize(ours),
			peer: {name: peerName, summary: summarize(peer)},
			ratio: pairedRatio(ours, peer),
			direction: 'cost',
			...(bound !== undefined && {target: {on: 'ratio', bound}}),
		});
		results.push(
			row('the same bytes as one buffer + fdatasync + rename', floor, 1.3),
			row('utf8 + JSON.parse, JSON.stringify + fdatasync + rename', parsed),
			row('pure-JS backend: edits the text in JavaScript', variant),
			row('the same bytes + rename, lost in a power loss', unflushed),
		);
	}

	return {results};
}
