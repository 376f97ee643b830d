/** The measurements, one function a target. Each starts plain processes, so that nothing of this one distorts them, and returns rows. */

import {spawnSync} from 'node:child_process';
import {existsSync} from 'node:fs';
import {performance} from 'node:perf_hooks';
import {fileURLToPath} from 'node:url';
import {prepareHomeOfBothKinds, type SizedCache, type SizeName} from './caches.js';
import {type FleetOutcome, runFleet} from './fleet.js';
import {pairedRatio, type Result} from './results.js';
import {interleave, summarize} from './statistics.mjs';

export type Prepared = {directory: string; caches: Record<SizeName, SizedCache>};

/**
 * Runs a program of this directory. Its environment has no session bus: a keyring of this machine is neither asked nor measured.
 *
 * @throws {Error} when it failed.
 */
function run(program: string, home: string, parameters: readonly string[]): string {
	const {status, stdout, stderr, error} = spawnSync(process.execPath, [fileURLToPath(new URL(program, import.meta.url)), ...parameters], {
		// The locale of the machine changes what Node does when it starts.
		env: {PATH: process.env['PATH'] ?? '', HOME: home}, encoding: 'utf8',
	});
	if (status !== 0) {
		throw new Error(`${program} failed: ${error?.message ?? stderr}`);
	}

	return stdout;
}

/** P1: a hit, over the cheapest thing that can be awaited. */
export async function measureHit({directory}: Prepared): Promise<Result[]> {
	const {home, scope} = prepareHomeOfBothKinds(directory);
	const [floor, text, list, likeClient] = JSON.parse(run('hit.mjs', home, [scope])) as [number[], number[], number[], number[]];
	const row = (what: string, series: number[], bound?: number): Result => ({
		id: 'P1',
		what: `warm await getToken(${what})`,
		unit: 'ns',
		ours: summarize(series),
		peer: {name: 'await of a constant', summary: summarize(floor)},
		ratio: pairedRatio(series, floor),
		direction: 'cost',
		...(bound !== undefined && {target: {on: 'ratio', bound}}),
	});
	return [row('scope', text, 2), row('[scope]', list), row('[scope], CAE and signal', likeClient)];
}

/** P3: a fresh process to its first cached token, above an empty one. */
export async function measureFirstToken({caches}: Prepared): Promise<Result[]> {
	const targets: Record<SizeName, number> = {S: 5, M: 6, L: 12};
	const results: Result[] = [];
	for (const {name, label, home, username, scope} of Object.values(caches)) {
		const timed = (...parameters: string[]) => () => {
			const startMs = performance.now();
			run('first-token.cjs', home, parameters);
			return performance.now() - startMs;
		};

		const [empty = [], native = [], pure = []] = await interleave({rounds: 25, warmUpRounds: 2}, [
			timed(), timed(username, scope, 'native'), timed(username, scope, 'pure'),
		]);
		const row = (what: string, series: number[], bound?: number): Result => {
			// The difference of the medians would mix rounds.
			const above = series.map((sample, round) => sample - empty[round]!);
			return {
				id: 'P3',
				what: `to first cached token, above empty, ${label}, ${what}`,
				unit: 'ms',
				ours: summarize(above),
				peer: {name: 'the empty process', summary: summarize(empty)},
				ratio: pairedRatio(above, empty),
				direction: 'cost',
				...(bound !== undefined && {target: {on: 'ours', bound}}),
			};
		};

		const splits = Array.from({length: 9}, () => JSON.parse(run('first-token.cjs', home, [username, scope, 'native', 'split'])) as {requireMs: number; getTokenMs: number});
		const part = (what: string, series: number[]): Result => ({
			id: 'P3', what: `  native, seen from inside: ${what}`, unit: 'ms', ours: summarize(series), direction: 'cost',
		});
		results.push(
			row('native', native, targets[name]),
			part('require', splits.map(({requireMs}) => requireMs)),
			part('constructor + getToken', splits.map(({getTokenMs}) => getTokenMs)),
			row('pure JS', pure),
		);
	}

	return results;
}

type ReadingSeries = {ours: number[]; utf8: number[]; variant: number[]; skipping: number[]; scan?: number[]; scanForNobody?: number[]; parse?: number[]};

/** P4: reading and scanning a file for one account's tokens, and the scanner alone (P10). */
export async function measureReading({caches}: Prepared): Promise<Result[]> {
	const plans: Record<SizeName, {rounds: number; callsPerRound: number; bound: number}> = {
		S: {rounds: 40, callsPerRound: 20, bound: 4},
		M: {rounds: 25, callsPerRound: 5, bound: 15},
		L: {rounds: 15, callsPerRound: 1, bound: 15},
	};
	const results: Result[] = [];
	for (const {name, label, home, path, query, tokenCount} of Object.values(caches)) {
		const {bound, ...plan} = plans[name];
		const {ours, utf8, variant, skipping, scan, scanForNobody, parse} = JSON.parse(run('reading.mjs', home, [JSON.stringify({
			...plan, path, query, tokenCount, withScan: name === 'L',
		})])) as ReadingSeries;
		const row = (peerName: string, peer: number[], atLeast: number): Result => ({
			id: 'P4',
			what: `read + scan, ${label}, ${tokenCount} tokens out`,
			unit: 'ms',
			ours: summarize(ours),
			peer: {name: peerName, summary: summarize(peer)},
			ratio: pairedRatio(peer, ours),
			direction: 'speed-up',
			target: {on: 'ratio', bound: atLeast},
		});
		results.push(
			row('readFile utf8 + JSON.parse', utf8, bound),
			row('pure variant: latin1 of ASCII + JSON.parse', variant, 1),
			row('Buffer.indexOf, nothing checked', skipping, 1),
		);
		if (scan && scanForNobody && parse) {
			const speed = (what: string, series: number[], atLeast?: number): Result => ({
				id: 'P10',
				what: `scan in memory, ${label}, ${what}`,
				unit: 'GB/s',
				ours: summarize(series),
				peer: {name: 'latin1 + JSON.parse', summary: summarize(parse)},
				ratio: pairedRatio(series, parse),
				direction: 'speed-up',
				...(atLeast !== undefined && {target: {on: 'ours', bound: atLeast}}),
			});
			results.push(speed(`${tokenCount} tokens out`, scan, 10), speed('nothing out', scanForNobody));
		}
	}

	return results;
}

