/**
 * Writes the changes of a program to a cache, record by record, unless a sign-out came in between, and writes records again that another
 * program overwrote within a minute. The plugin for msal-node and `withCache` share it; the credential's `WriteBack` does so for grants.
 */

import type {CommitOptions, CommitOutcome} from '../cache/commit.js';
import type {SharedCache} from '../cache/shared-cache.js';
import {
	leaveMark, markPathOf, signOutsSoFar, type SignOuts, wasSignedOut,
} from '../cache/sign-out-mark.js';
import {type Restored, WriteWatch} from '../cache/write-watch.js';
import type {CacheSource} from '../cache/cache-source.js';
import type {JsonObject} from '../runtime/json.js';
import {log, logTextOf} from '../runtime/log.js';
import {
	addChanges, cacheChangesOf, hasSecret, homeAccountIdOf, type RecordChange, subjectOf, undoneChanges,
} from './record-diff.js';

/** Most records that are watched. Beyond that, the oldest are left to themselves. */
const maxWatched = 10_000;

/** Most versions of one record that are known again in an older copy of the cache. */
const maxVersions = 10;

/** So many sign-outs during one look at a change, and it counts as signed out. */
const maxLooks = 10;

/** A change, with the sign-outs from before the program made it: a later one wins. */
export type DatedChange = {change: RecordChange; since: SignOuts};

type Recent = DatedChange & {untilMs: number};

/** What a record was before and after the recent changes of it. */
type Versions = {records: readonly JsonObject[]; untilMs: number};

/** Both are by {@link subjectOf}. */
type RecentWrites = {source: CacheSource; changes: Map<string, Recent>; versions: Map<string, Versions>};

export class RecordRepair {
	readonly #cache: SharedCache;
	readonly #watch: WriteWatch;
	/** By the source's label. */
	readonly #recent = new Map<string, RecentWrites>();

	constructor(cache: SharedCache) {
		this.#cache = cache;
		this.#watch = new WriteWatch(async source => cache.stamp(source), async source => this.#restore(source));
	}

	/** Call this after changes were written. */
	written(source: CacheSource, changes: readonly DatedChange[], outcome: Extract<CommitOutcome, {outcome: 'written'}>): void {
		const untilMs = performance.now() + WriteWatch.watchedForMs;
		const known = this.#recent.get(source.label) ?? {source, changes: new Map<string, Recent>(), versions: new Map<string, Versions>()};
		this.#recent.set(source.label, known);
		this.forget(source, changes.map(({change}) => change));
		for (const dated of changes) {
			if (dated.change.kind === 'put') {
				const subject = subjectOf(dated.change);
				known.changes.set(subject, {...dated, untilMs});
				const {before, after} = dated.change;
				const records = [...known.versions.get(subject)?.records ?? [], ...(before ? [before] : []), after];
				known.versions.set(subject, {records: records.slice(-maxVersions), untilMs});
			}
		}

		for (const subject of known.changes.keys()) {
			if (known.changes.size <= maxWatched) {
				break;
			}

			known.changes.delete(subject);
			known.versions.delete(subject);
		}

		this.#watch.written(source, outcome);
	}

	/** Call this with later changes: what they replace or end is not written again. */
	forget(source: CacheSource, later: readonly RecordChange[]): void {
		const recent = this.#recent.get(source.label);
		if (recent && recent.changes.size > 0 && later.length > 0) {
			const left = new Map([...recent.changes].map(([subject, {change}]): [string, RecordChange] => [subject, change]));
			const replaced = new Set(later.map(change => subjectOf(change)));
			addChanges(left, later);
			for (const subject of recent.changes.keys()) {
				if (replaced.has(subject) || !left.has(subject)) {
					recent.changes.delete(subject);
				}
			}
		}
	}

