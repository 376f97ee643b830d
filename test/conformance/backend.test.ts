/** Reading caches from files: all backends give the same results, and the same error for the same cause. */

import {constants as bufferConstants} from 'node:buffer';
import {execFile, execFileSync, spawn} from 'node:child_process';
import {
	appendFileSync, chmodSync, mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync,
} from 'node:fs';
import {constants as osConstants, tmpdir} from 'node:os';
import {join} from 'node:path';
import {inspect, isDeepStrictEqual, promisify} from 'node:util';
import test, {type ExecutionContext} from 'ava';
import type {CacheBackend, CacheQuery, CacheSlice} from '../../dist/backend/backend.js';
import {loadAddon} from '../../dist/backend/addon-loader.js';
import {storeOf} from '../../dist/backend/stores.js';
import type {StoreError} from '../../dist/errors.js';
import {backends, toAnswer} from '../helpers/caches/backends.js';
import {
	buildCache, builtClientId, builtEnvironment, cacheSizes, randomNumbers,
} from '../helpers/caches/cache-builder.js';
import {askOracle, differenceOf} from '../helpers/caches/oracle.js';
import {openCopy} from '../helpers/processes/open-copy.js';

const run = promisify(execFile);
const nowSec = 1_800_000_000;
const query: CacheQuery = {environments: [builtEnvironment], clientId: builtClientId, nowSec};

function directory(t: ExecutionContext): string {
	const path = realpathSync(mkdtempSync(join(tmpdir(), 'stc-backend-')));
	t.teardown(() => {
		rmSync(path, {recursive: true, force: true});
	});
	return path;
}

const ask = async (backend: CacheBackend, path: string, rest: Partial<CacheQuery> = {}) => storeOf(backend, 'plaintext').query({path}, {...query, ...rest}, 10_000);

async function failure(t: ExecutionContext, backend: CacheBackend, path: string): Promise<StoreError> {
	const error = await t.throwsAsync<StoreError>(ask(backend, path), {name: 'StoreError'});
	t.notRegex(error.message, /\n/);
	t.true(error.message.includes(path), error.message);
	t.is(error.store, 'plaintext');
	return error;
}

const cache = buildCache({...cacheSizes.S, nowSec, unicodeNames: true});

