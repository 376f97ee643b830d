/**
 * Many writers on one cache: ours, MSAL's extensions for Node and Python, and a process that deletes lock files.
 * Reports what was lost, and throws if our writers lost it.
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
	/** Processes that write grants, as the credential does. */
	ours: number;
	/** Processes that use `withCache`, and the plugin for msal-node. Default 0. */
	withCache?: number;
	plugin?: number;
	/** Updates of each of our writers. */
	updates: number;
	/** A writer that is not done after this time makes fewer updates: libraries that empty the cache can cost many of them. */
	forMs?: number;
	/** Longest pause between updates. Default 4. */
	pauseMs?: number;
	/**
	 * Processes with MSAL's extensions for Node, which write what they read before they had the lock, and delete
	 * foreign lock files.
	 */
	/**
	 * Only the first of them writes: two that delete each other's lock files and write in place leave the cache torn
	 * forever.
	 */
	node: number;
	python: number;
	deletesLockFiles: boolean;
};

export type MixedReport = {
	ourEntries: number;
	/** Entries of `withCache` and of the plugin, and how many of them are missing at the end. */
	withCacheEntries: number;
	withCacheMissing: number;
	pluginEntries: number;
	pluginMissing: number;
	/** Of the writers of grants. */
	updates: number;
	/** Writes of ours that an observer compared with the content before: none lost anything. */
	writesSeen: number;
	ourWrites: number;
	/**
	 * Entries of Python that are missing at the end, and their total number. With Node's extensions running, those lose
	 * them.
	 */
	pythonMissing: number;
	pythonEntries: number;
	/** How often Python did not get its lock in time and continued with a lock on any existing file. */
	pythonStarved: number;
	nodeWrites: number;
	nodeHits: number;
	lockFilesDeleted: number;
	/**
	 * How often other libraries, writing in place after a lock file was deleted, left the cache torn. Then no library
	 * writes it any more. The observer restores a copy, as a user would.
	 */
	tornByPeers: number;
	/** How often the cache was empty for two seconds, during such a write. */
	emptyByPeers: number;
	/**
	 * How often the cache changed during every read, also the one under the lock, because another process had deleted
	 * the lock file.
	 */
	changedByPeers: number;
	/**
	 * Tokens of ours that were dropped and requested again, because other libraries left the cache empty for so long
	 * that its account counted as signed out.
	 */
	signedOutByPeers: number;
	/** How often the cache was read complete and well formed during the writes. */
	readings: number;
	elapsedMs: number;
};

const account = {homeAccountId: 'uid.home', environment: 'login.microsoftonline.com', username: 'ann@contoso.com'};

/** A write of ours, as its writer reports it. */
type Write = {name: string; base: string; stamp: string};

const accounts = {a: {home_account_id: account.homeAccountId, environment: account.environment, username: account.username}};

const foreign = {'Unknown Section': {kept: {number: 1.5, text: 'ünïcode'}}, Other: {k: {deep: [1, {a: null}]}}};

/** Represents the unknown sections among the tokens of a cache. */
const foreignMark = 'the foreign sections';

/** All tokens in a cache, and {@link foreignMark} if the unknown sections are unchanged. */
function secretsOf(text: string): Set<string> {
	const secrets = new Set(text.match(/fake-[a-z\d]+-[\d-]+/g));
	const cache = JSON.parse(text) as Record<string, unknown>;
	if (Object.entries(foreign).every(([section, records]) => JSON.stringify(cache[section]) === JSON.stringify(records))) {
		secrets.add(foreignMark);
	}

	return secrets;
}

