/**
 * Commits to a plaintext cache: what both backends must do in `CacheBackend.commit`. `edit.test.ts` covers the merge,
 * `test/fault` covers failing disks.
 */

import {execFileSync} from 'node:child_process';
import {
	chmodSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync,
} from 'node:fs';
import {constants, tmpdir} from 'node:os';
import {basename, dirname, join} from 'node:path';
import {setImmediate, setTimeout as sleep} from 'node:timers/promises';
import {inspect} from 'node:util';
import test, {type ExecutionContext} from 'ava';
import type {
	CacheBackend, CacheChange, CommitRequest, CommitResult,
} from '../../dist/backend/backend.js';
import {guardStamp} from '../../dist/backend/guard-stamp.js';
import {storeOf} from '../../dist/backend/stores.js';
import {StoreError} from '../../dist/errors.js';
import {backends, native} from '../helpers/caches/backends.js';
import {patienceMs, until} from '../helpers/until.js';

const {errno} = constants;

/** In a temporary directory. The file is not created. */
function cachePath(t: ExecutionContext): string {
	const directory = mkdtempSync(join(tmpdir(), 'stc-commit-'));
	t.teardown(() => {
		rmSync(directory, {recursive: true, force: true});
	});
	return join(directory, 'msal.cache.nocae');
}

/** With a modification time a minute ago: a newer empty file may be one that another program is about to fill. */
function writeSettled(path: string, content: string | Uint8Array, mode = 0o600): void {
	writeFileSync(path, content);
	chmodSync(path, mode);
	const atSec = Math.floor(Date.now() / 1000) - 60;
	utimesSync(path, atSec, atSec);
}

const lockPathsOf = (path: string) => [`${path}.lockfile`, join(dirname(path), '.lockfile')];

const put = (key: string, value = '"new"', section = 'Mine'): CacheChange => ({
	edits: [{
		section, action: 'put', key, set: {value},
	}],
});

async function commit(backend: CacheBackend, path: string, change: CacheChange, rest: Partial<CommitRequest> = {}): Promise<CommitResult> {
	return storeOf(backend, 'plaintext').commit!({path}, {
		change, lockPaths: lockPathsOf(path), create: false, ...rest,
	}, 1000);
}

function written(t: ExecutionContext, result: CommitResult): Extract<CommitResult, {outcome: 'written'}> {
	if (result.outcome !== 'written') {
		return t.fail(`The outcome is ${result.outcome}.`);
	}

	t.false(result.lockLost);
	return result;
}

/** Everything that a write would change. */
function stateOf(path: string): unknown {
	const {ino, mode, mtimeNs, ctimeNs} = statSync(path, {bigint: true});
	return {
		ino, mode, mtimeNs, ctimeNs, content: readFileSync(path, 'latin1'),
	};
}

/** The target of a link, or an empty string if the link no longer exists. */
function targetOf(link: string): string {
	try {
		return readlinkSync(link);
	} catch {
		return '';
	}
}

function checkAlone(t: ExecutionContext, path: string, what?: string): void {
	t.deepEqual(readdirSync(dirname(path)), existsSync(path) ? [basename(path)] : [], what);
}

async function errorOf(t: ExecutionContext, action: () => Promise<unknown>): Promise<StoreError> {
	const error: unknown = await t.throwsAsync(action, {instanceOf: StoreError});
	return error as StoreError;
}

(process.platform === 'linux' ? test : test.skip)('native: replaced files are closed after a while (Linux only: needs /proc)', async t => {
	const path = cachePath(t);
	writeSettled(path, '{}');
	for (let round = 0; round < 50; round++) {
		written(t, await commit(native, path, put('k', String(round))));
	}

	await until(() => !readdirSync('/proc/self/fd').some(fd => targetOf(`/proc/self/fd/${fd}`).startsWith(path)));
});

