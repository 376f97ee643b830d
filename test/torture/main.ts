/**
 * `npm run torture -- --minutes N`: repeats the tests of `test/fault/torture` and `kill` with new seeds. With `--sign-out`, that of
 * `test/fault/sign-out-torture`.
 */

import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {performance} from 'node:perf_hooks';
import process from 'node:process';
import {parseArgs} from 'node:util';
import {loadNativeBackend} from '../../dist/backend/native-backend.js';
import {missingKeyring, startKeyring} from '../helpers/keyring/keyring.js';
import {lackOf} from '../helpers/peers/peers.js';
import {killWriters, pairCache} from './kills.js';
import {torture} from './mixed.js';
import {buildProgram} from './native-program.js';
import {tortureSignOut} from './sign-out.js';

const usage = 'Usage: npm run torture -- [--minutes N] [--sign-out]   (default: 10 minutes of writers)';

const {values} = parseArgs({options: {minutes: {type: 'string', default: '10'}, 'sign-out': {type: 'boolean', default: false}, help: {type: 'boolean', short: 'h', default: false}}});
const minutes = Number(values.minutes);
if (values.help || !(minutes > 0)) {
	console.log(usage);
	process.exitCode = values.help ? 0 : 2;
} else {
	const torture = values['sign-out'] ? tortureSignOuts : tortureWriters;
	await torture(minutes);
}

/** Half of the time with a keyring, half of it with files alone. */
async function tortureSignOuts(forMinutes: number): Promise<void> {
	const backend = nativeBackend();
	const peers = {node: lackOf('msal-node') === undefined, python: lackOf('msal-python') === undefined};
	const withoutKeyring = missingKeyring() ?? lackOf('msal-python-keyring');
	const total = {
		minutes: 0, signOuts: 0, accountsBack: 0, tokensBack: 0, accountsLost: 0,
	};
	for (const hasKeyring of [true, false]) {
		if (hasKeyring && withoutKeyring) {
			console.log(`Without a keyring: ${withoutKeyring}`);
			continue;
		}

		const home = mkdtempSync(join(tmpdir(), 'azure-shared-token-cache-torture-'));
		const keyring = hasKeyring ? await startKeyring() : undefined;
		try {
			const report = await tortureSignOut({
				home, keyring, backend, peers, forMs: forMinutes * 60_000 / (withoutKeyring ? 1 : 2),
			});
			console.log(JSON.stringify({keyring: hasKeyring, ...report}));
			total.minutes += report.seconds / 60;
			total.signOuts += report.signOuts;
			total.accountsBack += report.accountsBack.length;
			total.tokensBack += report.tokensBack.length;
			total.accountsLost += report.accountsLost.length;
		} finally {
			await keyring?.close();
			rmSync(home, {recursive: true, force: true, maxRetries: 5});
		}
	}

	console.log(JSON.stringify({...total, minutes: Math.round(total.minutes * 10) / 10}));
	process.exitCode = total.accountsBack + total.tokensBack + total.accountsLost > 0 ? 1 : 0;
}

function nativeBackend() {
	const {backend, error} = loadNativeBackend();
	if (!backend) {
		throw error ?? new Error('The native addon is not loaded.');
	}

	return backend;
}

async function tortureWriters(forMinutes: number): Promise<void> {
	const backend = nativeBackend();
	const directory = mkdtempSync(join(tmpdir(), 'azure-shared-token-cache-torture-'));
	try {
		const program = buildProgram('commit_loop', directory);
		const endMs = performance.now() + (forMinutes * 60_000);
		for (let round = 1; performance.now() < endMs; round++) {
			const home = mkdtempSync(join(directory, 'home-'));
			const path = join(home, 'msal.cache.nocae');
			// In every second round, all writers respect the locks.
			const isTame = round % 2 === 1;
			const peers = {
				path, node: isTame ? 0 : 2, python: 2, deletesLockFiles: !isTame,
			};
			const report = await torture({
				...peers, ours: 4, withCache: 1, plugin: 1, updates: 500,
			});
			console.log(JSON.stringify({round, ...report}));
			// What the peers lose among themselves in the same time.
			const {pythonEntries, pythonMissing, pythonStarved, nodeWrites, tornByPeers} = await torture({
				...peers, ours: 0, updates: 0, forMs: report.elapsedMs,
			});
			console.log(JSON.stringify({
				round, control: {
					pythonEntries, pythonMissing, pythonStarved, nodeWrites, tornByPeers,
				},
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
