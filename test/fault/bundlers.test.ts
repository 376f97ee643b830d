/** The package in a bundle: esbuild's, as most are. A program that was bundled is run away from this repository. */

import {execFile} from 'node:child_process';
import {
	cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync,
} from 'node:fs';
import {createRequire} from 'node:module';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {lackOfAddon, testWhere} from '../helpers/peers.js';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));
type Esbuild = {build(options: Record<string, unknown>): Promise<{warnings: unknown[]}>};

// It comes with tsx, which runs these tests.
const esbuild = createRequire(createRequire(import.meta.url).resolve('tsx/package.json'))('esbuild') as Esbuild;
const addon = join(root, 'build', 'Release', 'azure_shared_token_cache.node');
const folder = mkdtempSync(join(tmpdir(), 'stc-bundlers-'));
const project = join(folder, 'project');
const installed = join(project, 'node_modules', 'azure-shared-token-cache');

test.before(() => {
	mkdirSync(installed, {recursive: true});
	for (const name of ['package.json', 'dist']) {
		cpSync(join(root, name), join(installed, name), {recursive: true});
	}

	cpSync(join(root, 'node_modules', 'undici'), join(project, 'node_modules', 'undici'), {recursive: true});
	if (existsSync(addon)) {
		const {header} = process.report.getReport() as {header: {glibcVersionRuntime?: string}};
		const libc = process.platform === 'linux' ? (header.glibcVersionRuntime === undefined ? '.musl' : '.glibc') : '';
		const target = join(installed, 'prebuilds', `${process.platform}-${process.arch}`);
		mkdirSync(target, {recursive: true});
		cpSync(addon, join(target, `azure-shared-token-cache${libc}.node`));
	}

	writeFileSync(join(project, 'program.ts'), `
		import {SharedTokenCacheCredential} from 'azure-shared-token-cache';

		async function ask(useNativeAddon: boolean | undefined) {
			const options = useNativeAddon === undefined ? {} : {useNativeAddon};
			const {token} = await new SharedTokenCacheCredential(options).getToken('scope/.default');
			return token;
		}

		async function main() {
			console.log(JSON.stringify({
				token: await ask(undefined).catch(error => error.message),
				native: await ask(true).catch(error => error.code + ' ' + error.message),
			}));
		}

		void main();
	`);
	const home = join(folder, 'home', '.IdentityService');
	mkdirSync(home, {recursive: true});
	const environment = 'login.microsoftonline.com';
	writeFileSync(join(home, 'msal.cache.nocae'), JSON.stringify({
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
});

test.after.always(() => {
	rmSync(folder, {recursive: true, force: true});
});

/** Bundles into a folder of its own. A warning is an error here. */
async function bundle(name: string, options: Record<string, unknown> = {}): Promise<string> {
	const output = join(folder, name);
	const {warnings} = await esbuild.build({
		absWorkingDir: project,
		entryPoints: ['program.ts'],
		bundle: true,
		platform: 'node',
		target: 'node20',
		logLevel: 'silent',
		outfile: join(output, 'program.js'),
		...options,
	});
	if (warnings.length > 0) {
		throw new Error(JSON.stringify(warnings));
	}

	return output;
}

async function start(directory: string, program = 'program.js'): Promise<{token: string; native: string; stderr: string}> {
	const {stdout, stderr} = await run(process.execPath, [program], {
		cwd: directory,
		env: {
			PATH: process.env['PATH'] ?? '', HOME: join(folder, 'home'), AZURE_LOG_LEVEL: 'warning', DBUS_SESSION_BUS_ADDRESS: 'unix:path=/nonexistent',
		},
	});
	return {...JSON.parse(stdout) as {token: string; native: string}, stderr};
}

testWhere(test, [lackOfAddon()], 'esbuild, the package external: the addon is used', async t => {
	const output = await bundle('external', {external: ['azure-shared-token-cache']});
	cpSync(join(project, 'node_modules'), join(output, 'node_modules'), {recursive: true});
	t.deepEqual(await start(output), {token: 'FAKE-access', native: 'FAKE-access', stderr: ''});
});

testWhere(test, [lackOfAddon()], 'esbuild, the package in the bundle and its folder prebuilds beside it: the addon is used', async t => {
	const output = await bundle('copied');
	cpSync(join(installed, 'prebuilds'), join(output, 'prebuilds'), {recursive: true});
	t.deepEqual(readdirSync(output).toSorted(), ['prebuilds', 'program.js']);
	t.deepEqual(await start(output), {token: 'FAKE-access', native: 'FAKE-access', stderr: ''});
});

testWhere(test, [lackOfAddon()], 'esbuild, minified: the same', async t => {
	const output = await bundle('minified', {minify: true});
	cpSync(join(installed, 'prebuilds'), join(output, 'prebuilds'), {recursive: true});
	t.deepEqual(await start(output), {token: 'FAKE-access', native: 'FAKE-access', stderr: ''});
});

test('esbuild, the package in the bundle alone: no error when bundling, plaintext is served, and the cure is named', async t => {
	const output = await bundle('alone');
	const {token, native, stderr} = await start(output);
	t.is(token, 'FAKE-access');
	t.regex(native, /^STC_ADDON_MISSING .*If the program was bundled, leave this package out of the bundle, or copy its folder prebuilds beside it\./);
	t.true(native.includes(join(output, 'prebuilds')), native);
	t.regex(stderr, /The native addon could not be loaded/);
});

test('esbuild, an ES module with nothing but a `require` of its own: plaintext is served, and the cure is named', async t => {
	const output = await bundle('module', {
		format: 'esm',
		outfile: join(folder, 'module', 'program.mjs'),
		banner: {js: 'import {createRequire as _createRequire} from "node:module"; const require = _createRequire(import.meta.url);'},
	});
	const {token, native} = await start(output, 'program.mjs');
	t.is(token, 'FAKE-access');
	t.regex(native, /^STC_ADDON_MISSING .*this bundle is an ES module and has no __dirname.*copy its folder prebuilds beside it/);
});
