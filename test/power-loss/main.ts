/** `npm run power-loss`: commits to a cache on several file systems, each of which loses its power at random moments. */

import process from 'node:process';
import {parseArgs} from 'node:util';
import {diskKinds, lackOfDisk} from './disks.js';
import {losePower} from './rounds.js';

const usage = 'Usage: npm run power-loss -- [--times N]   (default 50)';

const {values} = parseArgs({options: {times: {type: 'string', default: '50'}, help: {type: 'boolean', short: 'h', default: false}}});
const times = Number(values.times);
if (values.help || !(times > 0)) {
	console.log(usage);
	process.exitCode = values.help ? 0 : 2;
} else {
	await run();
}

async function run(): Promise<void> {
	for (const kind of diskKinds) {
		const lack = lackOfDisk(kind);
		if (lack) {
			console.log(`${kind.name}: skipped: ${lack}`);
			continue;
		}

		for (const variant of ['native', 'pure']) {
			const report = await losePower(kind, variant, times);
			console.log(JSON.stringify(report));
			if (report.lost.length > 0) {
				process.exitCode = 1;
			}
		}
	}
}
