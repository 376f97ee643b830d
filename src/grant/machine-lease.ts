/**
 * Turns for token requests: of all processes that want one token, one requests it, and the others use the token that it writes to the
 * cache. Where a lease is kept is the store's business ({@link LeaseStore}); how long to wait for one is decided here.
 *
 * A holder whose request nobody else can use leaves a note, so that those who wait go on together or fail together, and not one after the
 * other (`lease-note.ts`).
 */

import {createHash} from 'node:crypto';
import type {HeldLease, LeaseState, LeaseStore} from '../backend/backend.js';
import {log} from '../runtime/log.js';
import {sleep} from '../runtime/sleep.js';
import {type LeaseNote, readNote, writeNote} from './lease-note.js';

/** Pauses between tries while another process holds the lease, milliseconds: a random time from the one to the other. */
const shortestPauseMs = 5;
const longestPauseMs = 25;

/**
 * The longest time between two looks at a lease that counts as waiting, milliseconds. A process that was stopped for longer has not seen
 * whether the holder was alive, and the holder may have been stopped with it.
 */
const longestGapMs = 1000;

/** Milliseconds. Torture tests shorten them. */
export const leaseTimes = {
	/** Time between two renewals by the holder. */
	renewEveryMs: 2000,
	/**
	 * A holder that did not renew its lease for so long is stuck. As long as one attempt at the authority may take (`attemptTimeoutMs` in
	 * `http-client.ts`).
	 */
	stuckAfterMs: 30_000,
	/** How long a stuck holder is waited for if it may not be evicted. */
	hopelessAfterMs: 60_000,
	/** How long one holder is waited for that renews its lease: four tries at an authority that is silent, and the pauses between them. */
	patienceMs: 150_000,
};

export type LeaseOptions = {
	lease: LeaseStore;
	signal: AbortSignal;
	/** Wait for the holder, but do not take the lease: this process cannot write its token to the cache, so no other could use it. */
	onlyWait: boolean;
	/**
	 * Whether the lease of a holder that shows no sign of life is taken away. If not, it is kept as long as its process lives: the holder may
	 * have sent a refresh token that works once, and have the answer in its socket. Default true.
	 */
	mayEvict?: boolean;
	/**
	 * Told of each note that is left during the wait.
	 *
	 * @returns whether waiting is over. Throw to fail as the holder did.
	 */
	onNote?: (note: LeaseNote) => boolean;
	/** Instead of those of {@link leaseTimes}. */
	stuckAfterMs?: number;
	hopelessAfterMs?: number;
};

/** Another process has held the lease for too long, and it may not be taken away. */
export class LeaseTimeout extends Error {
	override readonly name = 'LeaseTimeout';
	constructor(
		/** The text of the lease, which begins with the process id of its holder. */
		readonly holder: string | undefined,
		/** How long the holder has given no sign of life, milliseconds. */
		readonly quietMs: number,
	) {
		super('Another process holds the lease of the token request.');
	}
}

/**
 * The name of the lease for one token.
 *
 * @param identity Everything that makes two requests want the same token.
 */
export function leaseName(identity: readonly string[]): string {
	return createHash('sha256').update(JSON.stringify(identity)).digest('hex').slice(0, 32);
}

/**
 * Waits until this process has the lease, or until there is nobody to wait for.
 *
 * @returns the lease, to be released when the token is in the cache; `undefined` if this process has to do without.
 * @throws {LeaseTimeout} if the holder may not be evicted.
 * @throws the reason of `signal`, and what `onNote` throws.
 */
export async function takeLease(options: LeaseOptions): Promise<Lease | undefined> {
	const {
		lease, signal, onlyWait, mayEvict = true, onNote, stuckAfterMs = leaseTimes.stuckAfterMs, hopelessAfterMs = leaseTimes.hopelessAfterMs,
	} = options;
	const wait = new Wait();
	if (onlyWait && wait.look(await lease.state()) === undefined) {
		return undefined;
	}

	for (;;) {
		signal.throwIfAborted();
		let held: HeldLease | null;
		try {
			held = await lease.tryTake();
		} catch (error) {
			// Such as a directory that cannot be written, or a full disk.
			log.info(() => `No lease for the token request: ${(error as Error).message}`);
			return undefined;
		}

		// The last holder left its note before it freed the lease.
		const state = held && !wait.hasLooked ? undefined : await lease.state();
		const version = state && wait.look(state);
		if (await heed(wait.takeNote(), held, onNote) || (held && onlyWait)) {
			await held?.release(state?.note);
			return undefined;
		}

		if (held) {
			return new Lease(held, stuckAfterMs);
		}

		if (mayEvict && wait.quietMs > stuckAfterMs && version !== undefined) {
			if (!await evict(lease, version)) {
				return undefined;
			}

			wait.restart();
			continue;
		}

		if (!mayEvict && (wait.quietMs > hopelessAfterMs || wait.ofHolderMs > leaseTimes.patienceMs)) {
			throw new LeaseTimeout(wait.holder, wait.quietMs);
		}

		if (wait.ofHolderMs > leaseTimes.patienceMs) {
			log.info(() => 'Another process holds the lease of the token request all the time; going on without it.');
			return undefined;
		}

		await sleep(shortestPauseMs + (Math.random() * (longestPauseMs - shortestPauseMs)), {signal, ref: false});
	}
}

