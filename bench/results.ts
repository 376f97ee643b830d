/** What a benchmark came to, and how it is printed. */

import type {Summary} from './statistics.js';

export type Result = {
	/** Target of the design, such as `P4`. */
	id: string;
	what: string;
	unit: string;
	ours: Summary;
	peerName: string;
	peer: Summary;
	/** How `ours` and `peer` are compared: peer over ours (a speed-up), ours over peer (a cost), or ours minus peer. */
	comparison: 'speed-up' | 'cost' | 'difference' | 'absolute';
	/** Bound of the comparison's value; `undefined`: for information. */
	target: number | undefined;
};

export type JsonResult = {id: string; what: string; ours: number; peer: number; peerName: string; ratio: number; unit: string; target: number | null; met: boolean | null};

export function toJson(result: Result): JsonResult {
	const {id, what, ours, peer, peerName, unit, target} = result;
	const ratio = compare(result);
	return {
		id, what, ours: ours.median, peer: peer.median, peerName, ratio, unit, target: target ?? null, met: target === undefined ? null : isMet(result),
	};
}

export function compare({comparison, ours, peer}: Result): number {
	switch (comparison) {
		case 'speed-up': {
			return peer.median / ours.median;
		}

		case 'cost': {
			return ours.median / peer.median;
		}

		case 'difference': {
			return ours.median - peer.median;
		}

		case 'absolute': {
			return ours.median;
		}
	}
}

function isMet(result: Result): boolean {
	const value = compare(result);
	return result.target !== undefined && (result.comparison === 'speed-up' ? value >= result.target : value <= result.target);
}

export function printTable(results: readonly Result[]): void {
	const rows = [['', 'what', 'ours', 'peer', 'peer is', 'compared', 'target', 'met']];
	for (const result of results) {
		const {id, what, unit, ours, peer, peerName, comparison, target} = result;
		const value = compare(result);
		const suffix = comparison === 'difference' || comparison === 'absolute' ? ` ${unit}` : 'x';
		const bound = comparison === 'speed-up' ? '>=' : '<=';
		rows.push([
			id,
			what,
			format(ours, unit),
			comparison === 'absolute' ? '-' : format(peer, unit),
			peerName,
			`${round(value)}${suffix}`,
			target === undefined ? '-' : `${bound} ${target}${suffix}`,
			target === undefined ? '' : (isMet(result) ? 'yes' : 'NO'),
		]);
	}

	const widths = rows[0]!.map((_, column) => Math.max(...rows.map(row => row[column]!.length)));
	for (const row of rows) {
		console.log(row.map((cell, column) => cell.padEnd(widths[column]!)).join('  ').trimEnd());
	}
}

function format({median, p10, p90, count}: Summary, unit: string): string {
	return `${round(median)} ${unit} (${round(p10)}..${round(p90)}, ${count})`;
}

function round(value: number): string {
	return value >= 100 ? value.toFixed(0) : (value >= 10 ? value.toFixed(1) : value.toFixed(2));
}
