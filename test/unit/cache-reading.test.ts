/** The result of a read or commit and its stamp belong together, also if the cache is written at the same time. */

import {
	mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {once} from 'node:events';
import {setTimeout as sleep} from 'node:timers/promises';
import {Worker} from 'node:worker_threads';
import test from 'ava';
import {SharedCache} from '../../dist/cache/shared-cache.js';
import {StoreError} from '../../dist/errors.js';
import {plaintextFile} from '../../dist/cache/cache-source.js';
import {readConsistent, type Reading, tornReadPausesMs} from '../../dist/cache/torn-read.js';
import {backends} from '../helpers/caches/backends.js';
import {accountRecord, ann, cacheOf} from '../helpers/home.js';
import {query} from '../helpers/peers/written-cache.js';

const longAgoSec = 1_000_000_000;
const rounds = 400;

for (const {kind} of backends) {
	test(`${kind}: a damaged cache that is repaired during a read has another stamp afterwards`, async t => {
		const directory = mkdtempSync(join(tmpdir(), 'stc-reading-'));
		t.teardown(() => {
			rmSync(directory, {recursive: true, force: true});
		});
		const path = join(directory, 'cache');
		const source = plaintextFile(path);
		const cache = new SharedCache({keyringTimeoutMs: 1000, lockTimeoutMs: 1000, useNativeAddon: kind === 'native'});
		const put = (text: string) => {
			writeFileSync(`${path}.new`, text);
			// So that nobody seems to be writing it.
			utimesSync(`${path}.new`, longAgoSec, longAgoSec);
			renameSync(`${path}.new`, path);
		};

		const good = JSON.stringify(cacheOf({accounts: [accountRecord(ann)]}));
		let failed = 0;
		for (let round = 0; round < rounds; round++) {
			put('{"Account":');
			const reading = cache.read(source, {...query, nowSec: 0});
			if (round % 4 > 0) {
				await sleep(Math.random() * 2);
			}

			for (let turn = 0; turn < round % 8; turn++) {
				await new Promise(resolve => {
					setImmediate(resolve);
				});
			}

			put(good);
			const {error, stamp} = await reading;
			if (error) {
				failed++;
				const now = await cache.stamp(source);
				t.true(now.readable && (!stamp.readable || now.value !== stamp.value), `round ${round}`);
			}
		}

		t.log(`${failed} of ${rounds} reads found the damaged cache.`);
		t.true(failed > 0);
	});
}

/** Reads a cache that another program writes during the first `writes` attempts. */
async function look(writes: number): Promise<{found: Reading | null | StoreError; looks: number; underLock: number; locks: number}> {
	let looks = 0;
	let underLock = 0;
	let locks = 0;
	let isHeld = false;
	const read = async () => {
		looks++;
		underLock += Number(isHeld);
		if (looks <= writes) {
			throw new StoreError('STC_CACHE_CHANGED', 'written during the read', {op: 'fstat', store: 'plaintext'});
		}

		return {sizeBytes: 1, modifiedMs: 0};
	};

	const found = await readConsistent({
		source: plaintextFile('/cache'),
		first: read(),
		read,
		async tryLock() {
			locks++;
			isHeld = true;
			return {
				check: async () => true,
				touch: async () => undefined,
				async release() {
					isHeld = false;
				},
			};
		},
		lockTimeoutMs: 1000,
	}).catch((error: unknown) => error as StoreError);
	return {
		found, looks, underLock, locks: isHeld ? Number.NaN : locks,
	};
}

test('waits for a writer that ignores the lock as long as for one that has no lock', async t => {
	const whole = {sizeBytes: 1, modifiedMs: 0};
	const before = tornReadPausesMs.length;
	t.deepEqual(await look(before - 1), {
		found: whole, looks: before, underLock: 0, locks: 0,
	});
	t.deepEqual(await look(before), {
		found: whole, looks: before + 1, underLock: 1, locks: 1,
	});
	t.deepEqual(await look(before + 3), {
		found: whole, looks: before + 4, underLock: 4, locks: 1,
	});
	const {found, looks, locks} = await look(Infinity);
	t.is((found as StoreError).code, 'STC_CACHE_CHANGED');
	t.deepEqual([looks, locks], [(2 * before) + 1, 1]);
});

/** A thread that overwrites the cache in place, without a lock, as soon as it sees the new content. */
const overwriter = `
	const {readFileSync, writeFileSync} = require('node:fs');
	const {parentPort, workerData: {path, cache}} = require('node:worker_threads');
	parentPort.on('message', mark => {
		while (!readFileSync(path, 'latin1').includes(mark));
		writeFileSync(path, cache);
		parentPort.postMessage('done');
	});
`;

for (const {kind} of backends) {
	test(`${kind}: a commit that is overwritten at once does not return the other writer's stamp`, async t => {
		const directory = mkdtempSync(join(tmpdir(), 'stc-reading-'));
		const path = join(directory, 'cache');
		const peers = JSON.stringify(cacheOf({accounts: [accountRecord(ann)]}));
		const thread = new Worker(overwriter, {eval: true, workerData: {path, cache: peers}});
		t.teardown(async () => {
			await thread.terminate();
			rmSync(directory, {recursive: true, force: true});
		});
		const source = plaintextFile(path);
		const cache = new SharedCache({keyringTimeoutMs: 1000, lockTimeoutMs: 10_000, useNativeAddon: kind === 'native'});
		writeFileSync(path, peers);
		for (let round = 0; round < 150; round++) {
			const mark = `FAKE-round-${round}.`;
			thread.postMessage(mark);
			const overwritten = once(thread, 'message');
			const outcome = await cache.commit(source, {
				edits: [{
					section: 'AccessToken', action: 'put', key: 'k', set: {secret: JSON.stringify(mark)},
				}],
			});
			await overwritten;
			t.is(outcome.outcome, 'written');
			t.not(outcome.outcome === 'written' && outcome.stamp, (await cache.stamp(source)).value, `round ${round}`);
		}
	});
}
