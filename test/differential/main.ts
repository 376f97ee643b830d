/**
 * `npm run test:differential`: compares our credential with Python's SharedTokenCacheCredential, on which it is
 * modelled, and with MSAL for Node's acquireTokenSilent, on the same caches. See `comparison.ts`.
 */

import {readFileSync} from 'node:fs';
import process from 'node:process';
import {parseArgs} from 'node:util';
import {loadNativeBackend} from '../../dist/backend/native-backend.js';
import {compare, type Comparison} from './comparison.js';

const usage = `Usage: npm run test:differential -- [--only python|msal-node] [--cases N] [--seed N]

  --only      one of the two
  --cases N   how many cases of each (default 5000); every second one is plain
  --seed N    which ones (default 20261123); the same seed makes the same cases`;

const {values} = parseArgs({
	options: {
		only: {type: 'string'}, cases: {type: 'string', default: '5000'}, seed: {type: 'string', default: '20261123'}, help: {type: 'boolean', short: 'h', default: false},
	},
});
const count = Number(values.cases);
const seed = Number(values.seed);

const isUsable = (values.only === undefined || ['python', 'msal-node'].includes(values.only)) && Number.isInteger(count) && count > 0 && Number.isInteger(seed) && seed >= 0;
if (values.help || !isUsable) {
	console.log(usage);
	process.exitCode = values.help ? 0 : 2;
} else {
	process.exitCode = await run() ? 0 : 1;
}

async function run(): Promise<boolean> {
	let isRight = true;
	if (values.only !== 'msal-node') {
		const {PythonComparison} = await import('./python/comparison.js');
		isRight = await runOne(await PythonComparison.start()) && isRight;
	}

	if (values.only !== 'python') {
		const {MsalNodeComparison} = await import('./msal-node/comparison.js');
		isRight = await runOne(await MsalNodeComparison.start()) && isRight;
	}

	return isRight;
}

async function runOne<Case, Outcome, Rule extends string>(comparison: Comparison<Case, Outcome, Rule>): Promise<boolean> {
	try {
		const {version} = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {version: string};
		const ours = `azure-shared-token-cache ${version}, ${loadNativeBackend().backend ? 'native and pure-JS variant in turn' : 'pure-JS variant alone'}, Node ${process.version}`;
		const theirs = Object.entries(comparison.versions()).map(([name, each]) => `${name} ${each}`).join(', ');
		console.log(`\n${theirs}\n${ours}\nSeed ${seed}, ${count} cases`);
		return await compare(comparison, {count, seed});
	} finally {
		await comparison.close();
	}
}
