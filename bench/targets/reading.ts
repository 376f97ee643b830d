/** P4: read and scan of a file for one account's tokens. P10: growth with the size, and the scanner alone. */

import {prepareCache, prepareSmallestCache, type SizedCache} from '../caches.js';
import {run} from '../processes.js';
import {
	type Outcome, pairedRatio, type Plots, type Result, single,
} from '../results.js';
import {summarize} from '../statistics.mjs';
import type {Prepared} from './prepared.js';

type Plan = {rounds: number; callsPerRound: number};

type ReadingSeries = {native: number[]; threaded: number[]; utf8: number[]; pure: number[]; skipping: number[]; trip: number[]; bytes: number[]; checked: number[]};

const plans = {
	S: {rounds: 40, callsPerRound: 20},
	M: {rounds: 25, callsPerRound: 5},
	L: {rounds: 15, callsPerRound: 3},
} as const satisfies Record<string, Plan>;

/** Milliseconds per read, with the ways of reading interleaved. */
function read({home, path, query, tokenCount}: SizedCache, plan: Plan, ways: ReadonlyArray<keyof ReadingSeries>): Partial<ReadingSeries> {
	return JSON.parse(run('reading.mjs', home, [JSON.stringify({
		...plan, path, query, tokenCount, ways,
	})])) as Partial<ReadingSeries>;
}

/** P4 */
export async function measureReading({directory, caches}: Prepared): Promise<Outcome> {
	const bounds = {S: 4, M: 15, L: 15};
	const pureName = 'pure-JS backend: latin1 for ASCII, otherwise utf8, + JSON.parse';
	const results: Result[] = [];
	const sizes: Plots['size'] = [];
	const rowsOf = (cache: SizedCache, plan: Plan, what: string, utf8Bound?: number) => {
		// Threads always read larger files.
		const isSmall = cache.sizeBytes <= 65_536 && process.platform === 'linux';
		const series = read(cache, plan, [...(isSmall ? ['native', 'threaded'] as const : ['native'] as const), 'utf8', 'pure', 'skipping', 'trip', 'bytes', 'checked']) as ReadingSeries;
		const trip = {floor: series.trip.map((sample, round) => sample + series.bytes[round]!), floorName: 'floor: a round trip to a thread and copying the bytes'};
		const ways = isSmall
			? [
				{
					ours: series.native, where: ', on the event loop\'s thread', bound: utf8Bound, floor: series.bytes, floorName: 'floor: copying the bytes only',
				},
				{
					ours: series.threaded, where: ', on another thread', bound: undefined, ...trip,
				},
			]
			: [{
				ours: series.native, where: '', bound: utf8Bound, ...trip,
			}];
		for (const {ours, where, bound, floor, floorName} of ways) {
			const row = (peerName: string, peer: number[], atLeast?: number): Result => ({
				id: 'P4',
				what: `read + scan, ${what}, ${cache.tokenCount} tokens returned${where}`,
				unit: 'ms',
				ours: summarize(ours),
				peer: {name: peerName, summary: summarize(peer)},
				ratio: pairedRatio(peer, ours),
				direction: 'speed-up',
				...(atLeast !== undefined && {target: {on: 'ratio', bound: atLeast}}),
			});
			results.push(
				row('readFile utf8 + JSON.parse', series.utf8, bound),
				row(pureName, series.pure, 1),
				// It finds no account in a cache without tokens and does nothing there.
				...(cache.tokenCount > 0 ? [row('Buffer.indexOf without validation', series.skipping, 1)] : []),
				{...row(floorName, floor), ratio: pairedRatio(ours, floor), direction: 'cost'},
			);
		}

		// The minimum for a scanner as fast as P10 requires: if this row misses a target, no scanner can reach it on
		// this machine.
		if (!isSmall) {
			const atBest = trip.floor.map((sample, round) => sample + series.checked[round]!);
			results.push({
				id: 'P4',
				what: `  round trip to a thread, copy, and scan in memory, ${what}, no match`,
				unit: 'ms',
				ours: summarize(atBest),
				peer: {name: 'readFile utf8 + JSON.parse', summary: summarize(series.utf8)},
				ratio: pairedRatio(series.utf8, atBest),
				direction: 'speed-up',
			});
		}

		return series;
	};

	const smallest = prepareSmallestCache(directory);
	rowsOf(smallest, plans.S, smallest.label);
	for (const name of ['S', 'M', 'L'] as const) {
		const cache = caches[name];
		const {native, pure} = rowsOf(cache, plans[name], cache.label, bounds[name]);
		sizes.push(
			{name: 'native', sizeBytes: cache.sizeBytes, ms: summarize(native).median},
			{name: 'pure JS', sizeBytes: cache.sizeBytes, ms: summarize(pure).median},
		);
	}

	for (const form of ['unicode', 'python'] as const) {
		for (const name of ['M', 'L'] as const) {
			const cache = prepareCache(directory, name, form);
			rowsOf(cache, plans[name], `${cache.label}, ${form === 'unicode' ? 'non-ASCII names' : 'as written by Python'}`);
		}
	}

	return {results, plots: {size: sizes}};
}

