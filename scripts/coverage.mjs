// `npm run coverage`: which lines and branches of `src/` (V8's counts, by c8) and of `native/` (gcov's) the tests reach, in a copy of
// this repository. Arguments: test files, in the place of all. `-- --uncovered` names the lines. Linux with GCC; takes some minutes.
// What ends by a signal leaves no counts: tests that kill count for nothing here.

import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {parseArgs} from 'node:util';
import {runAva} from './testing/ava.mjs';
import {readGcov} from './quality/gcov.mjs';
import {installPackages, npm, tool} from './lib/npm.mjs';
import {installPeers} from './testing/peers.mjs';
import {fromRoot} from './lib/paths.mjs';
import {runOrFail} from './lib/run.mjs';
import {makeScratchTree} from './quality/scratch-tree.mjs';
import {step} from './lib/steps.mjs';

const {values, positionals} = parseArgs({options: {uncovered: {type: 'boolean', default: false}}, allowPositionals: true});
/** What cannot run here: programs that link the addon's objects, and do not expect counters in them; what needs the bundle; what takes too long. */
const leftOut = new Set([
	'conformance/keychain', 'conformance/macos-lock', 'fault/kill', 'fault/native-leaks', 'fault/torture', 'fault/bundlers', 'fault/package', 'fault/package-managers', 'unit/docs', 'unit/readme',
].map(name => path.join('test', `${name}.test.ts`)));
const tree = fromRoot('.cache', 'covered');
const counts = path.join(tree, '.cache', 'v8');
const report = path.join(tree, '.cache', 'report');

/** Module by module: in one bundle of many sources, V8's counts are not told apart well. */
async function compileDist() {
	fs.rmSync(path.join(tree, 'dist'), {recursive: true});
	await runOrFail(process.execPath, [tool.tsc, '--project', '.', '--inlineSourceMap', '--inlineSources'], {cwd: tree});
}

async function compileAddon() {
	// Counted by atomic additions, because jobs run on several threads.
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

function nativeOf(files) {
	return [...files].map(([name, {lines, branches}]) => ({
		name,
		lines: [...lines.values()].map(count => count > 0),
		branches: [...branches.values()].flat(),
		uncovered: [...new Set([...[...lines].filter(([, count]) => count === 0).map(([number]) => number), ...[...branches].filter(([, taken]) => taken.includes(false)).map(([number]) => number)])]
			.toSorted((a, z) => a - z).map(String),
	}));
}

let isReady = true;
const preparations = [
	['npm packages', installPackages],
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
	print('src', sourcesOf(JSON.parse(fs.readFileSync(path.join(report, 'coverage-final.json'), 'utf8'))));
	print('native', nativeOf(await readGcov(tree)));
	console.log(`\nPage by page: ${path.relative(fromRoot(), path.join(report, 'index.html'))}`);
	process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
	console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
}
