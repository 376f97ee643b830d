/** Many writers of several languages on one cache. The long form: `npm run torture -- --minutes N`. */

import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {lackOf, lackOfAddon, testWhere} from '../helpers/peers/peers.js';
import {type MixedPlan, torture} from '../torture/mixed.js';

async function run(t: ExecutionContext, plan: Omit<MixedPlan, 'path'>) {
	t.timeout(600_000);
	const directory = mkdtempSync(join(tmpdir(), 'stc-torture-'));
	t.teardown(() => {
		rmSync(directory, {recursive: true, force: true});
	});
	const report = await torture({...plan, path: join(directory, 'msal.cache.nocae')});
	t.log(JSON.stringify(report));
	t.is(report.ourEntries, plan.ours * plan.updates / 2);
	t.true(report.ourWrites >= plan.ours * plan.updates);
	t.true(report.readings > 100);
	return report;
}

testWhere(test.serial, [lackOfAddon(), lackOf('msal-python')], '4 processes of ours x 500 updates beside 2 writers of Python: nothing of anybody is lost', async t => {
	const report = await run(t, {
		// So that those who look four times a second get their turns.
		ours: 4, updates: 500, pauseMs: 40, node: 0, python: 2, deletesLockFiles: false,
	});
	// Of those that did not, two may write at once.
	if (report.pythonStarved === 0) {
		t.is(report.pythonMissing, 0);
		t.is(report.signedOutByPeers, 0);
	}

	t.true(report.pythonEntries > 0);
	t.true(report.writesSeen > 0);
});

testWhere(test.serial, [lackOfAddon(), lackOf('msal-node'), lackOf('msal-python')], 'the same beside 2 of MSAL\'s extensions for Node, and lock files deleted at random: nothing of ours is lost, and nothing of others by us', async t => {
	const report = await run(t, {
		ours: 4, updates: 500, node: 2, python: 2, deletesLockFiles: true,
	});
	t.true(report.nodeWrites > 0);
	t.true(report.nodeHits > 0);
	t.true(report.lockFilesDeleted > 0);
	t.true(report.writesSeen > 0);
});
