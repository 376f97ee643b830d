/** Processes that share refresh tokens which work once, killed and stopped at random. The long form: `npm run torture:grants`. */

import test from 'ava';
import {lackOfAddon, testWhere} from '../helpers/peers/peers.js';
import {type SingleUsePlan, tortureSingleUse} from '../torture/single-use.js';

for (const reuse of ['refuse', 'end'] as const) {
	testWhere(test.serial, [lackOfAddon()], `A5: 8 processes with 5 scopes, killed and stopped at random: no session is lost (an old refresh token: ${reuse})`, async t => {
		const plan: SingleUsePlan = {
			seconds: 10, reuse, processes: 8, scopes: 5, killEveryMs: 700, stopEveryMs: 2500, stopMs: [1500, 4000],
			// A stopped process is given up after two seconds instead of a minute.
			times: {renewEveryMs: 100, stuckAfterMs: 1000, hopelessAfterMs: 2000},
			seed: Date.now() % 1_000_000,
		};
		const report = await tortureSingleUse(plan);
		t.log(JSON.stringify({seed: plan.seed, ...report}));
		t.is(report.sessionsLost, 0);
		t.is(report.wrongInteractionRequired, 0);
		t.is(report.overMinimum, 0);
		t.deepEqual(report.otherErrors, {});
		t.true(report.tokens > 0);
		t.true(report.kills > 0);
	});
}
