/**
 * Many writers on one cache: ours, MSAL's extensions for Node and Python, and somebody who deletes lock files. Says what was lost, and
 * throws where that was our doing.
 */

import {type ChildProcessWithoutNullStreams, spawn} from 'node:child_process';
import {
	readFileSync, readdirSync, renameSync, rmSync, writeFileSync,
} from 'node:fs';
import {basename, dirname} from 'node:path';
import process from 'node:process';
import {createInterface} from 'node:readline';
import {setTimeout as sleep} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import type {CacheText} from '../../dist/backend/backend.js';
import {SharedCache} from '../../dist/cache/shared-cache.js';
import type {StoreError} from '../../dist/errors.js';
import {plaintextFile} from '../../dist/cache/cache-source.js';
import {debianPython, peersFolder} from '../helpers/peers/peers.js';

export type MixedPlan = {
	path: string;
	ours: number;
	/** Of each of ours. */
	updates: number;
	/** Longest pause between them. Default 4. */
	pauseMs?: number;
	/** MSAL's extensions for Node, which write what they read before they had the lock, and delete others' lock files. */
	/** The first of them writes, too: two that delete each other's lock files and write in place leave the cache torn for good. */
	node: number;
	python: number;
	deletesLockFiles: boolean;
};

export type MixedReport = {
	ourEntries: number;
	/** Writes of ours that an observer saw with what was there just before: nothing was missing after any. */
	writesSeen: number;
	ourWrites: number;
	/** Entries of Python that are gone at the end, of how many. With Node's extensions about, that is their doing. */
	pythonMissing: number;
	pythonEntries: number;
	/** How often Python did not get its lock in time, and went on with a lock on whatever file was there. */
	pythonStarved: number;
	nodeWrites: number;
	nodeHits: number;
	lockFilesDeleted: number;
	/**
	 * How often peers that write in place met over a deleted lock file and left the cache torn. Nobody writes it then; the observer plays
	 * the user who puts a copy back.
	 */
	tornByPeers: number;
	/** How often it was found empty for two seconds, in the middle of such a write. */
	emptyByPeers: number;
	/** How often it was written to in every look at it, the one under the lock too, because somebody had deleted that lock's file. */
	changedByPeers: number;
	/** Tokens of ours that were given up and asked for again, because peers left the cache empty for so long that its account counted as signed out. */
	signedOutByPeers: number;
	/** How often the cache was read whole and well formed, beside the writers. */
	readings: number;
	elapsedMs: number;
};

const account = {homeAccountId: 'uid.home', environment: 'login.microsoftonline.com', username: 'ann@contoso.com'};

/** One of ours, as it tells of it. */
type Write = {name: string; base: string; stamp: string};

const accounts = {a: {home_account_id: account.homeAccountId, environment: account.environment, username: account.username}};

const foreign = {'Unknown Section': {kept: {number: 1.5, text: 'ünïcode'}}, Other: {k: {deep: [1, {a: null}]}}};

/** Stands for the sections that nobody knows, among the tokens of a cache. */
const foreignMark = 'the foreign sections';

/** Every token in a cache, and {@link foreignMark} where those are as they were. */
function secretsOf(text: string): Set<string> {
	const secrets = new Set(text.match(/fake-[a-z\d]+-[\d-]+/g));
	const cache = JSON.parse(text) as Record<string, unknown>;
	if (Object.entries(foreign).every(([section, records]) => JSON.stringify(cache[section]) === JSON.stringify(records))) {
		secrets.add(foreignMark);
	}

	return secrets;
}

