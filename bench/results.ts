/** What a benchmark came to, and how it is printed. */

import {type Summary, summarize} from './statistics.mjs';

export type Result = {
	/** Target of the design, such as `P4`. */
	id: string;
	what: string;
	unit: string;
	ours: Summary;
	/** `undefined`: the row is there for its absolute figure. */
	peer?: {name: string; summary: Summary};
	/** Median of what the rounds gave. Of a cost ours over peer, of a speed-up how many times as fast as the peer. */
	ratio?: number;
	/** A cost should be small, a speed-up large. */
	direction: 'cost' | 'speed-up';
	/** Bound, from above for a cost and from below for a speed-up. `undefined`: for information. */
	target?: {on: 'ratio' | 'ours'; bound: number};
};

/** `ratio` and `ours` as in {@link Result}, times as medians; `target` says which of the two it bounds by its unit, `x` or `unit`. */
export type JsonResult = {
	id: string; what: string; ours: number; peer: number | null; peerName: string | null; ratio: number | null; unit: string; target: string | null; met: boolean | null;
};

/** The median of `numerator[i] / denominator[i]`: both samples of a round met the machine in the same mood. */
export function pairedRatio(numerator: readonly number[], denominator: readonly number[]): number {
	return summarize(numerator.map((sample, round) => sample / denominator[round]!)).median;
}

export function toJson(result: Result): JsonResult {
	const {id, what, ours, peer, ratio, unit} = result;
	return {
		id, what, ours: ours.median, peer: peer?.summary.median ?? null, peerName: peer?.name ?? null, ratio: ratio ?? null, unit, target: targetText(result) ?? null, met: isMet(result) ?? null,
	};
}

export function printTable(results: readonly Result[]): void {
	const rows = [['', 'what', 'ours', 'peer', 'peer is', 'ratio', 'target', 'met']];
	for (const result of results) {
		const {id, what, unit, ours, peer, ratio, direction} = result;
		const met = isMet(result);
		rows.push([
			id,
			what,
			format(ours, unit),
			peer ? format(peer.summary, unit) : '-',
			peer?.name ?? '-',
			ratio === undefined ? '-' : `${round(ratio)}x ${direction === 'cost' ? 'the time' : 'as fast'}`,
			targetText(result) ?? '-',
			met === undefined ? '-' : (met ? 'yes' : 'NO'),
		]);
	}

	const widths = rows[0]!.map((_, column) => Math.max(...rows.map(row => row[column]!.length)));
	for (const row of rows) {
		console.log(row.map((cell, column) => cell.padEnd(widths[column]!)).join('  ').trimEnd());
	}
}

function isMet({ours, ratio, direction, target}: Result): boolean | undefined {
	const value = target?.on === 'ours' ? ours.median : ratio;
	if (target === undefined || value === undefined) {
		return undefined;
	}

	return direction === 'cost' ? value <= target.bound : value >= target.bound;
}

function targetText({unit, direction, target}: Result): string | undefined {
	return target && `${direction === 'cost' ? '<=' : '>='} ${target.bound}${target.on === 'ours' ? ` ${unit}` : 'x'}`;
}

function format({median, p10, p90, count}: Summary, unit: string): string {
	return `${round(median)} ${unit} (${round(p10)}..${round(p90)}, ${count})`;
}

function round(value: number): string {
	return value >= 100 ? value.toFixed(0) : (value >= 10 ? value.toFixed(1) : value.toFixed(2));
}
