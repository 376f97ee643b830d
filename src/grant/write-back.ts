/**
 * Writes granted tokens to the shared cache. Callers do not wait for a lock that another program holds for long: a write that fails is
 * retried in the background, and a write that another program overwrites is repeated.
 */

import {setMaxListeners} from 'node:events';
import type {AccountEntry, CacheChange} from '../backend/backend.js';
import type {CommitOptions, CommitOutcome} from '../cache/commit.js';
import type {SharedCache} from '../cache/shared-cache.js';
import {RecheckTimers} from '../cache/recheck-timers.js';
import {StoreError} from '../errors.js';
import type {CacheSource} from '../cache/cache-source.js';
import {log} from '../runtime/log.js';
import {sleep} from '../runtime/sleep.js';
import {
	editsOfEviction, editsOfGrant, editsOfUndoing, type Grant,
} from './grant-edits.js';

/** Longest time that a caller waits for its token to be written, milliseconds. */
const maxWaitMs = 500;

/**
 * How long a write is checked, milliseconds. Another program that read the cache before the write has written by then.
 *
 * Source: MSAL extensions for Node 5.6, `Constants.ts`: they try 500 times, every 100 ms, to get the lock, and do not read the cache again
 * afterwards.
 */
const repairWindowMs = 60_000;

/** Interval of the later checks, milliseconds. */
const laterCheckMs = 10_000;

/**
 * Treat an account as signed out only after it has been missing for 3 s and on 4 checks in a row. A shorter gap may be another program
 * rewriting the cache: it may have read the cache while a third program had emptied it.
 */
const signedOutAfterMs = 3000;
const signedOutAfterChecks = 4;

/** Pause after a failed write, doubled after each further failure. Milliseconds. */
const firstRetryMs = 30_000;
const longestRetryMs = 600_000;

/** Most writes that wait for a retry. Beyond that, the oldest are dropped. */
const maxPending = 100;

/** A write that is to be done. */
type Write = {source: CacheSource; grant: Grant; failures: number};

/** A write that is still being checked. Times are of `performance.now()`. */
type RecentWrite = {
	source: CacheSource;
	grant: Grant;
	/** Stamp of the cache when it last held the tokens. Empty if it never did. */
	stamp: string;
	/** When its checks end. */
	untilMs: number;
	wasChecked: boolean;
	/** Since when the account has been missing from the cache. */
	missingSinceMs: number | undefined;
	/** How many checks in a row found it missing. */
	missingChecks: number;
};

/** Told that a write of this process changed a source from `baseStamp` to `stamp`. */
export type WrittenListener = (source: CacheSource, baseStamp: string, stamp: string) => void;

