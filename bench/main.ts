/** `npm run bench [-- --only P4] [--json]`: benchmarks, each against its peer in the same run. A ratio is what to quote: machines differ. */

import {execFileSync} from 'node:child_process';
import {existsSync, mkdtempSync, rmSync} from 'node:fs';
import {cpus, tmpdir} from 'node:os';
import {join} from 'node:path';
import {performance} from 'node:perf_hooks';
import process from 'node:process';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';
import {loadNativeBackend} from '../dist/native.js';
import {prepareCaches} from './caches.js';
import {printTable, type Result, toJson} from './results.js';
import {
	measureBlock, measureFirstToken, measureFleet, measureHit, measureReading, measureWriteBack, type Prepared,
} from './targets.js';

const measurements: Record<string, (prepared: Prepared) => Promise<Result[]>> = {
	P1: measureHit,
	P3: measureFirstToken,
	P4: measureReading,
	P5: measureBlock,
	P8: measureFleet,
	P9: measureWriteBack,
};

const names = Object.keys(measurements);
const usage = `Usage: npm run bench -- [--only ${names.join('|')}] [--json]`;

/** Of the sources, with `-dirty` where they have been changed since. */
function commit(): string {
	const root = fileURLToPath(new URL('..', import.meta.url));
	if (!existsSync(join(root, '.git'))) {
		return 'unknown';
	}

	return execFileSync('git', ['describe', '--always', '--dirty', '--exclude=*'], {cwd: root, encoding: 'utf8'}).trim();
}

function printHeader(): void {
	const machine = `${cpus()[0]?.model ?? 'unknown CPU'}, ${cpus().length} cores; Node ${process.version}; commit ${commit()}`;
	console.log(`${machine}\nmedian (p10..p90, number of samples); ratio: median of the rounds' ratios\n`);
}

async function measure(wanted: readonly string[]): Promise<Result[]> {
	const directory = mkdtempSync(join(tmpdir(), 'azure-shared-token-cache-bench-'));
	const removeDirectory = () => {
		rmSync(directory, {recursive: true, force: true});
	};

	process.once('exit', removeDirectory);
	try {
		console.error('making caches ...');
		const prepared = {directory, caches: prepareCaches(directory)};
		const results: Result[] = [];
		for (const name of wanted) {
			const startMs = performance.now();
			console.error(`${name} ...`);
			results.push(...await measurements[name]!(prepared));
			console.error(`${name} took ${((performance.now() - startMs) / 1000).toFixed(0)} s`);
		}

		return results;
	} finally {
		removeDirectory();
		process.off('exit', removeDirectory);
	}
}

async function main(): Promise<void> {
	let values;
	try {
		({values} = parseArgs({options: {only: {type: 'string'}, json: {type: 'boolean', default: false}, help: {type: 'boolean', short: 'h', default: false}}}));
		if (values.only !== undefined && !names.includes(values.only)) {
			throw new Error(`There is no ${values.only}.`);
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

	const {error} = loadNativeBackend();
	if (error) {
		console.error(`Without the addon there is nothing to compare. ${error.message}`);
		process.exitCode = 1;
		return;
	}

	const results = await measure(values.only === undefined ? names : [values.only]);
	if (values.json) {
		console.log(JSON.stringify(results.map(result => toJson(result)), undefined, '\t'));
	} else {
		printHeader();
		printTable(results);
	}
}

await main();
