/** A power loss at a random moment leaves the old cache or the new one. The long form: `npm run power-loss -- --times N`. */

import test from 'ava';
import {lackOfAddon, testWhere} from '../helpers/peers/peers.js';
import {diskKinds, lackOfDisk} from '../power-loss/disks.js';
import {losePower} from '../power-loss/rounds.js';

for (const kind of diskKinds) {
	const lack = lackOfDisk(kind);
	for (const variant of ['native', 'pure']) {
		// Serial: mounting and unmounting wait for each other in any case.
		testWhere(test.serial, [lack, variant === 'native' ? lackOfAddon() : undefined], `A1: ${variant}: the cache is the old or the new one after a power loss: ${kind.name}`, async t => {
			const report = await losePower(kind, variant, 3);
			t.log(JSON.stringify(report));
			t.deepEqual(report.lost, []);
			t.is(report.powerLosses, 3);
		});
	}
}