export class WriteBack {
	readonly #cache: SharedCache;
	readonly #onWritten: WrittenListener;
	#pending: Write[] = [];
	#recent: RecentWrite[] = [];
	#retryTimer: NodeJS.Timeout | undefined;
	readonly #recheckTimers = new RecheckTimers(() => {
		void this.#checkAgain();
	});

	/** The current check, or the last one. Never rejects. */
	#checking: Promise<void> = Promise.resolve();
	#nextCheck: Promise<void> | undefined;
	/** Whether the next check starts with the writes that wait for a retry. */
	#retriesFirst = false;
	/** Commits in progress, including those that wait for a lock. */
	readonly #running = new Set<Promise<unknown>>();
	readonly #abort = new AbortController();
	#isClosed = false;

	/** @param onWritten Called after each write. */
	constructor(cache: SharedCache, onWritten: WrittenListener) {
		this.#cache = cache;
		this.#onWritten = onWritten;
		// Every commit that waits for a lock adds a listener.
		setMaxListeners(0, this.#abort.signal);
	}

	/** Resolves when the grant is written, when the write failed, or after 500 ms. Never rejects. */
	async write(source: CacheSource, grant: Grant): Promise<void> {
		await this.#waitBriefly(this.#write({source, grant, failures: 0}));
	}

	/** Removes a dead refresh token from the cache that it came from. Never rejects. */
	async evict(source: CacheSource, account: AccountEntry, refreshToken: string): Promise<void> {
		await this.#commit(source, editsOfEviction(account, refreshToken));
	}

	/**
	 * Call this when the cache has changed. Writes missing tokens of the last minute again, and retries failed writes, because their cause
	 * may be gone.
	 */
	async repair(): Promise<void> {
		this.#retriesFirst = true;
		await this.#checkAgain();
	}

	/** Ends the background work: writes in progress get 500 ms to finish, retries are dropped. */
	async close(): Promise<void> {
		this.#isClosed = true;
		clearTimeout(this.#retryTimer);
		this.#recheckTimers.clear();
		this.#pending = [];
		this.#recent = [];
		if (this.#running.size > 0) {
			await this.#waitBriefly(Promise.allSettled(this.#running), true);
			this.#abort.abort(closedError());
			await Promise.allSettled(this.#running);
		}
	}

	/** @param ref Whether waiting keeps the event loop alive. A caller that waits for a token does so already. */
	async #waitBriefly(work: Promise<unknown>, ref = false): Promise<void> {
		const waited = new AbortController();
		const waiting = sleep(maxWaitMs, {ref, signal: waited.signal}).catch(() => undefined);
		await Promise.race([work, waiting]);
		waited.abort();
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
				// Otherwise a process that refreshes often would keep a minute of replaced tokens in memory.
				this.#recent = this.#recent.filter(older => !isReplacedBy(write, older));
			}

			this.#recent.push({
				source, grant, stamp: isWritten ? outcome.stamp : '', untilMs: nowMs + repairWindowMs, wasChecked: false, missingSinceMs: isWritten ? undefined : nowMs, missingChecks: isWritten ? 0 : 1,
			});
			this.#recheck(isWritten && outcome.lockLost);
		}
	}

	/** Logs a failure and returns it. */
	async #commit(source: CacheSource, change: CacheChange, options: CommitOptions = {}): Promise<CommitOutcome | Error> {
		if (this.#isClosed) {
			return closedError();
		}

		const running = this.#cache.commit(source, change, {...options, ref: false, signal: this.#abort.signal});
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
				// All need the same lock.
				await this.#write(write);
			}
		}
	}

	#recheck(lockLost = false): void {
		if (!this.#isClosed) {
			this.#recheckTimers.afterWrite(lockLost);
		}
	}

	/** Checks the recent writes, after the current check. Callers that come meanwhile share one further check. */
	async #checkAgain(): Promise<void> {
		// The current check may have missed what happened just now.
		this.#nextCheck ??= this.#checking.then(async () => {
			this.#nextCheck = undefined;
			this.#checking = this.#check();
			await this.#checking;
		});
		await this.#nextCheck;
	}

	/** One commit for all recent writes of one account to one cache: there may be many. */
	async #check(): Promise<void> {
		if (this.#retriesFirst) {
			this.#retriesFirst = false;
			await this.#retry();
		}

		// Every write is checked at least once, however long the lock was waited for.
		const nowMs = performance.now();
		this.#recent = this.#recent.filter(({untilMs, wasChecked}) => untilMs > nowMs || !wasChecked);
		for (const group of groupByAccount(this.#recent)) {
			// All need the same lock.
			await this.#checkGroup(group);
		}

		if (this.#recent.length > 0 && this.#recheckTimers.isIdle && !this.#isClosed) {
			this.#recheckTimers.after(laterCheckMs);
		}
	}

	async #checkGroup(group: readonly RecentWrite[]): Promise<void> {
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

		for (const recent of group) {
			recent.wasChecked = true;
		}

		switch (outcome?.outcome) {
			case 'written': {
				log.info(() => `Another program overwrote a token of this process in the shared cache (${source.label}); it has been written again.`);
				acknowledge(suspects, outcome.stamp);
				// The other program may do so again, and a third one may have read what it left.
				for (const recent of suspects) {
					recent.untilMs = performance.now() + repairWindowMs;
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
				for (const recent of suspects) {
					recent.missingSinceMs ??= nowMs;
					recent.missingChecks++;
					if (nowMs - recent.missingSinceMs > signedOutAfterMs && recent.missingChecks >= signedOutAfterChecks) {
						log.info(() => 'A token was not written to the shared cache: its account was signed out meanwhile.');
						recent.untilMs = 0;
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
	return new StoreError('STC_LOCK_TIMEOUT', 'The credential was closed while it waited for a lock.', {op: 'lock'});
}

/** Whether the first write replaces every token of the second one. */
function isReplacedBy({source, grant}: Write, {source: olderSource, grant: older}: RecentWrite): boolean {
	return source.label === olderSource.label
		&& grant.account.homeAccountId === older.account.homeAccountId
		&& grant.environment === older.environment
		&& grant.clientId === older.clientId
		&& grant.realm === older.realm
		&& grant.scopes.join(' ') === older.scopes.join(' ')
		&& (grant.response.refreshToken !== undefined || older.response.refreshToken === undefined);
}

/** The cache holds the tokens of these writes. */
function acknowledge(group: readonly RecentWrite[], stamp: string): void {
	for (const recent of group) {
		recent.stamp = stamp;
		recent.missingSinceMs = undefined;
		recent.missingChecks = 0;
	}
}

function groupByAccount(all: readonly RecentWrite[]): RecentWrite[][] {
	const groups = new Map<string, RecentWrite[]>();
	for (const recent of all) {
		const key = `${recent.source.label} ${recent.grant.account.homeAccountId}`;
		const group = groups.get(key);
		if (group) {
			group.push(recent);
		} else {
			groups.set(key, [recent]);
		}
	}

	return [...groups.values()];
}

function repairOf(group: readonly RecentWrite[]): CacheChange {
	// Of several edits that match a record, the first one is applied: the newest write comes first.
	const changes = group.toReversed().map(({grant, missingSinceMs}) => {
		const change = editsOfGrant(grant, true);
		// An account that is back may have signed in again. Its newer refresh token must stay.
		return missingSinceMs === undefined ? change : {...change, edits: change.edits.filter(({section}) => section === 'AccessToken')};
	});
	return {...changes[0], edits: changes.flatMap(({edits}) => edits)};
}
