/** Sign-outs, sign-ins and grants against each other: a short form of `npm run torture -- --sign-out --minutes N`. */

import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {native} from '../helpers/caches/backends.js';
import {missingKeyring, startKeyring} from '../helpers/keyring/keyring.js';
import {lackOf, lackOfAddon, testWhere} from '../helpers/peers/peers.js';
import {tortureSignOut} from '../torture/sign-out.js';

async function run(t: ExecutionContext, hasKeyring: boolean): Promise<void> {
	const home = mkdtempSync(join(tmpdir(), 'stc-sign-out-'));
	const keyring = hasKeyring ? await startKeyring() : undefined;
	try {
		const report = await tortureSignOut({
			home, keyring, backend: native, forMs: 0, leastSignOuts: 6, watchMs: 1000, peers: {node: true, python: true},
		});
		t.log(JSON.stringify(report));
		t.deepEqual(report.accountsBack, []);
		t.deepEqual(report.tokensBack, []);
		t.deepEqual(report.accountsLost, []);
		t.true(report.signOuts > 0);
	} finally {
		await keyring?.close();
		rmSync(home, {recursive: true, force: true, maxRetries: 5});
	}
}

testWhere(test.serial, [lackOfAddon(), lackOf('msal-node'), lackOf('msal-python')], 'A2: files: no account and no token of ours comes back after a sign-out', async t => run(t, false));

testWhere(test.serial, [lackOfAddon(), lackOf('msal-node'), lackOf('msal-python-keyring'), missingKeyring()], 'A2: keyring and files: no account and no token of ours comes back after a sign-out', async t => run(t, true));