// The main thread reads the change while another thread already takes the locks.
test('native: an invalid change changes nothing and releases the locks', async t => {
	const path = cachePath(t);
	writeSettled(path, '{}');
	const before = stateOf(path);
	const unreadable: ReadonlyArray<[change: unknown, message: RegExp]> = [
		[undefined, /expected/],
		[{edits: [{section: 'Mine', action: 'burn'}]}, /action/],
		[{edits: [{...put('k').edits[0], set: {value: 1}}]}, /expected/],
		[{
			get edits() {
				throw new TypeError('a getter of its own');
			},
		}, /a getter of its own/],
	];
	for (const [change, message] of Array.from({length: 20}).flatMap(() => unreadable)) {
		await t.throwsAsync(commit(native, path, change as CacheChange), {instanceOf: TypeError, message});
	}

	t.deepEqual(stateOf(path), before);
	// Those threads may still be about to take the locks.
	await until(async () => (await commit(native, path, put('k'))).outcome === 'written');
	await until(() => readdirSync(dirname(path)).length === 1);
	checkAlone(t, path);
});

for (const backend of backends) {
	const {kind} = backend;

	test(`${kind}: A2: a commit whose guard was replaced writes nothing, and one whose guard is as expected does`, async t => {
		const path = cachePath(t);
		const mark = join(dirname(path), 'mark');
		const guarded = async (stamp: string | null, change = put('k'), rest: Partial<CommitRequest> = {}) => commit(backend, path, change, {guard: {path: mark, stamp}, ...rest});
		/** As a sign-out does: a new file over the old one. */
		const replaceMark = (content: string | Uint8Array) => {
			writeFileSync(`${mark}.new`, content);
			renameSync(`${mark}.new`, mark);
		};

		writeSettled(path, '{}');
		t.is(await guardStamp(mark), null);
		t.is((await guarded(null)).outcome, 'written');
		for (const content of ['first', 'other', '\u0000é\uD83D\uDE00', Buffer.from([0xFF, 0xFE, 0]), 'x'.repeat(1000), '']) {
			const stale = await guardStamp(mark);
			replaceMark(content);
			const before = stateOf(path);
			for (const [change, rest] of [[put('k', '"late"'), {}], [put('k'), {}], [{edits: []}, {}], [put('k'), {expectedStamp: '1:2:3'}]] as const) {
				t.deepEqual(await guarded(stale, change, rest), {outcome: 'guarded'});
			}

			t.deepEqual(stateOf(path), before);
			const fresh = await guardStamp(mark);
			t.not(fresh, stale);
			t.is((await guarded(fresh, put('k', JSON.stringify(String(content))))).outcome, 'written', 'the addon and guardStamp agree');
			t.is((await guarded(fresh, put('k', JSON.stringify(String(content))))).outcome, 'unchanged');
		}

		const last = await guardStamp(mark);
		rmSync(mark);
		t.deepEqual(await guarded(last), {outcome: 'guarded'});
		rmSync(path);
		t.deepEqual(await guarded('00', put('k'), {create: true}), {outcome: 'guarded'});
		checkAlone(t, path);
	});

	test(`${kind}: A2: an empty guard, a directory and a dangling link are told apart by their state`, async t => {
		const path = cachePath(t);
		const mark = join(dirname(path), 'mark');
		writeSettled(path, '{}');
		const makers: ReadonlyArray<() => void> = [
			() => {
				writeFileSync(mark, '');
			},
			() => {
				mkdirSync(mark);
			},
			() => {
				// Windows lets only some users make links.
				if (process.platform !== 'win32') {
					symlinkSync(join(dirname(path), 'nowhere'), mark);
				}
			},
		];
		for (const make of makers) {
			rmSync(mark, {recursive: true, force: true});
			make();
			const stamp = await guardStamp(mark);
			t.is((await commit(backend, path, put('k', JSON.stringify(`${stamp}`)), {guard: {path: mark, stamp}})).outcome, 'written');
			t.deepEqual(await commit(backend, path, put('k'), {guard: {path: mark, stamp: 'else'}}), {outcome: 'guarded'});
		}
	});

	test(`${kind}: A2: a guard that is replaced while the commit writes stops it`, async t => {
		const path = cachePath(t);
		const mark = join(dirname(path), 'mark');
		writeSettled(path, JSON.stringify({Theirs: {kept: 'x'.repeat(20_000_000)}}));
		for (let attempt = 0; attempt < 50; attempt++) {
			rmSync(mark, {force: true});
			const before = stateOf(path);
			const running = {isOver: false};
			const committing = commit(backend, path, put('k', String(attempt)), {guard: {path: mark, stamp: null}}).finally(() => {
				running.isOver = true;
			});
			while (!running.isOver && !readdirSync(dirname(path)).some(name => name.endsWith('.tmp'))) {
				await setImmediate();
			}

			writeFileSync(mark, 'signed out');
			const {outcome} = await committing;
			if (outcome === 'guarded') {
				t.deepEqual(stateOf(path), before);
				t.deepEqual(readdirSync(dirname(path)).toSorted(), ['mark', basename(path)]);
				return;
			}
		}

		t.fail('The guard was never replaced in time.');
	});

	test(`${kind}: creates a cache only on request`, async t => {
		const path = cachePath(t);
		t.deepEqual(await commit(backend, path, put('k')), {outcome: 'absent'});
		checkAlone(t, path);
		const update: CacheChange = {
			edits: [{
				section: 'Mine', action: 'update', match: {client_id: ['x']}, set: {a: '1'},
			}],
		};
		t.deepEqual(await commit(backend, path, update, {create: true}), {outcome: 'absent'}, 'an empty change does not create a cache');
		checkAlone(t, path);
		const {baseStamp, stamp} = written(t, await commit(backend, path, put('k'), {create: true}));
		t.is(baseStamp, null);
		t.is(stamp, await storeOf(backend, 'plaintext').stamp({path}, 1000) ?? '');
		t.deepEqual(JSON.parse(readFileSync(path, 'utf8')), {Mine: {k: {value: 'new'}}});
		t.is(statSync(path).mode & 0o777, 0o600);
		checkAlone(t, path);
	});

	test(`${kind}: does not create a cache if the required account does not exist`, async t => {
		const path = cachePath(t);
		const change = {...put('k'), requiredAccount: {homeAccountId: 'u.t', environments: ['login.microsoftonline.com']}};
		t.deepEqual(await commit(backend, path, change, {create: true}), {outcome: 'no-account'});
		checkAlone(t, path);
	});

	test(`${kind}: a change without effect writes nothing`, async t => {
		const path = cachePath(t);
		writeSettled(path, '{ "Mine": {"k": {"value":"new"} } }', 0o644);
		const before = stateOf(path);
		t.deepEqual(await commit(backend, path, put('k')), {outcome: 'unchanged', stamp: (await storeOf(backend, 'plaintext').stamp({path}, 1000))!});
		t.deepEqual(await commit(backend, path, {edits: []}), {outcome: 'unchanged', stamp: (await storeOf(backend, 'plaintext').stamp({path}, 1000))!});
		t.deepEqual(stateOf(path), before);
		checkAlone(t, path);
	});

	test(`${kind}: does not restore an account that was signed out`, async t => {
		const path = cachePath(t);
		writeSettled(path, JSON.stringify({Account: {a: {home_account_id: 'U.T', environment: 'Login.MicrosoftOnline.com'}}, Mine: {}}));
		const before = stateOf(path);
		const require = (homeAccountId: string, environment: string) => ({...put('k'), requiredAccount: {homeAccountId, environments: [environment]}});
		t.deepEqual(await commit(backend, path, require('other.t', 'login.microsoftonline.com')), {outcome: 'no-account'});
		t.deepEqual(await commit(backend, path, require('u.t', 'login.windows.net')), {outcome: 'no-account'});
		t.deepEqual(stateOf(path), before);
		checkAlone(t, path);
		written(t, await commit(backend, path, require('u.t', 'login.microsoftonline.com')));
	});

	test(`${kind}: does not write if the stamp differs from the expected one`, async t => {
		const path = cachePath(t);
		t.deepEqual(await commit(backend, path, put('k'), {create: true, expectedStamp: '1:2:3:4:5'}), {outcome: 'changed'});
		checkAlone(t, path);
		const {stamp: first} = written(t, await commit(backend, path, put('k'), {create: true, expectedStamp: null}));
		const before = stateOf(path);
		t.deepEqual(await commit(backend, path, put('l'), {create: true, expectedStamp: null}), {outcome: 'changed'});
		t.deepEqual(stateOf(path), before);
		const {stamp: second} = written(t, await commit(backend, path, put('l'), {expectedStamp: first}));
		t.deepEqual(await commit(backend, path, put('m'), {expectedStamp: first}), {outcome: 'changed'});
		t.is((await storeOf(backend, 'plaintext').stamp({path}, 1000))!, second);
		t.deepEqual(await commit(backend, path, put('l'), {expectedStamp: first}), {outcome: 'changed'}, 'even if the change would have no effect');
		checkAlone(t, path);
	});

	test(`${kind}: returns the stamps before and after the write, the same in both backends`, async t => {
		const path = cachePath(t);
		writeSettled(path, '{}');
		for (let count = 0; count < 20; count++) {
			const before = await storeOf(backend, 'plaintext').stamp({path}, 1000);
			const {baseStamp, stamp} = written(t, await commit(backend, path, put(`k${count}`)));
			t.is(baseStamp, before);
			t.not(stamp, before!);
			for (const other of backends) {
				t.is(await storeOf(other, 'plaintext').stamp({path}, 1000), stamp);
			}
		}
	});

	test(`${kind}: does not write while another process holds either lock file`, async t => {
		const path = cachePath(t);
		writeSettled(path, '{}');
		const before = stateOf(path);
		for (const lockPath of lockPathsOf(path)) {
			for (const holder of backends) {
				const lock = await holder.tryLock([lockPath]);
				const names = readdirSync(dirname(path));
				t.deepEqual(await commit(backend, path, put('k')), {outcome: 'locked'});
				t.deepEqual(readdirSync(dirname(path)), names, 'the lock file that was free is free again');
				t.true(await lock?.check());
				await lock?.release();
			}
		}

		t.deepEqual(stateOf(path), before);
		checkAlone(t, path);
		written(t, await commit(backend, path, put('k')));
	});

	test(`${kind}: a written cache is accessible to its owner only`, async t => {
		const path = cachePath(t);
		const old = process.umask(0);
		try {
			for (const mode of [0o644, 0o666, 0o777, 0o400, 0o600]) {
				writeSettled(path, '{}', mode);
				written(t, await commit(backend, path, put('k')));
				t.is(statSync(path).mode & 0o7777, 0o600, mode.toString(8));
			}
		} finally {
			process.umask(old);
		}
	});

	test(`${kind}: keeps a symbolic link and replaces its target`, async t => {
		const path = cachePath(t);
		const elsewhere = join(dirname(path), 'else', 'where');
		mkdirSync(elsewhere, {recursive: true});
		const target = join(elsewhere, 'cache.json');
		writeSettled(target, '{"Theirs":{}}');
		symlinkSync(join('else', 'where', 'cache.json'), join(dirname(path), 'hop'));
		symlinkSync('hop', path);
		const {ino} = statSync(target);
		const {baseStamp, stamp} = written(t, await commit(backend, path, put('k')));
		t.is(readlinkSync(path), 'hop');
		t.is(readlinkSync(join(dirname(path), 'hop')), join('else', 'where', 'cache.json'));
		t.false(lstatSync(target).isSymbolicLink());
		t.not(statSync(target).ino, ino);
		t.deepEqual(JSON.parse(readFileSync(target, 'utf8')), {Theirs: {}, Mine: {k: {value: 'new'}}});
		t.not(baseStamp, stamp);
		t.is(stamp, (await storeOf(backend, 'plaintext').stamp({path}, 1000))!);
		t.deepEqual(readdirSync(elsewhere), ['cache.json']);
		t.deepEqual(readdirSync(dirname(path)).toSorted(), ['else', 'hop', basename(path)]);
	});

	test(`${kind}: does not replace a dangling symbolic link`, async t => {
		const path = cachePath(t);
		symlinkSync('nowhere', path);
		const {code, osCode} = await errorOf(t, async () => commit(backend, path, put('k'), {create: true}));
		t.deepEqual({code, osCode}, {code: 'STC_IO', osCode: errno.ENOENT});
		t.is(readlinkSync(path), 'nowhere');
		t.deepEqual(readdirSync(dirname(path)), [basename(path)]);
	});

	test(`${kind}: writes into caches without content`, async t => {
		const path = cachePath(t);
		for (const content of ['', ' ', '\r\n\t \n', '{}', ' { } ', '{"Mine":{}}', '{"Mine":null}']) {
			writeSettled(path, content);
			const {baseStamp} = written(t, await commit(backend, path, put('k')));
			t.truthy(baseStamp);
			t.deepEqual(JSON.parse(readFileSync(path, 'utf8')), {Mine: {k: {value: 'new'}}}, JSON.stringify(content));
			checkAlone(t, path);
		}
	});

	test(`${kind}: does not write to a new empty file, which another program may be about to fill`, async t => {
		const path = cachePath(t);
		writeFileSync(path, '');
		const startMs = performance.now();
		const outcomes = [await commit(backend, path, put('k')), await commit(backend, path, put('k'), {create: true})];
		// If the machine is so busy that the file has aged in the meantime, this check proves nothing.
		if (performance.now() - startMs < 1500) {
			t.deepEqual(outcomes, [{outcome: 'changed'}, {outcome: 'changed'}]);
			t.is(readFileSync(path, 'utf8'), '');
		}

		checkAlone(t, path);
		const nowSec = Math.floor(Date.now() / 1000);
		// The file has been filled in that case.
		writeFileSync(path, '');
		utimesSync(path, nowSec - 10, nowSec - 10);
		written(t, await commit(backend, path, put('k')));
		writeFileSync(path, '');
		utimesSync(path, nowSec + 3600, nowSec + 3600);
		written(t, await commit(backend, path, put('k')));
	});

	test(`${kind}: keeps every unchanged byte, exactly as the merge alone does`, async t => {
		const path = cachePath(t);
		const contents = [
			'{"Theirs" : {"a": 1.50, "a": -0e5, "é": "\\u00e9\\ud83d"},\r\n\t"Mine":{"k":{"other":[1 ,2]},"l":7} } \n',
			`{"Before":"${'x'.repeat(1_500_000)}","Mine":{"k":{"value":"old","é":"缓存"}},"After":"${'y'.repeat(1_500_001)}"}`,
			'{"AccessToken":{},"Mine":{"k":{}},"Mine":{"k":{"value":1}}}',
		];
		for (const content of contents) {
			writeSettled(path, content);
			const change = put('k', '{"a":[1.50]}');
			const edited = backend.edit(Buffer.from(content), change);
			written(t, await commit(backend, path, change));
			t.true(edited.outcome === 'changed' && readFileSync(path).equals(edited.bytes), content.slice(0, 40));
		}
	});

	const dpapi = Buffer.concat([Buffer.from('01000000d08c9ddf0115d1118c7a00c04fc297eb', 'hex'), Buffer.from('FAKE-secret')]);
	const jwe = 'eyJhbGciOiJkaXIifQ..FAKE-secret.x.y';
	for (const [what, content, code] of [
		['a DPAPI blob', dpapi, 'STC_CACHE_FORMAT'],
		['a JWE', jwe, 'STC_CACHE_FORMAT'],
		['truncated JSON', '{"AccessToken":{"k":{"secret":"FAKE-secret"', 'STC_CACHE_CORRUPT'],
		['text after the JSON', '{"a":{}}FAKE-secret', 'STC_CACHE_CORRUPT'],
		['a list', '["FAKE-secret"]', 'STC_CACHE_CORRUPT'],
		['a text', '"FAKE-secret"', 'STC_CACHE_CORRUPT'],
		['null', 'null', 'STC_CACHE_CORRUPT'],
		['zeros', Buffer.alloc(4096), 'STC_CACHE_CORRUPT'],
		['invalid UTF-8', Buffer.from('{"a":"\u00FF"}', 'latin1'), 'STC_CACHE_CORRUPT'],
	] as const) {
		test(`${kind}: does not overwrite ${what}`, async t => {
			const path = cachePath(t);
			for (const rest of [{}, {create: true}]) {
				writeSettled(path, content, 0o644);
				const before = stateOf(path);
				const error = await errorOf(t, async () => commit(backend, path, put('k'), rest));
				t.is(error.code, code);
				t.true(error.message.includes(path));
				t.notRegex(inspect(error, {depth: 10}), /FAKE/);
				t.deepEqual(stateOf(path), before);
				checkAlone(t, path);
			}
		});
	}

	test(`${kind}: refuses anything but a regular file and leaves it unchanged`, async t => {
		const path = cachePath(t);
		mkdirSync(path);
		t.like(await errorOf(t, async () => commit(backend, path, put('k'), {create: true})), {code: 'STC_IO', osDomain: 'errno', osCode: errno.EISDIR});
		checkAlone(t, path);
		rmSync(path, {recursive: true});
		execFileSync('mkfifo', [path]);
		t.like(await errorOf(t, async () => commit(backend, path, put('k'), {create: true})), {code: 'STC_IO', osDomain: 'errno', osCode: errno.EINVAL});
		t.true(statSync(path).isFIFO());
		checkAlone(t, path);
	});

	test(`${kind}: does not recreate a deleted directory`, async t => {
		const path = cachePath(t);
		rmSync(dirname(path), {recursive: true});
		for (const create of [false, true]) {
			const error = await errorOf(t, async () => commit(backend, path, put('k'), {create}));
			t.like(error, {
				code: 'STC_IO', op: 'open', osDomain: 'errno', osCode: errno.ENOENT,
			});
			t.regex(error.message, /directory is missing/);
		}

		t.false(existsSync(dirname(path)));
	});

	test(`${kind}: every other library sees a new modification time`, async t => {
		const path = cachePath(t);
		const mtimeOf = () => statSync(path, {bigint: true}).mtimeNs;
		writeSettled(path, '{}');
		let last = mtimeOf();
		for (let count = 0; count < 50; count++) {
			const nowMs = Date.now();
			written(t, await commit(backend, path, put(`k${count}`)));
			const mtime = mtimeOf();
			t.true(mtime > last);
			// A library that loaded the cache just before compares whole milliseconds.
			t.true(mtime / 1_000_000n > BigInt(nowMs));
			last = mtime;
		}

		// The clock was set back.
		const futureSec = Math.floor(Date.now() / 1000) + 3600;
		utimesSync(path, futureSec, futureSec);
		written(t, await commit(backend, path, put('after')));
		t.true(mtimeOf() / 1_000_000n > BigInt(futureSec * 1000));
		t.true(mtimeOf() / 1_000_000n < BigInt((futureSec * 1000) + 1000));
	});

	test(`${kind}: removes temporary files of dead writers, and no other files`, async t => {
		const path = cachePath(t);
		writeSettled(path, '{}');
		const orphans = [`${path}.99999999.1234567890123456789.tmp`, `${path}.1.2.tmp`];
		const others = [`${path}.bak.tmp`, `${path}.1.tmp`, `${path}.1.2.tmp.bak`, `${path}.1.2.3.tmp`, `${path}2.1.2.tmp`, join(dirname(path), '1.2.tmp')];
		for (const each of [...orphans, ...others]) {
			writeFileSync(each, 'left');
		}

		written(t, await commit(backend, path, put('k')));
		t.deepEqual(readdirSync(dirname(path)).toSorted(), [path, ...others].map(each => basename(each)).toSorted());
	});

	for (const [what, isLockTaken, outcome] of [['which takes us for dead', false, 'changed'], ['which has taken over our lock', true, 'locked']] as const) {
		// Serial: the other writer must see the new cache while it is being written.
		test.serial(`${kind}: another writer, ${what}, deletes the temporary file before the rename: the commit is retried`, async t => {
			const path = cachePath(t);
			// Repeated until the deletion hits a write in progress: a busy machine may be too late.
			for (let attempt = 0; attempt < 200; attempt++) {
				if (await isCaught(path)) {
					return;
				}
			}

			t.fail('The temporary file was never seen.');

			async function isCaught(path: string): Promise<boolean> {
				rmSync(`${path}.lockfile`, {force: true});
				writeSettled(path, JSON.stringify({Theirs: {kept: 'x'.repeat(40_000_000)}}));
				const before = stateOf(path);
				const running = {isOver: false};
				const committing = commit(backend, path, put('k')).finally(() => {
					running.isOver = true;
				});
				const isUnfinished = (name: string) => name.endsWith('.tmp');
				let unfinished: string | undefined;
				while (unfinished === undefined && !running.isOver) {
					await setImmediate();
					unfinished = readdirSync(dirname(path)).find(name => isUnfinished(name));
				}

				if (unfinished === undefined) {
					return false;
				}

				if (isLockTaken) {
					rmSync(`${path}.lockfile`, {force: true});
					writeFileSync(`${path}.lockfile`, 'theirs');
				}

				rmSync(join(dirname(path), unfinished), {force: true});
				const result = await committing;
				if (result.outcome === 'written') {
					return false;
				}

				t.deepEqual(stateOf(path), before);
				if (isLockTaken && result.outcome === 'changed') {
					// The other writer took the lock and deleted the temporary file after the commit last checked the
					// lock.
					return false;
				}

				t.deepEqual(result, {outcome});
				t.deepEqual(readdirSync(dirname(path)), [basename(path), ...(isLockTaken ? [`${basename(path)}.lockfile`] : [])]);
				return true;
			}
		});
	}

	test(`${kind}: 20 concurrent commits in one process are all written`, async t => {
		const path = cachePath(t);
		writeSettled(path, JSON.stringify({Theirs: {kept: 'é'.repeat(5000)}}));
		const outcomes: Record<string, number> = {};
		await Promise.all(Array.from({length: 20}, async (_, index) => {
			const deadline = Date.now() + patienceMs;
			let outcome: string;
			do {
				({outcome} = await commit(backend, path, put(`k${index}`, String(index))));
				outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
				await sleep(outcome === 'written' ? 0 : 1);
			} while (outcome !== 'written' && Date.now() < deadline);
		}));
		t.is(outcomes['written'], 20);
		t.deepEqual(JSON.parse(readFileSync(path, 'utf8')), {
			Theirs: {kept: 'é'.repeat(5000)}, Mine: Object.fromEntries(Array.from({length: 20}, (_, index) => [`k${index}`, {value: index}])),
		});
		checkAlone(t, path);
	});
}

test('concurrent commits of both backends to one cache are all written', async t => {
	const path = cachePath(t);
	writeSettled(path, '{"Theirs":{}}');
	await Promise.all(Array.from({length: 20}, async (_, index) => {
		const backend = backends[index % backends.length]!;
		for (let round = 0; round < 5; round++) {
			const deadline = Date.now() + patienceMs;
			while ((await commit(backend, path, put(`k${index}-${round}`, '1'))).outcome !== 'written' && Date.now() < deadline) {
				await sleep(1);
			}
		}
	}));
	const {Mine: mine, Theirs: theirs} = JSON.parse(readFileSync(path, 'utf8')) as Record<string, object>;
	t.is(Object.keys(mine!).length, 100);
	t.deepEqual(theirs, {});
	checkAlone(t, path);
});
