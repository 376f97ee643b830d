/** Loading of the addon: which files are tried, and the error if none fits. */

import {execFile} from 'node:child_process';
import {
	chmodSync, chownSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync,
} from 'node:fs';
import {createRequire} from 'node:module';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import test, {type ExecutionContext} from 'ava';
import type {StoreError} from '../../dist/errors.js';
import {load, loadAddon} from '../../dist/backend/addon-loader.js';
import {loadNativeBackend, NativeBackend} from '../../dist/backend/native-backend.js';
import {writeMinimalCache} from '../helpers/caches/minimal-cache.js';
import {
	storeOf, stores, storesOf, type StoreName,
} from '../../dist/backend/stores.js';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));
const require = createRequire(import.meta.url);
/** A binary for this machine, built here or downloaded. */
const binary = join(root, 'build', 'Release', 'azure_shared_token_cache.node');

test('the addon is loaded once', t => {
	const {backend, error} = loadNativeBackend();
	t.is(error, undefined);
	t.is(backend?.kind, 'native');
	const {stores: ofAddon} = loadAddon().addon!;
	t.true(ofAddon.includes('plaintext'));
	t.deepEqual(ofAddon.filter(name => !(name in stores)), [], 'the map of stores has them all');
	const made = storesOf(backend!);
	t.deepEqual(ofAddon.filter(name => !made.includes(name as StoreName)), []);
	t.is(loadNativeBackend().backend, backend);
});

function openBinary(path: string): unknown {
	const holder = {exports: {}};
	process.dlopen(holder, path);
	return holder.exports;
}

test('if no binary fits, the error names every file with its reason, and the remedy', t => {
	const directory = mkdtempSync(join(tmpdir(), 'stc-loader-'));
	t.teardown(() => {
		rmSync(directory, {recursive: true, force: true});
	});
	const missing = join(directory, 'missing.node');
	const broken = join(directory, 'broken.node');
	const other = join(directory, 'other.cjs');
	writeFileSync(broken, 'not\na binary');
	writeFileSync(other, 'module.exports = {apiVersion: 999};');
	const {addon, error} = load([missing, broken, other], path => path === other ? require(path) : openBinary(path));
	t.is(addon, undefined);
	t.is(error?.code, 'STC_ADDON_MISSING');
	t.regex(error?.message ?? '', new RegExp(`^No native addon for ${process.platform}-${process.arch}`));
	// What is there comes first, and the remedy fits into the message.
	t.true(error?.message.includes(`${broken} does not load: `));
	t.regex(error?.message ?? '', /\. Run npm run build\.$/);
	t.deepEqual(error?.details?.map(({place}) => place), [broken, other, missing]);
	t.deepEqual(error?.details?.slice(1).map(({text}) => text), ['is of another version of this package', 'is missing']);
	t.notRegex(`${error?.message} ${error?.details?.[0]?.text}`, /\n/);
});