export async function torture({
	path, ours, updates, pauseMs = 4, node, python, deletesLockFiles,
}: MixedPlan): Promise<MixedReport> {
	const startMs = performance.now();
	writeFileSync(path, JSON.stringify({
		Account: accounts,
		...foreign,
	}), {mode: 0o600});
	const writers = Array.from({length: ours}, (_, index) => new Child(process.execPath, [
		fileURLToPath(new URL('our-writer.mjs', import.meta.url)), JSON.stringify({
			path, name: `ours${index}`, account, updates, pauseMs,
		}),
	]));
	const nodes = Array.from({length: node}, (_, index) => new Child(process.execPath, [`${peersFolder}torture-node.mjs`, path, `node${index}`, JSON.stringify({Account: accounts}), String(index === 0)]));
	const pythons = Array.from({length: python}, (_, index) => new Child(debianPython, [`${peersFolder}torture_python.py`, path, `python${index}`]));
	const observer = new Observer(path, deletesLockFiles);
	try {
		await Promise.all([...nodes, ...pythons].map(async peer => peer.until(line => line === 'ready')));
		await Promise.all(writers.map(async writer => writer.until(line => 'done' in (JSON.parse(line) as object))));
		const nodeReports = (await Promise.all(nodes.map(async peer => peer.end()))).map(line => JSON.parse(line) as {hits: number; writes: number});
		const pythonReports = (await Promise.all(pythons.map(async peer => peer.end()))).map(line => JSON.parse(line) as {written: string[]; starved: number});
		await observer.stopDeleting();
		// Should a peer have left the cache torn, somebody has to put a copy back before anything can be written.
		await observer.seesCacheWhole();
		const ends = (await Promise.all(writers.map(async writer => writer.end()))).map(line => JSON.parse(line) as {kept: Record<string, string>; signedOut: number});
		await observer.end();

		const text = readFileSync(path, 'utf8');
		const secrets = secretsOf(text);
		const expected = ends.flatMap(({kept}) => Object.values(kept));
		const missing = expected.filter(secret => !secrets.has(secret));
		if (missing.length > 0) {
			throw new Error(`${missing.length} of our ${expected.length} entries are missing: ${missing.slice(0, 30).join(', ')}. In their places: ${[...secrets].filter(secret => missing.some(each => slotOf(each) === slotOf(secret))).slice(0, 30).join(', ') || 'nothing'}.`);
		}

		const starved = pythonReports.reduce((sum, report) => sum + report.starved, 0);
		// Whoever goes on without the lock may find the file empty that another is writing, and writes it without all that was there.
		if (starved === 0 && node === 0 && !secrets.has(foreignMark)) {
			throw new Error('The sections that nobody knows are not as they were.');
		}

		const left = readdirSync(dirname(path)).filter(name => name !== basename(path));
		if (left.length > 0) {
			throw new Error(`Left behind: ${left.join(', ')}`);
		}

		const writes = writers.flatMap(({lines}) => lines.map(line => JSON.parse(line) as Partial<Write>).filter((line): line is Write => line.stamp !== undefined));
		const pythonSecrets = pythonReports.flatMap(({written}) => written);
		return {
			ourEntries: expected.length,
			writesSeen: observer.checkWrites(writes),
			ourWrites: writes.length,
			pythonMissing: pythonSecrets.filter(secret => !secrets.has(secret)).length,
			pythonEntries: pythonSecrets.length,
			pythonStarved: starved,
			nodeWrites: nodeReports.reduce((sum, report) => sum + report.writes, 0),
			nodeHits: nodeReports.reduce((sum, report) => sum + report.hits, 0),
			lockFilesDeleted: observer.lockFilesDeleted,
			tornByPeers: observer.tornByPeers,
			emptyByPeers: observer.emptyByPeers,
			changedByPeers: observer.changedByPeers,
			signedOutByPeers: ends.reduce((sum, {signedOut}) => sum + signedOut, 0),
			readings: observer.readings,
			elapsedMs: Math.round(performance.now() - startMs),
		};
	} finally {
		await observer.end();
		for (const child of [...writers, ...nodes, ...pythons]) {
			child.kill();
		}
	}
}

/** Reads the cache in a loop as the package does, and remembers what each version held. */
class Observer {
	readings = 0;
	lockFilesDeleted = 0;
	tornByPeers = 0;
	emptyByPeers = 0;
	changedByPeers = 0;
	readonly #versions = new Map<string, Set<string>>();
	/** Stamps of the cache when it was torn or empty. */
	readonly #broken = new Set<string>();
	readonly #path: string;
	readonly #reading: Promise<void>;
	readonly #deleting: Promise<void>;
	#isOver = false;
	#isDeleting: boolean;
	#failure: unknown;

