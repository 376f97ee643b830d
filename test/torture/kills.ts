/** Kills writers at random moments, and checks the files after each kill. */

import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {
	existsSync, readFileSync, readdirSync, statSync,
} from 'node:fs';
import {basename, dirname} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import type {CacheBackend} from '../../dist/backend/backend.js';
import {storeOf} from '../../dist/backend/stores.js';

export type KillReport = {
	kills: number;
	/** Number of commits that the writers reported. */
	commits: number;
	/** How many kills left a lock file, and how many an unfinished new cache. Without any, the run proves nothing. */
	lockFilesLeft: number;
	unfinishedLeft: number;
};

type Pair = Record<'First' | 'Last', {pair: {number: number; padding: string}}> & {Foreign: unknown};

/** The cache after the write with that number, between sections that no writer changes. */
export function pairCache(number: number, foreign: string): string {
	const record = {pair: {number, padding: paddingOf(number)}};
	return JSON.stringify({First: record, Foreign: {kept: {text: foreign}}, Last: record});
}

export type KillPlan = {program: string; path: string; backend: CacheBackend; kills: number; foreign: string; seed: number};

export async function killWriters({program, path, backend, kills, foreign, seed}: KillPlan): Promise<KillReport> {
	const report: KillReport = {
		kills: 0, commits: 0, lockFilesLeft: 0, unfinishedLeft: 0,
	};
	const random = randomFrom(seed);
	let number = 1;
	while (report.kills < kills) {
		// Each life includes the program's start, which takes a millisecond or two.

		const told = await killOne(program, path, number, 1 + (random() * 12));
		report.kills++;
		report.commits += told.length;
		const names = readdirSync(dirname(path));
		report.lockFilesLeft += Number(existsSync(`${path}.lockfile`));
		report.unfinishedLeft += Number(names.some(name => name.endsWith('.tmp')));
		const found = checkPair(path, foreign);
		const last = told.at(-1) ?? number - 1;
		if (found !== last && found !== last + 1) {
			throw new Error(`After commit ${last} the cache contains ${found}.`);
		}

		number = found + 1;

		await commitAtOnce(backend, path, number);
		if (checkPair(path, foreign) !== number) {
			throw new Error('The commit after the kill is missing.');
		}

		// A writer that is killed before it renames its lock file leaves a private file, which the next process
		// removes.
		const left = leftBeside(path).filter(name => !/\.lockfile\.\d+\.\d+$/.test(name));
		if (left.length > 0) {
			throw new Error(`Files left after the next commit: ${left.join(', ')}`);
		}

		number++;
	}

	return report;
}

/** The other files in the cache's directory. */
export function leftBeside(path: string): string[] {
	return readdirSync(dirname(path)).filter(name => name !== basename(path));
}

/** @returns the numbers of the writes that it reported. */
async function killOne(program: string, path: string, number: number, lifeMs: number): Promise<number[]> {
	const writer: ChildProcess = spawn(program, [path, String(number)], {stdio: ['ignore', 'pipe', 'inherit']});
	let output = '';
	writer.stdout?.setEncoding('utf8').on('data', (text: string) => {
		output += text;
	});
	const closed = once(writer, 'close') as Promise<[number | null, string | null]>;
	await sleep(lifeMs);
	writer.kill('SIGKILL');
	const [, signal] = await closed;
	if (signal !== 'SIGKILL') {
		throw new Error('A writer ended by itself.');
	}

	// The last line may be incomplete.
	return output.split('\n').slice(0, -1).map(Number);
}

/** The next process must get a dead holder's lock at the first attempt. */
async function commitAtOnce(backend: CacheBackend, path: string, number: number): Promise<void> {
	const set = {number: String(number), padding: JSON.stringify(paddingOf(number))};
	const {outcome} = await storeOf(backend, 'plaintext').commit!({path}, {
		change: {
			edits: [
				{
					section: 'First', action: 'put', key: 'pair', set,
				},
				{
					section: 'Last', action: 'put', key: 'pair', set,
				},
			],
		},
		lockPaths: [`${path}.lockfile`, `${dirname(path)}/.lockfile`],
		create: false,
	}, 1000);
	if (outcome !== 'written') {
		throw new Error(`The outcome of the first commit after a kill is "${outcome}".`);
	}
}

/** @returns the number of the last complete write. */
function checkPair(path: string, foreign: string): number {
	const {First: first, Foreign: kept, Last: last} = JSON.parse(readFileSync(path, 'utf8')) as Pair;
	const {number, padding} = first.pair;
	if (last.pair.number !== number || padding !== paddingOf(number) || last.pair.padding !== padding) {
		throw new Error(`A torn write: ${number} and ${last.pair.number}.`);
	}

	if (JSON.stringify(kept) !== JSON.stringify({kept: {text: foreign}})) {
		throw new Error('A foreign record was lost.');
	}

	if (statSync(path).mode % 0o1000 !== 0o600) {
		throw new Error('The cache is accessible to others than its owner.');
	}

	return number;
}

/** Computed as in `commit_loop.cc`. */
function paddingOf(number: number): string {
	return 'x'.repeat((number * 7919) % 20_000);
}

/** The same seed gives the same sequence. Source: Marsaglia, "Xorshift RNGs", 2003. */
export function randomFrom(seed: number): () => number {
	let state = (seed * 2_654_435_761) % 4_294_967_296 || 1;
	return () => {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		return (state >>> 0) / 4_294_967_296;
	};
}
