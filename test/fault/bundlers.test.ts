/** The package in a bundle of each common bundler. The bundles run outside of this repository. */

import {execFile} from 'node:child_process';
import {
	cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync,
} from 'node:fs';
import {createRequire} from 'node:module';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {promisify} from 'node:util';
import {fileURLToPath} from 'node:url';
import test, {type ExecutionContext} from 'ava';
import {startEntraServer} from '../helpers/authority/entra-server.js';
import {environmentOfServer} from '../helpers/processes/fleet.js';
import {
	accessTokenRecord, accountRecord, ann, bob, cacheOf, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {
	type Lack, lackOfAddon, lackOfPackage, testWhere,
} from '../helpers/peers/peers.js';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));
const addon = join(root, 'build', 'Release', 'azure_shared_token_cache.node');
const folder = mkdtempSync(join(tmpdir(), 'stc-bundlers-'));
const project = join(folder, 'project');
const installed = join(project, 'node_modules', 'azure-shared-token-cache');
const refreshToken = 'FAKE-refresh-bob';

/** Requests a cached token twice, and a token that needs a grant. */
const program = `
	async function ask(options, {token} = {}) {
		({token} = await new SharedTokenCacheCredential(options).getToken('${scope}'));
		return token;
	}

	async function main() {
		console.log(JSON.stringify({
			token: await ask({}).catch(error => error.message),
			native: await ask({useNativeAddon: true}).catch(({code, message, details}) => [code, message, ...(details ?? []).map(({place, text}) => place + ' ' + text)].join(' ')),
			granted: await ask({authorityHost: process.env.AUTHORITY}).catch(error => error.message),
		}));
	}

	void main();
`;

/** The ways in which a program loads the package. */
const ways = {
	import: {entry: 'program.mjs', head: 'import {SharedTokenCacheCredential} from \'azure-shared-token-cache\';'},
	require: {entry: 'program.cjs', head: 'const {SharedTokenCacheCredential} = require(\'azure-shared-token-cache\');'},
};

type Bundler = {
	title: string;
	lacks: Lack[];
	/** The warning that it prints for a bundle that works. */
	says?: RegExp;
	/** Bundles a file of the project into `program.cjs` in a folder. @returns the warnings. */
	bundle(entry: string, output: string): Promise<string[]>;
};

type Esbuild = {build(options: Record<string, unknown>): Promise<{warnings: Array<{text: string}>}>};
type Rollup = (options: Record<string, unknown>) => Promise<{write(options: Record<string, unknown>): Promise<unknown>; close(): Promise<void>}>;
type Webpack = (options: Record<string, unknown>, callback: (error: Error | null, stats: {toJson(): {warnings: Array<{message: string}>; errors: Array<{message: string}>}}) => void) => void;

// esbuild comes with tsx, which runs these tests.
const esbuild = createRequire(createRequire(import.meta.url).resolve('tsx/package.json'))('esbuild') as Esbuild;
const requireBundler = createRequire(new URL('../bundlers/package.json', import.meta.url));
const importBundler = async (name: string): Promise<unknown> => import(requireBundler.resolve(name));

async function buildWithEsbuild(entry: string, output: string, options: Record<string, unknown> = {}): Promise<string[]> {
	const {warnings} = await esbuild.build({
		absWorkingDir: project,
		entryPoints: [entry],
		bundle: true,
		platform: 'node',
		target: 'node20',
		logLevel: 'silent',
		outfile: join(output, 'program.cjs'),
		...options,
	});
	return warnings.map(({text}) => text);
}

/** @param rollup Rollup, or a bundler with its interface. */
async function buildWithRollup(rollup: Rollup, options: Record<string, unknown>, output: Record<string, unknown>): Promise<string[]> {
	const warnings: string[] = [];
	const build = await rollup({
		...options,
		onwarn({message}: {message: string}) {
			warnings.push(message);
		},
	});
	await build.write({format: 'cjs', ...output});
	await build.close();
	return warnings;
}

