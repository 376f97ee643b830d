/** `@azure/logger` and `@azure/core-tracing` come from folders of the application alone: whoever plants one runs code in its process. */

import {execFile} from 'node:child_process';
import {
	chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import test, {type ExecutionContext} from 'ava';
import {ann, TestHome} from '../helpers/home.js';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));
const testOnPosix = process.platform === 'win32' ? test.skip : test;
/** Bun has an undici of its own, and takes no peer of a bundle if NODE_PATH has another one. */
const testInNode = process.versions['bun'] ? test.skip : testOnPosix;

const call = `
	const credential = new SharedTokenCacheCredential({useNativeAddon: false});
	const context = {getValue() {}, setValue() { return context; }, deleteValue() { return context; }};
	await credential.getToken('scope/.default', {tracingOptions: {tracingContext: context}}).catch(() => undefined);
	await new Promise(resolve => setTimeout(resolve, 200));
	await credential.close();
`;

const programs = {
	'program.cjs': `const {SharedTokenCacheCredential} = require('azure-shared-token-cache'); (async () => { ${call} })();`,
	'program.mjs': `import {SharedTokenCacheCredential} from 'azure-shared-token-cache'; ${call}`,
};

/** Makes packages that say where they are when they run. */
function putPeers(modules: string, word: string): void {
	for (const [name, code] of [
		['logger', 'exports.createClientLogger = () => { const log = Object.assign(() => {}, {enabled: true}); return {error: log, warning: log, info: log, verbose: log}; };'],
		['core-tracing', 'exports.createTracingClient = () => ({withSpan: (name, options, callback) => callback()});'],
	] as const) {
		const folder = join(modules, '@azure', name);
		mkdirSync(folder, {recursive: true});
		writeFileSync(join(folder, 'package.json'), JSON.stringify({name: `@azure/${name}`, main: 'index.js'}));
		writeFileSync(join(folder, 'index.js'), `console.log('${word} ${name}'); ${code}`);
	}
}

/** Installs the package, as it is published, for an application in `folder`. */
function install(folder: string): void {
	const installed = join(folder, 'node_modules', 'azure-shared-token-cache');
	cpSync(join(root, 'dist'), join(installed, 'dist'), {recursive: true});
	for (const name of readdirSync(join(installed, 'dist')).filter(name => !/^(?:index\..*|whole\.js|lazy)$/.test(name))) {
		rmSync(join(installed, 'dist', name), {recursive: true});
	}

	cpSync(join(root, 'package.json'), join(installed, 'package.json'));
	for (const [name, text] of Object.entries(programs)) {
		writeFileSync(join(folder, name), text);
	}
}

function makeDirectory(t: ExecutionContext): string {
	const directory = mkdtempSync(join(tmpdir(), 'stc-peers-'));
	t.teardown(() => {
		rmSync(directory, {recursive: true, force: true});
	});
	return directory;
}

async function outputOf(file: string, environment: Record<string, string> = {}): Promise<string[]> {
	const {stdout} = await run(process.execPath, [file], {
		cwd: dirname(file),
		env: {
			PATH: process.env['PATH'] ?? '', HOME: '/nonexistent', AZURE_LOG_LEVEL: 'info', ...environment,
		},
	});
	return stdout.split('\n').filter(Boolean).toSorted();
}