test('keyring calls are made one at a time, in order; each waiting call has its own time-out, and file calls do not wait', async t => {
	const directory = mkdtempSync(join(tmpdir(), 'stc-loader-'));
	t.teardown(() => {
		rmSync(directory, {recursive: true, force: true});
	});
	const path = join(directory, 'addon.cjs');
	// Answers after the number of milliseconds in the location's path.
	writeFileSync(path, `
		const running = {libsecret: 0, plaintext: 0};
		module.exports = {
			apiVersion: 3,
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
	const {addon, error} = load([path], require);
	t.is(error, undefined);
	const backend = addon && new NativeBackend(addon);
	const ended: string[] = [];
	const ask = async (store: 'libsecret' | 'plaintext', delayMs: number, timeoutMs: number) => {
		const startMs = performance.now();
		try {
			const stamp = (await storeOf(backend!, store).stamp({path: String(delayMs)}, timeoutMs)) ?? '';
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

	const long = 1_000_000;
	const [first, impatient, failing, last, file] = await Promise.all([
		ask('libsecret', 400, long), ask('libsecret', 7, 100), ask('libsecret', 1, long), ask('libsecret', 3, long), ask('plaintext', 2, long),
	]);
	t.deepEqual(ended, ['plaintext 2', 'libsecret 7', 'libsecret 400', 'libsecret 1', 'libsecret 3']);
	t.like(first, {code: '', others: 0});
	t.like(impatient, {code: 'STC_STORE_TIMEOUT', op: 'wait'});
	t.true(impatient.elapsedMs >= 95, `${impatient.elapsedMs}`);
	t.like(failing, {code: 'STC_IO', op: 'search'});
	t.like(last, {code: '', others: 0});
	t.true(last.timeoutMs <= long - 395, `the wait counts: ${last.timeoutMs} ms are left`);
	t.like(file, {code: '', timeoutMs: long});
});

function makeDirectory(t: ExecutionContext): string {
	const directory = mkdtempSync(join(tmpdir(), 'stc-loader-'));
	t.teardown(() => {
		rmSync(directory, {recursive: true, force: true});
	});
	return directory;
}

/** Copies what package.json publishes of `dist/`. */
function copyPublished(directory: string): void {
	cpSync(join(root, 'dist'), join(directory, 'dist'), {recursive: true});
	for (const name of readdirSync(join(directory, 'dist')).filter(name => !/^(?:index\..*|whole\.js|lazy)$/.test(name))) {
		rmSync(join(directory, 'dist', name), {recursive: true});
	}
}

/** An installed package without a binary, and a plaintext cache with one token. */
function installWithoutBinary(directory: string): void {
	copyPublished(directory);
	writeMinimalCache(directory, 'FAKE-access');
}

/** Requests a token with these options, after the statement `before`. */
async function ask(directory: string, options: string, {home = directory, before = ''}: {home?: string; before?: string} = {}) {
	const program = `
		${before}
		const {SharedTokenCacheCredential} = require('./dist/index.js');
		new SharedTokenCacheCredential(${options}).getToken('scope/.default').then(({token}) => console.log(token), ({name, code, message, details}) => console.log(name, code, message, JSON.stringify(details)));
	`;
	return run(process.execPath, ['--eval', program], {cwd: directory, env: {PATH: process.env['PATH'] ?? '', HOME: home, AZURE_LOG_LEVEL: 'warning'}});
}

test('a package without a binary reads a plaintext cache, logs that in one line, and says what an encrypted cache needs', async t => {
	const directory = makeDirectory(t);
	installWithoutBinary(directory);
	const served = await ask(directory, '{}');
	t.is(served.stdout.trim(), 'FAKE-access');
	t.is(served.stderr.trim().split('\n').length, 1);
	t.regex(served.stderr, /azure:azure-shared-token-cache:warning The native addon could not be loaded; plaintext caches are read by the pure-JS variant.*is missing/);
	const nothing = await ask(directory, '{}', {home: join(directory, 'elsewhere')});
	t.regex(nothing.stdout, /^CredentialUnavailableError STC_CACHE_NOT_FOUND .*the native addon is missing.*keyring item of Python.*No native addon for .* was found\. Reinstall the package\./);
	const required = await ask(directory, '{useNativeAddon: true}');
	t.regex(required.stdout, /^CredentialUnavailableError STC_ADDON_MISSING /);
	const declined = await ask(directory, '{useNativeAddon: false}');
	t.is(declined.stdout.trim(), 'FAKE-access');
	t.is(declined.stderr, '');
});

for (const [machine, before, named, cure] of [
	['of a supported platform', '', new RegExp(`No native addon for ${process.platform}-${process.arch}`), /Reinstall the package\./],
	['of an unknown CPU', 'Object.defineProperty(process, "arch", {value: "riscv64"});', /No native addon for [a-z\d]+-riscv64/, /has no binary for this platform: only plaintext caches can be read\./],
] as const) {
	test(`a machine ${machine} without a binary reads plaintext; other requests fail with platform, files and remedy`, async t => {
		const directory = makeDirectory(t);
		installWithoutBinary(directory);
		const served = await ask(directory, '{}', {before});
		t.is(served.stdout.trim(), 'FAKE-access');
		const {stdout} = await ask(directory, '{useNativeAddon: true}', {before, home: join(directory, 'elsewhere')});
		t.regex(stdout, /^CredentialUnavailableError STC_ADDON_MISSING /);
		t.regex(stdout, named);
		t.regex(stdout, cure);
		if (before === '') {
			t.true(stdout.includes(JSON.stringify({place: join(directory, 'prebuilds', ...placeOfBinary()), text: 'is missing'})), stdout);
		}

		t.notRegex(stdout, /npm run build|Release/, 'a package has no sources');
		if (process.platform === 'linux') {
			t.regex(stdout, /No native addon for linux-\w+ \((?:glibc|musl)\)/);
		}
	});
}

/** The path below `prebuilds/`. */
function placeOfBinary(): [string, string] {
	const {header} = process.report.getReport() as {header: {glibcVersionRuntime?: string}};
	const libc = header.glibcVersionRuntime === undefined ? '.musl' : '.glibc';
	return [`${process.platform}-${process.arch}`, `azure-shared-token-cache${process.platform === 'linux' ? libc : ''}.node`];
}

for (const [title, modules, place] of [
	['a package as installed', 'dist', 'prebuilds'],
	['a bundle next to the folder', 'bundle', 'bundle/prebuilds'],
	['an Electron archive with unpacked binaries', 'app.asar/node_modules/package/dist', 'app.asar.unpacked/node_modules/package/prebuilds'],
] as const) {
	test(`the binary is found in ${title}`, async t => {
		const directory = makeDirectory(t);
		cpSync(join(root, 'dist'), join(directory, modules), {recursive: true});
		const file = join(directory, place, ...placeOfBinary());
		mkdirSync(dirname(file), {recursive: true});
		cpSync(binary, file);
		const {stdout} = await run(process.execPath, ['--print', `
			const {backend, error} = require('./${modules}/backend/native-backend.js').loadNativeBackend();
			[backend?.kind, error?.message, Object.keys(require.cache).filter(name => name.endsWith('.node')), process.report.getReport().sharedObjects.filter(name => name.endsWith('.node'))].join();
		`], {cwd: directory});
		t.is(stdout.trim(), `native,,,${file}`);
	});
}

/** Loads the addon as `dist/index.js` does that lies in `folder` alone, as in a bundle, which holds all modules. @param before Statements that run first. */
async function loadInBundle(folder: string, {before = '', dirname: seen = folder}: {before?: string; dirname?: string} = {}): Promise<{message: string; places: string[]; loaded: string[]}> {
	mkdirSync(folder, {recursive: true});
	cpSync(join(root, 'dist', 'index.js'), join(folder, 'bundle.cjs'));
	const {stdout} = await run(process.execPath, ['--eval', `
		const fs = require('node:fs');
		const {Module} = require('node:module');
		const file = ${JSON.stringify(join(folder, 'bundle.cjs'))};
		const bundle = new Module(file);
		const [outside, inside] = [file, ${JSON.stringify(join(root, 'dist', 'index.js'))}].map(each => Module.createRequire(each));
		let requireOfBundle = name => name.startsWith('./lazy/') ? inside(name) : outside(name);
		${before}
		new Function('exports', 'require', 'module', '__filename', '__dirname', fs.readFileSync(file, 'utf8'))(bundle.exports, requireOfBundle, bundle, file, ${JSON.stringify(seen)});
		const {loadAddon} = bundle.exports[Symbol.for('azure-shared-token-cache.internals')];
		const {error} = loadAddon();
		console.log(JSON.stringify({message: error?.message ?? '', places: error?.details?.map(({place, text}) => place + ' ' + text) ?? [], loaded: process.report.getReport().sharedObjects.filter(name => name.endsWith('.node'))}));
	`], {cwd: dirname(folder)});
	return JSON.parse(stdout) as {message: string; places: string[]; loaded: string[]};
}

/** Puts a binary wherever one may be planted by those who can write to `folder`. */
function plant(folder: string): void {
	for (const place of [['build', 'Release', 'azure_shared_token_cache.node'], ['prebuilds', ...placeOfBinary()]]) {
		const file = join(folder, ...place);
		mkdirSync(dirname(file), {recursive: true});
		cpSync(binary, file);
	}
}

for (const name of ['app', 'dist', 'app.asar', 'lib/app.asar/out']) {
	test(`G1: a bundle in ${name} loads no binary from outside its folder`, async t => {
		const directory = makeDirectory(t);
		const folder = join(directory, name);
		plant(directory);
		plant(dirname(folder));
		const {places, loaded} = await loadInBundle(folder);
		t.deepEqual(loaded, []);
		t.is(places.at(-1), `${join(folder, 'prebuilds', ...placeOfBinary())} is missing`);
		t.is(places.length, name.includes('.asar') ? 2 : 1, places.join('; '));
		const own = join(folder, 'prebuilds', ...placeOfBinary());
		mkdirSync(dirname(own), {recursive: true});
		cpSync(binary, own);
		t.deepEqual(await loadInBundle(folder), {message: '', places: [], loaded: [own]});
	});
}

test('G1: a bundle in an Electron archive finds the binary beside the archive, and beside no folder further up', async t => {
	const directory = makeDirectory(t);
	const folder = join(directory, 'outer.asar', 'resources', 'app.asar', 'out');
	const planted = join(directory, 'outer.asar.unpacked', 'resources', 'app.asar', 'out');
	plant(planted);
	t.deepEqual((await loadInBundle(folder)).loaded, []);
	const unpacked = join(directory, 'outer.asar', 'resources', 'app.asar.unpacked', 'out', 'prebuilds', ...placeOfBinary());
	mkdirSync(dirname(unpacked), {recursive: true});
	cpSync(binary, unpacked);
	t.deepEqual(await loadInBundle(folder), {message: '', places: [], loaded: [unpacked]});
});

for (const [title, seen, before] of [
	['a relative path', 'node_modules/azure-shared-token-cache/dist', ''],
	['the empty text', '', ''],
	['"."', '.', ''],
	['the root of a drive', '/', `
		Object.defineProperty(process, 'platform', {value: 'win32'});
		const plain = requireOfBundle;
		requireOfBundle = name => name === 'node:path' ? require('node:path').win32 : plain(name);
	`],
] as const) {
	test(`G1: where the bundler replaces __dirname by ${title}, no binary is looked for`, async t => {
		const directory = makeDirectory(t);
		const folder = join(directory, 'app');
		plant(directory);
		plant(join(directory, 'node_modules', 'azure-shared-token-cache'));
		const {message, places, loaded} = await loadInBundle(folder, {dirname: seen, before});
		t.deepEqual(loaded, []);
		t.true(message.includes(`this bundle has "${seen}" in place of __dirname (webpack: set node: {__dirname: false}), so there is nowhere to look. Leave this package out`), message);
		t.is(places.length, 1);
	});
}

// Windows has no such folders.
const testOnPosix = process.platform === 'win32' ? test.skip : test;

testOnPosix('G1: a bundle in a folder where anybody can make files, such as /tmp, loads only what belongs to its owner', async t => {
	const directory = makeDirectory(t);
	const folder = join(directory, 'shared');
	mkdirSync(folder);
	chmodSync(folder, 0o1777);
	plant(folder);
	const own = join(folder, 'prebuilds', ...placeOfBinary());
	t.deepEqual(await loadInBundle(folder), {message: '', places: [], loaded: [own]});
	if (process.getuid?.() !== 0) {
		t.log('Only root can give files away.');
		return;
	}

	chownSync(join(folder, 'prebuilds'), 65_534, 65_534);
	const {message, loaded} = await loadInBundle(folder);
	t.deepEqual(loaded, []);
	t.true(message.includes(`${join(folder, 'prebuilds')} belongs to another user, and anybody can write to the folder above.`), message);
});

test('G1: an installed package looks neither for a build nor in other folders', async t => {
	const directory = makeDirectory(t);
	const installed = join(directory, 'node_modules', 'azure-shared-token-cache');
	copyPublished(installed);
	cpSync(join(root, 'package.json'), join(installed, 'package.json'));
	plant(directory);
	plant(join(directory, 'node_modules'));
	const build = join(installed, 'build', 'Release', 'azure_shared_token_cache.node');
	mkdirSync(dirname(build), {recursive: true});
	cpSync(binary, build);
	const loadedBy = async () => {
		const {stdout} = await run(process.execPath, ['--print', `
			require('azure-shared-token-cache')[Symbol.for('azure-shared-token-cache.internals')].loadAddon();
			process.report.getReport().sharedObjects.filter(name => name.endsWith('.node')).join()
		`], {cwd: directory});
		return stdout.trim();
	};

	t.is(await loadedBy(), '');
	const own = join(installed, 'prebuilds', ...placeOfBinary());
	mkdirSync(dirname(own), {recursive: true});
	cpSync(binary, own);
	t.is(await loadedBy(), own);
});

test('in a clone, the compiled binary takes precedence', async t => {
	const directory = makeDirectory(t);
	cpSync(join(root, 'dist'), join(directory, 'dist'), {recursive: true});
	const built = join(directory, 'build', 'Release', 'azure_shared_token_cache.node');
	for (const file of [built, join(directory, 'prebuilds', ...placeOfBinary())]) {
		mkdirSync(dirname(file), {recursive: true});
		cpSync(binary, file);
	}

	const {stdout} = await run(process.execPath, ['--print', 'require(\'./dist/backend/native-backend.js\').loadNativeBackend(); process.report.getReport().sharedObjects.filter(name => name.endsWith(\'.node\')).join()'], {cwd: directory});
	t.is(stdout.trim(), built);
});

test('if Node must not load addons, the error says so', async t => {
	const directory = makeDirectory(t);
	cpSync(join(root, 'dist'), join(directory, 'dist'), {recursive: true});
	const file = join(directory, 'prebuilds', ...placeOfBinary());
	mkdirSync(dirname(file), {recursive: true});
	cpSync(binary, file);
	const {stdout} = await run(process.execPath, ['--no-addons', '--print', 'require(\'./dist/backend/native-backend.js\').loadNativeBackend().error.message'], {cwd: directory});
	t.true(stdout.includes(`${file} does not load: Cannot load native addon because loading addons is disabled`), stdout);
	t.regex(stdout, /\. Start Node without --no-addons/);
});