/** @returns whether waiting is over. */
async function heed(text: string | undefined, held: HeldLease | null, onNote: LeaseOptions['onNote']): Promise<boolean> {
	const note = text === undefined ? undefined : readNote(text);
	try {
		return note !== undefined && onNote?.(note) === true;
	} catch (error) {
		await held?.release(text);
		throw error;
	}
}

/** What was seen of a lease while it was waited for. */
class Wait {
	holder: string | undefined;
	hasLooked = false;
	/** A note that was left during the wait, until it is dealt with. */
	#note: string | undefined;
	#version: string | undefined;
	#lastNote: string | undefined;
	#isRenewed = true;
	#lookedMs = performance.now();
	#quietSinceMs = this.#lookedMs;
	#holderSinceMs = this.#lookedMs;

	/** For how long the holder had given no sign of life at the last look. */
	get quietMs(): number {
		return this.#isRenewed ? 0 : this.#lookedMs - this.#quietSinceMs;
	}

	/** For how long the same process had held the lease at the last look. */
	get ofHolderMs(): number {
		return this.#lookedMs - this.#holderSinceMs;
	}

	takeNote(): string | undefined {
		const note = this.#note;
		this.#note = undefined;
		return note;
	}

	restart(): void {
		this.#quietSinceMs = this.#lookedMs;
	}

	/** @returns the version of the lease, if somebody holds it. */
	look({held, note}: LeaseState): string | undefined {
		this.#pass();
		// A note that was there from the start is for those who waited before.
		if (this.hasLooked && note !== this.#lastNote) {
			this.#note = note;
		}

		this.hasLooked = true;
		this.#lastNote = note;
		this.#isRenewed = held?.version !== this.#version;
		if (this.#isRenewed) {
			this.#version = held?.version;
			this.#quietSinceMs = this.#lookedMs;
		}

		if (held?.holder !== undefined && held.holder !== this.holder) {
			this.holder = held.holder;
			this.#holderSinceMs = this.#lookedMs;
		}

		return held?.version;
	}

	#pass(): void {
		const nowMs = performance.now();
		const unseenMs = Math.max(0, nowMs - this.#lookedMs - longestGapMs);
		this.#lookedMs = nowMs;
		this.#quietSinceMs += unseenMs;
		this.#holderSinceMs += unseenMs;
	}
}

export class Lease {
	readonly #held: HeldLease;
	readonly #stuckAfterMs: number;
	readonly #renewal: NodeJS.Timeout;
	#renewedMs = performance.now();
	#isLost = false;
	#released: Promise<void> | undefined;

	/** @param stuckAfterMs After so long without a renewal, others may take the lease away. */
	constructor(held: HeldLease, stuckAfterMs = leaseTimes.stuckAfterMs) {
		this.#held = held;
		this.#stuckAfterMs = stuckAfterMs;
		this.#renewal = setInterval(() => {
			void this.#renew();
		}, leaseTimes.renewEveryMs).unref();
	}

	/**
	 * Whether this process still holds the lease: it may have been stopped for so long that others took it for dead. The clock tells, and only
	 * after a long pause is the store asked.
	 */
	async isHeld(): Promise<boolean> {
		if (this.#pauseMs > this.#stuckAfterMs / 2) {
			await this.#renew();
		}

		return !this.#isLost && this.#pauseMs < this.#stuckAfterMs;
	}

	get #pauseMs(): number {
		return performance.now() - this.#renewedMs;
	}

	/** May be called again: the first call decides. Never rejects. */
	async release(note?: LeaseNote): Promise<void> {
		clearInterval(this.#renewal);
		this.#released ??= this.#held.release(note && writeNote(note)).catch(() => undefined);
		await this.#released;
	}

	async #renew(): Promise<void> {
		const nowMs = performance.now();
		try {
			if (await this.#held.renew()) {
				this.#renewedMs = nowMs;
			} else {
				this.#isLost = true;
			}
		} catch {
			// Not known. If this goes on for too long, the clock decides.
		}
	}
}

/** @returns whether the lease may be free now: it was removed, or its holder or another waiter was faster. */
async function evict(lease: LeaseStore, version: string): Promise<boolean> {
	try {
		if (await lease.evict(version)) {
			log.warning(() => 'The process that holds the lease of the token request shows no sign of life; it is taken over.');
		}

		return true;
	} catch (error) {
		log.info(() => `The lease of a process that shows no sign of life could not be removed; going on without it: ${(error as Error).message}`);
		return false;
	}
}