	/** The recent changes that a text of the cache lacks, because another program has written an older version. */
	undone(source: CacheSource, text: string): DatedChange[] {
		const recent = this.#recent.get(source.label);
		if (!recent) {
			return [];
		}

		const nowMs = performance.now();
		for (const records of [recent.changes, recent.versions]) {
			for (const [subject, {untilMs}] of records) {
				if (untilMs <= nowMs) {
					records.delete(subject);
				}
			}
		}

		const all = [...recent.changes.values()];
		const undone = new Set(undoneChanges(text, all.map(({change}) => change), change => recent.versions.get(subjectOf(change))?.records ?? []));
		return all.filter(({change}) => undone.has(change));
	}

	async #restore(source: CacheSource): Promise<Restored> {
		const read = await this.#cache.readText(source);
		if (!read) {
			// Somebody deleted the cache, and all that was in it.
			const {value} = await this.#cache.stamp(source);
			return {stamp: value, isRepaired: false};
		}

		const value = read.stamp;
		const undone = this.undone(source, read.text);
		const changes = await withoutSignedOut(this.#cache, source, undone);
		for (const {change} of undone.filter(dated => !changes.current.includes(dated))) {
			this.#recent.get(source.label)?.changes.delete(subjectOf(change));
		}

		let {stamp, version} = read;
		for (const change of cacheChangesOf(changes.current.map(dated => dated.change))) {
			const outcome = await this.#cache.commit(source, change, {
				...commitOptions(changes.signOuts), create: true, expectedStamp: stamp, expectedVersion: version,
			});
			if ('stamp' in outcome && !(outcome.outcome === 'written' && outcome.lockLost)) {
				({stamp, version} = outcome);
			} else {
				return 'again';
			}
		}

		if (stamp !== value) {
			log.info(() => `Another program overwrote records of this process in the shared token cache (${source.label}); they have been written again.`);
			const untilMs = performance.now() + WriteWatch.watchedForMs;
			const recent = this.#recent.get(source.label);
			for (const each of [...recent?.changes.values() ?? [], ...recent?.versions.values() ?? []]) {
				each.untilMs = untilMs;
			}
		}

		return {stamp, isRepaired: stamp !== value};
	}
}

/** The changes whose accounts were not signed out since, and the sign-outs so far, which a commit has to compare. */
export async function withoutSignedOut(cache: SharedCache, source: CacheSource, changes: readonly DatedChange[]): Promise<{current: DatedChange[]; signOuts: SignOuts}> {
	for (let looks = 1; ; looks++) {
		const signOuts = await signOutsSoFar(source);
		const isCurrent = ({change, since}: DatedChange) => change.kind !== 'put' || !wasSignedOut(homeAccountIdOf(change.after), since, signOuts);
		if (changes.every(dated => isCurrent(dated))) {
			return {current: [...changes], signOuts};
		}

		// A sign-out may have failed, or may not be done yet. If the cache still has the token that a new refresh token replaces, the session lasts.
		const read = await cache.readText(source);
		const again = await signOutsSoFar(source);
		if (again.guard?.stamp === signOuts.guard?.stamp || looks === maxLooks) {
			const current = changes.filter(dated => isCurrent(dated) || replacesPresent(dated.change, read?.text ?? ''));
			if (current.length < changes.length) {
				log.info(() => 'Records were not written to the shared token cache: their account was signed out meanwhile.');
			}

			return {current, signOuts};
		}
	}
}

/** Makes other writes that are under way look for these accounts again. Call it before and after a sign-out is written. */
export async function markSignOuts(source: CacheSource, homeAccountIds: readonly string[]): Promise<void> {
	const path = markPathOf(source);
	for (const homeAccountId of path === undefined ? [] : homeAccountIds) {
		await leaveMark(path!, homeAccountId).catch((error: unknown) => {
			// Without the directory there is no cache.
			log.info(() => `The sign-out could not be marked. ${logTextOf(error)}`);
		});
	}
}

export function commitOptions({guard}: SignOuts): CommitOptions {
	return guard ? {guard} : {};
}

function replacesPresent(change: RecordChange, text: string): boolean {
	const secret = change.kind === 'put' && change.section === 'RefreshToken' ? change.before?.['secret'] : undefined;
	return change.kind === 'put' && typeof secret === 'string' && hasSecret(text, change, secret);
}
