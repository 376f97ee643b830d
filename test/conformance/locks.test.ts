/** Lock files: what both backends must do in `CacheBackend.tryLock`. `test/interop` covers other libraries. */

import {execFileSync} from 'node:child_process';
import {
	chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, unlinkSync, utimesSync, writeFileSync,
} from 'node:fs';
import {createServer} from 'node:net';
import {constants} from 'node:os';
import {basename, join} from 'node:path';
import {promisify} from 'node:util';
import test from 'ava';
import type {CacheBackend} from '../../dist/backend/backend.js';
import type {StoreError} from '../../dist/errors.js';
import {backends} from '../helpers/caches/backends.js';
import {lockAtAge, lockDirectory, LockProcess} from '../helpers/locks/lock-process.js';

/** A user without files here. */
const nobody = 65_534;
const isRoot = process.getuid?.() === 0;

async function codeOf(backend: CacheBackend, path: string): Promise<Pick<StoreError, 'name' | 'code' | 'osDomain' | 'osCode'>> {
	try {
		await backend.tryLock([path]);
	} catch (error) {
		const {name, code, osDomain, osCode, message} = error as StoreError;
		if (!message.includes(path) || message.includes('\n')) {
			throw error;
		}

		return {
			name, code, ...(osDomain !== undefined && {osDomain}), ...(osCode !== undefined && {osCode}),
		};
	}

	throw new Error('It did not throw.');
}

const ioError = (osCode: number) => ({
	name: 'StoreError', code: 'STC_IO' as const, osDomain: 'errno', osCode,
});

