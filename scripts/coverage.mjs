// `npm run coverage` shows which lines and branches of `src/` (by c8) and of `native/` (by gcovr) the tests reach, in a copy of this
// repository. Arguments: test files, instead of all. `-- --uncovered` lists the lines that are not reached. Needs Linux and GCC, and
// takes some minutes. A process that a signal ends writes no counts, so tests that kill processes add nothing here.

import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {parseArgs} from 'node:util';
import {runAva} from './testing/ava.mjs';
import {installPackagesOfDebian} from './lib/debian.mjs';
import {installPackages, npm, tool} from './lib/npm.mjs';
import {installPeers} from './testing/peers.mjs';
import {fromRoot} from './lib/paths.mjs';
import {runOrFail} from './lib/run.mjs';
import {makeScratchTree} from './quality/scratch-tree.mjs';
import {step} from './lib/steps.mjs';

const {values, positionals} = parseArgs({options: {uncovered: {type: 'boolean', default: false}}, allowPositionals: true});
/** Tests that cannot run here: they link the addon's objects, which contain counters here, or need the bundle, or take too long. */
const leftOut = new Set([
	'conformance/keychain', 'conformance/macos-lock', 'fault/kill', 'fault/native-leaks', 'fault/torture', 'fault/bundlers', 'fault/package', 'fault/package-managers', 'unit/docs', 'unit/readme',
].map(name => path.join('test', `${name}.test.ts`)));
const tree = fromRoot('.cache', 'covered');
const counts = path.join(tree, '.cache', 'v8');
const report = path.join(tree, '.cache', 'report');
const nativeReport = path.join(report, 'native.json');

/** Compiles each module to a file: c8 cannot assign V8's counts for a bundle to its sources. */
async function compileDist() {
	fs.rmSync(path.join(tree, 'dist'), {recursive: true});
	await runOrFail(process.execPath, [tool.tsc, '--project', '.', '--inlineSourceMap', '--inlineSources'], {cwd: tree});
	// The module that loads the addon expects to be in the bundle, one folder higher.
	fs.symlinkSync(path.join('..', 'build'), path.join(tree, 'dist', 'build'));
}

async function compileAddon() {
	// The counters are atomic, because jobs run on several threads.
	const flags = '--coverage -fprofile-update=atomic -O0';
	await npm(['exec', '--offline', '--', 'node-gyp', 'rebuild', '--jobs=max', '--loglevel=warn'], {cwd: tree, env: {CXXFLAGS: flags, LDFLAGS: '--coverage'}});
}

async function reportSources() {
	await runOrFail(process.execPath, [
		fromRoot('node_modules', 'c8', 'bin', 'c8.js'),
		'report',
		`--temp-directory=${counts}`,
		`--reports-dir=${report}`,
		'--reporter=json',
		'--reporter=html',
		'--include=src/**',
		'--exclude=src/types.ts',
		'--exclude-after-remap',
		'--all',
		'--src=src',
	], {cwd: tree});
	return fs.existsSync(path.join(report, 'coverage-final.json')) ? undefined : 'no report';
}

function testFiles() {
	return ['unit', 'conformance', 'fault', 'interop'].flatMap(folder => fs.readdirSync(fromRoot('test', folder)).map(name => path.join('test', folder, name)))
		.filter(file => file.endsWith('.test.ts') && !leftOut.has(file));
}

const percent = (part, whole) => whole === 0 ? '   100' : (100 * part / whole).toFixed(1).padStart(6);

/** @param {Array<{name: string, lines: boolean[], branches: boolean[], uncovered: string[]}>} files */
function print(title, files) {
	const width = Math.max(...files.map(({name}) => name.length));
	console.log(`\n${title.padEnd(width)}   lines   branches, %`);
	const sum = {lines: [], branches: []};
	for (const {name, lines, branches, uncovered} of files.toSorted((a, b) => a.name.localeCompare(b.name))) {
		sum.lines.push(...lines);
		sum.branches.push(...branches);
		console.log(`${name.padEnd(width)}  ${percent(lines.filter(Boolean).length, lines.length)}   ${percent(branches.filter(Boolean).length, branches.length)}${values.uncovered && uncovered.length > 0 ? `   ${uncovered.join(' ')}` : ''}`);
	}

	console.log(`${'all'.padEnd(width)}  ${percent(sum.lines.filter(Boolean).length, sum.lines.length)}   ${percent(sum.branches.filter(Boolean).length, sum.branches.length)}`);
}

function sourcesOf(json) {
	return Object.values(json).map(({path: file, statementMap, s, branchMap, b}) => {
		const missed = Object.entries(branchMap).flatMap(([id, {locations}]) => locations.flatMap(({start}, index) => b[id][index] === 0 ? [start.line] : []));
		const lines = Object.keys(statementMap).map(id => s[id] > 0);
		return {
			name: path.relative(tree, file),
			lines,
			branches: Object.values(b).flat().map(count => count > 0),
			uncovered: [...new Set([...missed, ...Object.keys(statementMap).filter(id => s[id] === 0).map(id => statementMap[id].start.line)])].toSorted((a, z) => a - z).map(String),
		};
	});
}

/** Counts no branches to exception handlers, which the compiler adds to nearly each call. */
async function reportNative() {
	await runOrFail('gcovr', [
		'--root=..',
		String.raw`--filter=\.\./native/`,
		'--exclude-throw-branches',
		`--gcov-executable=${process.env.GCOV ?? 'gcov'}`,
		`--json=${nativeReport}`,
		`--html-details=${path.join(report, 'native.html')}`,
		path.join('Release', 'obj.target'),
		// The compiler ran in this folder, and the counters name the sources relative to it.
	], {cwd: path.join(tree, 'build')});
}

function nativeOf({files}) {
	return files.map(({file, lines}) => {
		const counted = lines.filter(line => !line['gcovr/noncode']);
		const branchesOf = line => line.branches.filter(branch => !branch.throw).map(branch => branch.count > 0);
		return {
			name: file,
			lines: counted.map(({count}) => count > 0),
			branches: counted.flatMap(line => branchesOf(line)),
			uncovered: [...new Set(counted.filter(line => line.count === 0 || branchesOf(line).includes(false)).map(line => line.line_number))].toSorted((a, z) => a - z).map(String),
		};
	});
}

let isReady = true;
const preparations = [
	['npm packages', installPackages],
	['Debian packages', () => installPackagesOfDebian({gcovr: 'gcovr'})],
	['peers', () => installPeers()],
	['copy', () => {
		makeScratchTree('covered');
	}],
	['dist with source maps', compileDist],
	['addon with counters', compileAddon],
];
for (const [name, action] of preparations) {
	isReady &&= (await step(name, action)).outcome !== 'failed';
}

process.exitCode = 1;
if (isReady) {
	const files = positionals.length > 0 ? positionals : testFiles();
	const {passed, failed, skipped} = await runAva([...files, '--timeout=10m'], {cwd: tree, env: {NODE_V8_COVERAGE: counts}});
	await step('report of src/', reportSources);
	await step('report of native/', reportNative);
	print('src', sourcesOf(JSON.parse(fs.readFileSync(path.join(report, 'coverage-final.json'), 'utf8'))));
	print('native', nativeOf(JSON.parse(fs.readFileSync(nativeReport, 'utf8'))));
	console.log(`\nLine by line: ${['index.html', 'native.html'].map(name => path.relative(fromRoot(), path.join(report, name))).join(', ')}`);
	process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
	console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
}
