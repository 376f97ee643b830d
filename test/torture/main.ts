/** `npm run torture -- --minutes N`: repeats the tests of `test/fault/torture` and `kill` with new seeds. */

import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {performance} from 'node:perf_hooks';
import process from 'node:process';
import {parseArgs} from 'node:util';
import {loadNativeBackend} from '../../dist/backend/native-backend.js';
import {killWriters, pairCache} from './kills.js';
import {torture} from './mixed.js';
import {buildProgram} from './native-program.js';

const usage = 'Usage: npm run torture -- [--minutes N]   (default 10)';

const {values} = parseArgs({options: {minutes: {type: 'string', default: '10'}, help: {type: 'boolean', short: 'h', default: false}}});
const minutes = Number(values.minutes);
if (values.help || !(minutes > 0)) {
	console.log(usage);
	process.exitCode = values.help ? 0 : 2;
} else {
	await run(minutes);
}

async function run(forMinutes: number): Promise<void> {
	const {backend, error} = loadNativeBackend();
	if (!backend) {
		throw error ?? new Error('The native addon is not loaded.');
	}

	const directory = mkdtempSync(join(tmpdir(), 'azure-shared-token-cache-torture-'));
	try {
		const program = buildProgram('commit_loop', directory);
		const endMs = performance.now() + (forMinutes * 60_000);
		for (let round = 1; performance.now() < endMs; round++) {
			const home = mkdtempSync(join(directory, 'home-'));
			const path = join(home, 'msal.cache.nocae');
			// In every second round, all writers respect the locks.
			const isTame = round % 2 === 1;
			console.log(JSON.stringify({
				round,
				...await torture({
					path, ours: 4, updates: 500, node: isTame ? 0 : 2, python: 2, deletesLockFiles: !isTame,
				}),
			}));
			const seed = Date.now() % 1_000_000;
			const foreign = 'ünïcode '.repeat(3000);
			rmSync(path);
			writeFileSync(path, pairCache(0, foreign), {mode: 0o600});
			console.log(JSON.stringify({
				round,
				seed,
				...await killWriters({
					program, path, backend, kills: 2000, foreign, seed,
				}),
			}));
			rmSync(home, {recursive: true});
		}
	} finally {
		rmSync(directory, {recursive: true, force: true});
	}
}