for (const backend of backends) {
	const {kind} = backend;

	test(`${kind}: the lock file contains the process ID and is accessible to its owner only; release removes it and may be repeated`, async t => {
		const {directory, path} = lockDirectory(t);
		const lock = await backend.tryLock([path]);
		t.regex(readFileSync(path, 'utf8'), new RegExp(`^${process.pid} msal-shared(?:-js)?\n$`));
		t.is(statSync(path).mode & 0o777, 0o600);
		t.true(readdirSync(directory).every(name => (statSync(join(directory, name)).mode & 0o777) === 0o600));
		t.true(await lock?.check());
		await Promise.all([lock?.release(), lock?.release()]);
		await lock?.release();
		t.deepEqual(readdirSync(directory), []);
	});

	test(`${kind}: two attempts in one process exclude each other, whichever backends make them`, async t => {
		const {directory, path} = lockDirectory(t);
		const lock = await backend.tryLock([path]);
		for (const other of backends) {
			t.is(await other.tryLock([path]), null);
		}

		await lock?.release();
		for (const other of backends) {
			const again = await other.tryLock([path]);
			t.truthy(again);
			await again?.release();
		}

		t.deepEqual(readdirSync(directory), []);
	});

	test(`${kind}: one of many concurrent attempts gets the lock`, async t => {
		const {directory, path} = lockDirectory(t);
		const tries = await Promise.all(Array.from({length: 100}, async () => backend.tryLock([path])));
		const held = tries.filter(each => each !== null);
		t.is(held.length, 1);
		t.true(await held[0]?.check());
		await held[0]?.release();
		t.deepEqual(readdirSync(directory), []);
	});

	test(`${kind}: takes all paths or none`, async t => {
		const {directory, path} = lockDirectory(t);
		const paths = [path, join(directory, '.lockfile'), join(directory, 'third')];
		const all = await backend.tryLock(paths);
		t.true(paths.every(each => existsSync(each)));
		for (const each of paths) {
			t.is(await backend.tryLock([each]), null);
		}

		await all?.release();
		t.deepEqual(readdirSync(directory), []);
		for (const each of paths) {
			const one = await backend.tryLock([each]);
			t.is(await backend.tryLock(paths), null);
			t.deepEqual(readdirSync(directory).filter(name => paths.includes(join(directory, name))), [each.slice(directory.length + 1)]);
			await one?.release();
		}
	});

	test(`M5: ${kind}: several names of one lock file are one lock`, async t => {
		const {directory, path} = lockDirectory(t);
		// The same folder by another name. Windows ignores case.
		const linked = process.platform === 'win32' ? directory.toUpperCase() : `${directory}-linked`;
		if (process.platform !== 'win32') {
			symlinkSync(directory, linked);
			t.teardown(() => {
				unlinkSync(linked);
			});
		}

		const other = join(directory, 'other');
		const lock = await backend.tryLock([path, path, join(linked, basename(path)), join(linked, 'other'), other]);
		t.true(await lock?.check());
		for (const each of [path, other]) {
			t.is(await backend.tryLock([each]), null, 'a second call does not share it');
		}

		await lock?.release();
		t.deepEqual(readdirSync(directory), []);
	});

	test(`${kind}: an error at the last path releases the other locks`, async t => {
		const {directory, path} = lockDirectory(t);
		await t.throwsAsync(backend.tryLock([path, join(directory, 'missing', 'x')]), {code: 'STC_IO'});
		t.deepEqual(readdirSync(directory), []);
	});

	test(`${kind}: restores a lock file that another program deletes, with the same inode`, async t => {
		const {directory, path} = lockDirectory(t);
		const paths = [path, join(directory, '.lockfile')];
		const lock = await backend.tryLock(paths);
		for (const each of paths) {
			const {ino} = statSync(each);
			unlinkSync(each);
			t.true(await lock?.check());
			t.is(statSync(each).ino, ino);
			t.is(await backend.tryLock([each]), null);
		}

		unlinkSync(path);
		await lock?.release();
		t.deepEqual(readdirSync(directory), [], 'a deleted lock file is not restored on release');
	});

	test(`${kind}: a lock file that another program replaces is lost and not deleted`, async t => {
		const {directory, path} = lockDirectory(t);
		const second = join(directory, '.lockfile');
		const lock = await backend.tryLock([path, second]);
		writeFileSync(join(directory, 'theirs'), 'theirs');
		renameSync(join(directory, 'theirs'), path);
		t.false(await lock?.check());
		await lock?.release();
		t.is(readFileSync(path, 'utf8'), 'theirs');
		t.deepEqual(readdirSync(directory), [path.slice(directory.length + 1)]);
	});

	test(`${kind}: touch sets the time stamps to now`, async t => {
		const {directory, path} = lockDirectory(t);
		const paths = [path, join(directory, '.lockfile')];
		const lock = await backend.tryLock(paths);
		for (const each of paths) {
			utimesSync(each, 1000, 1000);
		}

		const before = Date.now();
		await lock?.touch();
		for (const each of paths) {
			const {mtimeMs} = statSync(each);
			// The clock of a file system may be slightly behind.
			t.true(mtimeMs > before - 1000 && mtimeMs < Date.now() + 1000, `${mtimeMs - before} ms off`);
		}

		t.true(await lock?.check());
		await lock?.release();
	});

	test(`${kind}: accepts names with spaces and letters of any script`, async t => {
		const {directory} = lockDirectory(t);
		const path = join(directory, 'Ünïcode — 缓存 🔒.lockfile');
		const lock = await backend.tryLock([path]);
		t.true(existsSync(path));
		t.is(await backend.tryLock([path]), null);
		await lock?.release();
		t.deepEqual(readdirSync(directory), []);
	});

	test(`${kind}: reports a missing directory and a path below a file`, async t => {
		const {directory, path} = lockDirectory(t);
		t.deepEqual(await codeOf(backend, join(directory, 'missing', 'x')), ioError(constants.errno.ENOENT));
		writeFileSync(path, '');
		t.deepEqual(await codeOf(backend, join(path, 'x')), ioError(constants.errno.ENOTDIR));
	});

	test(`${kind}: handles the deletion of the directory while it holds the lock`, async t => {
		const {directory, path} = lockDirectory(t);
		const lock = await backend.tryLock([path]);
		rmSync(directory, {recursive: true});
		t.false(await lock?.check());
		await t.notThrowsAsync(async () => lock?.release());
		t.false(existsSync(directory));
		mkdirSync(directory);
		const again = await backend.tryLock([path]);
		t.truthy(again);
		await again?.release();
	});

	test(`${kind}: refuses anything but a regular file and leaves it unchanged`, async t => {
		const {directory, path} = lockDirectory(t);
		mkdirSync(path);
		t.deepEqual(await codeOf(backend, path), ioError(constants.errno.EISDIR));
		const fifo = join(directory, 'fifo');
		execFileSync('mkfifo', [fifo]);
		t.deepEqual(await codeOf(backend, fifo), ioError(constants.errno.EINVAL));
		const socket = join(directory, 'socket');
		const server = createServer();
		await promisify(server.listen.bind(server, socket))();
		t.deepEqual(await codeOf(backend, socket), ioError(constants.errno.ENXIO));
		t.true(statSync(path).isDirectory() && statSync(fifo).isFIFO() && statSync(socket).isSocket());
		await promisify(server.close.bind(server))();
	});

	test(`${kind}: does not follow a symbolic link, wherever it leads`, async t => {
		const {directory, path} = lockDirectory(t);
		const target = join(directory, 'target');
		symlinkSync(target, path);
		t.deepEqual(await codeOf(backend, path), ioError(constants.errno.ELOOP));
		t.false(existsSync(target));
		// As old as a lock file can be.
		writeFileSync(target, '');
		utimesSync(target, 1000, 1000);
		t.deepEqual(await codeOf(backend, path), ioError(constants.errno.ELOOP));
		t.is(readFileSync(target, 'utf8'), '');
		t.deepEqual(readdirSync(directory).toSorted(), [path.slice(directory.length + 1), 'target'].toSorted());
	});

	test(`${kind}: reports a directory without write permission`, async t => {
		const {directory, path} = lockDirectory(t);
		// Root can write everywhere, so another user tries.
		chmodSync(directory, 0o555);
		const trier = await LockProcess.start(t, kind, path, {uid: isRoot ? nobody : undefined});
		t.is(await trier.ask('try'), 'STC_STORE_DENIED');
		chmodSync(directory, 0o755);
		t.is(await trier.ask('try'), isRoot ? 'STC_STORE_DENIED' : 'locked');
		t.deepEqual(readdirSync(directory).length, isRoot ? 0 : 2);
	});

	test(`${kind}: if the directory becomes inaccessible while it holds the lock, there is no error, and nobody waits long for the remaining file`, async t => {
		const {directory, path} = lockDirectory(t);
		if (isRoot) {
			chownSync(directory, nobody, nobody);
		}

		const holder = await LockProcess.start(t, kind, path, {uid: isRoot ? nobody : undefined});
		t.is(await holder.ask('try'), 'locked');
		chmodSync(directory, 0o555);
		t.is(await holder.ask('check'), 'true');
		t.is(await holder.ask('unlock'), 'unlocked');
		t.true(existsSync(path));
		chmodSync(directory, 0o755);
		const attempt = async () => await holder.ask('try') === 'locked' || null;
		t.true(await lockAtAge(attempt, 5));
		t.is(await holder.ask('unlock'), 'unlocked');
	});
}
