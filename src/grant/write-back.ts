/**
 * Writes granted tokens to the shared cache. Callers do not wait for a lock that another program holds for long: a write that fails is
 * retried in the background, and a write that another program overwrites is repeated. A sign-out wins over all of them.
 */

import {setMaxListeners} from 'node:events';
import type {AccountEntry, CacheChange} from '../backend/backend.js';
import type {CommitOptions, CommitOutcome} from '../cache/commit.js';
import type {SharedCache} from '../cache/shared-cache.js';
import {signOutGuard} from '../cache/sign-out-mark.js';
import {type Restored, WriteWatch} from '../cache/write-watch.js';
import {StoreError} from '../errors.js';
import type {CacheSource} from '../cache/cache-source.js';
import {keepAlive} from '../runtime/keep-alive.js';
import {log, logTextOf} from '../runtime/log.js';
import {atMost} from '../runtime/sleep.js';
import {
	editsOfEviction, editsOfGrant, editsOfRotation, editsOfUndoing, type Grant, isReplacedBy, type Rotation, type Session,
} from './grant-edits.js';
import {
	readAccount, stateOfSession, takingOut,
} from './session.js';

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

/** So many sign-outs during one write, and it is put off. */
const maxSignOuts = 10;

/** So many writes of others while a write is taken out again, and that is put off. */
const maxTakeOuts = 20;

/** A write that is to be done. */
type Write = {source: CacheSource; grant: Grant; failures: number};

/** A write that is still being checked. Times are of `performance.now()`. */
type RecentWrite = {
	source: CacheSource;
	grant: Grant;
	/** When its checks end. */
	untilMs: number;
	/** Since when the account has been missing from the cache. */
	missingSinceMs: number | undefined;
	/** How many checks in a row found it missing. */
	missingChecks: number;
};

/** A cache with `stamp` holds the writes. It had `baseStamp` before they were repaired. */
type Settled = {baseStamp: string | null; stamp: string; isRepaired: boolean};

/** `isRepair`: the write is watched already. */
type WriteOptions = CommitOptions & {isRepair?: boolean; isElsewhere?: boolean};

/** Told that a write of this process changed a source from `baseStamp` to `stamp`. */
export type WrittenListener = (source: CacheSource, baseStamp: string, stamp: string) => void;

export class WriteBack {
	readonly #cache: SharedCache;
	readonly #onWritten: WrittenListener;
	#pending: Write[] = [];
	#recent: RecentWrite[] = [];
	#retryTimer: NodeJS.Timeout | undefined;
	#retrying: Promise<void> = Promise.resolve();
	readonly #watch: WriteWatch;
	/** Commits in progress, including those that wait for a lock, and whether the session may end with them. */
	readonly #running = new Map<Promise<unknown>, boolean>();
	readonly #abort = new AbortController();
	#isClosed = false;

