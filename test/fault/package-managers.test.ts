/**
 * The packed package with a binary under each package manager. Installed offline from tarballs, it starts no program,
 * uses no network and prints no additional line. Then the addon serves a cached token. The comparison is an empty
 * package.
 */

import {execFile, execFileSync, type ExecFileException} from 'node:child_process';
import {
	cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {delimiter, dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {writeMinimalCache} from '../helpers/caches/minimal-cache.js';
import {lackOfAddon, lackOfPackageManager, testWhere} from '../helpers/peers/peers.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const packages = join(root, 'test', 'package-managers');
const addon = join(root, 'build', 'Release', 'azure_shared_token_cache.node');
const {name, version} = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {name: string; version: string};
const folder = mkdtempSync(join(tmpdir(), 'stc-package-managers-'));
const recorder = join(folder, 'record-calls.so');

const lacks = [
	process.platform === 'linux' && process.arch === 'x64' ? undefined : 'the package managers\' binaries and the recorder of calls are for linux-x64; there is no command that changes that',
	lackOfAddon(),
];
const installed = (...parts: string[]) => join(packages, 'node_modules', ...parts);
const node = process.execPath;

type PackageManager = {
	title: string;
	/** Its package in `test/package-managers`. */
	package: string;
	/** The program and its first arguments. */
	command: [string, ...string[]];
	install: string[];
	withoutScripts: string[];
	/** A command that must contact a registry: the project has a dependency without a tarball. */
	ask: string[];
	/** Additional files in the project's folder. */
	files?: Record<string, string>;
	/** The command that starts a program of the project. Default: Node. */
	start?: [string, ...string[]];
};

const closedPort = 'http://127.0.0.1:9';
const pnpmSettings = {
	// For "on", the user allows scripts here: by default pnpm runs no scripts of dependencies.
	'pnpm-workspace.yaml': 'overrides:\n  undici: file:./undici.tgz\ndangerouslyAllowAllBuilds: true\nfetchRetries: 0\n',
};
const yarn4: Omit<PackageManager, 'title'> = {
	package: 'yarn-4',
	command: [node, installed('yarn-4', 'bin', 'yarn.js')],
	install: ['install'],
	withoutScripts: ['--mode=skip-build'],
	ask: ['install'],
};
const packageManagers: PackageManager[] = [
	{
		title: 'npm 11',
		package: 'npm-11',
		command: [node, installed('npm-11', 'bin', 'npm-cli.js')],
		install: ['install', '--offline', '--no-audit', '--no-fund'],
		withoutScripts: ['--ignore-scripts'],
		ask: ['install', '--fetch-retries=0', `--registry=${closedPort}`],
	},
	{
		title: 'pnpm 10',
		package: 'pnpm-10',
		command: [node, installed('pnpm-10', 'bin', 'pnpm.cjs')],
		install: ['install', '--offline'],
		withoutScripts: ['--ignore-scripts'],
		ask: ['install', `--registry=${closedPort}`],
		files: pnpmSettings,
	},
	{
		title: 'pnpm 12',
		package: 'pnpm-12',
		command: [installed('pnpm-12', 'pnpm')],
		install: ['install', '--offline'],
		withoutScripts: ['--ignore-scripts'],
		ask: ['install', `--registry=${closedPort}`],
		files: pnpmSettings,
	},
	{
		title: 'yarn 1',
		package: 'yarn-1',
		command: [node, installed('yarn-1', 'bin', 'yarn.js')],
		install: ['install', '--offline'],
		withoutScripts: ['--ignore-scripts'],
		ask: ['install', '--registry', closedPort],
	},
	{
		...yarn4,
		title: 'yarn 4, node_modules',
		files: {'.yarnrc.yml': `nodeLinker: node-modules\nenableScripts: true\nnpmRegistryServer: ${closedPort}\nunsafeHttpWhitelist: [127.0.0.1]\nhttpRetry: 0\n`, 'yarn.lock': ''},
	},
	{
		...yarn4,
		title: 'yarn 4, Plug\'n\'Play',
		files: {'.yarnrc.yml': `nodeLinker: pnp\nenableScripts: true\nnpmRegistryServer: ${closedPort}\nunsafeHttpWhitelist: [127.0.0.1]\nhttpRetry: 0\n`, 'yarn.lock': ''},
		start: [node, installed('yarn-4', 'bin', 'yarn.js'), 'node'],
	},
];

type Ended = {code: number | string; stdout: string; output: string; calls: string[]};

let runs = 0;

/** In an empty environment: without npm's variables and the user's settings. */
async function run(command: readonly string[], cwd: string, environment: Record<string, string> = {}): Promise<Ended> {
	const home = join(folder, `home-${runs++}`);
	mkdirSync(home);
	const calls = join(home, 'calls');
	writeFileSync(calls, '');
	return new Promise(resolve => {
		const [program, ...args] = command;
		const env = {
			PATH: [dirname(node), '/usr/bin', '/bin'].join(delimiter),
			HOME: home,
			CI: 'true',
			// In CI, Yarn refuses to create a lock file.
			YARN_ENABLE_IMMUTABLE_INSTALLS: 'false',
			// Root's cache is not in the home directory.
			YARN_CACHE_FOLDER: join(home, 'yarn'),
			LD_PRELOAD: recorder,
			STC_CALLS: calls,
			...environment,
		};
		execFile(program!, args, {cwd, env, timeout: 300_000}, (error: ExecFileException | null, stdout, stderr) => {
			resolve({
				code: error ? error.code ?? error.signal ?? 'unknown' : 0, stdout, output: stdout + stderr, calls: readFileSync(calls, 'utf8').split('\n').slice(0, -1),
			});
		}).stdin?.end();
	});
}

async function runOrThrow(command: readonly string[], cwd: string, environment?: Record<string, string>): Promise<Ended> {
	const ended = await run(command, cwd, environment);
	if (ended.code !== 0) {
		throw new Error(`${command.join(' ')} ended with ${ended.code}:\n${ended.output}`);
	}

	return ended;
}

/** @returns the tarball's path. */
async function pack(source: string, title: string): Promise<string> {
	const destination = join(folder, 'tarballs', title);
	mkdirSync(destination, {recursive: true});
	await runOrThrow([node, installed('npm-11', 'bin', 'npm-cli.js'), 'pack', '--ignore-scripts', '--offline', '--pack-destination', destination, source], folder);
	return join(destination, readdirSync(destination)[0]!);
}

function writePackage(title: string, manifest: Record<string, unknown>): string {
	const source = join(folder, title);
	mkdirSync(source);
	writeFileSync(join(source, 'package.json'), JSON.stringify(manifest));
	return source;
}

/**
 * Copies this package with the built binary under these names to a separate folder, because `prebuilds/` may contain
 * other binaries.
 */
function copyPackage(title: string, binaries: readonly string[]): string {
	const source = join(folder, title);
	mkdirSync(join(source, 'prebuilds'), {recursive: true});
	for (const file of ['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md', 'SECURITY.md', 'TROUBLESHOOTING.md', 'dist']) {
		cpSync(join(root, file), join(source, file), {recursive: true});
	}

	for (const binary of binaries) {
		mkdirSync(dirname(join(source, 'prebuilds', binary)), {recursive: true});
		cpSync(addon, join(source, 'prebuilds', binary));
	}

	return source;
}

type Variant = 'ours' | 'empty' | 'scripted';

/** The tarball of every variant by name, and that of undici. */
const tarballs = new Map<Variant | 'undici', string>();

/** Creates an empty project with one dependency from a tarball, whose own dependency is also a tarball. */
function makeProject(title: string, variant: Variant, {files = {}}: PackageManager): string {
	const project = join(folder, title.replaceAll(/[^a-z\d]+/gi, '-'));
	mkdirSync(project);
	cpSync(tarballs.get(variant)!, join(project, 'package.tgz'));
	cpSync(tarballs.get('undici')!, join(project, 'undici.tgz'));
	const undici = 'file:./undici.tgz';
	writeFileSync(join(project, 'package.json'), JSON.stringify({
		name: 'project',
		version: '1.0.0',
		license: 'MIT',
		private: true,
		// Yarn writes Plug'n'Play for ES modules if the project is one.
		type: 'module',
		dependencies: {[name]: 'file:./package.tgz', undici},
		resolutions: {undici},
	}));
	for (const [file, text] of Object.entries(files)) {
		writeFileSync(join(project, file), text);
	}

	return project;
}

/** Removes what differs between any two runs: durations, sizes, check sums, progress. */
function withoutFigures(output: string): string {
	return output
		.replaceAll(/^Progress: .*\n/gm, '')
		.replaceAll(/ in (?:\d+s )?[\d.]+m?s/g, '')
		.replaceAll(/[\d.]+ [KM]?i?B\b/g, 'SIZE')
		.replaceAll(/(?<=hash=)[\da-f]+/g, 'HASH')
		.replaceAll(/\/\S*?\/home-\d+/g, 'HOME');
}

const asks = {
	'program.mjs': `import {SharedTokenCacheCredential} from '${name}';`,
	'program.cjs': `const {SharedTokenCacheCredential} = require('${name}');`,
};

/** Uses the credential in the project, as a module and as a script, with the addon only. */
async function askInProject(project: string, start: readonly string[]): Promise<string[]> {
	const outputs: string[] = [];
	for (const [program, load] of Object.entries(asks)) {
		writeFileSync(join(project, program), `${load}
			new SharedTokenCacheCredential({useNativeAddon: true}).getToken('scope/.default').then(({token}) => console.log('token: ' + (token === 'FAKE-access')), error => console.log(error.code + ' ' + error.message));
		`);
		const {output} = await run([...start, program], project, {HOME: join(folder, 'user'), LD_PRELOAD: ''});
		outputs.push(output.trim());
	}

	return outputs;
}

test.before(async () => {
	if (lacks.some(Boolean) || lackOfPackageManager('npm-11')) {
		return;
	}

	execFileSync(process.env['CC'] ?? 'cc', ['-shared', '-fPIC', '-O1', join(packages, 'record-calls.c'), '-o', recorder, '-ldl']);
	writeMinimalCache(join(folder, 'user'), 'FAKE-access');
	const {scripts: _, ...undici} = JSON.parse(readFileSync(join(root, 'node_modules', 'undici', 'package.json'), 'utf8')) as Record<string, unknown>;
	cpSync(join(root, 'node_modules', 'undici'), join(folder, 'undici'), {recursive: true});
	// Its "prepare" counts as an install script because the package comes from a file, not from a registry.
	writeFileSync(join(folder, 'undici', 'package.json'), JSON.stringify(undici));
	const empty = {
		name, version, license: 'MIT', dependencies: {undici: `^${undici['version'] as string}`},
	};
	const sources: Record<Variant | 'undici', string> = {
		ours: copyPackage('ours', ['linux-x64/azure-shared-token-cache.glibc.node']),
		empty: writePackage('empty', empty),
		scripted: writePackage('scripted', {...empty, scripts: {postinstall: 'node --print 0'}}),
		undici: join(folder, 'undici'),
	};
	for (const [title, source] of Object.entries(sources) as Array<[Variant, string]>) {
		tarballs.set(title, await pack(source, title));
	}
});

test.after.always(() => {
	rmSync(folder, {recursive: true, force: true});
});

for (const packageManager of packageManagers) {
	const {title, command, install, withoutScripts, ask, start = [node]} = packageManager;
	const needs = [...lacks, lackOfPackageManager('npm-11'), lackOfPackageManager(packageManager.package)];
	for (const scripts of ['on', 'off']) {
		testWhere(test.serial, needs, `${title}, scripts ${scripts}: installs as quietly as an empty package, and the addon serves a token`, async t => {
			const args = [...command, ...install, ...(scripts === 'on' ? [] : withoutScripts)];
			const project = makeProject(`${title} ${scripts}`, 'ours', packageManager);
			const ours = await runOrThrow(args, project);
			const empty = await runOrThrow(args, makeProject(`${title} ${scripts} empty`, 'empty', packageManager));
			t.is(withoutFigures(ours.output), withoutFigures(empty.output));
			t.deepEqual(ours.calls, empty.calls, 'starts the same programs as an empty package');
			t.deepEqual(ours.calls.filter(call => call.startsWith('network')), []);
			t.deepEqual(await askInProject(project, start), ['token: true', 'token: true']);
		});
	}

	testWhere(test.serial, needs, `${title}: the test notices an install script and a network access`, async t => {
		const empty = await runOrThrow([...command, ...install], makeProject(`${title} control empty`, 'empty', packageManager));
		const scripted = await runOrThrow([...command, ...install], makeProject(`${title} control scripted`, 'scripted', packageManager));
		t.true(scripted.calls.length > empty.calls.length, scripted.output);
		const project = makeProject(`${title} control network`, 'empty', packageManager);
		const manifest = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8')) as {dependencies: Record<string, string>};
		manifest.dependencies['some-package'] = '1.0.0';
		writeFileSync(join(project, 'package.json'), JSON.stringify(manifest));
		const asked = await run([...command, ...ask], project);
		t.not(asked.code, 0);
		t.true(asked.calls.some(call => call.startsWith('network')), asked.output);
	});
}

for (const [title, packageName, program] of [
	['Bun', 'bun', [installed('bun', 'bin', 'bun')]],
	['Deno', 'deno', [installed('deno', 'deno'), 'run', '--no-prompt', '--allow-read', '--allow-write', '--allow-env', '--allow-sys', '--allow-ffi']],
] as const) {
	testWhere(test.serial, [...lacks, lackOfPackageManager('npm-11'), lackOfPackageManager(packageName)], `${title}: loads the package that npm installed, and the addon serves a token`, async t => {
		const npm = packageManagers[0]!;
		const project = makeProject(title, 'ours', npm);
		await runOrThrow([...npm.command, ...npm.install], project);
		t.deepEqual(await askInProject(project, program), ['token: true', 'token: true']);
	});
}

testWhere(test.serial, [...lacks, lackOfPackageManager('npm-11')], 'with the binaries of all eight targets, the tarball is smaller than 3 MB', async t => {
	const targets = ['darwin-arm64/', 'darwin-x64/', 'linux-arm64/glibc.', 'linux-arm64/musl.', 'linux-x64/glibc.', 'linux-x64/musl.', 'win32-arm64/', 'win32-x64/'];
	const binaries = targets.map(target => target.replace('/', '/azure-shared-token-cache.') + 'node');
	const source = copyPackage('all', binaries);
	t.true(existsSync(join(source, 'prebuilds', 'linux-x64', 'azure-shared-token-cache.musl.node')));
	const tarball = await pack(source, 'all');
	const {size} = statSync(tarball);
	t.log(`${(size / 1e6).toFixed(2)} MB`);
	// Eight copies of one file compress no better than eight files: gzip looks back 32 KB only.
	t.true(size > 4 * statSync(tarballs.get('ours')!).size / 2);
	t.true(size < 3_000_000, `${size} bytes`);
});
