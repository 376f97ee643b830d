/** Loading the addon: what is looked for, and what is said when nothing fits. */

import {execFile} from 'node:child_process';
import {
	cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import test from 'ava';
import type {StoreError} from '../../dist/errors.js';
import {load, loadNativeBackend} from '../../dist/native.js';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));

test('the addon loads, once', t => {
	const {backend, error} = loadNativeBackend();
	t.is(error, undefined);
	t.is(backend?.kind, 'native');
	t.deepEqual(backend?.stores, process.platform === 'linux' ? ['libsecret', 'plaintext'] : ['plaintext']);
	t.is(loadNativeBackend().backend, backend);
});

test('nothing fits: every file is named with its reason, and the cure', t => {
	const directory = mkdtempSync(join(tmpdir(), 'stc-loader-'));
	t.teardown(() => {
		rmSync(directory, {recursive: true, force: true});
	});
	const missing = join(directory, 'missing.node');
	const broken = join(directory, 'broken.node');
	const other = join(directory, 'other.cjs');
	writeFileSync(broken, 'not\na binary');
	writeFileSync(other, 'module.exports = {apiVersion: 999};');
	const {backend, error} = load([missing, broken, other]);
	t.is(backend, undefined);
	t.is(error?.code, 'STC_ADDON_MISSING');
	t.regex(error?.message ?? '', new RegExp(`^No native addon for ${process.platform}-${process.arch}`));
	t.true(error?.message.includes(`${missing} is missing`));
	t.true(error?.message.includes(`${broken} does not load`));
	t.true(error?.message.includes(`${other} is of another version`));
	t.regex(error?.message ?? '', /npm run build/);
	t.notRegex(error?.message ?? '', /\n/);
});

test('calls to a keyring are made one at a time, in order; whoever waits gives up at its own deadline, and files do not wait', async t => {
	const directory = mkdtempSync(join(tmpdir(), 'stc-loader-'));
	t.teardown(() => {
		rmSync(directory, {recursive: true, force: true});
	});
	const path = join(directory, 'addon.cjs');
	// Answers after as many milliseconds as the location's path says.
	writeFileSync(path, `
		const running = {libsecret: 0, plaintext: 0};
		module.exports = {
			apiVersion: 1,
			stores: ['libsecret', 'plaintext'],
			setEntryMakers() {},
			async stamp(store, at, timeoutMs) {
				const others = running[store]++;
				await new Promise(resolve => setTimeout(resolve, Number(at.path)));
				running[store]--;
				if (at.path === '1') { throw {code: 'STC_IO', message: 'failed', op: 'search'}; }
				return JSON.stringify({path: at.path, others, timeoutMs});
			},
		};
	`);
	const {backend, error} = load([path]);
	t.is(error, undefined);
	const ended: string[] = [];
	const ask = async (store: 'libsecret' | 'plaintext', delayMs: number, timeoutMs: number) => {
		const startMs = performance.now();
		try {
			const stamp = (await backend?.stamp(store, {path: String(delayMs)}, timeoutMs)) ?? '';
			return {
				...JSON.parse(stamp) as {others: number; timeoutMs: number}, code: '', op: '', elapsedMs: 0,
			};
		} catch (error) {
			const {code, op} = error as StoreError;
			return {
				others: 0, timeoutMs: 0, code, op, elapsedMs: performance.now() - startMs,
			};
		} finally {
			ended.push(`${store} ${delayMs}`);
		}
	};

	const [first, impatient, failing, last, file] = await Promise.all([
		ask('libsecret', 400, 10_000), ask('libsecret', 7, 100), ask('libsecret', 1, 10_000), ask('libsecret', 3, 10_000), ask('plaintext', 2, 10_000),
	]);
	t.deepEqual(ended, ['plaintext 2', 'libsecret 7', 'libsecret 400', 'libsecret 1', 'libsecret 3']);
	t.like(first, {code: '', others: 0});
	t.like(impatient, {code: 'STC_STORE_TIMEOUT', op: 'wait'});
	t.true(impatient.elapsedMs >= 95, `${impatient.elapsedMs}`);
	t.like(failing, {code: 'STC_IO', op: 'search'});
	t.like(last, {code: '', others: 0});
	t.true(last.timeoutMs <= 9605, `the wait counts: ${last.timeoutMs} ms are left`);
	t.like(file, {code: '', timeoutMs: 10_000});
});

test('a package without a binary reads a plaintext cache, says so in one line, and names what an encrypted one needs', async t => {
	const directory = mkdtempSync(join(tmpdir(), 'stc-loader-'));
	t.teardown(() => {
		rmSync(directory, {recursive: true, force: true});
	});
	cpSync(join(root, 'dist'), join(directory, 'dist'), {recursive: true});
	const cachePath = join(directory, '.IdentityService');
	mkdirSync(cachePath);
	const environment = 'login.microsoftonline.com';
	writeFileSync(join(cachePath, 'msal.cache.nocae'), JSON.stringify({
		Account: {a: {home_account_id: 'a.home', environment, realm: 'home'}},
		RefreshToken: {
			r: {
				home_account_id: 'a.home', environment, secret: 'FAKE-refresh', family_id: '1',
			},
		},
		AccessToken: {
			t: {
				home_account_id: 'a.home', environment, client_id: '04b07795-8ddb-461a-bbee-02f9e1bf7b46', realm: 'home', target: 'scope/.default', secret: 'FAKE-access', expires_on: '9999999999',
			},
		},
	}));
	const program = (options: string) => `
		const {SharedTokenCacheCredential} = require('./dist/index.js');
		new SharedTokenCacheCredential(${options}).getToken('scope/.default').then(({token}) => console.log(token), ({name, code, message}) => console.log(name, code, message));
	`;
	const call = async (options: string, home: string) => run(process.execPath, ['--eval', program(options)], {cwd: directory, env: {PATH: process.env['PATH'] ?? '', HOME: home, AZURE_LOG_LEVEL: 'warning'}});
	const served = await call('{}', directory);
	t.is(served.stdout.trim(), 'FAKE-access');
	t.is(served.stderr.trim().split('\n').length, 1);
	t.regex(served.stderr, /azure:azure-shared-token-cache:warning The native addon could not be loaded; plaintext caches are read by the pure-JS variant.*is missing/);
	const nothing = await call('{}', join(directory, 'elsewhere'));
	t.regex(nothing.stdout, /^CredentialUnavailableError STC_ADDON_MISSING .*keyring item of Python.*No native addon for .*build\/Release/);
	const required = await call('{useNativeAddon: true}', directory);
	t.regex(required.stdout, /^CredentialUnavailableError STC_ADDON_MISSING /);
	const declined = await call('{useNativeAddon: false}', directory);
	t.is(declined.stdout.trim(), 'FAKE-access');
	t.is(declined.stderr, '');
});
