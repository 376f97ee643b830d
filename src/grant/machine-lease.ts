/**
 * The lease: of all processes that want one token, one redeems, and the others use what it writes to the cache. A lock file of our
 * own beside the cache, which no peer looks at; the operating system frees it when its holder dies.
 */

import {createHash} from 'node:crypto';
import {
	mkdir as mkdirWithCallback, readFile as readFileWithCallback, stat as statWithCallback, unlink as unlinkWithCallback,
} from 'node:fs';
import {dirname, join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {promisify} from 'node:util';
import type {HeldLock} from '../backend/backend.js';
import {log} from '../runtime/log.js';

const mkdir = promisify(mkdirWithCallback);
const readFile = promisify(readFileWithCallback);
const stat = promisify(statWithCallback);
const unlink = promisify(unlinkWithCallback);

/** Between looks at a lease that another process holds, milliseconds, with jitter. */
const shortestPauseMs = 5;
const longestPauseMs = 25;

/** Between a holder's signs of life, milliseconds. */
const signOfLifeMs = 2000;

/**
 * A holder that shows no sign of life for so long is stuck, and its lease is taken away: as long as one attempt at the authority may
 * take (`attemptTimeoutMs` of `http.ts`). Milliseconds.
 */
const stuckAfterMs = 30_000;

/** With other holders all the time, one's own turn never comes: a grant without the lease then. Milliseconds. */
const patienceMs = 2 * stuckAfterMs;

/**
 * Holders that are waited for. When these have come and gone and nothing can be used, the authority is down, or the cache cannot be
 * written: each in turn would only add its time to that of those before. Two, so that a holder that dies is replaced by one.
 */
const maxHolders = 2;

export type LeaseOptions = {
	/** The lock file. See {@link leasePath}. */
	path: string;
	tryLock: (paths: readonly string[]) => Promise<HeldLock | null>;
	signal: AbortSignal;
	/** Only wait for another's lease; take none, for nobody would learn what came of it. */
	onlyWait: boolean;
	/** Default 30 s. */
	stuckAfterMs?: number;
};

/**
 * Where the lease for one token is.
 *
 * @param identity Everything that makes two requests want the same token.
 */
export function leasePath(cachePath: string, identity: readonly string[]): string {
	const hash = createHash('sha256').update(JSON.stringify(identity)).digest('hex').slice(0, 32);
	return join(dirname(cachePath), `.${hash}.lease`);
}

/**
 * Waits until the lease is ours, or there is none to wait for.
 *
 * @returns the lease, to be released after the token was written; `undefined` where one has to do without.
 * @throws the reason of `signal`.
 */
export async function takeLease({path, tryLock, signal, onlyWait, stuckAfterMs: stuckMs = stuckAfterMs}: LeaseOptions): Promise<Lease | undefined> {
	if (onlyWait) {
		if (await stateOf(path) === undefined) {
			return undefined;
		}
	} else {
		// If it cannot be made, taking the lease says why.
		await mkdir(dirname(path), {recursive: true, mode: 0o700}).catch(() => undefined);
	}

	const giveUpAtMs = performance.now() + Math.max(patienceMs, 2 * stuckMs);
	const holders = new Set<string>();
	let seen: string | undefined;
	let quietSinceMs = performance.now();
	for (;;) {
		signal.throwIfAborted();
		let lock: HeldLock | null;
		try {
			// Each try waits for the one before.
			lock = await tryLock([path]);
		} catch (error) {
			// A directory that cannot be written, a full disk: every process for itself.
			log.info(() => `No lease for the token request: ${(error as Error).message}`);
			return undefined;
		}

		if (lock) {
			if (!onlyWait) {
				return new Lease(lock);
			}

			await lock.release();
			return undefined;
		}

		const holder = await holderOf(path);
		if (holder) {
			holders.add(holder);
		}

		if (holders.size > maxHolders) {
			log.info(() => 'Other processes held the lease of the token request one after the other; going on without it.');
			return undefined;
		}

		const now = await stateOf(path);
		if (now !== seen) {
			seen = now;
			quietSinceMs = performance.now();
		} else if (performance.now() - quietSinceMs > stuckMs && now !== undefined) {
			await takeAway(path, now, tryLock);
			quietSinceMs = performance.now();
			continue;
		}

		if (performance.now() > giveUpAtMs) {
			log.info(() => 'Other processes hold the lease of the token request all the time; going on without it.');
			return undefined;
		}

		await sleep(shortestPauseMs + (Math.random() * (longestPauseMs - shortestPauseMs)), undefined, {signal, ref: false}).catch((error: unknown) => {
			signal.throwIfAborted();
			throw error;
		});
	}
}

export class Lease {
	readonly #lock: HeldLock;
	readonly #signs: NodeJS.Timeout;

	constructor(lock: HeldLock) {
		this.#lock = lock;
		this.#signs = setInterval(() => {
			// If it fails, the lease may be taken away early: one grant too many.
			lock.touch().catch(() => undefined);
		}, signOfLifeMs).unref();
	}

	async release(): Promise<void> {
		clearInterval(this.#signs);
		await this.#lock.release();
	}
}

/** What the holder wrote there, its process id first; empty where it is about to. `undefined`: nobody holds it. */
async function holderOf(path: string): Promise<string | undefined> {
	try {
		return await readFile(path, 'utf8');
	} catch {
		return undefined;
	}
}

/** Differs after each sign of life, and for each lease. `undefined`: there is none. */
async function stateOf(path: string): Promise<string | undefined> {
	try {
		const {ino, mtimeNs} = await stat(path, {bigint: true});
		return `${ino}:${mtimeNs}`;
	} catch {
		return undefined;
	}
}

/** Removes a stuck holder's lease. One waiter at a time, so that none removes the lease of the one who came after. */
async function takeAway(path: string, judged: string, tryLock: LeaseOptions['tryLock']): Promise<void> {
	let turn: HeldLock | null = null;
	try {
		turn = await tryLock([`${path}.stuck`]);
		if (turn && await stateOf(path) === judged) {
			log.warning(() => 'The process that holds the lease of the token request shows no sign of life; it is taken over.');
			await unlink(path);
		}
	} catch (error) {
		log.info(() => `The lease of a stuck process could not be removed: ${(error as Error).message}`);
	} finally {
		await turn?.release();
	}
}
