/** What processes leave beside a cache when they die is deleted by the next one that reads there, and what living processes own is not. */

import {spawn, spawnSync} from 'node:child_process';
import {once} from 'node:events';
import {
	existsSync, mkdirSync, readdirSync, statSync, utimesSync, writeFileSync,
} from 'node:fs';
import {createRequire} from 'node:module';
import {basename, dirname, join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import {SharedTokenCache} from '../../dist/index.js';
import {sweepOrphans} from '../../dist/backend/orphans.js';
import {backends} from '../helpers/caches/backends.js';
import {
	accessTokenRecord, accountRecord, ann, cacheOf, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {LockProcess} from '../helpers/locks/lock-process.js';
import {until} from '../helpers/until.js';

const require = createRequire(import.meta.url);
const hash = (digit: string) => digit.repeat(32);

/** A home directory with a cache that has a token, as a process that only reads needs it. */
function stage(t: ExecutionContext) {
	const home = new TestHome(t);
	const path = home.writeSettled(cacheOf({
		accounts: [accountRecord(ann)], refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh')], accessTokens: [accessTokenRecord(ann, 'FAKE-cached', 3000)],
	}));
	return {home, path, directory: dirname(path)};
}

function makeOlder(path: string, bySec: number): void {
	const thenSec = (Date.now() / 1000) - bySec;
	utimesSync(path, thenSec, thenSec);
}

const deadPid = () => spawnSync('true').pid;

for (const backend of backends) {
	const useNativeAddon = backend.kind === 'native';

	test(`${backend.kind}: A10, G10: a process that only reads deletes what dead processes left`, async t => {
		const {home, path, directory} = stage(t);
		const pid = deadPid();
		const orphans = [
			`.${hash('1')}.lease`,
			`.${hash('1')}.lease.${pid}.1700000000000000000`,
			`.${hash('2')}.lease`,
			`.${hash('2')}.lease.${pid}.0123456789ab.js`,
			`.${hash('3')}.lease.stuck`,
			`.${hash('4')}.lease.${pid}.0123456789ab.js`,
			`${basename(path)}.${pid}.1700000000000000000.tmp`,
			`${basename(path)}.${pid}.1700000000000000001.tmp`,
			`${basename(path)}.lockfile.${pid}.0123456789ab.js`,
		];
		for (const name of orphans) {
			writeFileSync(join(directory, name), name.endsWith('.tmp') ? 'FAKE-refresh' : `${pid} msal-shared${name.includes('2') || name.endsWith('.js') ? '-js' : ''}\n`, {mode: 0o600});
			makeOlder(join(directory, name), 600);
		}

		const others = [
			'other.tmp', `other.${pid}.1.tmp`, `${basename(path)}.bak`, `.${hash('5')}.leased`, 'notes.lease', `${basename(path)}.1.2.tmp.bak`,
		];
		for (const name of others) {
			writeFileSync(join(directory, name), 'kept');
		}

		const credential = home.credential({useNativeAddon});
		t.is((await credential.getToken(scope)).token, 'FAKE-cached');
		// The sweep itself holds the cache's lock for a moment.
		await until(() => !readdirSync(directory).some(name => orphans.includes(name) || name.includes('.lockfile')));
		t.deepEqual(readdirSync(directory).toSorted(), [basename(path), ...others].toSorted());

		// Once per process and folder.
		const late = join(directory, orphans[0]!);
		writeFileSync(late, `${pid} msal-shared\n`);
		await home.credential({useNativeAddon, cacheCheckIntervalInMs: 0}).getToken(scope);
		await sleep(50);
		t.true(existsSync(late));
	});

	test(`${backend.kind}: A10: a program that only lists the accounts, and ends, deletes them`, async t => {
		const {path, directory} = stage(t);
		const orphan = join(directory, `.${hash('1')}.lease`);
		writeFileSync(orphan, `${deadPid()} msal-shared-js\n`);
		makeOlder(orphan, 600);
		const program = `
			const {SharedTokenCache} = require(${JSON.stringify(require.resolve('../../dist/index.js'))});
			new SharedTokenCache({cachePath: ${JSON.stringify(path)}, tokenCachePersistenceOptions: {unsafeAllowUnencryptedStorage: true}, useNativeAddon: ${useNativeAddon}}).listAccounts().then(accounts => console.log(accounts.length));
		`;
		const child = spawn(process.execPath, ['--eval', program], {stdio: ['ignore', 'pipe', 'inherit']});
		const [[output]] = await Promise.all([once(child.stdout, 'data') as Promise<[Buffer]>, once(child, 'exit')]);
		t.is(output.toString(), '1\n');
		t.deepEqual(readdirSync(directory), [basename(path)]);
	});

	test(`${backend.kind}: A10: what a living process owns stays`, async t => {
		const {path, directory} = stage(t);
		const place = {path, lockPath: `${path}.lockfile`, tryLock: async (paths: readonly string[]) => backend.tryLock(paths)};
		const held = [`.${hash('1')}.lease`, `.${hash('2')}.lease`];
		const [native, pure] = await Promise.all([LockProcess.start(t, 'native', join(directory, held[0]!)), LockProcess.start(t, 'pure', join(directory, held[1]!))]);
		t.is(await native.ask('lock'), 'locked');
		t.is(await pure.ask('lock'), 'locked');
		const unfinished = join(directory, `${basename(path)}.${process.pid}.1.tmp`);
		writeFileSync(unfinished, '');
		// A fresh note, and one that is being written.
		const notes = [`.${hash('3')}.note`, `.${hash('3')}.note.${process.pid}.0123456789ab.tmp`].map(name => join(directory, name));
		for (const note of notes) {
			writeFileSync(note, '{}');
		}

		const before = readdirSync(directory);
		await sweepOrphans(place);
		t.deepEqual(readdirSync(directory), before);
		t.is(await native.ask('check'), 'true');
		t.is(await pure.ask('check'), 'true');

		// Of a dead process, but the lock of the cache is held: perhaps by a process that took over its id.
		const orphan = join(directory, `${basename(path)}.${deadPid()}.1.tmp`);
		writeFileSync(orphan, '');
		const writer = await LockProcess.start(t, 'native', place.lockPath);
		t.is(await writer.ask('lock'), 'locked');
		await sweepOrphans(place);
		t.true(existsSync(orphan));
		t.is(await writer.ask('unlock'), 'unlocked');
		await sweepOrphans(place);
		t.false(existsSync(orphan));
		t.true(existsSync(unfinished));

		await Promise.all([native.kill(), pure.kill()]);
		makeOlder(join(directory, held[1]!), 10);
		await sweepOrphans(place);
		t.deepEqual(readdirSync(directory).filter(name => name.includes('.lease')), []);
	});

	test(`${backend.kind}: A10: a folder that cannot be listed, or is missing, does not matter`, async t => {
		const {directory} = stage(t);
		const missing = join(directory, 'missing', 'cache');
		await t.notThrowsAsync(sweepOrphans({path: missing, lockPath: `${missing}.lockfile`, tryLock: async paths => backend.tryLock(paths)}));
		t.false(existsSync(join(directory, 'missing')));
		t.deepEqual(await new SharedTokenCache({cachePath: missing, tokenCachePersistenceOptions: {unsafeAllowUnencryptedStorage: true}, useNativeAddon}).listAccounts(), []);
	});
}

test('A10: a folder at the name of a lease stays', async t => {
	const {path, directory} = stage(t);
	mkdirSync(join(directory, `.${hash('1')}.lease`));
	await sweepOrphans({path, lockPath: `${path}.lockfile`, tryLock: async paths => backends[0]!.tryLock(paths)});
	t.true(statSync(join(directory, `.${hash('1')}.lease`)).isDirectory());
});
