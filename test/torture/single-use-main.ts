/** `npm run torture:grants -- --minutes N`: see `single-use.ts`. Half of the time, the authority ends a session whose old refresh token arrives. */

import process from 'node:process';
import {parseArgs} from 'node:util';
import {tortureSingleUse} from './single-use.js';

const usage = 'Usage: npm run torture:grants -- [--minutes N] [--seed N]   (default 10 minutes)';

const {values} = parseArgs({
	options: {
		minutes: {type: 'string', default: '10'},
		seed: {type: 'string', default: String(Date.now() % 1_000_000)},
		help: {type: 'boolean', short: 'h', default: false},
	},
});
const minutes = Number(values.minutes);
const seed = Number(values.seed);
if (values.help || !(minutes > 0) || !Number.isInteger(seed)) {
	console.log(usage);
	process.exitCode = values.help ? 0 : 2;
} else {
	for (const reuse of ['refuse', 'end'] as const) {
		const plan = {
			seconds: minutes * 30, reuse, processes: 8, scopes: 5, killEveryMs: 2000, stopEveryMs: 40_000, stopMs: [31_000, 45_000] as [number, number], seed,
		};
		const report = await tortureSingleUse(plan);
		console.log(JSON.stringify({...plan, ...report}, undefined, 2));
		if (report.sessionsLost + report.wrongInteractionRequired + Object.keys(report.otherErrors).length > 0) {
			process.exitCode = 1;
		}
	}
}
