/**
 * Turns for token requests: of all processes that want one token, one requests it, and the others use the token that it writes to the
 * cache. Where a lease is kept is the store's business ({@link LeaseStore}); how long to wait for one is decided here.
 */

import {createHash} from 'node:crypto';
import type {HeldLease, LeaseStore} from '../backend/backend.js';
import {log} from '../runtime/log.js';
import {sleep} from '../runtime/sleep.js';

/** Pauses between tries while another process holds the lease, milliseconds: a random time from the one to the other. */
const shortestPauseMs = 5;
const longestPauseMs = 25;

/** Time between two renewals by the holder, milliseconds. */
const renewEveryMs = 2000;

/**
 * A holder that did not renew its lease for so long is stuck and loses it. As long as one attempt at the authority may take
 * (`attemptTimeoutMs` in `http-client.ts`). Milliseconds.
 */
const stuckAfterMs = 30_000;

/** Wait no longer than this, although other holders come and go: then request the token without the lease. Milliseconds. */
const patienceMs = 2 * stuckAfterMs;

/**
 * Wait for at most this many holders. If their requests gave no usable token, the authority is down or the cache cannot be written, and
 * each further process would only add its own wait to the others'. Two, so that one holder may die and be replaced.
 */
const maxHolders = 2;

export type LeaseOptions = {
	lease: LeaseStore;
	signal: AbortSignal;
	/** Wait for the holder, but do not take the lease: this process cannot write its token to the cache, so no other could use it. */
	onlyWait: boolean;
	/** Default 30 s. */
	stuckAfterMs?: number;
};

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
 * @throws the reason of `signal`.
 */
export async function takeLease({lease, signal, onlyWait, stuckAfterMs: stuckMs = stuckAfterMs}: LeaseOptions): Promise<Lease | undefined> {
	if (onlyWait && await lease.state() === undefined) {
		return undefined;
	}

	const giveUpAtMs = performance.now() + Math.max(patienceMs, 2 * stuckMs);
	const holders = new Set<string>();
	let seen: string | undefined;
	let quietSinceMs = performance.now();
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

		if (held) {
			if (!onlyWait) {
				return new Lease(held);
			}

			await held.release();
			return undefined;
		}

		const state = await lease.state();
		if (state?.holder !== undefined) {
			holders.add(state.holder);
		}

		if (holders.size > maxHolders) {
			log.info(() => 'Other processes held the lease of the token request one after the other; going on without it.');
			return undefined;
		}

		if (state?.version !== seen) {
			seen = state?.version;
			quietSinceMs = performance.now();
		} else if (performance.now() - quietSinceMs > stuckMs && state) {
			await evict(lease, state.version);
			quietSinceMs = performance.now();
			continue;
		}

		if (performance.now() > giveUpAtMs) {
			log.info(() => 'Other processes hold the lease of the token request all the time; going on without it.');
			return undefined;
		}

		await sleep(shortestPauseMs + (Math.random() * (longestPauseMs - shortestPauseMs)), {signal, ref: false});
	}
}

export class Lease {
	readonly #held: HeldLease;
	readonly #renewal: NodeJS.Timeout;

	constructor(held: HeldLease) {
		this.#held = held;
		this.#renewal = setInterval(() => {
			// If this fails, another process may evict this one too early, which costs one token request.
			held.renew().catch(() => undefined);
		}, renewEveryMs).unref();
	}

	async release(): Promise<void> {
		clearInterval(this.#renewal);
		await this.#held.release();
	}
}

async function evict(lease: LeaseStore, version: string): Promise<void> {
	try {
		if (await lease.evict(version)) {
			log.warning(() => 'The process that holds the lease of the token request shows no sign of life; it is taken over.');
		}
	} catch (error) {
		log.info(() => `The lease of a stuck process could not be removed: ${(error as Error).message}`);
	}
}
