/**
 * The package as published: the content of the tarball, and whether it works in an empty project that runs no scripts.
 */

import {execFile, type ExecFileException} from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import test from 'ava';

const root = path.resolve(import.meta.dirname, '..', '..');
const manifest = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8')) as {name: string; version: string; scripts: Record<string, string>};
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'stc-package-'));

type Result = {code: number | string; output: string; stdout: string};

// npm passes its settings to every script as variables. Users start the package without them.
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name) && name !== 'NODE_OPTIONS'));

async function run(command: string, arguments_: string[], cwd: string, env: NodeJS.ProcessEnv = {}): Promise<Result> {
	return new Promise(resolve => {
		const callback = (error: ExecFileException | null, stdout: string, stderr: string) => {
			resolve({code: error ? error.code ?? error.signal ?? 'unknown' : 0, output: stdout + stderr, stdout});
		};

		execFile(command, arguments_, {cwd, env: {...environment, ...env}, maxBuffer: 64 * 1024 * 1024}, callback).stdin?.end();
	});
}

async function runOrThrow(command: string, arguments_: string[], cwd: string, env?: NodeJS.ProcessEnv): Promise<string> {
	const {code, output, stdout} = await run(command, arguments_, cwd, env);
	if (code !== 0) {
		throw new Error(`${command} ${arguments_.join(' ')} ended with ${code}:\n${output}`);
	}

	return stdout;
}

type Packed = {filename: string; files: Array<{path: string; size: number; mode: number}>};

async function pack(source: string): Promise<Packed> {
	const stdout = await runOrThrow('npm', ['pack', '--json', '--ignore-scripts', '--offline', '--pack-destination', folder, source], root);
	return (JSON.parse(stdout) as [Packed])[0];
}

/** Creates an empty project with the tarball. No network: undici comes from this repository's packages. */
async function installInto(name: string, flags: string[], extra: Record<string, unknown> = {}, env: NodeJS.ProcessEnv = {}): Promise<string> {
	const project = path.join(folder, name);
	fs.mkdirSync(project);
	fs.writeFileSync(path.join(project, 'package.json'), JSON.stringify({
		name,
		private: true,
		dependencies: {
			[manifest.name]: `file:../${packed.filename}`,
			undici: `file:../${undici.filename}`,
		},
		...extra,
	}));
	await runOrThrow('npm', ['install', '--offline', '--no-audit', '--no-fund', ...flags], project, env);
	return project;
}

let packed: Packed;
let undici: Packed;
let project: string;

test.before(async () => {
	packed = await pack(root);
	undici = await pack(path.join(root, 'node_modules', 'undici'));
	project = await installInto('silent', ['--ignore-scripts']);
});

test.after.always(() => {
	fs.rmSync(folder, {recursive: true, force: true});
});

/** Loads the whole package for `dist/index.mjs`: see `scripts/build/bundle.mjs`. */
const wholePackage = 'whole';

