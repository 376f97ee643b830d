/** Disks that fail during a write: nothing is lost, the error names the remedy, and the caller gets the token. */

import {execFile, execFileSync, spawnSync} from 'node:child_process';
import {
	chmodSync, chownSync, lchownSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync,
} from 'node:fs';
import fs from 'node:fs/promises';
import {createRequire} from 'node:module';
import {constants, tmpdir} from 'node:os';
import {basename, dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import test, {type ExecutionContext} from 'ava';
import {jsBackend} from '../../dist/backend/js/js-backend.js';
import {makeFolder} from '../../dist/backend/make-folder.js';
import {storeOf} from '../../dist/backend/stores.js';
import {SharedTokenCache} from '../../dist/index.js';
import {answerAsUsual, type EntraServer, startEntraServer} from '../helpers/authority/entra-server.js';
import {native} from '../helpers/caches/backends.js';
import {environmentOfServer, FleetProcess} from '../helpers/processes/fleet.js';
import {
	ann, accountRecord, cacheOf, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {testWhere} from '../helpers/peers/peers.js';
import {loadableBy} from '../helpers/processes/open-copy.js';

const {AzureLogger, setLogLevel} = createRequire(import.meta.url)('@azure/logger') as typeof import('@azure/logger');

const runFile = promisify(execFile);
const program = fileURLToPath(new URL('../helpers/processes/commit-program.mjs', import.meta.url));
const faultsSource = fileURLToPath(new URL('../helpers/system-faults/io-faults.c', import.meta.url));
const {errno} = constants;
const nobody = 65_534;

const isRoot = process.getuid?.() === 0;
const lackOfRoot = isRoot ? undefined : 'needs root; run as root';
const lackOfMounts = lackOfRoot ?? (canMount() ? undefined : 'file systems cannot be mounted here; run as root with that permission');
const lackOfLinux = process.platform === 'linux' ? undefined : 'LD_PRELOAD needs Linux; run there';

function canMount(): boolean {
	const directory = mkdtempSync(join(tmpdir(), 'stc-mount-'));
	try {
		execFileSync('mount', ['-t', 'tmpfs', 'none', directory], {stdio: 'ignore'});
		execFileSync('umount', [directory], {stdio: 'ignore'});
		return true;
	} catch {
		return false;
	} finally {
		rmSync(directory, {recursive: true});
	}
}

type Answer = {outcome?: string; lockLost?: boolean; name?: string; code?: string; op?: string; osDomain?: string; osCode?: number; message?: string};

async function commit(variant: string, path: string, {uid, environment = {}, durable}: {uid?: number; environment?: Record<string, string>; durable?: boolean} = {}): Promise<Answer> {
	const {stdout} = await runFile(process.execPath, [loadableBy(uid, program), JSON.stringify({
		variant, path, uid, durable,
	})], {env: {...process.env, ...environment}});
	return JSON.parse(stdout) as Answer;
}

const old = JSON.stringify({Theirs: {kept: {text: 'é'.repeat(10_000)}}});

/** Creates a directory with a cache in it that any user may read. */
function cacheIn(t: ExecutionContext): string {
	const directory = mkdtempSync(join(tmpdir(), 'stc-disk-'));
	chmodSync(directory, 0o755);
	t.teardown(() => {
		rmSync(directory, {recursive: true, force: true});
	});
	const path = join(directory, 'msal.cache.nocae');
	writeFileSync(path, old, {mode: 0o600});
	return path;
}

function checkIntact(t: ExecutionContext, path: string, what: string): void {
	t.is(readFileSync(path, 'utf8'), old, what);
	t.deepEqual(readdirSync(dirname(path)), [basename(path)], `${what}: no file remains`);
}

let shim: string | undefined;

test.before(() => {
	if (process.platform === 'linux') {
		const directory = mkdtempSync(join(tmpdir(), 'stc-shim-'));
		shim = join(directory, 'faults.so');
		execFileSync(process.env['CC'] ?? 'cc', ['-shared', '-fPIC', '-O1', faultsSource, '-o', shim, '-ldl']);
	}
});

test.after.always(() => {
	if (shim) {
		rmSync(dirname(shim), {recursive: true});
	}
});

for (const variant of ['native', 'pure']) {
	for (const [call, error] of [
		['write', errno.EIO], ['write', errno.ENOSPC], ['rename', errno.EIO], ['rename', errno.EROFS], ['futimens', errno.EIO], ['fchmod', errno.EIO], ['read', errno.EIO], ['fdatasync', errno.EIO], ['fdatasync', errno.ENOSPC],
	] as const) {
		testWhere(test, [lackOfLinux], `${variant}: reports that ${call} failed with ${error}`, async t => {
			const path = cacheIn(t);
			const answer = await commit(variant, path, {environment: {LD_PRELOAD: shim!, STC_FAULT: `${call} ${error}`}});
			t.like(answer, {
				name: 'StoreError', code: 'STC_IO', osDomain: 'errno', osCode: error,
			});
			t.regex(answer.message ?? '', /msal\.cache\.nocae: .+\. [A-Z].+\.$/, 'names the file and the remedy');
			checkIntact(t, path, call);
			t.is((await commit(variant, path)).outcome, 'written', 'after the disk recovers');
		});
	}

	testWhere(test, [lackOfLinux], `${variant}: A1: a file system that cannot flush is no failure`, async t => {
		const path = cacheIn(t);
		for (const error of [errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS]) {
			rmSync(path);
			t.is((await commit(variant, path, {environment: {LD_PRELOAD: shim!, STC_FAULT: `fdatasync ${error}`}})).outcome, 'written');
		}
	});

	testWhere(test, [lackOfLinux], `${variant}: A1: a change that has to survive a power loss at once is in doubt if the directory cannot be flushed`, async t => {
		const path = cacheIn(t);
		const environment = {LD_PRELOAD: shim!, STC_FAULT: `fsync ${errno.EIO}`};
		t.like(await commit(variant, path, {environment}), {outcome: 'written', lockLost: false}, 'nothing but the content is flushed');
		rmSync(path);
		t.like(await commit(variant, path, {environment, durable: true}), {outcome: 'written', lockLost: true});
		rmSync(path);
		t.like(await commit(variant, path, {durable: true}), {outcome: 'written', lockLost: false});
	});

	testWhere(test, [lackOfLinux], `${variant}: E1: a lock file that cannot be read is not judged`, async t => {
		const path = cacheIn(t);
		// Without its content, nobody knows whose it is.
		const lockPath = `${path}.lockfile`;
		writeFileSync(lockPath, `${process.pid} msal-shared-js\n`);
		const answer = await commit(variant, path, {environment: {LD_PRELOAD: shim!, STC_FAULT: `read-lock ${errno.EIO}`}});
		t.like(answer, {code: 'STC_IO', op: 'read', osCode: errno.EIO});
		t.is(readFileSync(lockPath, 'utf8'), `${process.pid} msal-shared-js\n`);
		t.is(readFileSync(path, 'utf8'), old);
	});

	testWhere(test, [lackOfLinux], `${variant}: E1: every call may be interrupted by a signal`, async t => {
		const path = cacheIn(t);
		const environment = {LD_PRELOAD: shim!, STC_INTERRUPTED: dirname(path)};
		t.like(await commit(variant, path, {environment}), {outcome: 'written', lockLost: false});
		t.is(readFileSync(path, 'utf8').length, old.length + '"Mine":{"k":{"padding":""}},'.length + 100_000);
		// A lock file that a dead process left behind is read, judged and removed.
		writeFileSync(`${path}.lockfile`, `${spawnSync('true').pid} msal-shared\n`);
		t.like(await commit(variant, path, {environment}), {outcome: 'unchanged'});
		rmSync(path);
		t.like(await commit(variant, path, {environment}), {outcome: 'written', lockLost: false});
		t.deepEqual(readdirSync(dirname(path)), [basename(path)]);
	});

	for (const error of [errno.EIO, errno.EPERM]) {
		testWhere(test, [lackOfLinux], `${variant}: a failed link (${error}) does not matter`, async t => {
			const path = cacheIn(t);
			const environment = {LD_PRELOAD: shim!, STC_FAULT: `link ${error}`};
			t.is((await commit(variant, path, {environment})).outcome, 'written');
			t.deepEqual(readdirSync(dirname(path)), [basename(path)]);
			rmSync(path);
			t.is((await commit(variant, path, {environment})).outcome, 'written', 'a new one');
			t.deepEqual(readdirSync(dirname(path)), [basename(path)]);
		});
	}

	testWhere(test, [lackOfLinux], `${variant}: creates no new cache if writing fails`, async t => {
		const path = cacheIn(t);
		rmSync(path);
		t.is((await commit(variant, path, {environment: {LD_PRELOAD: shim!, STC_FAULT: `write ${errno.ENOSPC}`}})).osCode, errno.ENOSPC);
		t.deepEqual(readdirSync(dirname(path)), []);
	});

	testWhere(test, [lackOfMounts], `${variant}: reports a full disk`, async t => {
		const path = cacheIn(t);
		const disk = join(dirname(path), 'disk');
		mkdirSync(disk);
		execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', disk]);
		try {
			const small = join(disk, basename(path));
			writeFileSync(small, old, {mode: 0o600});
			const answer = await commit(variant, small);
			t.like(answer, {code: 'STC_IO', osCode: errno.ENOSPC});
			t.regex(answer.message ?? '', /Free some disk space\.$/);
			checkIntact(t, small, 'a full disk');

			// Not even for a lock file.
			const filler = join(disk, 'filler');
			execFileSync('sh', ['-c', 'cat /dev/zero > "$0" 2> /dev/null || true', filler]);
			const last = await commit(variant, small);
			t.like(last, {code: 'STC_IO', op: 'write', osCode: errno.ENOSPC});
			t.regex(last.message ?? '', /Free some disk space\.$/);
			rmSync(filler);
			checkIntact(t, small, 'a disk without a free byte');
		} finally {
			execFileSync('umount', [disk]);
		}
	});

	testWhere(test, [lackOfMounts], `${variant}: reports a disk that is mounted read-only`, async t => {
		const path = cacheIn(t);
		const directory = dirname(path);
		execFileSync('mount', ['--bind', directory, directory]);
		try {
			execFileSync('mount', ['-o', 'remount,ro,bind', directory]);
			const answer = await commit(variant, path);
			t.like(answer, {code: 'STC_IO', osCode: errno.EROFS});
			t.regex(answer.message ?? '', /readOnly/);
			checkIntact(t, path, 'read-only');
		} finally {
			execFileSync('umount', [directory]);
		}
	});

	testWhere(test, [lackOfRoot], `${variant}: reports a directory that belongs to another user`, async t => {
		const path = cacheIn(t);
		chmodSync(path, 0o644);
		const answer = await commit(variant, path, {uid: nobody});
		t.like(answer, {code: 'STC_STORE_DENIED', osCode: errno.EACCES});
		t.regex(answer.message ?? '', /owner and mode\.$/);
		checkIntact(t, path, 'denied');
	});

	testWhere(test, [lackOfRoot], `${variant}: root keeps the owner of a user's cache`, async t => {
		const path = cacheIn(t);
		chownSync(path, nobody, nobody);
		t.is((await commit(variant, path)).outcome, 'written');
		t.like(statSync(path), {uid: nobody, gid: nobody});
		t.is(statSync(path).mode % 0o1000, 0o600);
		rmSync(path);
		chownSync(dirname(path), nobody, nobody);
		t.is((await commit(variant, path)).outcome, 'written');
		t.is(statSync(path).uid, nobody, 'a new file belongs to the owner of its directory');
	});

	testWhere(test, [lackOfRoot], `${variant}: a user cannot write another's cache in a directory that is open to all`, async t => {
		const path = cacheIn(t);
		chmodSync(dirname(path), 0o777);
		chmodSync(path, 0o644);
		t.like(await commit(variant, path, {uid: nobody}), {code: 'STC_STORE_DENIED'});
		checkIntact(t, path, 'another\'s');
	});
}

for (const call of ['fstat-placed', 'futimens-placed']) {
	testWhere(test, [lackOfLinux], `native: A9: a change that is in the cache is not reported as failed: ${call}`, async t => {
		const path = cacheIn(t);
		t.like(await commit('native', path, {environment: {LD_PRELOAD: shim!, STC_FAULT: `${call} ${errno.EIO}`}}), {outcome: 'written', lockLost: true});
		t.true(readFileSync(path, 'utf8').includes('"Mine"'));
		t.deepEqual(readdirSync(dirname(path)), [basename(path)]);
	});
}

testWhere(test, [lackOfLinux], 'native: E4: a lock file whose state cannot be read is not left behind', async t => {
	const path = cacheIn(t);
	const environment = {LD_PRELOAD: shim!, STC_FAULT: `fstat-lock ${errno.EIO}`};
	t.like(await commit('native', path, {environment}), {code: 'STC_IO', op: 'fstat', osCode: errno.EIO});
	checkIntact(t, path, 'fstat');
});

testWhere(test, [lackOfLinux], 'native: E5: a lock file that is created under its own name, and locked by another program first, is not left behind', async t => {
	const path = cacheIn(t);
	const environment = {LD_PRELOAD: shim!, STC_FAULT: `flock-in-place ${errno.EWOULDBLOCK}`};
	t.like(await commit('native', path, {environment}), {outcome: 'locked'});
	checkIntact(t, path, 'flock');
});

for (const variant of ['native', 'pure']) {
	testWhere(test, [lackOfRoot], `${variant}: E5: root follows the link of a user only to what belongs to that user`, async t => {
		const path = cacheIn(t);
		const directory = dirname(path);
		const target = join(directory, 'target');
		renameSync(path, target);
		symlinkSync(target, path);
		lchownSync(path, nobody, nobody);
		const refused = {code: 'STC_STORE_DENIED', op: 'realpath', osCode: errno.ELOOP};
		t.like(await commit(variant, path), refused, 'the file belongs to root');
		t.is(readFileSync(target, 'utf8'), old);
		chownSync(target, nobody, nobody);
		t.like(await commit(variant, path), {outcome: 'written'});
		t.true(lstatSync(path).isSymbolicLink());
		t.is(statSync(target).uid, nobody);

		const elsewhere = join(directory, 'elsewhere');
		mkdirSync(elsewhere);
		const folder = join(directory, 'folder');
		symlinkSync(elsewhere, folder);
		lchownSync(folder, nobody, nobody);
		t.like(await commit(variant, join(folder, 'msal.cache.nocae')), refused);
		t.deepEqual(readdirSync(elsewhere), []);
		chownSync(elsewhere, nobody, nobody);
		t.like(await commit(variant, join(folder, 'msal.cache.nocae')), {outcome: 'written'});
	});

	testWhere(test, [lackOfRoot], `${variant}: G11: folders that root makes in a user's home directory belong to the user`, async t => {
		const home = join(dirname(cacheIn(t)), 'home');
		mkdirSync(home);
		chownSync(home, nobody, nobody);
		const cachePath = join(home, '.local', 'share', '.IdentityService', 'msal.cache');
		const cache = new SharedTokenCache({cachePath, tokenCachePersistenceOptions: {unsafeAllowUnencryptedStorage: true}, useNativeAddon: variant === 'native'});
		await cache.withCache(content => {
			content['Mine'] = {k: {a: 1}};
		});
		for (let each = cachePath; each !== home; each = dirname(each)) {
			t.like(statSync(each), {uid: nobody, gid: nobody}, each);
		}

		t.is(statSync(dirname(cachePath)).mode & 0o777, 0o700);
		const leases = join(home, 'leases', 'cache');
		const held = await storeOf(variant === 'native' ? native : jsBackend, 'plaintext').lease!({path: leases}, 'a'.repeat(32))!.tryTake();
		t.is(statSync(dirname(leases)).uid, nobody);
		await held!.release();
	});
}

test.serial('a change is not lost if its directory is deleted while a cache is made there', async t => {
	const store = storeOf(jsBackend, 'plaintext');
	const commitToStore = store.commit!;
	t.teardown(() => {
		store.commit = commitToStore;
	});
	const path = join(dirname(cacheIn(t)), 'deleted', 'msal.cache');
	const cache = new SharedTokenCache({cachePath: path, tokenCachePersistenceOptions: {unsafeAllowUnencryptedStorage: true}, useNativeAddon: false});
	let deletions = 0;
	const add = async () => cache.withCache(content => {
		content['Mine'] = {k: {a: 1}};
	});
	const deleteTimes = (times: number) => {
		deletions = 0;
		store.commit = async (...request) => {
			if (deletions < times) {
				deletions++;
				rmSync(dirname(path), {recursive: true, force: true});
			}

			return commitToStore.apply(store, request);
		};
	};

	deleteTimes(1);
	await add();
	t.deepEqual(JSON.parse(readFileSync(path, 'utf8')), {Mine: {k: {a: 1}}});
	deleteTimes(Number.POSITIVE_INFINITY);
	rmSync(path);
	await t.throwsAsync(add(), {code: 'STC_IO'});
	t.true(deletions > 1);
});

testWhere(test, [lackOfRoot], 'G11: a folder of root stays root\'s', async t => {
	const directory = dirname(cacheIn(t));
	await makeFolder(join(directory, 'a', 'b'));
	t.is(statSync(join(directory, 'a', 'b')).uid, 0);
	await makeFolder(join(directory, 'a', 'b'));
	chownSync(directory, nobody, nobody);
	await makeFolder(join(directory, 'a', 'b', 'c'));
	t.is(statSync(join(directory, 'a', 'b', 'c')).uid, 0, 'by the owner of the folder that it is in');
});

// Serial: it changes a function of the whole process.
test.serial('pure: A9: a change that is in the cache is not reported as failed', async t => {
	const path = cacheIn(t);
	const original = fs.open;
	t.teardown(() => {
		fs.open = original;
	});
	fs.open = async (opened, ...rest) => {
		const file = await original(opened, ...rest);
		if (String(opened).endsWith('.tmp')) {
			for (const name of ['stat', 'utimes', 'close'] as const) {
				const call = file[name].bind(file) as (...args: unknown[]) => Promise<unknown>;
				Object.defineProperty(file, name, {
					async value(...args: unknown[]) {
						const result = await call(...args);
						if (!readdirSync(dirname(path)).some(each => each.endsWith('.tmp'))) {
							throw Object.assign(new Error('EIO'), {code: 'EIO', errno: -errno.EIO});
						}

						return result;
					},
				});
			}
		}

		return file;
	};

	const result = await storeOf(jsBackend, 'plaintext').commit!({path}, {
		change: {
			edits: [{
				section: 'Mine', action: 'put', key: 'k', set: {a: '1'},
			}],
		}, lockPaths: [`${path}.lockfile`], create: false,
	}, 1000);
	t.like(result, {outcome: 'written', lockLost: true});
	t.true(readFileSync(path, 'utf8').includes('"Mine"'));
	t.deepEqual(readdirSync(dirname(path)), [basename(path)]);
});

/** A home directory with an account whose access tokens have expired. */
async function serverFor(t: ExecutionContext): Promise<EntraServer> {
	const server = await startEntraServer({refreshTokens: {'FAKE-refresh': ann}});
	t.teardown(async () => server.close());
	return server;
}

async function warnings(action: () => Promise<void>): Promise<string> {
	const lines: string[] = [];
	const before = AzureLogger.log;
	setLogLevel('warning');
	AzureLogger.log = (...parts: unknown[]) => {
		lines.push(parts.join(' '));
	};

	try {
		await action();
	} finally {
		AzureLogger.log = before;
		setLogLevel();
	}

	return lines.join('\n');
}

for (const [what, options] of [['a full disk', 'tmpfs'], ['a read-only disk', 'ro']] as const) {
	testWhere(test.serial, [lackOfMounts], `returns the token in spite of: ${what}`, async t => {
		const home = new TestHome(t);
		const server = await serverFor(t);
		const directory = join(home.path, '.IdentityService');
		mkdirSync(directory);
		execFileSync('mount', options === 'tmpfs' ? ['-t', 'tmpfs', '-o', 'size=32k', 'none', directory] : ['--bind', directory, directory]);
		try {
			const path = home.write({
				...cacheOf({accounts: [accountRecord(ann)], refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh')]}),
				Padding: {p: {text: 'x'.repeat(15_000)}},
			});
			const before = readFileSync(path);
			if (options === 'ro') {
				execFileSync('mount', ['-o', 'remount,ro,bind', directory]);
			} else {
				// No space for another file of its size.
				writeFileSync(join(directory, 'other'), 'x'.repeat(8000));
			}

			const credential = home.credential({}, server);
			const text = await warnings(async () => {
				t.is((await credential.getToken(scope)).token, server.grants[0]?.accessToken ?? '');
			});
			t.regex(text, /The shared token cache could not be written .+; tokens are kept in memory\. .+msal\.cache\.nocae/);
			t.notRegex(text, /FAKE/);
			t.true(readFileSync(path).equals(before));
			t.is((await credential.getToken(scope)).token, server.grants[0]?.accessToken ?? '', 'from memory');
			t.is(server.grants.length, 1);
			await credential.close();
		} finally {
			execFileSync('umount', [directory]);
		}
	});
}

test.serial('returns the token even if the directory disappears during the request', async t => {
	const home = new TestHome(t);
	const server = await serverFor(t);
	home.writeAccount(ann, 'FAKE-refresh');
	const directory = join(home.path, '.IdentityService');
	server.script(async exchange => {
		renameSync(directory, `${directory}.away`);
		await answerAsUsual(exchange);
	});
	const credential = home.credential({}, server);
	t.is((await credential.getToken(scope)).token, server.grants[0]?.accessToken ?? '');
	t.false(readdirSync(home.path).includes('.IdentityService'), 'it is not created again: its account is gone');
	t.deepEqual(readdirSync(`${directory}.away`).filter(name => name.includes('.tmp')), []);
});

/** Runs a credential in a child process, with a disk that fails for that process only. */
async function checkDelivered(t: ExecutionContext, options: {uid?: number; environment?: Record<string, string>}, cure: RegExp): Promise<void> {
	const home = new TestHome(t);
	const server = await serverFor(t);
	const record = environmentOfServer(server);
	const path = home.writeSettled(cacheOf({accounts: [accountRecord(ann, record)], refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh', record)]}));
	const before = readFileSync(path);
	const process = await FleetProcess.start(t, {
		home, server, ...options, environment: {...options.environment, AZURE_LOG_LEVEL: 'warning'},
	});
	if (options.uid !== undefined) {
		chmodSync(home.path, 0o755);
		chmodSync(dirname(path), 0o755);
		chmodSync(path, 0o644);
	}

	t.deepEqual(await process.names(scope), ['access token 1']);
	t.deepEqual(await process.names(scope), ['access token 1'], 'from memory');
	t.is(await process.ask({do: 'close'}), 'closed');
	const errors = await process.errors();
	t.regex(errors, /The shared token cache could not be written .+; tokens are kept in memory\. .+msal\.cache\.nocae/);
	t.regex(errors, cure);
	t.notRegex(errors, /FAKE/);
	t.is(server.grants.length, 1);
	t.true(readFileSync(path).equals(before));
	// The note for the processes that waited.
	t.deepEqual(readdirSync(dirname(path)).filter(name => !name.endsWith('.note')), [basename(path)]);
}

for (const call of ['write', 'rename', 'futimens']) {
	testWhere(test.serial, [lackOfLinux], `returns the token even if ${call} fails`, async t => {
		await checkDelivered(t, {environment: {LD_PRELOAD: shim!, STC_FAULT: `${call} ${errno.EIO}`}}, /Check the file and its file system\./);
	});
}

testWhere(test.serial, [lackOfRoot], 'returns the token even if the directory belongs to another user', async t => {
	await checkDelivered(t, {uid: nobody}, /Run as the user who signed in, or correct the file's owner and mode\./);
});