type ScanSeries = {scan: number[]; scanForNobody: number[]; parse: number[]; memchr: number[]};

/** P10 */
export async function measureGrowth(prepared: Prepared): Promise<Outcome> {
	const {caches, largest} = prepared;
	const medianOf = (cache: SizedCache, plan: Plan) => summarize(read(cache, plan, ['native']).native!);
	const times = [
		{cache: caches.S, ms: medianOf(caches.S, plans.S)},
		{cache: caches.M, ms: medianOf(caches.M, plans.M)},
		{cache: caches.L, ms: medianOf(caches.L, plans.L)},
		{cache: largest, ms: medianOf(largest, {rounds: 7, callsPerRound: 1})},
	];
	const results: Result[] = [];
	for (const [index, {cache, ms}] of times.entries()) {
		const before = times[index - 1];
		results.push({
			id: 'P10',
			what: `read + scan, ${cache.label}, ${cache.totalTokens.toLocaleString('en')} tokens`,
			unit: 'ms',
			ours: ms,
			...(before && {
				peer: {name: `the time per byte at ${before.cache.label}`, summary: single(before.ms.median * cache.sizeBytes / before.cache.sizeBytes)},
				ratio: ms.median / (before.ms.median * cache.sizeBytes / before.cache.sizeBytes),
			}),
			direction: 'cost',
			// Smaller caches fit into the processor's caches, and a constant cost per read is part of their time.
			...(cache === largest && {target: {on: 'ratio', bound: 1.25}}),
		});
	}

	const {home, path, query, tokenCount, label} = caches.L;
	const {scan, scanForNobody, parse, memchr} = JSON.parse(run('scanning.mjs', home, [JSON.stringify({path, query, rounds: 15})])) as ScanSeries;
	const speed = (what: string, series: number[], peerName: string, peer: number[], atLeast?: number): Result => ({
		id: 'P10',
		what: `scan in memory, ${label}, ${what}`,
		unit: 'GB/s',
		ours: summarize(series),
		peer: {name: peerName, summary: summarize(peer)},
		ratio: pairedRatio(series, peer),
		direction: 'speed-up',
		...(atLeast !== undefined && {target: {on: 'ours', bound: atLeast}}),
	});
	results.push(
		speed(`${tokenCount} tokens returned`, scan, 'latin1 + JSON.parse', parse, 10),
		speed('no match', scanForNobody, 'latin1 + JSON.parse', parse),
		speed('no match', scanForNobody, 'memory bandwidth: libc\'s memchr for a missing byte', memchr),
	);
	return {results, plots: {size: [{name: 'native', sizeBytes: largest.sizeBytes, ms: times.at(-1)!.ms.median}]}};
}
