/**
 * Writers are killed at random moments: the cache has the old or the new content, and the next writer does not wait.
 */

import {execFile} from 'node:child_process';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import test from 'ava';
import {native} from '../helpers/caches/backends.js';
import {killWriters, leftBeside, pairCache} from '../torture/kills.js';
import {buildProgram, missingObjects} from '../torture/native-program.js';

const runFile = promisify(execFile);

/** One commit by a process that has not read the cache before. */
async function commitInProcess(path: string): Promise<void> {
	const change = {
		edits: [{
			section: 'After', action: 'put', key: 'k', set: {a: '1'},
		}],
	};
	const request = {change, lockPaths: [`${path}.lockfile`, join(path, '..', '.lockfile')], create: false};
	await runFile(process.execPath, ['-e', `
		const {backend} = require(${JSON.stringify(fileURLToPath(new URL('../../dist/backend/native-backend.js', import.meta.url)))}).loadNativeBackend();
		const {storeOf} = require(${JSON.stringify(fileURLToPath(new URL('../../dist/backend/stores.js', import.meta.url)))});
		storeOf(backend, 'plaintext').commit(${JSON.stringify({path})}, ${JSON.stringify(request)}, 1000).then(({outcome}) => process.exit(outcome === 'written' ? 0 : 1));
	`]);
}

const missing = missingObjects();
const kills = 2000;

(missing ? test.skip : test)(`${kills} writers are killed at random moments${missing ? ` (skipped: ${missing})` : ''}`, async t => {
	const directory = mkdtempSync(join(tmpdir(), 'stc-kill-'));
	t.teardown(() => {
		rmSync(directory, {recursive: true, force: true});
	});
	const program = buildProgram('commit_loop', directory);
	const home = mkdtempSync(join(directory, 'home-'));
	const path = join(home, 'msal.cache.nocae');
	const foreign = 'ünïcode '.repeat(3000);
	writeFileSync(path, pairCache(0, foreign), {mode: 0o600});
	const seed = Date.now() % 1_000_000;
	t.log(`seed ${seed}`);
	const report = await killWriters({
		program, path, backend: native, kills, foreign, seed,
	});
	t.log(JSON.stringify(report));
	t.is(report.kills, kills);
	// Otherwise the moments were too harmless to prove anything.
	t.true(report.lockFilesLeft > kills / 20);
	t.true(report.unfinishedLeft > kills / 100);
	t.true(report.commits > kills / 20);
	await commitInProcess(path);
	t.deepEqual(leftBeside(path), [], 'the next process cleans up');
});
