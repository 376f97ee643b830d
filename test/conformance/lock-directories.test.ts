/** Lock files of one cache in several directories, of which some may be missing. */

import {
	mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {SharedCache} from '../../dist/cache/shared-cache.js';
import type {StoreError} from '../../dist/errors.js';
import {type CacheSource, plaintextFile} from '../../dist/cache/cache-source.js';
import {backends} from '../helpers/caches/backends.js';

const change = {
	edits: [{
		section: 'AccessToken', action: 'put' as const, key: 'k', set: {secret: '"FAKE"'},
	}],
};

for (const backend of backends) {
	test(`${backend.kind}: a lock in a missing directory is skipped; a lock in an existing directory is waited for`, async t => {
		const directory = mkdtempSync(join(tmpdir(), 'stc-lock-directories-'));
		t.teardown(() => {
			rmSync(directory, {recursive: true, force: true});
		});
		const path = join(directory, 'own', 'cache');
		const theirs = join(directory, 'theirs', 'cache.lockfile');
		mkdirSync(join(directory, 'own'));
		mkdirSync(join(directory, 'theirs'));
		writeFileSync(path, '{}');
		const source: CacheSource = {...plaintextFile(path), lockPaths: [`${path}.lockfile`, join(directory, 'missing', 'cache.lockfile'), theirs]};
		const cache = new SharedCache({keyringTimeoutMs: 1000, lockTimeoutMs: 200, useNativeAddon: backend.kind === 'native'});
		const held = await backend.tryLock([theirs]);
		const error = await t.throwsAsync<StoreError>(cache.commit(source, change));
		t.is(error?.code, 'STC_LOCK_TIMEOUT');
		await held?.release();
		t.is((await cache.commit(source, change)).outcome, 'written');
		t.deepEqual(readdirSync(directory).toSorted(), ['own', 'theirs']);
	});
}
