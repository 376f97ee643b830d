/** The results of a benchmark, and their output. */

import {type Summary, summarize} from './statistics.mjs';

export type Result = {
	/** A design target such as `P4`, or the name of a requirement without a number. */
	id: string;
	what: string;
	unit: string;
	ours: Summary;
	/** `undefined`: the row contains only an absolute figure. */
	peer?: {name: string; summary: Summary};
	/** Median of the rounds. For a cost: ours over peer. For a speed-up: how many times as fast as the peer. */
	ratio?: number;
	/** Whether a small (cost) or a large (speed-up) value is better. */
	direction: 'cost' | 'speed-up';
	/** Upper bound for a cost, lower bound for a speed-up. `undefined`: for information only. */
	target?: {on: 'ratio' | 'ours'; bound: number};
};

/** The result of a measurement: rows, and additional data for the plots. */
export type Outcome = {results: Result[]; plots?: Partial<Plots>};

export type Distribution = Array<{share: number; value: number}>;

/** The data of the plots. */
export type Plots = {
	/** Nanoseconds. */
	hit: Array<{name: string; points: Distribution}>;
	/** Bytes, milliseconds. */
	size: Array<{name: string; sizeBytes: number; ms: number}>;
	/** Milliseconds of one run each. */
	block: Array<{name: string; ms: number}>;
	grants: Array<{name: string; processes: number; grants: number}>;
};

/**
 * `ratio` and `ours` are as in {@link Result}, times are medians. The unit of `target`, `x` or `unit`, says which of
 * the two it limits.
 */
export type JsonResult = {
	id: string; what: string; ours: number; peer: number | null; peerName: string | null; ratio: number | null; unit: string; target: string | null; met: boolean | null;
};

/** The median of `numerator[i] / denominator[i]`: both samples of a round met the machine in the same state. */
export function pairedRatio(numerator: readonly number[], denominator: readonly number[]): number {
	return summarize(numerator.map((sample, round) => sample / denominator[round]!)).median;
}

/** A figure that is exact, not sampled. */
export function single(value: number): Summary {
	return summarize([value]);
}

export function toJson(result: Result): JsonResult {
	const {id, what, ours, peer, ratio, unit} = result;
	return {
		id,
		what: what.trim(),
		ours: ours.median,
		peer: peer?.summary.median ?? null,
		peerName: peer?.name ?? null,
		ratio: ratio ?? null,
		unit,
		target: targetText(result) ?? null,
		met: isMet(result) ?? null,
	};
}

export const columns = ['', 'what', 'ours', 'peer', 'peer is', 'ratio', 'target', 'met'] as const;

/** The text for each of {@link columns}. */
export function cellsOf(result: Result): string[] {
	const {id, what, unit, ours, peer, ratio, direction} = result;
	const met = isMet(result);
	return [
		id,
		what,
		format(ours, unit),
		peer ? format(peer.summary, unit) : '-',
		peer?.name ?? '-',
		ratio === undefined ? '-' : `${round(ratio)}x ${direction === 'cost' ? 'the cost' : 'as fast'}`,
		targetText(result) ?? '-',
		met === undefined ? '-' : (met ? 'yes' : 'NO'),
	];
}

export function printTable(results: readonly Result[]): void {
	const rows = [[...columns], ...results.map(result => cellsOf(result))];
	const widths = columns.map((_, column) => Math.max(...rows.map(row => row[column]!.length)));
	for (const row of rows) {
		console.log(row.map((cell, column) => cell.padEnd(widths[column]!)).join('  ').trimEnd());
	}
}

export function isMet({ours, ratio, direction, target}: Result): boolean | undefined {
	const value = target?.on === 'ours' ? ours.median : ratio;
	if (target === undefined || value === undefined) {
		return undefined;
	}

	return direction === 'cost' ? value <= target.bound : value >= target.bound;
}

function targetText({unit, direction, target}: Result): string | undefined {
	return target && `${direction === 'cost' ? '<=' : '>='} ${target.bound.toLocaleString('en')}${target.on === 'ours' ? ` ${unit}` : 'x'}`;
}

function format({median, p10, p90, p99, count}: Summary, unit: string): string {
	if (count === 1) {
		return `${round(median)} ${unit}`;
	}

	return `${round(median)} ${unit} (${round(p10)}..${round(p90)}${p99 === undefined ? '' : `, p99 ${round(p99)}`}, ${count})`;
}

function round(value: number): string {
	const size = Math.abs(value);
	return size >= 100 ? Math.round(value).toLocaleString('en') : (size >= 10 ? value.toFixed(1) : value.toFixed(2));
}