test('the tarball contains what users need and nothing else', t => {
	const files = packed.files.map(file => file.path);
	const intended = [
		/^(?:package\.json|README\.md|LICENSE|CHANGELOG\.md|SECURITY\.md|TROUBLESHOOTING\.md)$/,
		/^docs\/[a-z-]+\.md$/,
		/^dist\/index\.(?:js|js\.map|mjs|d\.ts|d\.mts)$/,
		/^dist\/whole\.js$/,
		/^dist\/lazy\/[a-z\d-]+(?:\/[a-z\d-]+)*\.js(?:\.map)?$/,
		/^prebuilds\/(?:SHA256SUMS|(?:darwin|linux|win32)-(?:x64|arm64)\/[^/]+\.node)$/,
	];
	t.deepEqual(files.filter(file => !intended.some(pattern => pattern.test(file))), []);
	for (const needed of ['package.json', 'dist/index.js', 'dist/index.js.map', 'dist/index.mjs', `dist/${wholePackage}.js`, 'dist/index.d.ts', 'dist/index.d.mts']) {
		t.true(files.includes(needed), `${needed} is missing`);
	}

	// Each lazily loaded file has its source map and comes from a module that is still there.
	const lazy = files.filter(file => /^dist\/lazy\/.*\.js$/.test(file));
	t.true(lazy.length > 0);
	t.deepEqual(lazy.filter(file => !files.includes(`${file}.map`)), []);
	t.deepEqual(lazy.filter(file => !fs.existsSync(path.join(root, file.replace(/^dist\/lazy/, 'src').replace(/\.js$/, '.ts')))), []);
	// Each source is in one of the maps, except for those that hold types alone.
	const mapped = new Set(files.filter(file => file.endsWith('.js.map')).flatMap(file => {
		const {sources} = JSON.parse(fs.readFileSync(path.join(root, file), 'utf8')) as {sources: string[]};
		return sources.map(source => path.relative(root, path.resolve(path.dirname(path.join(root, file)), source)));
	}));
	const modules = fs.readdirSync(path.join(root, 'src'), {recursive: true, encoding: 'utf8'}).filter(file => file.endsWith('.ts'));
	const unmapped = modules.map(file => path.join('src', file)).filter(file => !mapped.has(file));
	t.deepEqual(unmapped.filter(file => /^export (?:async )?(?:function|class|const|let)/m.test(fs.readFileSync(path.join(root, file), 'utf8'))), []);
});

