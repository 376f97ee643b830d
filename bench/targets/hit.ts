/**
 * P1 and P2: a hit, compared with the cheapest possible await and the peers' silent hits; and the hits of a hundred
 * credentials.
 */

import {prepareHomeOfBothKinds} from '../caches.js';
import {Conversation, run} from '../processes.js';
import {
	type Distribution, type Outcome, pairedRatio, type Result,
} from '../results.js';
import {distribution, interleave, summarize} from '../statistics.mjs';
import {jobOf, peerNames, type Prepared} from './prepared.js';

/** P1: a hit, compared with the cheapest possible await. */
export async function measureHit({directory}: Prepared): Promise<Outcome> {
	const {home, scope} = prepareHomeOfBothKinds(directory);
	const [floor, floorWithClock, text, list, likeClient] = JSON.parse(run('hit.mjs', home, [scope])) as [number[], number[], number[], number[], number[]];
	const constant = {name: 'await of a constant', samples: floor};
	const row = (what: string, series: number[], {name, samples} = constant, bound?: number): Result => ({
		id: 'P1',
		what: `warm await getToken(${what})`,
		unit: 'ns',
		ours: summarize(series),
		peer: {name, summary: summarize(samples)},
		ratio: pairedRatio(series, samples),
		direction: 'cost',
		...(bound !== undefined && {target: {on: 'ratio', bound}}),
	});
	return {
		results: [
			row('scope', text, constant, 2),
			row('scope', text, {name: 'await of a constant and Date.now()', samples: floorWithClock}),
			row('[scope]', list),
			row('[scope], CAE and signal', likeClient),
		],
	};
}

/** P2: compared with libraries that read the cache for each call. */
export async function measureSilentHit({caches}: Prepared): Promise<Outcome> {
	const plans = {
		S: {rounds: 20, calls: 50, bound: 2000},
		M: {rounds: 20, calls: 15, bound: 20_000},
		L: {rounds: 12, calls: 4, bound: 300_000},
	} as const;
	const outcome: Outcome & {plots: {hit: Array<{name: string; points: Distribution}>; size: Array<{name: string; sizeBytes: number; ms: number}>}} = {results: [], plots: {hit: [], size: []}};
	for (const [name, {rounds, calls, bound}] of Object.entries(plans) as Array<[keyof typeof plans, typeof plans[keyof typeof plans]]>) {
		const cache = caches[name];
		const members = await start(cache.home, ['floor', 'ours', 'msal-node', 'identity'], jobOf(cache));
		const {floor, ours, identity} = members;
		const msalNode = members['msal-node'];
		try {
			// Calls that are faster than the timer come in batches, and their mean is compared with the peers' median:
			// no peer sample is lost in a pause.
			const batch = (member: Conversation) => async () => [await member.ask<number>({action: 'batch', calls: 50_000})];
			const each = (member: Conversation) => async () => member.ask<number[]>({action: 'each', calls});
			const [oursNs, msalNs, identityNs] = await interleave({rounds, warmUpRounds: 3}, [batch(ours), each(msalNode), each(identity)]) as [number[][], number[][], number[][]];
			const medians = (samples: number[][]) => samples.map(round => summarize(round).median);
			for (const [peer, samples, target] of [['msal-node', msalNs, bound], ['identity', identityNs, undefined]] as const) {
				outcome.results.push({
					id: 'P2',
					what: `warm hit, ${cache.totalTokens.toLocaleString('en')} tokens, ${cache.label}`,
					unit: 'us',
					ours: summarize(oursNs.map(([ns]) => ns! / 1000)),
					peer: {name: peerNames[peer], summary: summarize(samples.flat().map(ns => ns / 1000))},
					ratio: pairedRatio(medians(samples), oursNs.flat()),
					direction: 'speed-up',
					...(target !== undefined && {target: {on: 'ratio', bound: target}}),
				});
			}

			outcome.plots.size.push({name: 'msal-node', sizeBytes: cache.sizeBytes, ms: summarize(msalNs.flat()).median / 1e6});
			if (name === 'S') {
				const many = {action: 'distribution', calls: 200_000};
				outcome.plots.hit.push(
					{name: 'await of a constant', points: await floor.ask<Distribution>(many)},
					{name: 'this package', points: await ours.ask<Distribution>(many)},
					{name: 'msal-node', points: distribution(msalNs.flat())},
					{name: '@azure/identity', points: distribution(identityNs.flat())},
				);
			}

			await Promise.all(Object.values(members).map(async member => member.end()));
		} finally {
			for (const member of Object.values(members)) {
				member.kill();
			}
		}
	}

	return outcome;
}

async function start<Library extends string>(home: string, libraries: readonly Library[], job: object): Promise<Record<Library, Conversation>> {
	const members = Object.fromEntries(libraries.map(library => [library, new Conversation('silent-hit.mjs', home)])) as Record<Library, Conversation>;
	for (const library of libraries) {
		await members[library].ask({action: 'start', library, job});
	}

	return members;
}

/** A hundred credentials on one cache, compared with one. */
export async function measureMany({caches}: Prepared): Promise<Outcome> {
	const {home, username, scope, label} = caches.L;
	type Measured = {firstMs: number; hitNs: number[]; heapBytes: number};
	const of = (count: number) => () => JSON.parse(run('many.mjs', home, [JSON.stringify({
		count, username, scope, rounds: 20, calls: 20_000,
	})], ['--expose-gc'])) as Measured;
	const [one, hundred] = await interleave({rounds: 9, warmUpRounds: 1}, [of(1), of(100)]) as [Measured[], Measured[]];
	const row = (what: string, unit: string, pick: (measured: Measured) => number, bound?: number): Result => ({
		id: 'many',
		what: `100 credentials on one cache: ${what}`,
		unit,
		ours: summarize(hundred.map(measured => pick(measured))),
		peer: {name: 'one credential', summary: summarize(one.map(measured => pick(measured)))},
		ratio: pairedRatio(hundred.map(measured => pick(measured)), one.map(measured => pick(measured))),
		direction: 'cost',
		...(bound !== undefined && {target: {on: 'ratio', bound}}),
	});
	return {
		results: [
			row('a hit', 'ns', ({hitNs}) => summarize(hitNs).median, 1.25),
			row(`until all have their first token, ${label}`, 'ms', ({firstMs}) => firstMs, 1.25),
			row('heap', 'KB', ({heapBytes}) => heapBytes / 1000),
		],
	};
}
