/** The scripts behind `npm test`: they must never count a failure as a success. */

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {runAva} from '../../scripts/testing/ava.mjs';
import {isInstalled} from '../../scripts/lib/npm.mjs';
import {hashOf} from '../../scripts/build/stamps.mjs';
import {TapReader} from '../../scripts/testing/tap.mjs';
import {until} from '../helpers/until.js';

const root = path.resolve(import.meta.dirname, '..', '..');

function temporaryFolder(t: ExecutionContext): string {
	const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'stc-scripts-'));
	t.teardown(() => {
		fs.rmSync(folder, {recursive: true, force: true});
	});
	return folder;
}

function read(lines: string[]): TapReader {
	const reader = new TapReader();
	for (const line of lines) {
		reader.readLine(line);
	}

	return reader;
}

test('TAP: distinguishes outcomes, logs and diagnoses', t => {
	const reader = read([
		'TAP version 13',
		'ok 1 - one',
		'#   said this',
		'not ok 2 - two',
		'    ---',
		'      message: no',
		'    ...',
		'ok 3 - three (skipped: no keyring) # SKIP',
		'not ok 4 - four # TODO',
		'ok 5 - not ok 5 - a title like a failure',
		'1..5',
		'# tests 4',
		'# pass 2',
		'# skip 1',
		'# fail 2',
	]);
	t.deepEqual(reader.tests.map(({title, outcome}) => [title, outcome]), [
		['one', 'passed'],
		['two', 'failed'],
		['three (skipped: no keyring)', 'skipped'],
		['four (to do)', 'failed'],
		['not ok 5 - a title like a failure', 'passed'],
	]);
	t.deepEqual(reader.tests[0]?.log, ['said this']);
	t.deepEqual(reader.tests[1]?.diagnosis, ['---', '  message: no', '...']);
	t.is(reader.unreported(1), undefined);
});

test('TAP: a stream that ends early, hides failures or contains no tests is a failure', t => {
	t.regex(read(['TAP version 13', 'ok 1 - one']).unreported(0)?.reason ?? '', /before it was done/);
	t.regex(read([]).unreported(0)?.reason ?? '', /before it was done/);
	t.is(read(['ok 1 - one', '1..4', '# fail 3']).unreported(1)?.count, 3);
	t.regex(read(['1..0', '# fail 0']).unreported(0)?.reason ?? '', /no tests ran/);
	t.regex(read(['ok 1 - one', '1..1', '# fail 0']).unreported(1)?.reason ?? '', /though each test passed/);
	t.is(read(['ok 1 - one', '1..1', '# fail 0']).unreported(0), undefined);
});

/** Runs one test file with AVA through our TAP reader. */
async function runFile(t: ExecutionContext, source: string, extra: Record<string, unknown> = {}) {
	const {passed, failed, skipped} = await runAva([], {cwd: folderWith(t, {first: source}, extra), isQuiet: true});
	return {passed, failed, skipped};
}

/** A folder with test files, and a configuration for AVA. */
function folderWith(t: ExecutionContext, sources: Readonly<Record<string, string>>, extra: Record<string, unknown> = {}): string {
	const folder = temporaryFolder(t);
	fs.symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'));
	fs.writeFileSync(path.join(folder, 'package.json'), JSON.stringify({
		type: 'module', ava: {
			files: ['*.test.js'], workerThreads: false, timeout: '20m', ...extra,
		},
	}));
	for (const [name, source] of Object.entries(sources)) {
		fs.writeFileSync(path.join(folder, `${name}.test.js`), `import test from 'ava';\n${source}`);
	}

	return folder;
}

const good = 'test(\'good\', t => t.pass());\n';

/** AVA's time-out for files that never end. A file that has not even started within it counts as well. */
const timeout = '2s';

const files: Array<[name: string, source: string, expected: {passed: number; failed: number; skipped: number}, extra?: Record<string, unknown>]> = [
	['tests that pass', good, {passed: 1, failed: 0, skipped: 0}],
	['a failed assertion', `${good}test('bad', t => t.fail());`, {passed: 1, failed: 1, skipped: 0}],
	['a skip with its reason', `${good}test.skip('x (skipped: no keyring)', t => t.pass());`, {passed: 1, failed: 0, skipped: 1}],
	['a skip without a reason', `${good}test.skip('x', t => t.pass());`, {passed: 1, failed: 1, skipped: 0}],
	['a test marked as to do', `${good}test.todo('later');`, {passed: 1, failed: 1, skipped: 0}],
	['no tests', '', {passed: 0, failed: 1, skipped: 0}],
	['a killed process', `${good}test('dies', t => { process.kill(process.pid, 'SIGKILL'); return new Promise(() => {}); });`, {passed: 0, failed: 2, skipped: 0}],
	['an abort', `${good}test('dies', t => { process.abort(); });`, {passed: 0, failed: 2, skipped: 0}],
	['an exit during a test', `${good}test('leaves', t => { process.exit(0); });`, {passed: 0, failed: 1, skipped: 0}],
	['an unhandled exception', `${good}test('throws later', t => { setTimeout(() => { throw new Error('later'); }); return new Promise(() => {}); });`, {passed: 1, failed: 2, skipped: 0}],
	['a test that never ends', `${good}test('hangs', t => new Promise(() => { setInterval(() => {}, 100); }));`, {passed: 0, failed: 1, skipped: 0}, {timeout}],
	['a file that ends before its tests', `setInterval(() => {}, 100); await new Promise(() => {}); ${good}`, {passed: 0, failed: 1, skipped: 0}, {timeout}],
	['a file that does not load', 'import \'./missing.js\';', {passed: 0, failed: 1, skipped: 0}],
	['a syntax error', 'test(', {passed: 0, failed: 1, skipped: 0}],
];

