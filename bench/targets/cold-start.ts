/** P3: a new process to its first cached token, above an empty process. P6: its peak memory. */

import {join, relative} from 'node:path';
import {performance} from 'node:perf_hooks';
import {fileURLToPath} from 'node:url';
import type {SizedCache, SizeName} from '../caches.js';
import {run} from '../processes.js';
import {type Outcome, pairedRatio, type Result} from '../results.js';
import {interleave, summarize} from '../statistics.mjs';
import {jobOf, peerNames, type Prepared} from './prepared.js';

type Library = 'none' | 'bytes' | 'ours' | 'compiled' | 'pure' | 'msal-node' | 'identity';

type Job = {library: Library; report?: 'split' | 'peak'; codePath?: string};

const argumentFor = (cache: SizedCache, job: Job) => JSON.stringify({...jobOf(cache), ...job});

/** The difference to the empty process in each round. A difference of medians would mix rounds. */
const aboveOf = (empty: readonly number[]) => (series: readonly number[]) => series.map((sample, round) => sample - empty[round]!);

export async function measureFirstToken({caches, directory, options}: Prepared): Promise<Outcome> {
	if (options.isExplained) {
		explainImports(caches.S);
	}

	const targets: Record<SizeName, number> = {S: 5, M: 6, L: 12};
	const results: Result[] = [];
	const codePath = join(directory, 'compiled');
	for (const [name, cache] of Object.entries(caches) as Array<[SizeName, SizedCache]>) {
		const timed = (...parameters: string[]) => () => {
			const startMs = performance.now();
			run('first-token.cjs', cache.home, parameters);
			return performance.now() - startMs;
		};

		// The first warm-up round writes the compiled code that the later ones use.
		const [empty, ours, compiled, bytes, pure, msalNode, identity] = await interleave({rounds: 41, warmUpRounds: 2}, [
			timed(), ...(['ours', 'compiled', 'bytes', 'pure', 'msal-node', 'identity'] as const).map(library => timed(argumentFor(cache, {library, codePath}))),
		]) as [number[], number[], number[], number[], number[], number[], number[]];
		const above = aboveOf(empty);
		const what = `to first cached token, above empty, ${cache.label}`;
		const splits = Array.from({length: 9}, () => JSON.parse(run('first-token.cjs', cache.home, [argumentFor(cache, {library: 'ours', report: 'split'})])) as {requireMs: number; getTokenMs: number});
		const part = (name: string, series: number[]): Result => ({
			id: 'P3', what: `  inside the process: ${name}`, unit: 'ms', ours: summarize(series), direction: 'cost',
		});
		results.push(
			{
				id: 'P3',
				what,
				unit: 'ms',
				ours: summarize(above(ours)),
				peer: {name: 'the empty process', summary: summarize(empty)},
				ratio: pairedRatio(above(ours), empty),
				direction: 'cost',
				target: {on: 'ours', bound: targets[name]},
			},
			...([['floor: the same with V8\'s compiled code cached', compiled], ['floor: copying the bytes only', bytes], ['pure-JS backend', pure], [peerNames['msal-node'], msalNode], [peerNames.identity, identity]] as const).map(([peerName, series]): Result => ({
				id: 'P3',
				what,
				unit: 'ms',
				ours: summarize(above(ours)),
				peer: {name: peerName, summary: summarize(above(series))},
				// Ratio of the medians, because ours is close to zero in some rounds.
				ratio: summarize(above(ours)).median / summarize(above(series)).median,
				direction: 'cost',
			})),
			part('require', splits.map(({requireMs}) => requireMs)),
			part('constructor + getToken', splits.map(({getTokenMs}) => getTokenMs)),
		);
	}

	results.push(...await measureAsEsModule(caches.S));
	return {results};
}

/** The same for an application with ES modules, for which Node resolves packages differently. */
async function measureAsEsModule(cache: SizedCache): Promise<Result[]> {
	const timed = (library: Library) => () => Number(run('first-token.mjs', cache.home, [argumentFor(cache, {library})]));
	const [empty, ours, msalNode, identity] = await interleave({rounds: 21, warmUpRounds: 2}, (['none', 'ours', 'msal-node', 'identity'] as const).map(library => timed(library))) as [number[], number[], number[], number[]];
	const above = aboveOf(empty);
	return ([['the empty process', empty], [peerNames['msal-node'], above(msalNode)], [peerNames.identity, above(identity)]] as const).map(([name, series]) => ({
		id: 'P3',
		what: `to first cached token, above empty, ES modules, ${cache.label}`,
		unit: 'ms',
		ours: summarize(above(ours)),
		peer: {name, summary: summarize(series)},
		ratio: summarize(above(ours)).median / summarize(series).median,
		direction: 'cost',
	}));
}

type Import = {name: string; ownMs: number; totalMs: number};

/** Prints the load time of each file that is loaded before the first cached token. */
function explainImports({home, ...cache}: SizedCache): void {
	const preload = fileURLToPath(new URL('../programs/imports.cjs', import.meta.url));
	const root = fileURLToPath(new URL('../../', import.meta.url));
	const runs = Array.from({length: 15}, () => JSON.parse(run('first-token.cjs', home, [argumentFor({home, ...cache}, {library: 'ours'})], ['--require', preload])) as Import[]);
	const rows = runs[0]!.map(({name}) => {
		const ofAll = (field: 'ownMs' | 'totalMs') => summarize(runs.flatMap(imports => imports.filter(each => each.name === name).map(each => each[field]))).median;
		return {name: name.startsWith('node:') ? name : relative(root, name), ownMs: ofAll('ownMs'), totalMs: ofAll('totalMs')};
	}).toSorted((a, b) => b.ownMs - a.ownMs);
	console.error(`\nLoaded before the first cached token, ${cache.label}: milliseconds without and with the modules that each loads; medians of ${runs.length} processes`);
	for (const {name, ownMs, totalMs} of rows) {
		console.error(`${ownMs.toFixed(2).padStart(8)} ${totalMs.toFixed(2).padStart(8)}  ${name}`);
	}

	console.error(`${rows.reduce((sum, {ownMs}) => sum + ownMs, 0).toFixed(2).padStart(8)}           in total\n`);
}

/** P6: peak memory above an empty process. */
export async function measurePeakMemory({caches: {L: cache}}: Prepared): Promise<Outcome> {
	const peak = (library: Library) => () => Number(run('first-token.cjs', cache.home, [argumentFor(cache, {library, report: 'peak'})])) / 1e6;
	const [empty, ours, pure, msalNode, identity] = await interleave({rounds: 11}, (['none', 'ours', 'pure', 'msal-node', 'identity'] as const).map(library => peak(library))) as [number[], number[], number[], number[], number[]];
	const above = aboveOf(empty);
	const row = (peerName: string, series: number[]): Result => ({
		id: 'P6',
		what: `peak memory above empty, ${cache.label}`,
		unit: 'MB',
		ours: summarize(above(ours)),
		peer: {name: peerName, summary: summarize(series)},
		ratio: summarize(above(ours)).median / summarize(series).median,
		direction: 'cost',
	});
	return {
		results: [
			{...row('the empty process', empty), target: {on: 'ours', bound: 8}},
			row('pure-JS backend', above(pure)),
			row(peerNames['msal-node'], above(msalNode)),
			row(peerNames.identity, above(identity)),
		],
	};
}
