/** Leases on Windows, where a file that is open keeps its name: one of a stuck holder can be read and taken away. */

import {mkdtempSync, readdirSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import process from 'node:process';
import test from 'ava';
import {storeOf} from '../../dist/backend/stores.js';
import {backends} from '../helpers/caches/backends.js';

for (const backend of backends) {
	test(`${backend.kind}: W1, W2: the lease of a stuck holder says who it is, and can be taken away`, async t => {
		const directory = mkdtempSync(join(tmpdir(), 'stc-lease-'));
		t.teardown(() => {
			rmSync(directory, {recursive: true, force: true});
		});
		const leaseOf = () => storeOf(backend, 'plaintext').lease!({path: join(directory, 'msal.cache')}, '00')!;
		const stuck = await leaseOf().tryTake();
		t.truthy(stuck);
		const waiter = leaseOf();
		t.is(await waiter.tryTake(), null);
		const {held} = await waiter.state();
		t.regex(held?.holder ?? '', new RegExp(`^${process.pid} `));
		t.true(await waiter.evict(held!.version));
		const next = await waiter.tryTake();
		t.truthy(next);
		t.false(await stuck!.renew());
		await stuck!.release();
		t.true(await next!.renew(), 'the stuck holder did not release the lease of its heir');
		await next!.release();
		t.deepEqual(readdirSync(directory), []);
	});
}
