/** Caches that another program has open for a moment: calls wait for it as for a lock, and name it if it does not end. */

import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {
	closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import {SharedTokenCache} from '../../dist/index.js';

/** Opens a file so that nobody else can. Source: libuv, `uv/win.h`, UV_FS_O_EXLOCK. */
const forItself = 0x10_00_00_00;

function setUp(t: ExecutionContext, useNativeAddon: boolean, lockTimeoutInMs: number) {
	const directory = mkdtempSync(join(tmpdir(), 'stc-busy-'));
	t.teardown(() => {
		rmSync(directory, {recursive: true, force: true});
	});
	const cachePath = join(directory, 'cache.json');
	writeFileSync(cachePath, '{"Mine":{"a":{}}}');
	const cache = new SharedTokenCache({
		cachePath, useNativeAddon, lockTimeoutInMs, tokenCachePersistenceOptions: {unsafeAllowUnencryptedStorage: true},
	});
	const write = async () => cache.withCache(records => {
		records['Mine'] = {...records['Mine'], b: {}};
	});
	return {
		directory, cachePath, cache, write,
	};
}

for (const useNativeAddon of [true, false]) {
	const variant = useNativeAddon ? 'native' : 'pure';

	test(`${variant}: W4: a cache that a program has open for itself is waited for as long as a lock`, async t => {
		const {cachePath, cache, write} = setUp(t, useNativeAddon, 60_000);
		const held = openSync(cachePath, forItself);
		const reading = cache.listAccounts();
		const writing = write();
		await sleep(1000);
		closeSync(held);
		t.deepEqual(await reading, []);
		await writing;
		t.deepEqual(Object.keys((JSON.parse(readFileSync(cachePath, 'utf8')) as {Mine: object}).Mine), ['a', 'b']);
	});

	test(`${variant}: W4: if the program does not end, the error names the cache`, async t => {
		const {cachePath, write} = setUp(t, useNativeAddon, 500);
		const held = openSync(cachePath, forItself);
		const error = await t.throwsAsync(write(), {code: 'STC_CACHE_CHANGED'});
		closeSync(held);
		t.true(error.message.startsWith(`${cachePath}: `), error.message);
		t.regex(error.message, /Close the program that has it open/);
	});

	test(`${variant}: W5: a reader that keeps the cache from being replaced is named, not the lock file`, async t => {
		const {directory, cachePath, write} = setUp(t, useNativeAddon, 500);
		// cmd.exe opens the file so that others can only read it.
		const program = join(directory, 'reader.cjs');
		writeFileSync(program, 'process.stdout.write("open"); setInterval(() => require("node:fs").existsSync(__filename) || process.exit(), 50);');
		const reader = spawn('cmd.exe', ['/d', '/s', '/c', `""${process.execPath}" "${program}" < "${cachePath}""`], {windowsVerbatimArguments: true, stdio: ['ignore', 'pipe', 'inherit']});
		const ended = once(reader, 'exit');
		t.teardown(async () => {
			rmSync(program);
			await ended;
		});
		await new Promise(resolve => {
			reader.stdout.once('data', resolve);
		});
		const error = await t.throwsAsync(write(), {code: 'STC_LOCK_TIMEOUT'});
		t.true(error.message.startsWith(`${cachePath}: open in another program`), error.message);
		t.notRegex(error.message, /lockfile/);
	});
}