	constructor(path: string, deletesLockFiles: boolean) {
		this.#path = path;
		this.#isDeleting = deletesLockFiles;
		this.#reading = this.#read().catch((error: unknown) => {
			this.#failure = error;
		});
		this.#deleting = this.#deleteLockFiles();
	}

	async stopDeleting(): Promise<void> {
		this.#isDeleting = false;
		await this.#deleting;
	}

	/** Waits until it has read the cache whole, from now on. */
	async seesCacheWhole(): Promise<void> {
		// One reading may be under way already.
		const enough = this.readings + 2;
		while (this.readings < enough && !this.#failure) {
			await sleep(10);
		}
	}

	async end(): Promise<void> {
		this.#isOver = true;
		await this.stopDeleting();
		await this.#reading;
		if (this.#failure) {
			throw this.#failure as Error;
		}
	}

	/** @returns how many writes it saw with what was there before. */
	checkWrites(writes: readonly Write[]): number {
		let seen = 0;
		for (const {name, base, stamp} of writes) {
			if (this.#broken.has(stamp)) {
				throw new Error('A write of ours was found torn or empty.');
			}

			const before = this.#versions.get(base);
			const after = this.#versions.get(stamp);
			if (!before || !after) {
				continue;
			}

			seen++;
			const slots = new Set([...after].map(secret => slotOf(secret)));
			// Its own it takes out where their account is gone, and puts in again when it is back.
			const lost = [...before].filter(secret => !after.has(secret) && !slots.has(slotOf(secret)) && !secret.startsWith(`fake-${name}-`));
			if (lost.length > 0) {
				throw new Error(`A write of ours lost ${lost.join(', ')}.`);
			}
		}

		return seen;
	}

	async #read(): Promise<void> {
		const cache = new SharedCache({keyringTimeoutMs: 1000, lockTimeoutMs: 10_000, useNativeAddon: true});
		const source = plaintextFile(this.#path);
		let last = '';
		while (!this.#isOver) {
			const canLoseLock = this.#isDeleting;
			let read: CacheText | null;
			try {
				read = await cache.readText(source);
			} catch (error) {
				const {code} = error as StoreError;
				if (code === 'STC_CACHE_CHANGED' && canLoseLock) {
					this.changedByPeers++;
					continue;
				}

				if (code !== 'STC_CACHE_CORRUPT') {
					throw error;
				}

				const torn = await this.#tornStamp(cache);
				if (torn !== undefined) {
					this.tornByPeers++;
					this.#broken.add(torn);
					writeFileSync(`${this.#path}.copy`, last, {mode: 0o600});
					renameSync(`${this.#path}.copy`, this.#path);
				}

				continue;
			}

			if (!read) {
				throw new Error('The cache is gone.');
			}

			if (read.text === '') {
				// A peer that writes in place was stopped by the scheduler between emptying the file and filling it.
				this.emptyByPeers++;
				this.#broken.add(read.stamp);
				continue;
			}

			JSON.parse(read.text);
			last = read.text;
			this.#versions.set(read.stamp, secretsOf(read.text));
			this.readings++;

			await sleep(1);
		}
	}

	/** @returns the stamp of what is there now; `undefined` if it is well again, or being written. */
	async #tornStamp(cache: SharedCache): Promise<string | undefined> {
		const source = plaintextFile(this.#path);
		const {value} = await cache.stamp(source);
		const text = readFileSync(this.#path, 'utf8');
		try {
			JSON.parse(text);
			return undefined;
		} catch {
			// Its message would quote the text.
		}

		const after = await cache.stamp(source);
		return after.value === value ? value : undefined;
	}

	async #deleteLockFiles(): Promise<void> {
		while (this.#isDeleting) {
			await sleep(Math.random() * 60);
			const name = `${this.#path}.lockfile`;
			try {
				rmSync(name);
				this.lockFilesDeleted++;
			} catch {
				// There is none just now.
			}
		}
	}
}

/** What a renewed token has in common with the one that it replaces: all but the number of the update. */
function slotOf(secret: string): string {
	return secret.startsWith('fake-ours') ? secret.replace(/-\d+$/, '') : secret;
}

class Child {
	readonly lines: string[] = [];
	readonly #child: ChildProcessWithoutNullStreams;
	readonly #lines: AsyncIterator<string, undefined>;

	constructor(command: string, parameters: readonly string[]) {
		this.#child = spawn(command, parameters, {stdio: ['pipe', 'pipe', 'inherit']}) as unknown as ChildProcessWithoutNullStreams;
		this.#lines = createInterface({input: this.#child.stdout})[Symbol.asyncIterator]() as AsyncIterator<string, undefined>;
	}

	/** Reads on until a line fits. */
	async until(fits: (line: string) => boolean): Promise<string> {
		for (;;) {
			const {value, done} = await this.#lines.next();
			if (done) {
				throw new Error(`${this.#child.spawnargs[1] ?? ''} ended early.`);
			}

			this.lines.push(value);
			if (fits(value)) {
				return value;
			}
		}
	}

	/** Tells it to end. @returns its last line. */
	async end(): Promise<string> {
		this.#child.stdin.write('\n');
		return this.until(line => line.startsWith('{"kept"') || line.startsWith('{"hits"') || line.startsWith('{"written"'));
	}

	kill(): void {
		this.#child.kill('SIGKILL');
	}
}
