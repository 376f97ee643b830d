/**
 * Turns for the refresh tokens of one account, where a refresh token may work only once: nobody sends one that somebody else is using. All
 * grants of a process follow each other and share one lease, which the process holds until everything that it was granted is written.
 */

import {unlessAborted} from '../runtime/abort.js';
import {sleep} from '../runtime/sleep.js';
import type {LeaseNote} from './lease-note.js';
import type {Lease} from './machine-lease.js';

/** After so long, a process with many requests gives others a turn, if it has nothing left to write. Milliseconds. */
const longestHoldMs = 10_000;

/** Longer than a waiting process pauses between two tries. Milliseconds. */
const politePauseMs = 50;

/** The right to send a refresh token. */
export type Turn = {
	/** `false`: this process goes on without waiting for others, or without making them wait. */
	readonly hasLease: boolean;
	/** For those who wait, if this one fails: the last definite answer. */
	note: LeaseNote | undefined;
	/** Whether other processes still leave this one its turn. */
	isHeld(): Promise<boolean>;
	/** The authority has answered: the next request of this process may be sent. May be called again. */
	answered(): void;
	/** Everything is written, or nothing was granted. May be called again: the first call decides. Never rejects. */
	end(note?: LeaseNote): Promise<void>;
};

/** A lease that the grants of this process share. */
type SharedLease = {
	lease: Lease;
	/** Grants that have not ended. */
	users: number;
	sinceMs: number;
	note: LeaseNote | undefined;
	released: Promise<void>;
	release: () => void;
};

export class AccountTurns {
	/** The end of the last request, by account. */
	readonly #last = new Map<string, Promise<void>>();
	readonly #shared = new Map<string, SharedLease>();

	/**
	 * Waits for the earlier requests of this process, and then for those of other processes.
	 *
	 * @param take Waits for the lease. `undefined`: this process has to do without.
	 * @throws what `take` throws, and the reason of `signal`.
	 */
	async enter(account: string, signal: AbortSignal, take: () => Promise<Lease | undefined>): Promise<Turn> {
		const answered = await this.#queue(account, signal);
		try {
			const shared = await this.#share(account, signal) ?? await this.#takeNew(account, take);
			let ended: Promise<void> | undefined;
			return {
				hasLease: shared !== undefined,
				note: undefined,
				isHeld: async () => !shared || shared.lease.isHeld(),
				answered,
				end: async note => {
					answered();
					ended ??= shared && this.#leave(account, shared, note);
					await ended;
				},
			};
		} catch (error) {
			answered();
			throw error;
		}
	}

	/** @returns the function that lets the next request start. */
	async #queue(account: string, signal: AbortSignal): Promise<() => void> {
		const before = this.#last.get(account);
		let answered!: () => void;
		const own = new Promise<void>(resolve => {
			answered = resolve;
		});
		const last = before ? before.then(async () => own) : own;
		this.#last.set(account, last);
		void last.then(() => {
			if (this.#last.get(account) === last) {
				this.#last.delete(account);
			}
		});
		try {
			if (before) {
				await unlessAborted(before, signal);
			}
		} catch (error) {
			answered();
			throw error;
		}

		return answered;
	}

	/** Joins the lease of earlier grants that are still being written: the refresh token that they got is in memory. */
	async #share(account: string, signal: AbortSignal): Promise<SharedLease | undefined> {
		const shared = this.#shared.get(account);
		if (!shared) {
			return undefined;
		}

		if (performance.now() - shared.sinceMs > longestHoldMs) {
			await Promise.race([shared.released, sleep(politePauseMs, {signal, ref: false})]);
			if (this.#shared.get(account) !== shared) {
				await sleep(politePauseMs, {signal, ref: false});
				return undefined;
			}
		}

		shared.users++;
		if (await shared.lease.isHeld()) {
			return shared;
		}

		await this.#leave(account, shared, undefined);
		this.#forget(account, shared);
		return undefined;
	}

	async #takeNew(account: string, take: () => Promise<Lease | undefined>): Promise<SharedLease | undefined> {
		const lease = await take();
		if (!lease) {
			return undefined;
		}

		let release!: () => void;
		const released = new Promise<void>(resolve => {
			release = resolve;
		});
		const shared: SharedLease = {
			lease, users: 1, sinceMs: performance.now(), note: undefined, released, release,
		};
		this.#shared.set(account, shared);
		return shared;
	}

	async #leave(account: string, shared: SharedLease, note: LeaseNote | undefined): Promise<void> {
		shared.users--;
		shared.note = note ?? shared.note;
		if (shared.users === 0) {
			this.#forget(account, shared);
			await shared.lease.release(shared.note);
			shared.release();
		}
	}

	#forget(account: string, shared: SharedLease): void {
		if (this.#shared.get(account) === shared) {
			this.#shared.delete(account);
		}
	}
}