for (const backend of backends) {
	test(`${backend.kind}: returns a cache with its stamp, size and time`, async t => {
		const path = join(directory(t), 'msal.cache.nocae');
		writeFileSync(path, cache.text);
		const slice = await ask(backend, path);
		t.is(differenceOf(toAnswer(slice!), askOracle(Buffer.from(cache.text), query)), undefined);
		const {dev, ino, size, mtimeNs, ctimeNs, mtimeMs} = statSync(path, {bigint: true});
		// Some versions of Node for Windows report different volume numbers for one file.
		t.is(slice?.stamp, [...(process.platform === 'win32' ? [] : [dev]), ino, size, mtimeNs, ctimeNs].join(':'));
		t.is(await storeOf(backend, 'plaintext').stamp({path}, 1000), slice!.stamp);
		t.true(Math.abs((slice?.modifiedMs ?? 0) - Number(mtimeMs)) < 2);
	});

	test(`${backend.kind}: a missing file gives null`, async t => {
		const home = directory(t);
		writeFileSync(join(home, 'file'), '');
		symlinkSync('nowhere', join(home, 'dangling'));
		for (const path of [join(home, 'absent'), join(home, 'no/such/directory'), join(home, 'file/below'), join(home, 'dangling')]) {
			t.is(await ask(backend, path), null);
			t.is(await storeOf(backend, 'plaintext').stamp({path}, 1000), null);
		}
	});

	test(`${backend.kind}: empty files, white space and {} are empty caches`, async t => {
		const path = join(directory(t), 'cache');
		for (const text of ['', ' \n', '{}']) {
			writeFileSync(path, text);
			t.like(await ask(backend, path), {
				sizeBytes: text.length, accounts: [], refreshTokens: [], accessTokens: [],
			});
		}
	});

	test(`${backend.kind}: follows symbolic links and accepts non-ASCII paths`, async t => {
		const home = directory(t);
		const path = join(home, 'Benützer 名前 😀', 'msal.cache');
		mkdirSync(join(home, 'Benützer 名前 😀'));
		writeFileSync(path, cache.text);
		symlinkSync(path, join(home, 'link'));
		t.is((await ask(backend, path))?.accounts.length, 1);
		t.is((await ask(backend, join(home, 'link')))?.stamp, (await ask(backend, path))?.stamp);
	});

	test(`${backend.kind}: refuses a directory, a FIFO and a device at once`, async t => {
		const home = directory(t);
		execFileSync('mkfifo', [join(home, 'fifo')]);
		t.like(await failure(t, backend, home), {code: 'STC_IO', osDomain: 'errno', osCode: 21});
		t.like(await failure(t, backend, join(home, 'fifo')), {code: 'STC_IO', osDomain: 'errno', osCode: 22});
		t.like(await failure(t, backend, '/dev/zero'), {code: 'STC_IO', osDomain: 'errno', osCode: 22});
	});

	test(`${backend.kind}: reports a file or a directory without read permission`, async t => {
		const home = directory(t);
		const path = join(home, 'cache');
		const closed = join(home, 'closed');
		mkdirSync(closed);
		for (const file of [path, join(closed, 'cache')]) {
			writeFileSync(file, cache.text);
		}

		chmodSync(home, 0o755);
		chmodSync(path, 0o000);
		chmodSync(closed, 0o000);
		const code = `
			const {backend} = ${backend.kind === 'native' ? 'require("./dist/backend/native-backend.js").loadNativeBackend()' : '{backend: require("./dist/backend/js/js-backend.js").jsBackend}'};
			const [path, below] = ${JSON.stringify([path, join(closed, 'cache')])};
			const {storeOf} = require('./dist/backend/stores.js');
			const query = at => storeOf(backend, 'plaintext').query({path: at}, {environments: [], clientId: '', nowSec: 0}, 1000);
			Promise.allSettled([query(path), query(below), storeOf(backend, 'plaintext').stamp({path: below}, 1000)])
				.then(outcomes => console.log(JSON.stringify(outcomes.map(({reason: {code, osDomain, osCode, op} = {}}) => ({code, osDomain, osCode, op})))));
		`;
		// Root can read everything, so a child process drops its rights after it has loaded the code.
		const dropRights = process.getuid?.() === 0 ? 'require("./dist/backend/native-backend.js").loadNativeBackend(); require("./dist/backend/js/js-backend.js"); process.setgid(65534); process.setuid(65534);' : '';
		const {stdout} = await run(process.execPath, ['--eval', dropRights + code], {cwd: openCopy()});
		chmodSync(closed, 0o755);
		const denied = {code: 'STC_STORE_DENIED', osDomain: 'errno', osCode: 13};
		t.deepEqual(JSON.parse(stdout), [{...denied, op: 'open'}, {...denied, op: 'open'}, {...denied, op: 'stat'}]);
	});

	test(`${backend.kind}: reports other errors of the operating system`, async t => {
		const home = directory(t);
		symlinkSync('loop', join(home, 'loop'));
		for (const [path, osCode] of [[join(home, 'loop'), osConstants.errno.ELOOP], [join(home, 'x'.repeat(300)), osConstants.errno.ENAMETOOLONG]] as const) {
			t.like(await failure(t, backend, path), {
				code: 'STC_IO', op: 'open', osDomain: 'errno', osCode,
			});
			await t.throwsAsync(storeOf(backend, 'plaintext').stamp({path}, 1000), {name: 'StoreError', code: 'STC_IO', message: /a symbolic link that leads in a circle|Check the file/});
		}
	});

	// Reading /proc/self/mem fails because nothing is mapped at address 0: a real read error on a real file.
	(process.platform === 'linux' ? test : test.skip)(`${backend.kind}: reports a read error (Linux only: needs /proc)`, async t => {
		t.like(await failure(t, backend, '/proc/self/mem'), {
			code: 'STC_IO', op: 'read', osDomain: 'errno', osCode: osConstants.errno.EIO,
		});
	});

	test(`${backend.kind}: a path of the wrong type is a TypeError`, async t => {
		for (const path of ['/tmp\u0000/x', 5, {}] as string[]) {
			await t.throwsAsync(ask(backend, path), {instanceOf: TypeError});
			await t.throwsAsync(storeOf(backend, 'plaintext').stamp({path}, 1000), {instanceOf: TypeError});
		}

		await t.throwsAsync(storeOf(backend, 'plaintext').query({path: directory(t)}, {} as CacheQuery, 1000));
	});

	test(`${backend.kind}: refuses a file of more than 1 GiB without reading it`, async t => {
		const path = join(directory(t), 'cache');
		writeFileSync(path, '');
		// A sparse file, which takes no disk space.
		truncateSync(path, (1024 ** 3) + 1);
		const error = await failure(t, backend, path);
		t.is(error.code, 'STC_CACHE_CORRUPT');
		t.regex(error.message, /larger than \d+ [MG]iB.*Move it away/);
		t.is(typeof await storeOf(backend, 'plaintext').stamp({path}, 1000), 'string');
	});

	test(`${backend.kind}: no error message quotes the file's content`, async t => {
		const path = join(directory(t), 'cache');
		for (const text of ['FAKE-quoted', '{"secret":"FAKE-quoted"', '{"secret":"FAKE-quoted",}', '["FAKE-quoted"]', '"FAKE-quoted"', '{"FAKE-quoted":01}', 'eyJFAKE-quoted']) {
			writeFileSync(path, text);
			const error = await failure(t, backend, path);
			t.notRegex(inspect(error, {depth: 10, showHidden: true}), /FAKE|quoted/);
			t.is(error.cause, undefined);
		}
	});

	test(`${backend.kind}: names the format of corrupt and foreign files`, async t => {
		const path = join(directory(t), 'cache');
		for (const [text, code] of [['{', 'STC_CACHE_CORRUPT'], ['\u0000', 'STC_CACHE_CORRUPT'], ['eyJh.b.c.d.e', 'STC_CACHE_FORMAT']] as const) {
			writeFileSync(path, text);
			const error = await failure(t, backend, path);
			t.is(error.code, code);
			t.regex(error.message, /sign in|Sign in/);
		}
	});

	test(`${backend.kind}: reads records that cross the end of the read buffer at any position`, async t => {
		const path = join(directory(t), 'cache');
		// Around each power of two, the boundary moves byte by byte through the start of a record, its strings, escapes
		// and multi-byte characters.
		for (const windowBytes of [65_536, 131_072, 262_144]) {
			for (let shift = 0; shift < 340; shift += shift < 40 ? 1 : 7) {
				const record = String.raw`"kéy\u0041":{"home_account_id":"u.t","environment":"${builtEnvironment}","username":"näme\n😀\ud83d\ude00","secret":"FAKE-${'s'.repeat(50)}","n":[1.5e3,true,null,{"a":"b"}]}`;
				const head = '{"x":"';
				const text = `${head}${'p'.repeat(windowBytes - shift - head.length - 20)}","Account":{${record}},"RefreshToken":{${record}}}`;
				writeFileSync(path, text);
				const slice = await ask(backend, path);
				t.is(differenceOf(toAnswer(slice!), askOracle(Buffer.from(text), query)), undefined, `${windowBytes} - ${shift}`);
			}
		}
	});

	test(`${backend.kind}: reads records larger than the read buffer`, async t => {
		const path = join(directory(t), 'cache');
		for (const length of [130_000, 131_072, 300_000, 3_000_000]) {
			const record = (name: string) => `{"home_account_id":"${name}.t","environment":"${builtEnvironment}","client_id":"${builtClientId}","target":"a","expires_on":"${nowSec + 1000}","secret":"FAKE-${name}${'s'.repeat(length)}"}`;
			const text = `{"AccessToken":{"a":${record('one')},"b":${record('two')}},"RefreshToken":{"c":${record('one')}},"Account":{"d":${record('one')}}}`;
			writeFileSync(path, text);
			t.is(differenceOf(toAnswer((await ask(backend, path))!), askOracle(Buffer.from(text), query)), undefined, `${length}`);
		}
	});

	test(`${backend.kind}: finds one account's entries in a cache of 1.4 MB, in every layout`, async t => {
		const path = join(directory(t), 'cache');
		for (const style of ['node', 'python', 'dotnet'] as const) {
			const large = buildCache({
				...cacheSizes.M, style, nowSec, unicodeNames: true,
			});
			writeFileSync(path, large.text);
			const wanted = large.accounts[7]!;
			const hints = {username: wanted.username.replaceAll(/[a-z]/g, letter => letter.toUpperCase()), homeTenantId: wanted.tenantId, refreshTokenSecrets: true};
			const slice = await ask(backend, path, hints);
			t.true(isDeepStrictEqual(slice?.accessTokens.map(({secret}) => secret).toSorted(), wanted.accessTokens.toSorted()), 'the access tokens of the generated cache');
			t.true(isDeepStrictEqual(slice?.refreshTokens.filter(({secret}) => secret).map(({secret}) => secret), [wanted.refreshToken]), 'the refresh token of the generated cache');
			t.is(differenceOf(toAnswer(slice!), askOracle(Buffer.from(large.text), {...query, ...hints})), undefined, style);
		}
	});

	test(`${backend.kind}: finds an account's records however they are spread over the file`, async t => {
		const path = join(directory(t), 'cache');
		const random = randomNumbers(20_261_128);
		for (let round = 0; round < 40; round++) {
			// Gaps and lengths below and above the prefetch sizes (4 and 64 KB) and the size of the read buffer.
			const sizes = [10, 500, 3000, 4000, 4200, 30_000, 64_000, 70_000];
			const record = (name: string, index: number) => ({
				home_account_id: `${name}.t`,
				environment: builtEnvironment,
				client_id: builtClientId,
				target: `scope-${index}`,
				expires_on: String(nowSec + 1000),
				secret: `FAKE-${name}-${index}-${'s'.repeat(sizes[Math.floor(random() * (1 + (round % sizes.length)))]!)}`,
			});
			const section = (length: number) => Object.fromEntries(Array.from({length}, (_, index) => [`key-${index}`, record(random() < 0.6 ? 'one' : 'other', index)]));
			const text = JSON.stringify({Account: {d: record('one', 0)}, RefreshToken: section(5), AccessToken: section(30)});
			writeFileSync(path, text);
			for (const asked of [{homeAccountId: 'ONE.t'}, {homeTenantId: 't'}]) {
				// Two queries: one for a known account, one for the accounts that the file contains.
				t.is(differenceOf(toAnswer((await ask(backend, path, asked))!), askOracle(Buffer.from(text), {...query, ...asked})), undefined, `round ${round}`);
			}
		}
	});

	test(`${backend.kind}: 40 concurrent queries all succeed`, async t => {
		const home = directory(t);
		const paths = Array.from({length: 40}, (_, index) => join(home, `cache-${index}`));
		for (const [index, path] of paths.entries()) {
			writeFileSync(path, buildCache({
				accounts: 1, tokensPerAccount: 1 + (index % 3), seed: index, nowSec,
			}).text);
		}

		const slices = await Promise.all(paths.map(async path => ask(backend, path)));
		t.deepEqual(slices.map(slice => slice?.accessTokens.length), paths.map((_, index) => 1 + (index % 3)));
	});

	test(`${backend.kind}: reads a file that is being replaced as a whole, old or new`, async t => {
		const path = join(directory(t), 'cache');
		const texts = [1, 2].map(seed => buildCache({...cacheSizes.M, seed, nowSec}).text);
		const answers = texts.map(text => askOracle(Buffer.from(text), query));
		writeFileSync(path, texts[0]!);
		const seen = new Set<number>();
		for (let round = 0; round < 60; round++) {
			const asking = ask(backend, path);
			writeFileSync(`${path}.new`, texts[round % 2]!);
			renameSync(`${path}.new`, path);
			const answer = toAnswer((await asking)!);
			const differences = answers.map(expected => differenceOf(answer, expected));
			t.true(differences.includes(undefined), `neither the old cache nor the new: ${differences.join('; ')}`);
			seen.add(differences.indexOf(undefined));
		}

		t.is(seen.size, 2);
	});

	test(`${backend.kind}: never mixes old and new content of a file that is written in place`, async t => {
		const path = join(directory(t), 'cache');
		const texts = [3, 4].map(seed => buildCache({
			accounts: 2, tokensPerAccount: 12, seed, nowSec,
		}).text);
		writeFileSync(path, texts[0]!);
		const writer = spawn(process.execPath, ['--eval', `
			const fs = require('node:fs');
			const texts = JSON.parse(fs.readFileSync(0));
			const pause = new Int32Array(new SharedArrayBuffer(4));
			for (let round = 0; ; round++) {
				fs.writeFileSync(${JSON.stringify(path)}, texts[round % 2]);
				Atomics.wait(pause, 0, 0, 1);
			}
		`], {stdio: ['pipe', 'ignore', 'ignore']});
		t.teardown(() => {
			writer.kill('SIGKILL');
		});
		writer.stdin.end(JSON.stringify(texts));
		const answers = texts.map(text => askOracle(Buffer.from(text), query));
		const counts = {whole: 0, empty: 0, refused: 0};
		for (let round = 0; round < 1500; round++) {
			let slice: CacheSlice | null;
			try {
				slice = await ask(backend, path);
			} catch (error) {
				const {code} = error as StoreError;
				t.true(code === 'STC_CACHE_CHANGED' || code === 'STC_CACHE_CORRUPT', code);
				counts.refused++;
				continue;
			}

			if (slice?.sizeBytes === 0) {
				counts.empty++;
			} else {
				const differences = answers.map(expected => differenceOf(toAnswer(slice!), expected));
				t.true(differences.includes(undefined), `neither the old cache nor the new: ${differences.join('; ')}`);
				counts.whole++;
			}
		}

		t.log(counts);
		t.true(counts.whole > 0);
	});
}

