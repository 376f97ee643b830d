/**
 * Counts the instructions of the addon's kernels under callgrind and holds them against `bench/count/baseline.json`. Times differ
 * from run to run and machine to machine; these counts do not, so that they can guard against a slower scanner in every test run.
 *
 * What libc does is left out: its `memcpy` is chosen for the processor.
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
	// Not every processor has it, and the counts are to be the same on all.
	'-DSTC_NO_AVX2',
];

/** A count may grow by this much before it is a failure. */
const toleratedGrowth = 0.05;

export const renewCommand = 'npm run bench:count -- --renew';

/** @typedef {Record<string, number>} Counts Kernel -> instructions. */

/**
 * For `npm test`: counts, and fails where a kernel takes over 5 % more instructions than the baseline.
 *
 * @returns {Promise<string>} What was found.
 * @throws {StepSkipped} where there is no valgrind and nobody to install it, or no baseline for this compiler.
 * @throws {StepFailure} naming the kernels that grew.
 */
export async function checkInstructionCounts() {
	const {compilerName, counts} = await countInstructions();
	const baseline = readBaseline()[compilerName];
	if (!baseline) {
		throw new StepSkipped(`no baseline for ${compilerName}. Once its counts are good: ${renewCommand}`);
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
		// What is missing on either side is wrong, too: NaN is not less.
		return {
			kernel,
			change,
			isWrong: !(change <= toleratedGrowth),
			text: `${kernel.padEnd(width)}  ${String(count ?? 'missing').padStart(10)}  ${expected === undefined ? 'not in the baseline' : `${percent(change)} on ${expected}`}`,
		};
	});
}

/**
 * Compiles what changed, and counts.
 *
 * @returns {Promise<{compilerName: string, counts: Counts}>}
 * @throws {StepSkipped} where only the user can install valgrind.
 */
export async function countInstructions() {
	if (process.platform !== 'linux') {
		throw new StepSkipped('callgrind is counted with on Linux');
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

/** @returns {Record<string, Counts>} By the compiler's name. */
export function readBaseline() {
	return fs.existsSync(baselineFile) ? JSON.parse(fs.readFileSync(baselineFile, 'utf8')) : {};
}

/** Makes these counts the baseline for that compiler. Other compilers' stay. */
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
 * The sources that reading and editing a cache takes: what the headers that are included from bench/count/main.cc lead to.
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
 * @returns {[string, number] | undefined} The kernel's name, and the instructions of our own code.
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
			// The next line is what the function that is called costs, which stands with that function again.
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
