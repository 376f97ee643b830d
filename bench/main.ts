/**
 * `npm run bench`: runs the benchmarks, each with its peers in the same run. Quote ratios, because machines differ. A
 * run of all benchmarks writes RESULTS.md, results.json and plots/.
 */

import {execFileSync} from 'node:child_process';
import {
	existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync,
} from 'node:fs';
import {cpus, tmpdir} from 'node:os';
import {join} from 'node:path';
import {performance} from 'node:perf_hooks';
import process from 'node:process';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';
import {loadNativeBackend} from '../dist/backend/native-backend.js';
import {prepareCaches} from './caches.js';
import {drawPlots} from './plots.mjs';
import {type Report, toMarkdown} from './report.js';
import {
	isMet, type Outcome, type Plots, printTable, type Result, toJson,
} from './results.js';
import {measureBlock} from './targets/block.js';
import {measureFirstToken, measurePeakMemory} from './targets/cold-start.js';
import {measureFleet} from './targets/fleet.js';
import {measureGrant} from './targets/grant.js';
import {measureMemoryGrowth} from './targets/growth.js';
import {measureHit, measureMany, measureSilentHit} from './targets/hit.js';
import {type Options, Prepared} from './targets/prepared.js';
import {measureGrowth, measureReading} from './targets/reading.js';
import {measureTail} from './targets/tail.js';
import {measureUnusualCaches} from './targets/unusual-caches.js';
import {measureWriteBack} from './targets/write-back.js';

const measurements: Record<string, (prepared: Prepared) => Promise<Outcome>> = {
	P1: measureHit,
	P2: measureSilentHit,
	P3: measureFirstToken,
	P4: measureReading,
	P5: measureBlock,
	P6: measurePeakMemory,
	P7: measureGrant,
	P8: measureFleet,
	P9: measureWriteBack,
	P10: measureGrowth,
	many: measureMany,
	tail: measureTail,
	growth: measureMemoryGrowth,
	'unusual-caches': measureUnusualCaches,
};

const names = Object.keys(measurements);
const usage = `Usage: npm run bench -- [--only ${names.join('|')}]... [--json] [--explain] [--large]
       npm run bench -- --draw

  --only     run these only, and write no file
  --json     print an array of {id, what, ours, peer, peerName, ratio, unit, target, met}
  --explain  with P3: the import time of each file before the first cached token
  --large    with unusual-caches: also a string of 1 GiB, which needs as much disk space
  --draw     measure nothing: rewrite RESULTS.md and plots/ from results.json`;

const inBench = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** The commit of the sources, with `-dirty` if they have changed since. */
function commit(): string {
	const root = inBench('..');
	if (!existsSync(join(root, '.git'))) {
		return 'unknown';
	}

	return execFileSync('git', ['describe', '--always', '--dirty', '--exclude=*'], {cwd: root, encoding: 'utf8'}).trim();
}

async function measure(wanted: readonly string[], options: Options): Promise<{results: Result[]; plots: Plots}> {
	const directory = mkdtempSync(join(tmpdir(), 'azure-shared-token-cache-bench-'));
	const removeDirectory = () => {
		rmSync(directory, {recursive: true, force: true});
	};

	process.once('exit', removeDirectory);
	try {
		const startMs = performance.now();
		const progress = (text: string) => {
			console.error(`${((performance.now() - startMs) / 1000).toFixed(0).padStart(5)} s  ${text}`);
		};

		progress('making caches');
		const prepared = new Prepared(directory, prepareCaches(directory), options);
		const results: Result[] = [];
		const plots: Plots = {
			hit: [], size: [], block: [], grants: [],
		};
		for (const [index, name] of wanted.entries()) {
			progress(`${name} (${index + 1} of ${wanted.length})`);
			const outcome = await measurements[name]!(prepared);
			results.push(...outcome.results);
			plots.hit.push(...outcome.plots?.hit ?? []);
			plots.size.push(...outcome.plots?.size ?? []);
			plots.block.push(...outcome.plots?.block ?? []);
			plots.grants.push(...outcome.plots?.grants ?? []);
		}

		progress('done');
		return {results, plots};
	} finally {
		removeDirectory();
		process.off('exit', removeDirectory);
	}
}

function writeReport(report: Report): void {
	writeFileSync(inBench('RESULTS.md'), toMarkdown(report));
	mkdirSync(inBench('plots'), {recursive: true});
	for (const [name, svg] of Object.entries(drawPlots(report.plots))) {
		writeFileSync(inBench(`plots/${name}.svg`), svg);
	}
}

async function main(): Promise<void> {
	let values;
	try {
		({values} = parseArgs({
			options: {
				only: {type: 'string', multiple: true},
				json: {type: 'boolean', default: false},
				explain: {type: 'boolean', default: false},
				large: {type: 'boolean', default: false},
				draw: {type: 'boolean', default: false},
				help: {type: 'boolean', short: 'h', default: false},
			},
		}));
		const unknown = values.only?.find(name => !names.includes(name));
		if (unknown !== undefined) {
			throw new Error(`There is no benchmark ${unknown}.`);
		}
	} catch (error) {
		console.error(`${(error as Error).message}\n${usage}`);
		process.exitCode = 2;
		return;
	}

	if (values.help) {
		console.log(usage);
		return;
	}

	if (values.draw) {
		writeReport(JSON.parse(readFileSync(inBench('results.json'), 'utf8')) as Report);
		return;
	}

	const {error} = loadNativeBackend();
	if (error) {
		console.error(`The benchmarks need the native addon. ${error.message}`);
		process.exitCode = 1;
		return;
	}

	const machine = `${cpus()[0]?.model ?? 'unknown CPU'}, ${cpus().length} cores; Node ${process.version}; commit ${commit()}`;
	const report: Report = {
		machine, dateMs: Date.now(), ...await measure(values.only ?? names, {isExplained: values.explain, largeFiles: values.large}),
	};
	if (values.only === undefined) {
		writeFileSync(inBench('results.json'), `${JSON.stringify(report, undefined, '\t')}\n`);
		writeReport(report);
	}

	if (values.json) {
		console.log(JSON.stringify(report.results.map(result => toJson(result)), undefined, '\t'));
	} else {
		console.log(`${machine}\nmedian (p10..p90, p99 with at least 200 samples, number of samples); ratio: median of the rounds' ratios\n`);
		printTable(report.results);
	}

	const missed = report.results.filter(result => isMet(result) === false);
	console.error(`${report.results.filter(result => isMet(result)).length} targets met, ${missed.length} missed${missed.map(({id, what}) => `\n  ${id} ${what.trim()}`).join('')}`);
}

await main();