test('native: reports a value that is longer than a JavaScript string can be', async t => {
	const path = join(directory(t), 'cache');
	writeFileSync(path, `{"Account":{"k":{"home_account_id":"a.b","environment":"${builtEnvironment}","username":"`);
	const piece = Buffer.alloc(16 * 1024 * 1024, 'x');
	for (let written = 0; written <= bufferConstants.MAX_STRING_LENGTH; written += piece.length) {
		appendFileSync(path, piece);
	}

	appendFileSync(path, '"}}}');
	t.is((await failure(t, backends.find(({kind}) => kind === 'native')!, path)).code, 'STC_CACHE_CORRUPT');
});

test('the pure-JS backend says that a keyring needs the native addon', t => {
	const pure = backends.find(({kind}) => kind === 'pure')!;
	t.throws(() => storeOf(pure, 'libsecret'), {message: /native addon/});
});

test('an error of the native addon has the caller\'s stack', async t => {
	const home = directory(t);
	const error = await failure(t, backends.find(({kind}) => kind === 'native')!, home);
	t.regex(error.stack ?? '', /backend\.test/);
	t.true(error.stack?.startsWith(`StoreError: ${error.message}`));
});

test('the native addon refuses arguments of the wrong type and a path with a NUL', async t => {
	const native = backends.find(({kind}) => kind === 'native')!;
	await t.throwsAsync(async () => loadAddon().addon!.query('nothing', {path: '/x'}, query, 1000), {instanceOf: TypeError});
	t.is(native.open('nothing', 'file'), undefined);
	await t.throwsAsync(storeOf(native, 'plaintext').query({path: 5} as unknown as {path: string}, query, 1000), {instanceOf: TypeError});
	await t.throwsAsync(storeOf(native, 'plaintext').query({path: '/tmp\u0000/x'}, query, 1000), {instanceOf: TypeError});
	await t.throwsAsync(storeOf(native, 'plaintext').query({path: '/x'}, {} as CacheQuery, 1000), {instanceOf: TypeError});
	await t.throwsAsync(storeOf(native, 'plaintext').query({path: '/x'}, query, 'soon' as unknown as number), {instanceOf: TypeError});
});
