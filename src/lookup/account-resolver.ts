/**
 * Finds the configured account in the caches of this machine, remembers what was found, and notices when the caches change. One per
 * token memory.
 */

import type {CacheKind, CacheSource} from '../cache/cache-source.js';
import {sourcesOf} from '../cache/locations/index.js';
import type {SharedCache} from '../cache/shared-cache.js';
import type {SourceReading, SourceStamp} from '../cache/source-reading.js';
import type {ErrorCode} from '../errors.js';
import {foldAscii, isSame} from '../runtime/fold-case.js';
import {log} from '../runtime/log.js';
import {requireLazily} from '../runtime/lazy.js';
import type {Settings} from '../settings/settings.js';
import {namedTenant} from '../settings/tenants.js';
import {AccountReader, type Resolution, type ResolvedAccount} from './account-reader.js';
import {isStoreDown} from './read-sources.js';
import {
	type Candidate, ofHomeTenant, selectAccount, type Selection,
} from './select-account.js';

/** What the caches of one kind showed when they were last read. */
type View = {
	resolution: Resolution;
	/** If several accounts match: among these, the tenant of a request may choose. */
	several?: {candidates: readonly Candidate[]; reading: SourceReading} | undefined;
	/** What the tenants of requests have chosen, by tenant. */
	chosen: Map<string, Resolution>;
	/** The sources that were read, with their stamps at that time. */
	watched: Array<{source: CacheSource; stamp: SourceStamp}>;
	/** When the stamps were last compared. Unix milliseconds. */
	checkedMs: number;
};

/** Shortest time between two background checks of a keyring that timed out, milliseconds. */
const stalledStoreCheckMs = 30_000;

/** The cache exists but is unusable. A locked keyring is not listed: it may be empty. */
const unusableCacheCodes: ReadonlySet<ErrorCode> = new Set(['STC_CACHE_CORRUPT', 'STC_CACHE_FORMAT', 'STC_CACHE_CHANGED', 'STC_STORE_DENIED', 'STC_IO']);

export class AccountResolver {
	readonly reader: AccountReader;
	readonly #views = new Map<CacheKind, View>();
	readonly #refreshing = new Map<CacheKind, Promise<View>>();
	readonly #onChanged: () => void;
	#generation = 0;

	/** @param onChanged Called when the caches no longer hold what they held at the last reading. */
	constructor(means: {settings: Settings; cache: SharedCache}, onChanged: () => void) {
		this.reader = new AccountReader(means);
		this.#onChanged = onChanged;
	}

	/** Grows when the caches change, and when a claims challenge makes earlier tokens worthless. */
	get generation(): number {
		return this.#generation;
	}

	/** The time since which every view has been checked, Unix milliseconds; 0 if nothing has been read. */
	get checkedMs(): number {
		return this.#views.size === 0 ? 0 : Math.min(...[...this.#views.values()].map(view => view.checkedMs));
	}

	/** The kinds whose caches have been read. */
	get kinds(): CacheKind[] {
		return [...this.#views.keys()];
	}

	/**
	 * The result of the last reading, however old.
	 *
	 * @param tenantId The tenant of the request. If several accounts match, it chooses the one whose home it is.
	 */
	known(kind: CacheKind, tenantId?: string): Resolution | undefined {
		const view = this.#views.get(kind);
		return view && (view.chosen.get(homeOf(tenantId)) ?? view.resolution);
	}

	/** A result that is at most one check interval old. `tenantId`: see {@link known}. */
	async current(kind: CacheKind, tenantId?: string): Promise<Resolution> {
		const view = await this.#currentView(kind);
		return view.several ? this.#choose(view, tenantId) : view.resolution;
	}

	/** What the caches hold now, even if they were checked a moment ago. `tenantId`: see {@link known}. */
	async latest(kind: CacheKind, tenantId?: string): Promise<Resolution> {
		const view = this.#views.get(kind);
		if (view && !await this.#hasChanged(view, false) && this.#views.get(kind) === view) {
			return this.#choose(view, tenantId);
		}

		// A reading that is under way may have missed what another process wrote just now.
		await this.#refreshing.get(kind);
		return this.refresh(kind, tenantId);
	}

	/** Reads the caches again, or joins a reading that is under way. `tenantId`: see {@link known}. */
	async refresh(kind: CacheKind, tenantId?: string): Promise<Resolution> {
		return this.#choose(await this.#refreshView(kind), tenantId);
	}

	/** Whether the caches changed since they were read. If they did not, their view counts as checked now. */
	async isOutdated(kind: CacheKind): Promise<boolean> {
		const view = this.#views.get(kind);
		if (!view) {
			return true;
		}

		const hasChanged = await this.#hasChanged(view, false);
		if (!hasChanged) {
			view.checkedMs = Date.now();
		}

		return hasChanged;
	}

	/** The caches that a grant may be written to, best first. */
	primarySources(kind: CacheKind): readonly CacheSource[] {
		return this.#sources(kind).primary;
	}

	/** The same without those that could not be read the last time: asking a stalled keyring again may take long. */
	readablePrimarySources(kind: CacheKind): CacheSource[] {
		const unreadable = new Set(this.#views.get(kind)?.watched.filter(({stamp}) => !stamp.readable).map(({source}) => source.label));
		return this.primarySources(kind).filter(({label}) => !unreadable.has(label));
	}

	/** This process changed a source from one stamp to the next. That is no news, unless another process wrote in between. */
	acknowledge(source: CacheSource, baseStamp: string, stamp: string): void {
		for (const {watched} of this.#views.values()) {
			for (const watch of watched) {
				if (watch.source.label === source.label && watch.stamp.readable && watch.stamp.value === baseStamp) {
					watch.stamp = {value: stamp, readable: true};
				}
			}
		}
	}

	/**
	 * A claims challenge was answered: tokens that were requested before it go to the callers that wait for them, and to nobody else.
	 *
	 * @param base The generation of the view that the answer rests on.
	 * @returns the generation of the answer: the one that begins, or `base` if the caches have changed since.
	 */
	startGeneration(base: number): number {
		const isCurrent = this.#generation === base;
		this.#generation++;
		return isCurrent ? this.#generation : base;
	}

	#sources(kind: CacheKind) {
		return sourcesOf(this.reader.settings, kind);
	}

	async #currentView(kind: CacheKind): Promise<View> {
		const view = this.#views.get(kind);
		if (view) {
			// Negative after the clock was set back.
			const ageMs = Date.now() - view.checkedMs;
			if (ageMs >= 0 && ageMs < this.reader.settings.cacheCheckIntervalMs) {
				return view;
			}

			if (!await this.#hasChanged(view, true)) {
				view.checkedMs = Date.now();
				// The caches may have been read again while the old stamps were compared.
				return this.#views.get(kind) ?? view;
			}
		}

		return this.#refreshView(kind);
	}