for (const program of Object.keys(programs)) {
	testOnPosix(`G12: ${program}: no peer is taken from NODE_PATH, ~/.node_modules, ~/.node_libraries or a folder above that anybody can write`, async t => {
		const directory = makeDirectory(t);
		const app = join(directory, 'shared', 'app');
		install(app);
		for (const [place, word] of [['elsewhere', 'NODE_PATH'], ['elsewhere/node_modules', 'NODE_PATH'], ['home/.node_modules', 'home'], ['home/.node_libraries', 'home'], ['home/node_modules', 'home']] as const) {
			putPeers(join(directory, place), word);
		}

		const environment = {NODE_PATH: [join(directory, 'elsewhere'), join(directory, 'elsewhere', 'node_modules'), join(directory, 'home', 'node_modules')].join(':'), HOME: join(directory, 'home')};
		t.deepEqual(await outputOf(join(app, program), environment), []);
		putPeers(join(directory, 'shared', 'node_modules'), 'above');
		for (const mode of [0o777, 0o1777]) {
			chmodSync(join(directory, 'shared'), mode);
			t.deepEqual(await outputOf(join(app, program), environment), [], mode.toString(8));
		}

		chmodSync(join(directory, 'shared'), 0o755);
		chmodSync(join(directory, 'shared', 'node_modules', '@azure'), 0o777);
		t.deepEqual(await outputOf(join(app, program), environment), []);
		// As in a workspace.
		chmodSync(join(directory, 'shared', 'node_modules', '@azure'), 0o755);
		t.deepEqual(await outputOf(join(app, program), environment), ['above core-tracing', 'above logger']);
	});

	testOnPosix(`G12: ${program}: peers beside the package are used, whatever the mode of the folder`, async t => {
		const directory = makeDirectory(t);
		install(directory);
		putPeers(join(directory, 'node_modules'), 'own');
		t.deepEqual(await outputOf(join(directory, program)), ['own core-tracing', 'own logger']);
		// Some images and mounted disks give every folder this mode. Who can write here can replace the package itself.
		chmodSync(directory, 0o777);
		chmodSync(join(directory, 'node_modules'), 0o777);
		t.deepEqual(await outputOf(join(directory, program)), ['own core-tracing', 'own logger']);
	});
}

testOnPosix('G12: the same in a bundle that leaves the peers out', async t => {
	const directory = makeDirectory(t);
	const app = join(directory, 'shared', 'app');
	install(app);
	cpSync(join(root, 'node_modules', 'undici'), join(app, 'node_modules', 'undici'), {recursive: true});
	await run(process.execPath, [join(root, 'node_modules', 'esbuild', 'bin', 'esbuild'), join(app, 'program.cjs'), '--bundle', '--platform=node', '--log-level=error', '--external:@azure/*', `--outfile=${join(app, 'out', 'bundle.cjs')}`]);
	rmSync(join(app, 'node_modules'), {recursive: true});
	putPeers(join(directory, 'elsewhere'), 'NODE_PATH');
	putPeers(join(directory, 'shared', 'node_modules'), 'above');
	chmodSync(join(directory, 'shared'), 0o777);
	const environment = {NODE_PATH: join(directory, 'elsewhere')};
	t.deepEqual(await outputOf(join(app, 'out', 'bundle.cjs'), environment), []);
	putPeers(join(app, 'out', 'node_modules'), 'own');
	t.deepEqual(await outputOf(join(app, 'out', 'bundle.cjs'), environment), ['own core-tracing', 'own logger']);
	chmodSync(join(app, 'out'), 0o1777);
	t.deepEqual(await outputOf(join(app, 'out', 'bundle.cjs'), environment), []);
});

testInNode('G12: peers that a bundle contains are used', async t => {
	const app = makeDirectory(t);
	install(app);
	cpSync(join(root, 'node_modules', 'undici'), join(app, 'node_modules', 'undici'), {recursive: true});
	putPeers(join(app, 'node_modules'), 'bundled');
	await run(process.execPath, [join(root, 'node_modules', 'esbuild', 'bin', 'esbuild'), join(app, 'program.cjs'), '--bundle', '--platform=node', '--log-level=error', `--outfile=${join(app, 'out', 'bundle.cjs')}`]);
	rmSync(join(app, 'node_modules'), {recursive: true});
	t.deepEqual(await outputOf(join(app, 'out', 'bundle.cjs')), ['bundled core-tracing', 'bundled logger']);
});

testInNode('G12: no file of another undici is loaded if the application\'s undici lacks it', async t => {
	const directory = makeDirectory(t);
	const app = join(directory, 'app');
	install(app);
	const put = (folder: string, word: string, files: readonly string[]) => {
		for (const file of files) {
			const path = join(folder, 'undici', file);
			mkdirSync(dirname(path), {recursive: true});
			writeFileSync(path, `console.log('${word} undici');`);
		}
	};

	put(join(app, 'node_modules'), 'own', ['index.js']);
	put(join(directory, 'elsewhere'), 'NODE_PATH', ['lib/api/api-request.js', 'lib/dispatcher/agent.js', 'lib/core/connect.js']);
	const home = new TestHome(t);
	home.writeAccount(ann, 'FAKE-refresh');
	const environment = {NODE_PATH: join(directory, 'elsewhere'), HOME: home.path};
	t.deepEqual(await outputOf(join(app, 'program.cjs'), environment), ['own undici']);
});
