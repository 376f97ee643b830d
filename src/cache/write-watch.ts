/**
 * Watches the caches that this process wrote lately. A program that read a cache before our write, and writes its copy afterwards, undoes
 * the write; this notices within half a second, for a minute, so that the write is repeated.
 *
 * It compares stamps, which costs one `stat` for a file. File notifications would miss network file systems, and have limits of their own.
 */

import {log} from '../runtime/log.js';
import type {CacheSource} from './cache-source.js';
import type {SourceStamp} from './source-reading.js';

/** Pause between two looks, milliseconds. */
const lookEveryMs = 500;

/** The first look if our lock file was removed while we wrote, so that another program may be writing. Milliseconds. */
const lookAfterLostLockMs = 20;

/** The pause grows to this while a cache can be neither looked at nor repaired. Milliseconds. */
const longestPauseMs = 30_000;

/**
 * What became of the writes to a changed cache. A stamp: the cache with this stamp holds them all, or nothing is left to watch. `isRepaired`:
 * some had to be written again. `again`: look once more, even if the cache does not change. `failed`: the same, after a growing pause.
 */
export type Restored = {stamp: string; isRepaired: boolean} | 'again' | 'failed';

type Watched = {
	source: CacheSource;
	/** The last stamp at which the cache held all writes. `undefined`: not known. */
	stamp: string | undefined;
	/** Times are of `performance.now()`. */
	untilMs: number;
	nextMs: number;
	pauseMs: number;
	/** Whether a look has ended since the last write. Each write gets one, however long its commit waited for the lock. */
	wasLookedAt: boolean;
};

export class WriteWatch {
	/**
	 * How long a write is watched, milliseconds. Another program that read the cache before the write has written by then. On a very busy
	 * machine it may take longer, so the torture tests set a longer time.
	 *
	 * Source: MSAL extensions for Node 5.6, `Constants.ts`: they try 500 times, every 100 ms, to get the lock, and do not read the cache
	 * again afterwards.
	 */
	static watchedForMs = 60_000;

	readonly #stampOf: (source: CacheSource) => Promise<SourceStamp>;
	readonly #restore: (source: CacheSource) => Promise<Restored>;
	readonly #watched = new Map<string, Watched>();
	#timer: NodeJS.Timeout | undefined;
	/** The current look, or the last one. Never rejects. */
	#looking: Promise<void> = Promise.resolve();
	/** The look after the current one: at all watched caches, or at those that are due. */
	#nextLook: {isAtAll: boolean; ended: Promise<void>} | undefined;

	/** @param restore Called if a cache has changed since the write. Must not call {@link look}. */
	constructor(stampOf: (source: CacheSource) => Promise<SourceStamp>, restore: (source: CacheSource) => Promise<Restored>) {
		this.#stampOf = stampOf;
		this.#restore = restore;
	}

	/** Call this after a write that changed the source from `baseStamp` to `stamp`. */
	written(source: CacheSource, {baseStamp, stamp, lockLost}: {baseStamp: string | null; stamp: string; lockLost: boolean}): void {
		const nowMs = performance.now();
		const known = this.#watched.get(source.label);
		// If another program wrote before this write, it may have undone an earlier one.
		const isSeen = !lockLost && (known === undefined || known.stamp === baseStamp);
		this.#watch(source, isSeen ? stamp : undefined, nowMs + (lockLost ? lookAfterLostLockMs : lookEveryMs));
	}

	/** Watches a source whose state is not known. */
	watch(source: CacheSource): void {
		this.#watch(source, undefined, performance.now() + lookEveryMs);
	}

	/** Looks at all watched caches now. Calls during a look share one further look: the current one may have missed what happened just now. */
	async look(): Promise<void> {
		await this.#lookNext(true);
	}

	/** Ends all watching. */
	clear(): void {
		clearTimeout(this.#timer);
		this.#timer = undefined;
		this.#watched.clear();
	}

	#watch(source: CacheSource, stamp: string | undefined, nextMs: number): void {
		const known = this.#watched.get(source.label);
		this.#watched.set(source.label, {
			source,
			stamp,
			untilMs: performance.now() + WriteWatch.watchedForMs,
			nextMs: Math.min(nextMs, known?.nextMs ?? nextMs),
			pauseMs: lookEveryMs,
			wasLookedAt: false,
		});
		this.#setTimer();
	}

	#setTimer(): void {
		clearTimeout(this.#timer);
		this.#timer = undefined;
		if (this.#watched.size > 0) {
			const nextMs = Math.min(...[...this.#watched.values()].map(watched => watched.nextMs));
			this.#timer = setTimeout(() => {
				void this.#lookNext(false);
			}, Math.max(1, nextMs - performance.now())).unref();
		}
	}

	/** One look at a time: repairs of one cache would wait for each other's lock. */
	async #lookNext(isAtAll: boolean): Promise<void> {
		if (this.#nextLook) {
			this.#nextLook.isAtAll ||= isAtAll;
		} else {
			this.#nextLook = {isAtAll, ended: this.#looking.then(async () => this.#startLook())};
		}

		await this.#nextLook.ended;
	}

	async #startLook(): Promise<void> {
		const isAtAll = this.#nextLook?.isAtAll ?? false;
		this.#nextLook = undefined;
		const nowMs = performance.now();
		this.#looking = this.#lookAt([...this.#watched.values()].filter(({nextMs}) => isAtAll || nextMs <= nowMs));
		await this.#looking;
	}

	async #lookAt(due: readonly Watched[]): Promise<void> {
		for (const watched of due) {
			// One after the other: a keyring answers one question at a time.
			await this.#lookAtOne(watched);
		}

		this.#setTimer();
	}

	async #lookAtOne(watched: Watched): Promise<void> {
		const {source} = watched;
		const restored = await this.#settle(watched);
		const now = this.#watched.get(source.label);
		if (!now) {
			return;
		}

		const nowMs = performance.now();
		if (now !== watched) {
			// Written meanwhile.
			now.nextMs = Math.min(now.nextMs, nowMs + lookEveryMs);
			return;
		}

		if (typeof restored === 'object') {
			watched.stamp = restored.stamp;
			// The other program may do so again, and a third one may have read what it left.
			watched.untilMs = restored.isRepaired ? nowMs + WriteWatch.watchedForMs : watched.untilMs;
		}

		// A write gets at least one look that found out something, however long it waited for the lock.
		if (nowMs > watched.untilMs && (watched.wasLookedAt || restored !== 'failed')) {
			this.#watched.delete(source.label);
		}

		watched.wasLookedAt = true;
		watched.pauseMs = restored === 'failed' ? Math.min(2 * watched.pauseMs, longestPauseMs) : lookEveryMs;
		watched.nextMs = nowMs + watched.pauseMs;
	}

	async #settle({source, stamp}: Watched): Promise<Restored> {
		try {
			const now = await this.#stampOf(source);
			if (!now.readable) {
				return 'failed';
			}

			return now.value === stamp ? {stamp, isRepaired: false} : await this.#restore(source);
		} catch (error) {
			log.info(() => `The shared token cache could not be checked after a write (${source.label}). ${(error as Error).message}`);
			return 'failed';
		}
	}
}
