/** Many writers in several languages on one cache. The long form: `npm run torture -- --minutes N`. */

import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {lackOf, lackOfAddon, testWhere} from '../helpers/peers/peers.js';
import {type MixedPlan, torture} from '../torture/mixed.js';

async function run(t: ExecutionContext, plan: Omit<MixedPlan, 'path'>) {
	const directory = mkdtempSync(join(tmpdir(), 'stc-torture-'));
	t.teardown(() => {
		rmSync(directory, {recursive: true, force: true});
	});
	// A busy machine makes fewer updates.
	const report = await torture({...plan, forMs: 90_000, path: join(directory, 'msal.cache.nocae')});
	t.log(JSON.stringify(report));
	t.true(report.ourEntries >= plan.ours * 20);
	t.true(report.ourWrites >= report.updates);
	t.true(report.readings > 0);
	t.true(report.withCacheEntries > 0);
	t.true(report.pluginEntries > 0);
	t.is(report.withCacheMissing, 0);
	t.is(report.pluginMissing, 0);
	return report;
}

testWhere(test.serial, [lackOfAddon(), lackOf('msal-python')], '4 processes of ours with 500 updates each beside 2 Python writers: no update is lost', async t => {
	const report = await run(t, {
		// Pauses give processes that retry four times a second their turns.
		ours: 4, withCache: 1, plugin: 1, updates: 500, pauseMs: 40, node: 0, python: 2, deletesLockFiles: false,
	});
	// Two writers that could not create the lock file may write at the same time.
	if (report.pythonStarved === 0) {
		t.is(report.pythonMissing, 0);
		t.is(report.signedOutByPeers, 0);
	}

	t.true(report.pythonEntries > 0);
	t.true(report.writesSeen > 0);
});

testWhere(test.serial, [lackOfAddon(), lackOf('msal-node'), lackOf('msal-python')], 'the same beside 2 of MSAL\'s extensions for Node, with lock files deleted at random: none of our updates is lost, and we lose none of others', async t => {
	const report = await run(t, {
		ours: 4, withCache: 1, plugin: 1, updates: 500, node: 2, python: 2, deletesLockFiles: true,
	});
	t.true(report.nodeWrites > 0);
	t.true(report.nodeHits > 0);
	t.true(report.lockFilesDeleted > 0);
	t.true(report.writesSeen > 0);
});