/** P5: how long the event loop stands still while the largest cache is read. */
export async function measureBlock({caches}: Prepared): Promise<Result[]> {
	const {label, home, path, query} = caches.L;
	const block = (variant: string) => () => Number(run('loop-block.mjs', home, [variant, path, JSON.stringify(query)]));
	const [native = [], pure = [], idle = []] = await interleave({rounds: 15}, [block('native'), block('pure'), block('idle')]);
	const longest = (series: number[]) => summarize([summarize(series).max]);
	const what = `longest block while ${label} load`;
	return [
		{
			id: 'P5',
			what,
			unit: 'ms',
			ours: summarize(native),
			peer: {name: 'pure variant', summary: summarize(pure)},
			ratio: pairedRatio(native, pure),
			direction: 'cost',
			target: {on: 'ours', bound: 1},
		},
		{
			id: 'P5',
			what: `${what}, worst run of ${native.length}`,
			unit: 'ms',
			ours: longest(native),
			peer: {name: 'pure variant', summary: longest(pure)},
			ratio: summarize(native).max / summarize(pure).max,
			direction: 'cost',
		},
		{
			id: 'P5', what: '  the same loop while nothing loads', unit: 'ms', ours: summarize(idle), direction: 'cost',
		},
		{
			id: 'P5', what: `  the same loop while nothing loads, worst run of ${idle.length}`, unit: 'ms', ours: longest(idle), direction: 'cost',
		},
	];
}

/** P8: 8 processes with 10 calls each want one expired token at once. */
export async function measureFleet({directory}: Prepared): Promise<Result[]> {
	const fleet = {processes: 8, calls: 10};
	const rounds = 5;
	const hasPeer = existsSync(new URL('../test/peers/node_modules/@azure/msal-node', import.meta.url));
	if (!hasPeer) {
		console.error('msal-node is not installed in test/peers: npm test -- test/unit installs it');
	}

	const outcomes: Record<'ours' | 'msal-node', FleetOutcome[]> = {ours: [], 'msal-node': []};
	for (let round = 0; round < rounds; round++) {
		outcomes.ours.push(await runFleet(directory, {...fleet, library: 'ours'}));
		if (hasPeer) {
			outcomes['msal-node'].push(await runFleet(directory, {...fleet, library: 'msal-node'}));
		}
	}

	const noToken = 'calls without a token';
	const what = `${fleet.processes} processes x ${fleet.calls} calls, expired token`;
	const {ours} = outcomes;
	const peers = outcomes['msal-node'];
	const row = (name: string, unit: string, pick: (outcome: FleetOutcome) => number, target?: Result['target']): Result => ({
		id: 'P8',
		what: `${what}: ${name}`,
		unit,
		ours: summarize(ours.map(outcome => pick(outcome))),
		direction: 'cost',
		...(peers.length > 0 && {
			peer: {name: 'msal-node 7.2.1 + extensions 5.6.0', summary: summarize(peers.map(outcome => pick(outcome)))},
			// Nothing over nothing is no ratio.
			...(name !== noToken && {ratio: pairedRatio(ours.map(outcome => pick(outcome)), peers.map(outcome => pick(outcome)))}),
		}),
		...(target && {target}),
	});
	return [
		row('grants', 'grants', ({grants}) => grants, {on: 'ours', bound: 1}),
		row(noToken, 'calls', ({failed}) => failed, {on: 'ours', bound: 0}),
		row('until all have it', 'ms', ({elapsedMs}) => elapsedMs),
	];
}

/** P9: writing one grant back, over writing the same bytes without looking at them. */
export async function measureWriteBack({caches}: Prepared): Promise<Result[]> {
	const rounds: Record<SizeName, number> = {S: 200, M: 60, L: 25};
	const results: Result[] = [];
	for (const {name, label, home, path, query, scope} of Object.values(caches)) {
		const {ours, floor, parsed, variant} = JSON.parse(run('write-back.mjs', home, [JSON.stringify({
			path, clientId: query.clientId, scope, rounds: rounds[name], account: {homeAccountId: query.homeAccountId, environment: query.environments[0], realm: query.homeAccountId?.split('.')[1]},
		})])) as Record<'ours' | 'floor' | 'parsed' | 'variant', number[]>;
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
			row('the same bytes as one buffer + rename', floor, 1.3),
			row('utf8 + JSON.parse, JSON.stringify + rename', parsed),
			row('pure variant: splicing in JavaScript', variant),
		);
	}

	return results;
}