for (const [name, source, expected, extra] of files) {
	test.serial(`counts the results of a file with ${name}`, async t => {
		const {passed, failed, skipped} = await runFile(t, source, extra);
		t.is(skipped, expected.skipped);
		// The last output of a dying process may be lost, and the number of failures that AVA reports for one crash may
		// vary.
		t.true(passed >= expected.passed);
		t.true(failed >= expected.failed);
		t.is(failed > 0, expected.failed > 0);
	});
}

/** A test that starts a process, which never ends, with the pipe of this process's output, and writes its ID to a file. */
const startsProcess = (file: string) => `
	import {spawn} from 'node:child_process';
	import fs from 'node:fs';
	test('hangs', t => new Promise(() => {
		const child = spawn(process.execPath, ['--eval', 'setInterval(() => {}, 1000)'], {stdio: ['ignore', 'inherit', 'inherit']});
		fs.writeFileSync(${JSON.stringify(file)}, String(child.pid));
	}));
`;

async function assertEnds(t: ExecutionContext, file: string): Promise<void> {
	// Empty if the machine was too busy for the test to start.
	const pid = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
	await until(() => pid === '' || !fs.existsSync(`/proc/${pid}`) || fs.readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z '));
	t.pass();
}

test.serial('F6: a time-out of AVA names the tests that were pending, and ends the processes that they have started', async t => {
	const file = path.join(temporaryFolder(t), 'pid');
	const {passed, failed, failures} = await runAva([], {cwd: folderWith(t, {first: startsProcess(file)}, {timeout: '5s'}), isQuiet: true});
	t.is(passed, 0);
	t.is(failed, 1);
	// If the test began.
	t.true(!fs.existsSync(file) || failures.includes('hangs'), failures.join('\n'));
	await assertEnds(t, file);
});

test.serial('F6: a run in which no test ends any more is ended, whatever AVA\'s time-out is', async t => {
	const file = path.join(temporaryFolder(t), 'pid');
	const {failed, failures} = await runAva([], {cwd: folderWith(t, {first: startsProcess(file)}), isQuiet: true, silenceMs: 5000});
	t.true(failed > 0);
	t.true(failures.includes('AVA was ended: no test ended for 5 s'), failures.join('\n'));
	t.true(!fs.existsSync(file) || failures.includes('hangs'), failures.join('\n'));
	await assertEnds(t, file);
});

test('F6: no test has a time-out of its own, which would cut it short on a busy machine, and stop AVA\'s', t => {
	const files = fs.readdirSync(path.join(root, 'test'), {recursive: true, encoding: 'utf8'}).filter(name => name.endsWith('.test.ts') && !name.includes('node_modules'));
	t.true(files.length > 50);
	t.deepEqual(files.filter(name => /^\s*t\.timeout\(/m.test(fs.readFileSync(path.join(root, 'test', name), 'utf8'))), []);
});

test.serial('a run without matching files, and one whose arguments AVA refuses, are failures', async t => {
	t.deepEqual(await runFile(t, good, {files: ['*.nothing.js']}), {passed: 0, failed: 1, skipped: 0});
	t.deepEqual(await runFile(t, good, {concurrency: 'many'}), {passed: 0, failed: 1, skipped: 0});
});

test('packages count as installed only if they are those of the lock file', t => {
	const folder = temporaryFolder(t);
	const lock = (packages: Record<string, unknown>) => JSON.stringify({packages: {'': {name: 'x'}, ...packages}});
	const write = (file: string, text: string) => {
		fs.mkdirSync(path.dirname(path.join(folder, file)), {recursive: true});
		fs.writeFileSync(path.join(folder, file), text);
	};

	const one = {version: '1.0.0', integrity: 'sha512-a'};
	t.false(isInstalled(folder), 'nothing exists');
	write('package-lock.json', lock({'node_modules/one': one, 'node_modules/other-platform': {...one, optional: true}}));
	t.false(isInstalled(folder), 'nothing is installed');
	write('node_modules/.package-lock.json', lock({'node_modules/one': one}));
	t.false(isInstalled(folder), 'recorded, but missing');
	write('node_modules/one/package.json', '{}');
	t.true(isInstalled(folder), 'an optional package may be missing');
	write('node_modules/.package-lock.json', lock({'node_modules/one': {...one, version: '1.0.1'}}));
	t.false(isInstalled(folder), 'another version');
	write('node_modules/.package-lock.json', lock({'node_modules/one': {...one, integrity: 'sha512-b'}}));
	t.false(isInstalled(folder), 'other bytes');
	write('node_modules/.package-lock.json', lock({'node_modules/one': one}).slice(0, -9));
	t.false(isInstalled(folder), 'truncated');
});

test('a hash distinguishes contents, names, locations and facts, and nothing else', t => {
	const folder = temporaryFolder(t);
	const write = (file: string, text: string) => {
		fs.mkdirSync(path.dirname(path.join(folder, file)), {recursive: true});
		fs.writeFileSync(path.join(folder, file), text);
	};

	const hash = (facts: unknown[] = []) => hashOf(['src', 'missing'], facts, folder);
	write('src/a.ts', 'a');
	write('src/b.ts', 'b');
	const first = hash();
	t.is(hash(), first);
	write('src/node_modules/x.js', 'not ours');
	t.is(hash(), first);
	const hashes = [first, hash(['fact'])];
	write('src/a.ts', 'ab');
	write('src/b.ts', '');
	hashes.push(hash());
	fs.renameSync(path.join(folder, 'src/b.ts'), path.join(folder, 'src/c.ts'));
	hashes.push(hash());
	fs.rmSync(path.join(folder, 'src/c.ts'));
	hashes.push(hash());
	t.is(new Set(hashes).size, hashes.length);
});