const bundlers: Bundler[] = [
	{title: 'esbuild', lacks: [], bundle: buildWithEsbuild},
	{
		title: 'esbuild, minified',
		lacks: [],
		bundle: async (entry, output) => buildWithEsbuild(entry, output, {minify: true}),
	},
	{
		title: 'webpack',
		lacks: [lackOfPackage('bundlers', 'webpack')],
		says: /^Module not found: Error: Can't resolve '@azure\/(?:logger|core-tracing)'/,
		async bundle(entry, output) {
			const webpack = requireBundler('webpack') as Webpack;
			return new Promise((resolve, reject) => {
				webpack({
					context: project, entry: `./${entry}`, mode: 'production', target: 'node20', node: {__dirname: false}, output: {path: output, filename: 'program.cjs'},
				}, (failure, stats) => {
					const {errors, warnings} = stats.toJson();
					if (failure ?? errors.length > 0) {
						reject(failure ?? new Error(errors[0]!.message));
					} else {
						resolve(warnings.map(({message}) => message));
					}
				});
			});
		},
	},
	{
		title: 'Rollup',
		lacks: [lackOfPackage('bundlers', 'rollup')],
		says: /^Circular dependency: |^"@azure\/logger" is imported by .*, but could not be resolved – treating it as an external dependency/,
		async bundle(entry, output) {
			const {nodeResolve} = await importBundler('@rollup/plugin-node-resolve') as {nodeResolve(options: Record<string, unknown>): unknown};
			const {default: commonjs} = await importBundler('@rollup/plugin-commonjs') as {default(options: Record<string, unknown>): unknown};
			const {rollup} = await importBundler('rollup') as {rollup: Rollup};
			return buildWithRollup(rollup, {
				input: join(project, entry),
				external: [/^node:/],
				// Node 20 has no SQLite, which undici requires in places.
				plugins: [nodeResolve({exportConditions: ['node'], preferBuiltins: true}), commonjs({ignore: ['node:sqlite']})],
			}, {file: join(output, 'program.cjs'), inlineDynamicImports: true});
		},
	},
	{
		title: 'Rolldown',
		lacks: [lackOfPackage('bundlers', 'rolldown')],
		async bundle(entry, output) {
			const {rolldown} = await importBundler('rolldown') as {rolldown: Rollup};
			return buildWithRollup(rolldown, {cwd: project, input: entry, platform: 'node'}, {file: join(output, 'program.cjs'), codeSplitting: false});
		},
	},
];

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

	for (const {entry, head} of Object.values(ways)) {
		writeFileSync(join(project, entry), `${head}\n${program}`);
	}
});

test.after.always(() => {
	rmSync(folder, {recursive: true, force: true});
});

/** Creates an empty folder, in one where somebody else has put addons of their own wherever the package might look for its addon. */
function outputFor(t: ExecutionContext): string {
	const parent = mkdtempSync(join(folder, `${t.title.replaceAll(/\W+/g, '-')}-`));
	const output = join(parent, 'app');
	mkdirSync(output);
	if (existsSync(addon)) {
		mkdirSync(join(parent, 'build', 'Release'), {recursive: true});
		cpSync(addon, join(parent, 'build', 'Release', 'azure_shared_token_cache.node'));
		copyPrebuilds(parent);
	}

	return output;
}

/**
 * Runs a program with a cache that contains an access token of ann, and a refresh token of bob for another endpoint.
 */
async function start(t: ExecutionContext, file: string, {isExecutable = false} = {}): Promise<{token: string; native: string; granted: string; stderr: string}> {
	const server = await startEntraServer({refreshTokens: {[refreshToken]: bob}});
	t.teardown(async () => server.close());
	const home = new TestHome(t);
	const environment = environmentOfServer(server);
	home.writeSettled(cacheOf({
		accounts: [accountRecord(ann), accountRecord(bob, environment)],
		refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh-ann'), refreshTokenRecord(bob, refreshToken, environment)],
		accessTokens: [accessTokenRecord(ann, 'FAKE-access', 3600)],
	}));
	const authority = join(home.path, 'authority.pem');
	writeFileSync(authority, server.ca);
	const {stdout, stderr} = await run(isExecutable ? file : process.execPath, isExecutable ? [] : [file], {
		cwd: dirname(file),
		env: {
			PATH: process.env['PATH'] ?? '', HOME: home.path, AZURE_LOG_LEVEL: 'warning', DBUS_SESSION_BUS_ADDRESS: 'unix:path=/nonexistent', NODE_EXTRA_CA_CERTS: authority, AUTHORITY: server.origin,
		},
	});
	const {token, native, granted} = JSON.parse(stdout) as Record<'token' | 'native' | 'granted', string>;
	return {
		token, native, granted: granted === server.grants[0]?.accessToken ? 'granted' : granted, stderr,
	};
}

const served = {
	token: 'FAKE-access', native: 'FAKE-access', granted: 'granted', stderr: '',
};

function copyPrebuilds(output: string): void {
	cpSync(join(installed, 'prebuilds'), join(output, 'prebuilds'), {recursive: true});
}

