/** Systems on which no library keeps a shared cache. */

import {execFile} from 'node:child_process';
import {promisify} from 'node:util';
import test from 'ava';
import {cacheSources} from '../../dist/cache/locations/index.js';

const run = promisify(execFile);

test('there are no cache locations', t => {
	for (const kind of ['cae', 'nocae'] as const) {
		t.deepEqual(cacheSources(kind, {
			platform: 'freebsd', home: '/home/ann', dataHome: '/home/ann/.local/share', cacheHome: '/home/ann/.cache', cacheName: 'msal.cache',
		}), {primary: [], extra: []});
	}
});

test('the credential is unavailable, so that a chain continues, and supported() says so', async t => {
	const {stdout} = await run(process.execPath, ['--eval', `
		Object.defineProperty(process, 'platform', {...Object.getOwnPropertyDescriptor(process, 'platform'), value: 'freebsd'});
		const {SharedTokenCacheCredential} = require('./dist/index.js');
		const credential = new SharedTokenCacheCredential();
		(async () => {
			const {name, code, message} = await credential.getToken('scope/.default').catch(error => error);
			console.log(JSON.stringify({supported: SharedTokenCacheCredential.supported(), name, code, message, accounts: await credential.listAccounts()}));
		})();
	`], {cwd: new URL('../../', import.meta.url), env: {PATH: process.env['PATH'] ?? '', HOME: '/nonexistent'}});
	t.deepEqual(JSON.parse(stdout), {
		supported: false,
		name: 'CredentialUnavailableError',
		code: 'STC_UNSUPPORTED_PLATFORM',
		message: 'SharedTokenCacheCredential: Shared token cache is not supported on this platform (freebsd). Use Linux, macOS or Windows, or another credential.',
		accounts: [],
	});
});
