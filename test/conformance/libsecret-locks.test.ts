/** The lock of a keyring item whose other writers use another lock file or none. */

import {execFile} from 'node:child_process';
import {existsSync} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import {promisify} from 'node:util';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import type {CacheSource} from '../../dist/cache/cache-source.js';
import {itemAttributes, locationOf} from '../helpers/keyring/keyring-items.js';
import {missingKeyring, startKeyring} from '../helpers/keyring/keyring.js';
import {testWhere} from '../helpers/peers/peers.js';

testWhere(test, [missingKeyring()], 'a lock directory is created with an existing item only, which is then written', async t => {
	const keyring = await startKeyring();
	t.teardown(async () => keyring.close());
	const directory = join(keyring.home, '.IdentityService');
	const source: CacheSource = {
		store: 'libsecret', at: locationOf('python'), label: 'item', kind: 'nocae', lockPaths: [join(directory, 'msal.cache.nocae.lockfile')],
	};
	const commit = async () => {
		const {stdout} = await promisify(execFile)(process.execPath, ['-e', `
			const {SharedCache} = require(${JSON.stringify(fileURLToPath(new URL('../../dist/cache/shared-cache.js', import.meta.url)))});
			const cache = new SharedCache({keyringTimeoutMs: 120_000, lockTimeoutMs: 120_000, useNativeAddon: true});
			// Keyring calls do not keep a process alive.
			const alive = setInterval(() => undefined, 1000);
			cache.commit(${JSON.stringify(source)}, {edits: [{section: 'AccessToken', action: 'put', key: 'k', set: {secret: '"FAKE"'}}]}).then(({outcome}) => console.log(outcome)).finally(() => clearInterval(alive));
		`], {env: keyring.environment});
		return stdout.trim();
	};

	t.is(await commit(), 'absent');
	t.false(existsSync(directory));
	await keyring.store(itemAttributes.python, '{"Account":{}}');
	t.is(await commit(), 'written');
	t.true(existsSync(directory));
});