for (const {title, lacks, says = /^$/, bundle} of bundlers) {
	for (const [way, {entry}] of Object.entries(ways)) {
		testWhere(test, [...lacks, lackOfAddon()], `${title}, ${way}, package in the bundle, prebuilds beside it: uses the addon`, async t => {
			const output = outputFor(t);
			const warnings = await bundle(entry, output);
			t.deepEqual(warnings.filter(warning => !says.test(warning)), []);
			copyPrebuilds(output);
			t.deepEqual(readdirSync(output).filter(name => !name.endsWith('.LICENSE.txt')).toSorted(), ['prebuilds', 'program.cjs']);
			t.deepEqual(await start(t, join(output, 'program.cjs')), served);
		});
	}

	testWhere(test, lacks, `G1: ${title}, package in the bundle, no prebuilds: reads plaintext, names the remedy, and loads nothing from the folder above`, async t => {
		const output = outputFor(t);
		await bundle(ways.import.entry, output);
		const {token, native, granted, stderr} = await start(t, join(output, 'program.cjs'));
		t.is(token, 'FAKE-access');
		t.is(granted, 'granted');
		t.regex(native, /^STC_ADDON_MISSING .*Leave this package out of the bundle, or copy its folder prebuilds beside the bundle\./);
		t.true(native.includes(join(output, 'prebuilds')), native);
		t.false(native.includes(join(dirname(output), 'prebuilds')), native);
		t.notRegex(native, /Release/);
		t.regex(stderr, /The native addon could not be loaded/);
	});
}

testWhere(test, [lackOfAddon()], 'esbuild, package external: uses the addon', async t => {
	const output = outputFor(t);
	t.deepEqual(await buildWithEsbuild(ways.import.entry, output, {external: ['azure-shared-token-cache']}), []);
	cpSync(join(project, 'node_modules'), join(output, 'node_modules'), {recursive: true});
	t.deepEqual(await start(t, join(output, 'program.cjs')), served);
});

test('esbuild, an ES module with only a `require` of its own: reads plaintext and names the remedy', async t => {
	const output = outputFor(t);
	await buildWithEsbuild(ways.import.entry, output, {
		format: 'esm',
		outfile: join(output, 'program.mjs'),
		banner: {js: 'import {createRequire as _createRequire} from "node:module"; const require = _createRequire(import.meta.url);'},
	});
	const {token, native, granted} = await start(t, join(output, 'program.mjs'));
	t.is(token, 'FAKE-access');
	t.is(granted, 'granted');
	t.regex(native, /^STC_ADDON_MISSING .*this bundle is an ES module and has no __dirname.*copy its folder prebuilds beside the bundle/);
});

testWhere(test, [lackOfPackage('bundlers', 'postject'), lackOfAddon(), process.platform === 'linux' ? undefined : 'Executables of other systems must be signed.'], 'G1: a single executable uses the addon beside it, and loads nothing from the folder above', async t => {
	const output = outputFor(t);
	const file = join(output, 'program');
	await buildWithEsbuild(ways.require.entry, folder, {outfile: join(folder, 'single', 'program.cjs')});
	writeFileSync(join(folder, 'single', 'sea.json'), JSON.stringify({main: 'program.cjs', output: 'program.blob', disableExperimentalSEAWarning: true}));
	await run(process.execPath, ['--experimental-sea-config', 'sea.json'], {cwd: join(folder, 'single')});
	cpSync(process.execPath, file);
	const {inject} = requireBundler('postject') as {inject(executable: string, name: string, resource: Buffer, options: {sentinelFuse: string}): Promise<void>};
	// Source: Node.js documentation, "Single executable applications".
	await inject(file, 'NODE_SEA_BLOB', readFileSync(join(folder, 'single', 'program.blob')), {sentinelFuse: 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'});
	const {native, ...rest} = await start(t, file, {isExecutable: true});
	t.regex(native, /^STC_ADDON_MISSING /);
	t.true(native.includes(join(output, 'prebuilds')), native);
	t.notRegex(native, /Release/);
	t.like(rest, {token: 'FAKE-access', granted: 'granted'});
	copyPrebuilds(output);
	t.deepEqual(await start(t, file, {isExecutable: true}), served);
});

type Nft = {nodeFileTrace(files: string[], options: {base: string}): Promise<{fileList: Set<string>; warnings: Set<Error>}>};

for (const [way, {entry}] of Object.entries(ways)) {
	testWhere(test, [lackOfPackage('bundlers', '@vercel/nft'), lackOfAddon()], `@vercel/nft, ${way}: the files that it finds are sufficient`, async t => {
		const output = outputFor(t);
		const {nodeFileTrace} = await importBundler('@vercel/nft') as Nft;
		const {fileList, warnings} = await nodeFileTrace([join(project, entry)], {base: project});
		t.deepEqual([...warnings].filter(({message}) => !/Cannot find module '@azure\/(?:logger|core-tracing)'|Failed to resolve dependency "?@azure/.test(message)), []);
		for (const file of fileList) {
			cpSync(join(project, file), join(output, file));
		}

		t.deepEqual(await start(t, join(output, entry)), served);
	});
}