	/** @param isPatient Whether a keyring that timed out recently is asked again, which may take until its time-out. */
	async #hasChanged(view: View, isPatient: boolean): Promise<boolean> {
		const changes = await Promise.all(view.watched.map(async ({source, stamp}) => {
			if (!isPatient && !stamp.readable && stamp.value === 'STC_STORE_TIMEOUT' && Date.now() - view.checkedMs < stalledStoreCheckMs) {
				return false;
			}

			const next = await this.reader.cache.stamp(source);
			return next.readable && (next.value !== stamp.value || !stamp.readable);
		}));
		return changes.includes(true);
	}

	async #refreshView(kind: CacheKind): Promise<View> {
		let refreshing = this.#refreshing.get(kind);
		if (!refreshing) {
			refreshing = this.#resolve(kind).finally(() => {
				this.#refreshing.delete(kind);
			});
			this.#refreshing.set(kind, refreshing);
		}

		return refreshing;
	}

	/** Reads source after source until one has the account. */
	async #resolve(kind: CacheKind): Promise<View> {
		const readings: SourceReading[] = [];
		const {resolution, several} = await this.#findAccount(kind, readings);
		const view: View = {
			resolution,
			several,
			chosen: new Map(),
			watched: readings.map(({source, stamp}) => ({source, stamp})),
			checkedMs: Date.now(),
		};
		const previous = this.#views.get(kind);
		this.#views.set(kind, view);
		if (!previous) {
			return view;
		}

		const known = previous.resolution;
		if (!(known instanceof Error) && !isSameAccount(resolution, known) && wasUnread(known.source, readings)) {
			// A locked keyring or a damaged file is not a sign-out, and no reason to use another account: keep what was read before until
			// the source can be read again.
			log.warning(() => `${known.source.label} cannot be read now. What was read before stays in use.`);
			view.resolution = known;
			return view;
		}

		this.#generation++;
		this.#onChanged();
		return view;
	}

	/** If several accounts match, the tenant of a request chooses the one whose home it is, as in .NET. */
	async #choose(view: View, tenantId: string | undefined): Promise<Resolution> {
		const home = homeOf(tenantId);
		if (!view.several || home === '') {
			return view.resolution;
		}

		let chosen = view.chosen.get(home);
		if (!chosen) {
			const {candidates, reading} = view.several;
			const [candidate, other] = ofHomeTenant(await this.#ofTenant(reading, home) ?? candidates, home);
			// A copy: the reading belongs to the stamps that are watched.
			chosen = (candidate && !other ? await this.#complete(candidate, {...reading}) : undefined) ?? view.resolution;
			view.chosen.set(home, chosen);
		}

		return chosen;
	}

	async #findAccount(kind: CacheKind, readings: SourceReading[]): Promise<Pick<View, 'resolution' | 'several'>> {
		let several: View['several'];
		const resolution = await this.#findIn(kind, readings, (candidates, reading) => {
			several = {candidates, reading};
		});
		return {resolution, several};
	}

	/** @param onSeveral Called if several accounts of a source match. */
	async #findIn(kind: CacheKind, readings: SourceReading[], onSeveral: (candidates: readonly Candidate[], reading: SourceReading) => void): Promise<Resolution> {
		const sources = this.#sources(kind);
		const {primary} = sources;
		if (primary.length === 0) {
			return explain().unsupportedPlatform();
		}

		const query = this.reader.query();
		let failed: Exclude<Selection, {kind: 'one'}> = {kind: 'empty'};
		const consider = async (reading: SourceReading): Promise<Resolution | undefined> => {
			readings.push(reading);
			if (!reading.slice) {
				return undefined;
			}

			const {tenantId, tenantOnlyDisambiguates} = this.reader.criteria;
			const ofTenant = reading.slice.accountsLeftOut ? await this.#ofTenant(reading, tenantOnlyDisambiguates ? tenantId : undefined) : undefined;
			const candidates = ofTenant ?? this.reader.candidatesIn(reading.slice);
			const selection = selectAccount(candidates, this.reader.criteria);
			switch (selection.kind) {
				case 'one': {
					log.info(() => `The account ${explain().describeAccount(selection.candidate.account, this.reader.settings.allowLoggingAccountIdentifiers)} was found in ${reading.source.label}.`);
					return this.#complete(selection.candidate, reading);
				}

				case 'several': {
					onSeveral(selection.candidates, reading);
					return explain().explainSeveral(this.reader, selection, reading.source.label);
				}

				default: {
					// The error lists the accounts of the first source that has any.
					failed = failed.kind === 'empty' ? selection : failed;
					return undefined;
				}
			}
		};

		// A file costs microseconds and a keyring milliseconds, so they are read at once and judged in turn.
		for (const reading of await Promise.all(primary.map(async source => this.reader.read(source, query)))) {
			const resolution = await consider(reading);
			if (resolution) {
				return resolution;
			}
		}

		// No account is configured and the primary cache is damaged. Fail rather than pick an account from a lower-priority cache.
		if (!this.#namesAccount() && readings.some(({error}) => error !== undefined && unusableCacheCodes.has(error.code))) {
			return explain().explainNoAccount(this.reader, failed, readings);
		}

		for (const source of sources.extra) {
			const resolution = isStoreDown(source.store, readings) ? undefined : await consider(await this.reader.read(source, query));
			if (resolution) {
				return resolution;
			}
		}

		return explain().explainNoAccount(this.reader, failed, readings);
	}

	/** Whether the options name an account, so that it may be taken from any cache. */
	#namesAccount(): boolean {
		const {homeAccountId, username, tenantId, tenantOnlyDisambiguates} = this.reader.criteria;
		return username !== undefined || homeAccountId !== undefined || (tenantId !== undefined && !tenantOnlyDisambiguates);
	}

	/** A slice has the secrets of one account at most: reads again, if the chosen account is another one. */
	async #complete(candidate: Candidate, reading: SourceReading): Promise<ResolvedAccount | undefined> {
		const {source, slice} = reading;
		const {homeAccountId} = candidate.account;
		if (slice?.chosenAccount !== undefined && isSame(slice.chosenAccount, homeAccountId)) {
			return {candidate, source, accessTokens: slice.accessTokens};
		}

		const {account, stamp, error} = await this.reader.readAccount(source, homeAccountId);
		reading.stamp = stamp;
		reading.error = error;
		return account;
	}

	/** The candidates of a home tenant, if the reading left accounts out: there may be others of this tenant. */
	async #ofTenant({source, slice}: SourceReading, tenantId: string | undefined): Promise<Candidate[] | undefined> {
		if (!slice?.accountsLeftOut || tenantId === undefined) {
			return undefined;
		}

		const again = await this.reader.read(source, {...this.reader.query(), homeTenantId: tenantId});
		const {username} = this.reader.criteria;
		return again.slice === null ? undefined : this.reader.candidatesIn(again.slice).filter(({usernames}) => username === undefined || usernames.some(each => isSame(each, username)));
	}
}

/** The tenant of a request, if it may be a home tenant: not for words. */
function homeOf(tenantId: string | undefined): string {
	return foldAscii((tenantId && namedTenant(tenantId)) ?? '');
}

/** Loaded when there is something to explain. */
function explain() {
	return requireLazily(() => require('./account-errors.js') as typeof import('./account-errors.js'));
}

function isSameAccount(resolution: Resolution, {candidate}: ResolvedAccount): boolean {
	return !(resolution instanceof Error) && isSame(resolution.candidate.account.homeAccountId, candidate.account.homeAccountId);
}

/** Whether the source could not be read. A source that was read, or does not exist, no longer has the account. */
function wasUnread(source: CacheSource, readings: readonly SourceReading[]): boolean {
	const reading = readings.find(({source: {label}}) => label === source.label);
	return reading ? reading.error !== undefined : isStoreDown(source.store, readings);
}
