// `npm run bench:count` counts the instructions of the native kernels under callgrind and compares them with
// bench/count/baseline.json. `-- --renew` stores this run's counts as the baseline for this compiler.

import process from 'node:process';
import {
	checkInstructionCounts, compare, countInstructions, readBaseline, renewCommand, writeBaseline,
} from './quality/bench-count.mjs';
import {step} from './lib/steps.mjs';

const [option, ...rest] = process.argv.slice(2);
if (rest.length > 0 || (option !== undefined && option !== '--renew')) {
	console.error('Usage: npm run bench:count [-- --renew]');
	process.exitCode = 2;
} else if (option === '--renew') {
	const {outcome} = await step('instruction counts', async () => {
		const {compilerName, counts} = await countInstructions();
		for (const {text} of compare(counts, readBaseline()[compilerName])) {
			console.log(text);
		}

		writeBaseline(compilerName, counts);
		return `the baseline for ${compilerName} is renewed`;
	});
	process.exitCode = outcome === 'passed' ? 0 : 1;
} else {
	const {outcome} = await step('instruction counts', checkInstructionCounts);
	process.exitCode = outcome === 'passed' ? 0 : 1;
	if (outcome === 'skipped') {
		console.log(`Nothing was compared. ${renewCommand} writes a baseline.`);
	}
}