test('the declarations need no other package and no other file', t => {
	const statement = /^(?:import|export)\b[^;]*?\bfrom\s*['"](?<from>[^'"]+)['"]|\bimport\(|\brequire\(|^\/\/\/ <reference/gm;
	const referencesOf = (file: string) => [...fs.readFileSync(path.join(project, 'node_modules', manifest.name, 'dist', file), 'utf8').matchAll(statement)]
		.map(({0: text, groups}) => groups?.['from'] ?? text);
	t.deepEqual(referencesOf('index.d.ts'), []);
	t.deepEqual(referencesOf('index.d.mts'), ['./index.js']);
});

test('a stack trace names functions, and with source maps the files of src', async t => {
	const ask = `require('${manifest.name}').SharedTokenCacheCredential.prototype.getToken.call({})`;
	const {output} = await run(process.execPath, ['--enable-source-maps', '--eval', ask], project);
	t.regex(output, /at (?:\w+\.)?getToken \(.*src\/credential\/shared-token-cache-credential\.ts:\d+:\d+\)/);
	const plain = await run(process.execPath, ['--eval', ask], project);
	t.regex(plain.output, /at (?:\w+\.)?getToken \(.*dist\/index\.js:\d+:\d+\)/);
	// Node prints the line that threw.
	t.true(plain.output.split('\n').every(line => line.length < 500), plain.output);
});

// Node 20 and 22 search the text of such files for export names, which takes longer than a first token for the whole
// package.
test('an ES module makes Node search no large file for export names', t => {
	const dist = path.join(project, 'node_modules', manifest.name, 'dist');
	const imported = [...fs.readFileSync(path.join(dist, 'index.mjs'), 'utf8').matchAll(/from '(?<file>[^']+)'/g)].map(({groups}) => groups!['file']!);
	t.deepEqual(imported, [`./${wholePackage}.js`]);
	t.true(fs.statSync(path.join(dist, imported[0]!)).size < 100);
});

test('no file of the tarball contains a path of the build machine', t => {
	const installed = path.join(project, 'node_modules', manifest.name);
	for (const {path: file} of packed.files.filter(each => !each.path.endsWith('.node'))) {
		t.false(fs.readFileSync(path.join(installed, file), 'utf8').includes(root), file);
	}
});

test('an installation that allows scripts runs, compiles and downloads nothing', async t => {
	// This shell records each script that npm runs. The project has one script, which proves that the recording works.
	const marker = path.join(folder, 'scripts-run');
	const shell = path.join(folder, 'shell');
	fs.writeFileSync(shell, `#!/bin/sh\nprintf '%s\\n' "$npm_package_name $npm_lifecycle_event" >> '${marker}'\nexec /bin/sh "$@"\n`, {mode: 0o755});
	const installed = await installInto('scripted', ['--foreground-scripts'], {scripts: {postinstall: 'true'}}, {npm_config_script_shell: shell});
	t.is(fs.readFileSync(marker, 'utf8'), 'scripted postinstall\n');

	const lock = JSON.parse(fs.readFileSync(path.join(installed, 'package-lock.json'), 'utf8')) as {packages: Record<string, {hasInstallScript?: boolean; version?: string}>};
	const entry = lock.packages[`node_modules/${manifest.name}`];
	t.is(entry?.version, manifest.version);
	t.is(entry?.hasInstallScript, undefined);
	t.deepEqual(Object.keys(lock.packages).toSorted(), ['', `node_modules/${manifest.name}`, 'node_modules/undici']);
	t.false(fs.existsSync(path.join(installed, 'node_modules', manifest.name, 'build')));
});

test('import and require give the same exports', async t => {
	const stdout = await runOrThrow(process.execPath, ['--input-type=module', '--eval', `
		import {createRequire} from 'node:module';
		import * as imported from '${manifest.name}';
		const required = createRequire(process.cwd() + '/x.js')('${manifest.name}');
		const names = Object.keys(imported).filter(name => !['default', 'module.exports'].includes(name)).sort();
		console.log(JSON.stringify({
			imported: names,
			required: Object.keys(required).sort(),
			different: names.filter(name => imported[name] !== required[name]),
		}));
	`], project);
	const {imported, required, different} = JSON.parse(stdout) as {imported: string[]; required: string[]; different: string[]};
	t.deepEqual(imported, required);
	t.true(imported.includes('SharedTokenCacheCredential'));
	t.deepEqual(different, []);
});

test('require works in a script without output on standard error', async t => {
	const {code, output} = await run(process.execPath, ['--eval', `console.log(typeof require('${manifest.name}').SharedTokenCacheCredential)`], project);
	t.is(output, 'function\n');
	t.is(code, 0);
});

test('only the package and its manifest can be imported', async t => {
	const reach = async (specifier: string) => run(process.execPath, ['--eval', `require('${specifier}')`], project);
	t.is((await reach(`${manifest.name}/package.json`)).code, 0);
	const inner = await reach(`${manifest.name}/dist/credential/token-memory.js`);
	t.not(inner.code, 0);
	t.regex(inner.output, /ERR_PACKAGE_PATH_NOT_EXPORTED/);
});

const now = () => Math.floor(Date.now() / 1000);

/** A cache of one account with one access token, as MSAL writes it. The secrets are fake. */
function msalCache(): string {
	const homeAccountId = 'uid-1.utid-1';
	const environment = 'login.microsoftonline.com';
	const clientId = '04b07795-8ddb-461a-bbee-02f9e1bf7b46';

	const shared = {home_account_id: homeAccountId, environment};
	return JSON.stringify({
		Account: {
			[`${homeAccountId}-${environment}-utid-1`]: {
				...shared, realm: 'utid-1', local_account_id: 'uid-1', username: 'someone@contoso.com', authority_type: 'MSSTS',
			},
		},
		RefreshToken: {
			[`${homeAccountId}-${environment}-refreshtoken-1--`]: {
				...shared, credential_type: 'RefreshToken', client_id: clientId, family_id: '1', secret: 'FAKE-refresh-token',
			},
		},
		AccessToken: {
			[`${homeAccountId}-${environment}-accesstoken-${clientId}-utid-1-scope`]: {
				...shared,
				credential_type: 'AccessToken',
				client_id: clientId,
				realm: 'utid-1',
				target: 'https://storage.azure.com/.default',
				token_type: 'Bearer',
				cached_at: String(now() - 10),
				expires_on: String(now() + 3600),
				extended_expires_on: String(now() + 3600),
				secret: 'FAKE-access-token',
			},
		},
	});
}

test('a token requested through import is served from memory to a credential loaded through require', async t => {
	const home = path.join(folder, 'home');
	const cache = path.join(home, '.IdentityService', 'msal.cache.nocae');
	fs.mkdirSync(path.dirname(cache), {recursive: true});
	fs.writeFileSync(cache, msalCache(), {mode: 0o600});
	// The cache is deleted before the second credential requests. The third has other settings and therefore another
	// memory entry.
	const stdout = await runOrThrow(process.execPath, ['--input-type=module', '--eval', `
		import fs from 'node:fs';
		import {createRequire} from 'node:module';
		import * as imported from '${manifest.name}';
		const required = createRequire(process.cwd() + '/x.js')('${manifest.name}');
		const options = {useNativeAddon: false, cacheCheckIntervalInMs: 600_000};
		const scope = 'https://storage.azure.com/.default';
		const first = await new imported.SharedTokenCacheCredential(options).getToken(scope);
		fs.rmSync(process.env.TEST_CACHE);
		const second = await new required.SharedTokenCacheCredential(options).getToken(scope);
		const third = await new required.SharedTokenCacheCredential({...options, username: 'somebody.else@contoso.com'}).getToken(scope).catch(error => error.name);
		console.log(JSON.stringify({isFirstFromCache: first.token === 'FAKE-access-token', isShared: first === second, third}));
	`], project, {
		HOME: home,
		XDG_DATA_HOME: path.join(home, 'data'),
		TEST_CACHE: cache,
		// No keyring: the test must not read the user's.
		DBUS_SESSION_BUS_ADDRESS: 'unix:path=/nonexistent',
		AZURE_USERNAME: '',
		AZURE_TENANT_ID: '',
		AZURE_AUTHORITY_HOST: '',
	});
	t.deepEqual(JSON.parse(stdout), {isFirstFromCache: true, isShared: true, third: 'CredentialUnavailableError'});
});

const typeProgram = `
	const credential = new SharedTokenCacheCredential({username: 'someone@contoso.com'});
	export async function header(): Promise<string> {
		const {token, expiresOnTimestamp}: AccessToken = await credential.getToken(['scope'], {enableCae: true});
		return token + expiresOnTimestamp.toFixed();
	}
	// @ts-expect-error The types are loaded, so wrong arguments are errors.
	credential.getTokens();
`;

for (const [moduleResolution, module] of [['node16', 'node16'], ['bundler', 'preserve']] as const) {
	test(`types resolve for import and require with moduleResolution ${moduleResolution}`, async t => {
		const sources = path.join(project, `types-${moduleResolution}`);
		fs.mkdirSync(sources);
		fs.writeFileSync(path.join(sources, 'use.mts'), `import {type AccessToken, SharedTokenCacheCredential} from '${manifest.name}';${typeProgram}`);
		fs.writeFileSync(path.join(sources, 'use.cts'), [
			`import type {AccessToken} from '${manifest.name}';`,
			`import required = require('${manifest.name}');`,
			'const {SharedTokenCacheCredential} = required;',
			typeProgram,
		].join('\n'));
		fs.writeFileSync(path.join(sources, 'tsconfig.json'), JSON.stringify({
			compilerOptions: {
				module,
				moduleResolution,
				target: 'es2022',
				lib: ['es2022', 'esnext.disposable'],
				// None: the declarations must not need @types/node.
				types: [],
				strict: true,
				skipLibCheck: false,
				noEmit: true,
			},
		}));
		const {code, output} = await run(process.execPath, [path.join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '--project', sources], project);
		t.is(output, '');
		t.is(code, 0);
	});
}

test('publint reports nothing, not even a suggestion', async t => {
	const {code, output} = await run(process.execPath, [path.join(root, 'node_modules', 'publint', 'src', 'cli.js'), '--strict', path.join(folder, packed.filename)], root);
	t.is(code, 0, output);
	t.regex(output, /All good/);
});
