/**
 * Writes what grants brought to the shared cache: soon, without making callers wait for a lock that others hold; again, where it
 * failed; and once more, where a peer that did not see it has overwritten it.
 */

import {setMaxListeners} from 'node:events';
import type {AccountEntry, CacheChange} from '../backend/backend.js';
import type {CommitOptions, CommitOutcome} from '../cache/commit.js';
import type {SharedCache} from '../cache/shared-cache.js';
import {RecheckTimers} from '../cache/recheck-timers.js';
import {StoreError} from '../errors.js';
import {
	editsOfEviction, editsOfGrant, editsOfUndoing, type Grant,
} from './grant-edits.js';
import type {CacheSource} from '../cache/cache-source.js';
import {log} from '../runtime/log.js';
import {sleep} from '../runtime/sleep.js';

/** A caller waits no longer than this for its token to be written, milliseconds. */
const patienceMs = 500;

/**
 * A peer that decided what to write before we wrote has written by then. Milliseconds.
 *
 * Source: MSAL extensions for Node 5.6, `Constants.ts`: it waits for its lock 500 times 100 ms, after it has decided not to read anew.
 */
const repairWindowMs = 60_000;

/** Between the later checks of a write, milliseconds. */
const laterCheckMs = 10_000;

/**
 * An account that is gone for so long, and each time of so many looks, was signed out. Until then it may be that a peer read the cache
 * while another was emptying it, and wrote what little it saw; on a busy machine that can happen twice with seconds between.
 */
const signedOutAfterMs = 3000;
const signedOutAfterLooks = 4;

/** Pause after a failed write, doubled each time. Milliseconds. */
const firstRetryMs = 30_000;
const longestRetryMs = 600_000;

/** Writes that wait for another try at the most; the oldest go first. */
const maxPending = 100;

type Write = {source: CacheSource; grant: Grant; failures: number};
type Written = {
	source: CacheSource;
	grant: Grant;
	/** Of the cache that held it last; empty: of none. */
	stamp: string;
	untilMs: number;
	isLookedAfter: boolean;
	/** Since when its account is not there. */
	goneSinceMs: number | undefined;
	/** How many looks since then found it gone, one after the other. */
	goneLooks: number;
};

/** Told that a write of this process changed a source from `baseStamp` to `stamp`. */
export type WrittenListener = (source: CacheSource, baseStamp: string, stamp: string) => void;