export async function torture({
	path, ours, withCache = 0, plugin = 0, updates, forMs, pauseMs = 4, node, python, deletesLockFiles,
}: MixedPlan): Promise<MixedReport> {
	const startMs = performance.now();
	writeFileSync(path, JSON.stringify({
		Account: accounts,
		...foreign,
	}), {mode: 0o600});
	const writers = Array.from({length: ours}, (_, index) => new Child(process.execPath, [
		fileURLToPath(new URL('our-writer.mjs', import.meta.url)), JSON.stringify({
			path, name: `ours${index}`, account, updates, forMs, pauseMs,
		}),
	]));
	const recordWriters = (['withCache', 'plugin'] as const).map(way => Array.from({length: way === 'plugin' ? plugin : withCache}, (_, index) => new Child(process.execPath, [
		fileURLToPath(new URL('our-records-writer.mjs', import.meta.url)), JSON.stringify({
			path, name: `ours${way.toLowerCase()}${index}`, way, updates, forMs, pauseMs,
		}),
	])));
	const nodes = Array.from({length: node}, (_, index) => new Child(process.execPath, [`${peersFolder}torture-node.mjs`, path, `node${index}`, JSON.stringify({Account: accounts}), String(index === 0)]));
	const pythons = Array.from({length: python}, (_, index) => new Child(debianPython, [`${peersFolder}torture_python.py`, path, `python${index}`]));
	const observer = new Observer(path, deletesLockFiles);
	try {
		await Promise.all([...nodes, ...pythons].map(async peer => peer.until(line => line === 'ready')));
		const done = await Promise.all([...writers, ...recordWriters.flat()].map(async writer => JSON.parse(await writer.until(line => 'done' in (JSON.parse(line) as object))) as {done: number}));
		if (done.length === 0) {
			// A control: the peers alone.
			await sleep(forMs);
		}

		const nodeReports = (await Promise.all(nodes.map(async peer => peer.end()))).map(line => JSON.parse(line) as {hits: number; writes: number});
		const pythonReports = (await Promise.all(pythons.map(async peer => peer.end()))).map(line => JSON.parse(line) as {written: string[]; starved: number});
		await observer.stopDeleting();
		// If another library left the cache torn, a copy must be restored before anyone can write.
		await observer.seesCacheWhole();
		const ends = (await Promise.all(writers.map(async writer => writer.end()))).map(line => JSON.parse(line) as {kept: Record<string, string>; signedOut: number});
		const [ofWithCache, ofPlugin] = await Promise.all(recordWriters.map(async children => {
			const reports = (await Promise.all(children.map(async child => child.end()))).map(line => JSON.parse(line) as {kept: Record<string, string>});
			return reports.flatMap(({kept}) => Object.values(kept));
		})) as [string[], string[]];
		await observer.end();

		const text = readFileSync(path, 'utf8');
		const secrets = secretsOf(text);
		const expected = ends.flatMap(({kept}) => Object.values(kept));
		const missing = expected.filter(secret => !secrets.has(secret));
		if (missing.length > 0) {
			throw new Error(`${missing.length} of our ${expected.length} entries are missing: ${missing.slice(0, 30).join(', ')}. In their places: ${[...secrets].filter(secret => missing.some(each => slotOf(each) === slotOf(secret))).slice(0, 30).join(', ') || 'nothing'}.`);
		}

		const starved = pythonReports.reduce((sum, report) => sum + report.starved, 0);
		// A writer without the lock may read the file while another has emptied it, and write it without its earlier
		// content.
		if (starved === 0 && node === 0 && !secrets.has(foreignMark)) {
			throw new Error('The unknown sections have changed.');
		}

		const left = readdirSync(dirname(path)).filter(name => name !== basename(path));
		if (left.length > 0) {
			throw new Error(`Files left: ${left.join(', ')}`);
		}

		const writes = writers.flatMap(({lines}) => lines.map(line => JSON.parse(line) as Partial<Write>).filter((line): line is Write => line.stamp !== undefined));
		const pythonSecrets = pythonReports.flatMap(({written}) => written);
		return {
			ourEntries: expected.length,
			withCacheEntries: ofWithCache.length,
			withCacheMissing: ofWithCache.filter(secret => !secrets.has(secret)).length,
			pluginEntries: ofPlugin.length,
			pluginMissing: ofPlugin.filter(secret => !secrets.has(secret)).length,
			updates: done.slice(0, writers.length).reduce((sum, {done: count}) => sum + count, 0),
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
		for (const child of [...writers, ...recordWriters.flat(), ...nodes, ...pythons]) {
			child.kill();
		}
	}
}

/** Reads the cache in a loop, as the package does, and remembers the content of each version. */
class Observer {
	readings = 0;
	lockFilesDeleted = 0;
	tornByPeers = 0;
	emptyByPeers = 0;
	changedByPeers = 0;
	/** Numbers of {@link #names}, by the stamp of the version: minutes of whole versions would fill the memory. */
	readonly #versions = new Map<string, Uint32Array>();
	readonly #numbers = new Map<string, number>();
	readonly #names: string[] = [];
	/** Stamps of the torn or empty versions. */
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

	/** Waits until it has read a complete cache from now on. */
	async seesCacheWhole(): Promise<void> {
		// One read may already be in progress.
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

	/** @returns how many writes it could compare with the content before. */
	checkWrites(writes: readonly Write[]): number {
		let seen = 0;
		for (const {name, base, stamp} of writes) {
			if (this.#broken.has(stamp)) {
				throw new Error('A write of ours was found torn or empty.');
			}

			const before = this.#secretsAt(base);
			const after = this.#secretsAt(stamp);
			if (!before || !after) {
				continue;
			}

			seen++;
			const slots = new Set([...after].map(secret => slotOf(secret)));
			// A writer removes its own tokens if their account is missing, and adds them again later.
			const lost = [...before].filter(secret => !after.has(secret) && !slots.has(slotOf(secret)) && !secret.startsWith(`fake-${name}-`));
			if (lost.length > 0) {
				throw new Error(`A write of ours lost ${lost.join(', ')}.`);
			}
		}

		return seen;
	}

	#secretsAt(stamp: string): Set<string> | undefined {
		const numbers = this.#versions.get(stamp);
		return numbers && new Set(Array.from(numbers, number => this.#names[number]!));
	}

	#numberOf(secret: string): number {
		let number = this.#numbers.get(secret);
		if (number === undefined) {
			// A copy: a part of a text keeps the whole text in memory.
			const name = Buffer.from(secret).toString();
			number = this.#names.push(name) - 1;
			this.#numbers.set(name, number);
		}

		return number;
	}

	async #read(): Promise<void> {
		const cache = new SharedCache({keyringTimeoutMs: 1000, lockTimeoutMs: 300_000, useNativeAddon: true});
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
				throw new Error('The cache does not exist any more.');
			}

			if (read.text === '') {
				// The scheduler suspended a library that writes in place between emptying and filling the file.
				this.emptyByPeers++;
				this.#broken.add(read.stamp);
				continue;
			}

			JSON.parse(read.text);
			last = read.text;
			this.#versions.set(read.stamp, Uint32Array.from([...secretsOf(read.text)], secret => this.#numberOf(secret)));
			this.readings++;

			await sleep(1);
		}
	}

	/** @returns the stamp of the current version, or `undefined` if it is complete or being written. */
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
				// There is no file at the moment.
			}
		}
	}
}

/** The common part of a renewed token and the one that it replaces: everything but the number of the update. */
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

	/** Reads until a line matches. */
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

	/** Ends the process. @returns its last line. */
	async end(): Promise<string> {
		this.#child.stdin.write('\n');
		return this.until(line => line.startsWith('{"kept"') || line.startsWith('{"hits"') || line.startsWith('{"written"'));
	}

	kill(): void {
		this.#child.kill('SIGKILL');
	}
}
