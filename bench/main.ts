/** `npm run bench [-- --only P4] [--json]`: first benchmarks, each against its peer in the same run. A ratio is what to quote: machines differ. */

import {execFileSync} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import {cpus, tmpdir} from 'node:os';
import {join} from 'node:path';
import process from 'node:process';
import {parseArgs} from 'node:util';
import {printTable, type Result, toJson} from './results.js';
import {
	measureBlock, measureFirstToken, measureHit, measureReading, prepareCaches, type SizedCache, warm,
} from './targets.js';

const measurements: Record<string, (caches: readonly SizedCache[]) => Promise<Result[]>> = {
	P1: measureHit,
	P3: measureFirstToken,
	P4: measureReading,
	P5: measureBlock,
};

const usage = `Usage: npm run bench -- [--only ${Object.keys(measurements).join('|')}] [--json]`;

function commit(): string {
	try {
		return execFileSync('git', ['rev-parse', '--short', 'HEAD'], {stdio: ['ignore', 'pipe', 'ignore']}).toString().trim();
	} catch {
		// Not a clone.
		return 'unknown';
	}
}

async function main(): Promise<void> {
	let values;
	try {
		({values} = parseArgs({options: {only: {type: 'string'}, json: {type: 'boolean', default: false}, help: {type: 'boolean', short: 'h', default: false}}}));
		if (values.only !== undefined && !measurements[values.only]) {
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

	const directory = mkdtempSync(join(tmpdir(), 'azure-shared-token-cache-bench-'));
	try {
		console.error('making caches ...');
		const caches = prepareCaches(directory);
		warm(caches);
		const results: Result[] = [];
		for (const [id, measure] of Object.entries(measurements)) {
			if (values.only === undefined || values.only === id) {
				console.error(`${id} ...`);
				results.push(...await measure(caches));
			}
		}

		if (values.json) {
			console.log(JSON.stringify(results.map(result => toJson(result)), undefined, '\t'));
		} else {
			console.log(`${cpus()[0]?.model ?? 'unknown CPU'}, ${cpus().length} cores; Node ${process.version}; commit ${commit()}; median (p10..p90, samples)\n`);
			printTable(results);
		}
	} finally {
		rmSync(directory, {recursive: true, force: true});
	}
}

await main();