export class WriteBack {
	readonly #cache: SharedCache;
	readonly #onWritten: WrittenListener;
	#pending: Write[] = [];
	#recent: Written[] = [];
	#retryTimer: NodeJS.Timeout | undefined;
	readonly #recheckTimers = new RecheckTimers(() => {
		void this.#lookOnceMore();
	});

	/** The look that is under way, or was the last; it never fails. */
	#looking: Promise<void> = Promise.resolve();
	#nextLook: Promise<void> | undefined;
	/** Whether the next look begins with what waits for another try. */
	#retriesFirst = false;
	/** Commits that are under way, those that wait for a lock included. */
	readonly #running = new Set<Promise<unknown>>();
	readonly #ending = new AbortController();
	#isClosed = false;

	/** @param onWritten Called with the source's stamps from before and after a write of ours. */
	constructor(cache: SharedCache, onWritten: WrittenListener) {
		this.#cache = cache;
		this.#onWritten = onWritten;
		// As many as wait for a lock.
		setMaxListeners(0, this.#ending.signal);
	}

	/** Returns when the grant is written, could not be, or takes too long; never fails. */
	async write(source: CacheSource, grant: Grant): Promise<void> {
		await this.#patiently(this.#write({source, grant, failures: 0}));
	}

	/** Takes a refresh token that is dead out of the cache it came from. Never fails. */
	async evict(source: CacheSource, account: AccountEntry, refreshToken: string): Promise<void> {
		await this.#commit(source, editsOfEviction(account, refreshToken));
	}

	/**
	 * To be called when the cache was found to have changed: puts back what is missing of the last minute's writes, and tries again what
	 * could not be written, because what stood in the way may be gone.
	 */
	async repair(): Promise<void> {
		this.#retriesFirst = true;
		await this.#lookOnceMore();
	}

	/** Ends the work in the background: what is being written gets a moment to be finished, what waits for another try is given up. */
	async close(): Promise<void> {
		this.#isClosed = true;
		clearTimeout(this.#retryTimer);
		this.#recheckTimers.clear();
		this.#pending = [];
		this.#recent = [];
		if (this.#running.size > 0) {
			await this.#patiently(Promise.allSettled(this.#running), true);
			this.#ending.abort(closedError());
			await Promise.allSettled(this.#running);
		}
	}

	/** @param ref Whether waiting holds the event loop: whoever waits for a token does that already. */
	async #patiently(work: Promise<unknown>, ref = false): Promise<void> {
		const patience = new AbortController();
		const waiting = sleep(patienceMs, {ref, signal: patience.signal}).catch(() => undefined);
		await Promise.race([work, waiting]);
		patience.abort();
	}

	async #write(write: Write): Promise<void> {
		const {source, grant} = write;
		const lateChange = editsOfGrant(grant, false, true);
		const outcome = await this.#commit(source, write.failures > 0 ? lateChange : editsOfGrant(grant, false), {create: !grant.isOwnCache, lateChange});
		if (outcome instanceof Error) {
			this.#retryLater({...write, failures: write.failures + 1});
		} else if (outcome.outcome === 'written' || outcome.outcome === 'no-account') {
			const nowMs = performance.now();
			const isWritten = outcome.outcome === 'written';
			if (isWritten) {
				// Whoever refreshes often would otherwise gather a minute of it: 300 MB after 10,000 grants (npm run bench -- --only growth).
				this.#recent = this.#recent.filter(older => !isReplacedBy(write, older));
			}

			this.#recent.push({
				source, grant, stamp: isWritten ? outcome.stamp : '', untilMs: nowMs + repairWindowMs, isLookedAfter: false, goneSinceMs: isWritten ? undefined : nowMs, goneLooks: isWritten ? 0 : 1,
			});
			this.#recheck(isWritten && outcome.lockLost);
		}
	}

	/** Failures are logged, and returned. */
	async #commit(source: CacheSource, change: CacheChange, options: CommitOptions = {}): Promise<CommitOutcome | Error> {
		if (this.#isClosed) {
			return closedError();
		}

		const running = this.#cache.commit(source, change, {...options, ref: false, signal: this.#ending.signal});
		this.#running.add(running);
		try {
			const outcome = await running;
			if (outcome.outcome === 'written') {
				this.#onWritten(source, outcome.baseStamp ?? '', outcome.stamp);
			}

			return outcome;
		} catch (error) {
			const failure = error instanceof StoreError ? error : new StoreError('STC_IO', 'An unexpected error.', {op: 'commit'}, {cause: error});
			log.warning(() => `The shared token cache could not be written (${source.label}); tokens are kept in memory. ${(error as Error).message}`);
			return failure;
		} finally {
			this.#running.delete(running);
		}
	}

	#retryLater(write: Write): void {
		if (this.#isClosed) {
			return;
		}

		this.#pending = [...this.#pending.slice(1 - maxPending), write];
		this.#retryTimer ??= setTimeout(() => {
			void this.#retry();
		}, Math.min(firstRetryMs * (2 ** (write.failures - 1)), longestRetryMs)).unref();
	}

	async #retry(): Promise<void> {
		clearTimeout(this.#retryTimer);
		this.#retryTimer = undefined;
		const pending = this.#pending;
		this.#pending = [];
		for (const write of pending) {
			if (write.grant.response.expiresOnSec > Date.now() / 1000) {
				// One lock, one write after the other.
				await this.#write(write);
			}
		}
	}

	#recheck(lockLost = false): void {
		if (!this.#isClosed) {
			this.#recheckTimers.afterWrite(lockLost);
		}
	}

	async #lookOnceMore(): Promise<void> {
		// A look that is under way may have passed by what happened just now: another follows it, one for all who ask meanwhile.
		this.#nextLook ??= this.#looking.then(async () => {
			this.#nextLook = undefined;
			this.#looking = this.#look();
			await this.#looking;
		});
		await this.#nextLook;
	}

	/** One commit for all that was written to one cache for one account: in a busy moment that may be a lot. */
	async #look(): Promise<void> {
		if (this.#retriesFirst) {
			this.#retriesFirst = false;
			await this.#retry();
		}

		// However long a lock was waited for: nothing is forgotten that was not looked after once.
		const nowMs = performance.now();
		this.#recent = this.#recent.filter(({untilMs, isLookedAfter}) => untilMs > nowMs || !isLookedAfter);
		for (const group of groupByAccount(this.#recent)) {
			// One lock, one write after the other.
			await this.#lookAt(group);
		}

		if (this.#recent.length > 0 && this.#recheckTimers.isIdle && !this.#isClosed) {
			this.#recheckTimers.after(laterCheckMs);
		}
	}

	async #lookAt(group: readonly Written[]): Promise<void> {
		const {source} = (group[0]!);
		const {value, readable} = await this.#cache.stamp(source);
		if (!readable) {
			return;
		}

		const suspects = group.filter(({stamp}) => stamp !== value);
		const outcome = suspects.length > 0 ? await this.#commit(source, repairOf(suspects)) : undefined;
		if (outcome instanceof Error) {
			return;
		}

		for (const written of group) {
			written.isLookedAfter = true;
		}

		switch (outcome?.outcome) {
			case 'written': {
				log.info(() => `Another program had overwritten a token of ours in the shared cache (${source.label}); it is there again.`);
				acknowledge(suspects, outcome.stamp);
				// Who did it once may do it again, and others may have read what it left.
				for (const written of suspects) {
					written.untilMs = performance.now() + repairWindowMs;
				}

				this.#recheck();
				break;
			}

			case 'unchanged': {
				acknowledge(suspects, outcome.stamp);
				break;
			}

			case 'no-account': {
				const nowMs = performance.now();
				for (const written of suspects) {
					written.goneSinceMs ??= nowMs;
					written.goneLooks++;
					if (nowMs - written.goneSinceMs > signedOutAfterMs && written.goneLooks >= signedOutAfterLooks) {
						log.info(() => 'A token was not written to the shared cache: its account was signed out meanwhile.');
						written.untilMs = 0;
					}
				}

				this.#recheck();
				await this.#commit(source, {edits: suspects.flatMap(({grant}) => editsOfUndoing(grant).edits)});
				break;
			}
			// No default
		}
	}
}

