/** P5: the longest block of the event loop while the largest cache is read. */

import {run} from '../processes.js';
import {type Outcome, pairedRatio, type Result} from '../results.js';
import {interleave, summarize} from '../statistics.mjs';
import {jobOf, peerNames, type Prepared} from './prepared.js';

const variants = ['native', 'pure', 'msal-node', 'idle'] as const;

export async function measureBlock({caches: {L: cache}}: Prepared): Promise<Outcome> {
	const {label, home, query} = cache;
	const block = (variant: string) => () => Number(run('loop-block.mjs', home, [JSON.stringify({variant, query, job: jobOf(cache)})]));
	const [native, pure, msalNode, idle] = await interleave({rounds: 15}, variants.map(variant => block(variant))) as [number[], number[], number[], number[]];
	const longest = (series: number[]) => summarize([summarize(series).max]);
	const what = `longest block while ${label} are read`;
	const row = (peerName: string, peer: number[]): Result => ({
		id: 'P5', what, unit: 'ms', ours: summarize(native), peer: {name: peerName, summary: summarize(peer)}, ratio: pairedRatio(native, peer), direction: 'cost',
	});
	return {
		results: [
			{...row('pure-JS backend', pure), target: {on: 'ours', bound: 1}},
			row(peerNames['msal-node'], msalNode),
			row('the same loop without a read', idle),
			{
				id: 'P5',
				what: `${what}, worst run of ${native.length}`,
				unit: 'ms',
				ours: longest(native),
				peer: {name: 'the same loop without a read', summary: longest(idle)},
				ratio: summarize(native).max / summarize(idle).max,
				direction: 'cost',
			},
		],
		plots: {
			block: ([['native', native], ['pure JS', pure], ['msal-node', msalNode], ['nothing loads', idle]] as const).flatMap(([name, series]) => series.map(ms => ({name, ms}))),
		},
	};
}