	/** @param onWritten Called after each write. */
	constructor(cache: SharedCache, onWritten: WrittenListener) {
		this.#cache = cache;
		this.#onWritten = onWritten;
		this.#watch = new WriteWatch(async source => cache.stamp(source), async source => this.#restore(source));
		// Every commit that waits for a lock adds a listener.
		setMaxListeners(0, this.#abort.signal);
	}

	/**
	 * Writes a grant, unless its account was signed out since it was read. A failed write is retried later.
	 *
	 * @returns whether others can find the tokens in the cache now. Never rejects.
	 */
	async write(source: CacheSource, grant: Grant): Promise<boolean> {
		return this.#write({source, grant, failures: 0});
	}

	/**
	 * Replaces a refresh token that may be worthless now in other caches that hold it, too.
	 *
	 * @returns whether it was in one of them. Never rejects.
	 */
	async replaceElsewhere(sources: readonly CacheSource[], {homeAccountId}: AccountEntry, rotation: Rotation): Promise<boolean> {
		const outcomes = await Promise.all(sources.map(async source => this.#commit(source, editsOfRotation(homeAccountId, rotation), {isRepair: true, isElsewhere: true}, true)));
		return outcomes.some(outcome => !(outcome instanceof Error) && outcome.outcome === 'written');
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
		await this.#retry();
		await this.#watch.look();
	}

	/**
	 * Ends the background work. A write without which the session ends is waited for, until the lock's time-out is over. Other writes in
	 * progress get a moment, and retries are dropped.
	 *
	 * @param graceMs Milliseconds.
	 */
	async close(graceMs = 0): Promise<void> {
		this.#isClosed = true;
		clearTimeout(this.#retryTimer);
		this.#watch.clear();
		this.#pending = [];
		this.#recent = [];
		if (this.#running.size > 0) {
			await keepAlive(async () => {
				await atMost(graceMs, Promise.allSettled(this.#running.keys()));
				this.#abort.abort(closedError());
				await Promise.allSettled(this.#running.keys());
			});
		}

		// Set by a write that was in progress.
		this.#watch.clear();
	}

	async #write(write: Write): Promise<boolean> {
		const {source, grant, failures} = write;
		const lateChange = withoutExpired(grant, editsOfGrant(grant, false, true));
		const outcome = await this.#commitGrants(source, [grant], failures > 0 ? lateChange : editsOfGrant(grant, false), {create: !grant.isOwnCache, lateChange});
		if (outcome instanceof Error) {
			this.#retryLater({...write, failures: failures + 1});
			return false;
		}

		switch (outcome.outcome) {
			case 'written':
			case 'no-account': {
				const isWritten = outcome.outcome === 'written';
				this.#remember(write, isWritten);
				return isWritten;
			}

			case 'unchanged': {
				return true;
			}

			default: {
				return false;
			}
		}
	}

	#remember(write: Write, isWritten: boolean): void {
		if (this.#isClosed) {
			return;
		}

		const nowMs = performance.now();
		if (isWritten) {
			// Otherwise a process that refreshes often would keep a minute of replaced tokens in memory.
			this.#recent = this.#recent.filter(older => !(older.source.label === write.source.label && isReplacedBy(write.grant, older.grant)));
		} else {
			this.#watch.watch(write.source);
		}

		this.#recent.push({
			source: write.source,
			grant: write.grant,
			untilMs: nowMs + WriteWatch.watchedForMs,
			missingSinceMs: isWritten ? undefined : nowMs,
			missingChecks: isWritten ? 0 : 1,
		});
	}

	/**
	 * Commits grants of one account, unless it was signed out since it was read.
	 *
	 * The mark of our sign-outs is compared under the cache's lock. Other programs leave no mark. If the account was read from the cache that
	 * is written, the commit itself finds the account missing. Otherwise that other cache is looked at before and after the commit.
	 */
	async #commitGrants(source: CacheSource, grants: readonly Grant[], change: CacheChange, options: WriteOptions = {}): Promise<CommitOutcome | Error> {
		const known = sessionOf(grants);
		// A write that is repaired has brought the account there.
		const session = known && options.isRepair ? {...known, source} : known;
		const endsSession = grants.some(grant => grant.endsSession === true);
		if (!session) {
			return this.#commit(source, change, options, endsSession);
		}

		const isElsewhere = session.source.label !== source.label;
		for (let signOuts = 0; signOuts < maxSignOuts; signOuts++) {
			if (isElsewhere && await stateOfSession(this.#cache, session) === 'gone') {
				return this.#endSession(source, grants, session);
			}

			const outcome = await this.#commit(source, change, {...options, ...(session.guard && {guard: session.guard})}, endsSession);
			if (outcome instanceof Error) {
				return outcome;
			}

			if (outcome.outcome !== 'guarded') {
				return isElsewhere && outcome.outcome === 'written' && await stateOfSession(this.#cache, session) === 'gone'
					? this.#endSession(source, grants, session)
					: outcome;
			}

			// Somebody signed out. Before the look, so that the mark shows a sign-out that ends after the look.
			const guard = await signOutGuard(source);
			const state = await stateOfSession(this.#cache, session);
			if (state instanceof Error) {
				return state;
			}

			if (state !== 'there') {
				return this.#endSession(source, grants, session);
			}

			session.guard = guard;
			for (const grant of grants) {
				grant.session!.guard = guard;
			}
		}

		return new StoreError('STC_CACHE_CHANGED', `${source.label}: accounts were signed out all the time while a token was to be written.`, {op: 'commit'});
	}

	/** Takes out what an earlier attempt has written to another cache than the account's. */
	async #endSession(source: CacheSource, grants: readonly Grant[], session: Session): Promise<CommitOutcome | Error> {
		log.info(() => 'A token was not written to the shared token cache: its account was signed out meanwhile.');
		for (let tries = 0; tries < maxTakeOuts && session.source.label !== source.label; tries++) {
			const {slice, stamp, error} = await readAccount(this.#cache, session, source);
			if (error) {
				return error;
			}

			const change = slice && takingOut(slice, grants, session);
			if (!change) {
				break;
			}

			const outcome = await this.#commit(source, change, {expectedStamp: stamp.value});
			if (outcome instanceof Error) {
				return outcome;
			}

			if (outcome.outcome !== 'changed') {
				break;
			}
		}

		return {outcome: 'guarded'};
	}

	/** Logs a failure and returns it. */
	async #commit(source: CacheSource, change: CacheChange, {isRepair = false, isElsewhere = false, ...options}: WriteOptions = {}, endsSession = false): Promise<CommitOutcome | Error> {
		if (this.#isClosed && !endsSession) {
			return closedError();
		}

		const running = this.#cache.commit(source, change, {...options, ref: false, ...(endsSession ? {durable: true} : {signal: this.#abort.signal})});
		this.#running.set(running, endsSession);
		try {
			const outcome = await running;
			if (outcome.outcome === 'written') {
				const {baseStamp, stamp, lockLost} = outcome;
				this.#onWritten(source, baseStamp ?? '', stamp);
				if (!this.#isClosed && !isRepair) {
					this.#watch.written(source, {baseStamp, stamp, lockLost});
				}
			}

			return outcome;
		} catch (error) {
			const failure = error instanceof StoreError ? error : new StoreError('STC_IO', 'An unexpected error.', {op: 'commit'}, {cause: error});
			if (isElsewhere) {
				// Such as a keyring on a machine without one. The grant itself is written to another cache.
				log.info(() => `A replaced refresh token could not be looked for in ${source.label}. ${logTextOf(error)}`);
			} else {
				log.warning(() => `The shared token cache could not be written (${source.label}); tokens are kept in memory. ${(error as Error).message}`);
			}

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

	/** Never rejects. */
	async #retry(): Promise<void> {
		// Who asks for a retry waits for the one that is under way, too.
		this.#retrying = this.#retrying.then(async () => this.#retryPending());
		await this.#retrying;
	}

	async #retryPending(): Promise<void> {
		clearTimeout(this.#retryTimer);
		this.#retryTimer = undefined;
		const pending = this.#pending;
		this.#pending = [];
		for (const write of pending) {
			if (!isExpired(write.grant) || write.grant.endsSession) {
				// All need the same lock.
				await this.#write(write);
			}
		}
	}

	/** One commit for all recent writes of one account: there may be many. */
	async #restore(source: CacheSource): Promise<Restored> {
		const nowMs = performance.now();
		this.#recent = this.#recent.filter(({untilMs}) => untilMs > nowMs);
		let result: Settled | undefined;
		for (const group of groupByAccount(this.#recent.filter(recent => recent.source.label === source.label))) {
			// All need the same lock.
			const restored = await this.#restoreGroup(source, group);
			if (typeof restored !== 'object' || (result && result.stamp !== restored.baseStamp)) {
				return typeof restored === 'object' ? 'again' : restored;
			}

			result = {stamp: restored.stamp, baseStamp: restored.baseStamp, isRepaired: restored.isRepaired || result?.isRepaired === true};
		}

		return result ?? {stamp: (await this.#cache.stamp(source)).value, isRepaired: false};
	}

	async #restoreGroup(source: CacheSource, group: readonly RecentWrite[]): Promise<Settled | 'again' | 'failed'> {
		const grants = group.map(({grant}) => grant);
		const wasMissing = group.some(({missingSinceMs}) => missingSinceMs !== undefined);
		const session = sessionOf(grants);
		if (wasMissing && session && await stateOfSession(this.#cache, {...session, source}) === 'replaced') {
			// The user signed in again. These tokens belong to the earlier session.
			this.#forget(group);
			return 'again';
		}

		const outcome = await this.#commitGrants(source, grants, repairOf(group), {isRepair: true});
		if (outcome instanceof Error) {
			return 'failed';
		}

		switch (outcome.outcome) {
			case 'written': {
				log.info(() => `Another program overwrote a token of this process in the shared cache (${source.label}); it has been written again.`);
				acknowledge(group);
				// The other program may do so again, and a third one may have read what it left.
				for (const recent of group) {
					recent.untilMs = performance.now() + WriteWatch.watchedForMs;
				}

				return outcome.lockLost ? 'again' : {baseStamp: outcome.baseStamp, stamp: outcome.stamp, isRepaired: true};
			}

			case 'unchanged': {
				acknowledge(group);
				return {baseStamp: outcome.stamp, stamp: outcome.stamp, isRepaired: false};
			}

			case 'no-account': {
				const nowMs = performance.now();
				for (const recent of group) {
					recent.missingSinceMs ??= nowMs;
					recent.missingChecks++;
					if (nowMs - recent.missingSinceMs > signedOutAfterMs && recent.missingChecks >= signedOutAfterChecks) {
						log.info(() => 'A token was not written to the shared cache: its account was signed out meanwhile.');
						this.#forget([recent]);
					}
				}

				await this.#commit(source, {edits: grants.flatMap(grant => editsOfUndoing(grant).edits)});
				return 'again';
			}

			case 'guarded': {
				this.#forget(group);
				return 'again';
			}

			default: {
				return 'again';
			}
		}
	}

	#forget(group: readonly RecentWrite[]): void {
		this.#recent = this.#recent.filter(recent => !group.includes(recent));
	}
}

function closedError(): StoreError {
	return new StoreError('STC_LOCK_TIMEOUT', 'The credential was closed while it waited for a lock.', {op: 'lock'});
}

function isExpired({response}: Grant): boolean {
	return response.expiresOnSec <= Date.now() / 1000;
}

/** A refresh token is still worth writing when the access token that came with it has expired. */
function withoutExpired(grant: Grant, change: CacheChange): CacheChange {
	return isExpired(grant) ? {...change, edits: change.edits.filter(({section, action}) => section !== 'AccessToken' || action === 'remove')} : change;
}

/** The session of grants of one account. */
function sessionOf(grants: readonly Grant[]): Session | undefined {
	const session = grants[0]?.session;
	return session && {...session, refreshTokens: new Set(grants.flatMap(grant => [...grant.session?.refreshTokens ?? []]))};
}

/** The cache holds the tokens of these writes. */
function acknowledge(group: readonly RecentWrite[]): void {
	for (const recent of group) {
		recent.missingSinceMs = undefined;
		recent.missingChecks = 0;
	}
}

/** Grants of one account and session, which one commit may write. */
function groupByAccount(all: readonly RecentWrite[]): RecentWrite[][] {
	const groups = new Map<string, RecentWrite[]>();
	for (const recent of all) {
		const {account, session} = recent.grant;
		const key = JSON.stringify([account.homeAccountId, session?.source.label, session?.guard]);
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
