/**
 * Counts the instructions of the addon's kernels under callgrind and compares them with `bench/count/baseline.json`. Unlike times, the
 * counts are the same in each run and on each machine, so each test run can detect a slower scanner.
 *
 * Instructions of libc do not count, because it selects its `memcpy` by processor.
 */

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {compilerFlags, linuxCompilerFlags} from '../build/addon-flags.mjs';
import {installBuildTools, installPackagesOfDebian} from '../lib/debian.mjs';
import {fromRoot, root} from '../lib/paths.mjs';
import {run, runOrFail} from '../lib/run.mjs';
import {
	hashOf, isStamped, removeStamp, writeStamp,
} from '../build/stamps.mjs';
import {StepFailure, StepSkipped} from '../lib/steps.mjs';

const baselineFile = fromRoot('bench', 'count', 'baseline.json');
const folder = fromRoot('.cache', 'bench-count');
const program = path.join(folder, 'count');
const compiler = process.env.CXX || 'g++';

const flags = [
	...compilerFlags,
	...linuxCompilerFlags,
	'-g0',
	'-fPIC',
	'-Werror',
	'-Inative',
	// Without AVX2, which not every processor has.
	'-DSTC_NO_AVX2',
];

/** The largest growth of a count that is not a failure, as a fraction. */
const toleratedGrowth = 0.05;

export const renewCommand = 'npm run bench:count -- --renew';

/** @typedef {Record<string, number>} Counts From a kernel's name to its instructions. */

/**
 * Counts, and fails if a kernel takes over 5 % more instructions than the baseline. Part of `npm test`.
 *
 * @returns {Promise<string>} The result in a few words.
 * @throws {StepSkipped} if valgrind is missing and only the user can install it, or if this compiler has no baseline.
 * @throws {StepFailure} with the kernels that grew.
 */
export async function checkInstructionCounts() {
	const {compilerName, counts} = await countInstructions();
	const baseline = readBaseline()[compilerName];
	if (!baseline) {
		throw new StepSkipped(`no baseline for ${compilerName}. To store these counts as its baseline: ${renewCommand}`);
	}

	const lines = compare(counts, baseline);
	const wrong = lines.filter(({isWrong}) => isWrong);
	if (wrong.length > 0) {
		throw new StepFailure(
			`${wrong.map(({kernel}) => kernel).join(', ')}: over ${toleratedGrowth * 100} % more instructions than the baseline, or not in it. If that is meant: ${renewCommand}`,
			lines.map(({text}) => text).join('\n'),
		);
	}

	return lines.map(({kernel, change}) => `${kernel} ${percent(change)}`).join(', ');
}

/**
 * @param {Counts} counts
 * @param {Counts} [baseline]
 * @returns {Array<{kernel: string, change: number, isWrong: boolean, text: string}>} `change`: growth as a fraction.
 */
export function compare(counts, baseline = {}) {
	const kernels = [...new Set([...Object.keys(baseline), ...Object.keys(counts)])];
	const width = Math.max(...kernels.map(kernel => kernel.length));
	return kernels.map(kernel => {
		const count = counts[kernel];
		const expected = baseline[kernel];
		const change = (count / expected) - 1;
		// If a count is missing on either side, the change is NaN, which is not less.
		return {
			kernel,
			change,
			isWrong: !(change <= toleratedGrowth),
			text: `${kernel.padEnd(width)}  ${String(count ?? 'missing').padStart(10)}  ${expected === undefined ? 'not in the baseline' : `${percent(change)} on ${expected}`}`,
		};
	});
}

/**
 * Compiles the kernels if they changed, and counts.
 *
 * @returns {Promise<{compilerName: string, counts: Counts}>}
 * @throws {StepSkipped} if only the user can install valgrind.
 */
export async function countInstructions() {
	if (process.platform !== 'linux') {
		throw new StepSkipped('needs Linux for callgrind');
	}

	await installBuildTools();
	try {
		await installPackagesOfDebian({valgrind: 'valgrind', 'libc6-dbg': '/usr/share/doc/libc6-dbg/copyright'});
	} catch (error) {
		throw new StepSkipped(error.message);
	}

	const compilerName = await nameOfCompiler();
	await compile(compilerName);
	for (const file of dumps()) {
		fs.rmSync(file);
	}

	await runOrFail('valgrind', [
		'--tool=callgrind', '--collect-atstart=no', '--compress-strings=no', '--compress-pos=no', '--dump-line=no', `--callgrind-out-file=${path.join(folder, 'dump')}`, program,
	], {env: {GLIBC_TUNABLES: undefined, LD_BIND_NOW: '1'}});
	const counts = Object.fromEntries(dumps().map(file => readDump(fs.readFileSync(file, 'utf8'))).filter(Boolean));
	if (Object.keys(counts).length === 0) {
		throw new StepFailure('callgrind wrote no counts');
	}

	return {compilerName, counts};
}

