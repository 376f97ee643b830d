/** P8: many processes request one expired token at the same time. */

import {
	type Outcome, pairedRatio, type Plots, type Result,
} from '../results.js';
import {summarize} from '../statistics.mjs';
import {type FleetOutcome, runFleet} from './fleet-run.js';
import {peerNames, type Prepared} from './prepared.js';

export async function measureFleet({directory}: Prepared): Promise<Outcome> {
	const fleet = {processes: 8, calls: 10};
	const ours: FleetOutcome[] = [];
	const peers: FleetOutcome[] = [];
	for (let round = 0; round < 5; round++) {
		ours.push(await runFleet(directory, {...fleet, library: 'ours'}));
		peers.push(await runFleet(directory, {...fleet, library: 'msal-node'}));
	}

	const what = `${fleet.processes} processes x ${fleet.calls} calls, expired token`;
	const row = (name: string, unit: string, pick: (outcome: FleetOutcome) => number, target?: Result['target']): Result => {
		const oursPicked = ours.map(outcome => pick(outcome));
		const peersPicked = peers.map(outcome => pick(outcome));
		return {
			id: 'P8',
			what: `${what}: ${name}`,
			unit,
			ours: summarize(oursPicked),
			peer: {name: peerNames['msal-node'], summary: summarize(peersPicked)},
			// Zero over zero is not a ratio.
			...(peersPicked.every(Boolean) && {ratio: pairedRatio(oursPicked, peersPicked)}),
			direction: 'cost',
			...(target && {target}),
		};
	};

	const grants: Plots['grants'] = [];
	for (const processes of [1, 2, 4, 8, 16]) {
		for (const [library, name] of [['ours', 'this package'], ['msal-node', 'msal-node']] as const) {
			const outcome = await runFleet(directory, {processes, calls: fleet.calls, library});
			grants.push({name, processes, grants: outcome.grants});
		}
	}

	return {
		results: [
			{
				...row('grants', 'grants', outcome => outcome.grants),
				// The worst of the rounds, because the promise is one grant in every round.
				ours: summarize([Math.max(...ours.map(outcome => outcome.grants))]),
				target: {on: 'ours', bound: 1},
			},
			row('calls without a token', 'calls', ({failed}) => failed, {on: 'ours', bound: 0}),
			row('until all have the token', 'ms', ({elapsedMs}) => elapsedMs),
		],
		plots: {grants},
	};
}