function closedError(): StoreError {
	return new StoreError('STC_LOCK_TIMEOUT', 'The credential was closed while a lock was waited for.', {op: 'lock'});
}

/** Whether all that `older` brought has been written over by `newer`. */
function isReplacedBy({source, grant}: Write, {source: olderSource, grant: older}: Written): boolean {
	return source.label === olderSource.label
		&& grant.account.homeAccountId === older.account.homeAccountId
		&& grant.environment === older.environment
		&& grant.clientId === older.clientId
		&& grant.realm === older.realm
		&& grant.scopes.join(' ') === older.scopes.join(' ')
		&& (grant.response.refreshToken !== undefined || older.response.refreshToken === undefined);
}

function acknowledge(group: readonly Written[], stamp: string): void {
	for (const written of group) {
		written.stamp = stamp;
		written.goneSinceMs = undefined;
		written.goneLooks = 0;
	}
}

function groupByAccount(all: readonly Written[]): Written[][] {
	const groups = new Map<string, Written[]>();
	for (const written of all) {
		const key = `${written.source.label} ${written.grant.account.homeAccountId}`;
		const group = groups.get(key);
		if (group) {
			group.push(written);
		} else {
			groups.set(key, [written]);
		}
	}

	return [...groups.values()];
}

function repairOf(group: readonly Written[]): CacheChange {
	// A record belongs to the first edit that matches it, so the newest comes first.
	const changes = group.toReversed().map(({grant, goneSinceMs}) => {
		const change = editsOfGrant(grant, true);
		// Whoever brought the account back may have signed in anew, and has a refresh token of that.
		return goneSinceMs === undefined ? change : {...change, edits: change.edits.filter(({section}) => section === 'AccessToken')};
	});
	return {...changes[0], edits: changes.flatMap(({edits}) => edits)};
}