/** @returns {Record<string, Counts>} From a compiler's name to its baseline. */
export function readBaseline() {
	return fs.existsSync(baselineFile) ? JSON.parse(fs.readFileSync(baselineFile, 'utf8')) : {};
}

/** Stores these counts as the baseline of one compiler. */
export function writeBaseline(compilerName, counts) {
	fs.writeFileSync(baselineFile, `${JSON.stringify({...readBaseline(), [compilerName]: counts}, undefined, '\t')}\n`);
}

async function compile(compilerName) {
	const sources = [...kernelSources(), 'bench/count/generated_cache.cc', 'bench/count/main.cc'];
	const hash = hashOf(['native', ...['main.cc', 'generated_cache.cc', 'generated_cache.h'].map(name => `bench/count/${name}`)], [compilerName, flags]);
	if (isStamped('bench-count', hash) && fs.existsSync(program)) {
		return;
	}

	removeStamp('bench-count');
	fs.rmSync(folder, {recursive: true, force: true});
	fs.mkdirSync(folder, {recursive: true});
	const objectOf = source => path.join(folder, `${path.basename(source)}.o`);
	const waiting = [...sources];
	await Promise.all(Array.from({length: os.availableParallelism()}, async () => {
		for (let source = waiting.pop(); source; source = waiting.pop()) {
			await runOrFail(compiler, [...flags, '-c', source, '-o', objectOf(source)]);
		}
	}));
	await runOrFail(compiler, ['-o', program, ...sources.map(source => objectOf(source)), '-pthread']);
	writeStamp('bench-count', hash);
}

/**
 * The sources that the kernels need: those of all headers that bench/count/main.cc includes, directly or not.
 */
function kernelSources() {
	const found = new Set();
	const waiting = [fromRoot('bench', 'count', 'main.cc'), fromRoot('bench', 'count', 'generated_cache.cc')];
	for (const file of waiting) {
		for (const [, name] of fs.readFileSync(file, 'utf8').matchAll(/^#include "(?<name>[^"]+)"$/gm)) {
			for (const candidate of [fromRoot('native', name), fromRoot('native', name.replace(/\.h$/, '.cc'))]) {
				if (fs.existsSync(candidate) && !found.has(candidate)) {
					found.add(candidate);
					waiting.push(candidate);
				}
			}
		}
	}

	return [...found].filter(file => file.endsWith('.cc')).map(file => path.relative(root, file)).toSorted();
}

async function nameOfCompiler() {
	const {stdout: version} = await runOrFail(compiler, ['-dumpfullversion', '-dumpversion']);
	const {stdout: machine} = await runOrFail(compiler, ['-dumpmachine']);
	const {stdout: banner} = await run(compiler, ['--version']);
	return `${banner.includes('clang') ? 'clang' : 'gcc'} ${version.trim()} ${machine.trim()}`;
}

function dumps() {
	return fs.readdirSync(folder).filter(name => /^dump\.\d+$/.test(name)).toSorted((a, b) => a.localeCompare(b, 'en', {numeric: true})).map(name => path.join(folder, name));
}

/**
 * @param {string} text Source for the format: Valgrind's manual, "Callgrind Format Specification".
 * @returns {[string, number] | undefined} The kernel's name and its instructions, without those of libc.
 */
export function readDump(text) {
	const name = /^desc: Trigger: Client Request: (?<name>.*)$/m.exec(text)?.groups.name;
	if (name === undefined) {
		return undefined;
	}

	let instructions = 0;
	let isOurs = false;
	let isInclusive = false;
	for (const line of text.split('\n')) {
		if (line.startsWith('ob=')) {
			isOurs = path.basename(line.slice('ob='.length)) === path.basename(program);
		} else if (line.startsWith('calls=')) {
			// The next line is the cost of the called function, which is listed with that function, too.
			isInclusive = true;
		} else if (/^\d/.test(line)) {
			if (isOurs && !isInclusive) {
				instructions += Number(line.split(' ').at(-1));
			}

			isInclusive = false;
		}
	}

	return [name, instructions];
}

const percent = change => `${change < 0 ? '' : '+'}${(change * 100).toFixed(1)} %`;
