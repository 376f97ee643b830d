/** Lock files of one cache in several directories, some of which are not there. */

import {execFile} from 'node:child_process';
import {
	existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import process from 'node:process';
import {promisify} from 'node:util';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {SharedCache} from '../../dist/cache.js';
import type {StoreError} from '../../dist/errors.js';
import {type CacheSource, plaintextFile} from '../../dist/locations.js';
import {backends} from '../helpers/backends.js';
import {itemAttributes, locationOf} from '../helpers/keyring-items.js';
import {missingKeyring, startKeyring} from '../helpers/keyring.js';
import {testWhere} from '../helpers/peers.js';

const change = {
	edits: [{
		section: 'AccessToken', action: 'put' as const, key: 'k', set: {secret: '"FAKE"'},
	}],
};

for (const backend of backends) {
	test(`${backend.kind}: where a directory is missing, its lock is not; where it is there, its lock is waited for`, async t => {
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

// An item whose writer locks elsewhere, or nowhere.
testWhere(test, [missingKeyring()], 'an item of a keyring is written, and its lock\'s directory made, if it is there; if not, nothing is made', async t => {
	const keyring = await startKeyring();
	t.teardown(async () => keyring.close());
	const directory = join(keyring.home, '.IdentityService');
	const source: CacheSource = {
		store: 'libsecret', at: locationOf('python'), label: 'item', kind: 'nocae', lockPaths: [join(directory, 'msal.cache.nocae.lockfile')],
	};
	const commit = async () => {
		const {stdout} = await promisify(execFile)(process.execPath, ['-e', `
			const {SharedCache} = require(${JSON.stringify(fileURLToPath(new URL('../../dist/cache.js', import.meta.url)))});
			const cache = new SharedCache({keyringTimeoutMs: 10_000, lockTimeoutMs: 10_000, useNativeAddon: true});
			// Calls to a keyring do not keep a process alive.
			const alive = setInterval(() => undefined, 1000);
			cache.commit(${JSON.stringify(source)}, ${JSON.stringify(change)}).then(({outcome}) => console.log(outcome)).finally(() => clearInterval(alive));
		`], {env: keyring.environment});
		return stdout.trim();
	};

	t.is(await commit(), 'absent');
	t.false(existsSync(directory));
	await keyring.store(itemAttributes.python, '{"Account":{}}');
	t.is(await commit(), 'written');
	t.true(existsSync(directory));
});
