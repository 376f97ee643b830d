/**
 * A miss: finds the account and a token of it in the shared cache, and redeems a refresh token where no access token fits. One
 * per memo; holds what the last reading of the cache showed, so that the account's next scope is a hit too.
 */

import type {Asked} from '../lookup/account-errors.js';
import {
	type AccountCriteria, type Candidate, findCandidates, selectAccount, type Selection,
} from '../lookup/select-account.js';
import type {AccessTokenEntry, CacheQuery} from '../backend/backend.js';
import {SharedCache, type SourceReading, type SourceStamp} from '../cache/shared-cache.js';
import {
	AuthenticationError, CredentialUnavailableError, type ErrorCode, type StoreError,
} from '../errors.js';
import type {Ending} from '../runtime/single-flight.js';
import type {GrantedToken} from '../grant/granted-tokens.js';
import {type CacheKind, type CacheSource, cacheSources} from '../cache/locations/index.js';
import {log} from '../runtime/log.js';
import type {Settings} from '../settings/settings.js';
import {part} from '../runtime/lazy.js';
import type {Redemption} from '../grant/refresh-grant.js';
import {namedTenant, ownTenant} from '../settings/tenants.js';
import {clockSkewSec, findAccessToken, minimumLifetimeSec} from '../lookup/select-token.js';

/** One token wanted, arguments checked. */
export type TokenRequest = {
	readonly scopes: readonly string[];
	readonly kind: CacheKind;
	/** Tenant that the caller named and may name. */
	readonly tenantId: string | undefined;
	readonly claims: string | undefined;
};

export type AcquiredToken = {
	token: string;
	/** Unix seconds. */
	expiresOnSec: number;
	/** Unix seconds, where the authority told. */
	refreshOnSec: number | undefined;
	/** Unix seconds: when the token's life began, where known. */
	issuedSec: number | undefined;
	/** Served although it is about to expire, because the authority gave no other. */
	isLastResort: boolean;
	/** {@link Acquisition.generation} of the reading that this rests on. */
	generation: number;
};

export type ReplacedToken = {
	token: string;
	/** Unix seconds. */
	expiresOnSec: number;
};

/** What a look at the sources came to. */
type View = {
	outcome: ResolvedAccount | CredentialUnavailableError;
	/** The sources that were looked at, and their state then. */
	watched: Array<{source: CacheSource; stamp: SourceStamp}>;
	checkedMs: number;
};

export type ResolvedAccount = {
	candidate: Candidate;
	source: CacheSource;
	accessTokens: readonly AccessTokenEntry[];
};

/** A keyring that stalls is not looked at more often than this in the background, milliseconds. */
const stalledStoreCheckMs = 30_000;

/** A cache is there, and cannot be made sense of. A keyring that is locked may as well hold none. */
const damages: ReadonlySet<ErrorCode> = new Set(['STC_CACHE_CORRUPT', 'STC_CACHE_FORMAT', 'STC_CACHE_CHANGED', 'STC_STORE_DENIED', 'STC_IO']);

export class Acquisition {
	readonly #cache: SharedCache;
	readonly #settings: Settings;
	readonly #criteria: AccountCriteria;
	readonly #views = new Map<CacheKind, View>();
	readonly #looking = new Map<CacheKind, Promise<View>>();
	readonly #onChanged: () => void;
	#redemption: Redemption | undefined;
	#generation = 0;

	/** @param onChanged Called when what the sources said before no longer holds. */
	constructor(settings: Settings, onChanged: () => void) {
		this.#settings = settings;
		this.#onChanged = onChanged;
		this.#cache = new SharedCache(settings);
		this.#criteria = {
			homeAccountId: settings.record?.homeAccountId,
			username: settings.username,
			tenantId: settings.tenantId && namedTenant(settings.tenantId),
			tenantOnlyDisambiguates: settings.enableGuestTenantAuthentication,
		};
	}

	/** Grows whenever the sources turn out to have changed. */
	get generation(): number {
		return this.#generation;
	}

	/** When the sources of both kinds, as far as they are in use, had all been looked at. Unix milliseconds. */
	get checkedMs(): number {
		return this.#views.size === 0 ? 0 : Math.min(...[...this.#views.values()].map(view => view.checkedMs));
	}

	/**
	 * @param replaced For a refresh ahead of time: the token that is served now. A cached one has to live longer to be taken.
	 * @throws {CredentialUnavailableError} {AuthenticationRequiredError} {AuthenticationError}
	 * @throws the reason of `ending`, if it came.
	 */
	async acquire(request: TokenRequest, ending: Ending, replaced?: ReplacedToken): Promise<AcquiredToken> {
		const {outcome} = await this.#currentView(request.kind);
		const generation = this.#generation;
		ending.throwIfAborted();
		if (outcome instanceof Error) {
			throw outcome;
		}

		const cached = this.#findCached(outcome, request, minimumLifetimeSec);
		if (cached && (!replaced || livesLonger(cached, replaced))) {
			return toAcquired(cached, generation);
		}

		try {
			return await this.#acquireAlone(outcome, request, ending.signal, replaced);
		} catch (error) {
			// An authority that is down does not take away a token that still lives.
			const lastResort = error instanceof AuthenticationError ? this.#findCached(outcome, request, 0) : undefined;
			if (!lastResort) {
				throw error;
			}

			log.warning(() => `${(error as Error).message} The cached token is served while it lives.`);
			return {...toAcquired(lastResort, generation), isLastResort: true};
		}
	}

	/** A token that still lives, however short, by what the last look at the sources showed. */
	lastResort(request: TokenRequest): AcquiredToken | undefined {
		const outcome = this.#views.get(request.kind)?.outcome;
		const token = outcome && !(outcome instanceof Error) ? this.#findCached(outcome, request, 0) : undefined;
		return token && {...toAcquired(token, this.#generation), isLastResort: true};
	}

	/** Looks whether the sources changed since they were read, and reads them again if so. */
	async check(): Promise<void> {
		await Promise.all([...this.#views].map(async ([kind, view]) => {
			if (await this.#hasChanged(view, false)) {
				await Promise.all([this.#look(kind), this.#redemption?.repair()]);
			} else {
				view.checkedMs = Date.now();
			}
		}));
	}

	async close(): Promise<void> {
		await this.#redemption?.close();
	}

	/** Readings of all sources, for requests of both kinds. */
	async readAll(): Promise<SourceReading[]> {
		const sources = new Map<string, CacheSource>();
		for (const kind of ['nocae', 'cae'] as const) {
			const {primary, extra} = this.#sources(kind);
			for (const source of [...primary, ...extra]) {
				sources.set(source.label, source);
			}
		}

		const readings: SourceReading[] = [];
		for (const source of sources.values()) {
			// The keyring answers one question at a time anyway.
			const reading = await this.#readUnlessDown(source, this.#query(), readings);
			if (reading) {
				readings.push(reading);
			}
		}

		return readings;
	}

	#sources(kind: CacheKind) {
		return cacheSources(kind, {...this.#settings, platform: process.platform});
	}

	#query(homeAccountId = this.#settings.record?.homeAccountId): CacheQuery {
		const {authority, clientId} = this.#settings;
		const {username, tenantId, tenantOnlyDisambiguates} = this.#criteria;
		const query: CacheQuery = {environments: authority.environments, clientId, nowSec: Math.floor(Date.now() / 1000)};
		if (homeAccountId) {
			query.homeAccountId = homeAccountId;
		} else {
			if (username) {
				query.username = username;
			}

			if (tenantId && !tenantOnlyDisambiguates) {
				query.homeTenantId = tenantId;
			}
		}

		return query;
	}

	/** What is known of the sources, at most one check interval old. */
	async #currentView(kind: CacheKind): Promise<View> {
		const view = this.#views.get(kind);
		if (view) {
			// Negative after the clock was set back.
			const ageMs = Date.now() - view.checkedMs;
			if (ageMs >= 0 && ageMs < this.#settings.cacheCheckIntervalMs) {
				return view;
			}

			if (!await this.#hasChanged(view, true)) {
				view.checkedMs = Date.now();
				// The sources may have been read again while an old stamp was compared.
				return this.#views.get(kind) ?? view;
			}
		}

		return this.#look(kind);
	}

	/** @param isPatient Whether a keyring that stalled a moment ago may be asked again, which may take long. */
	async #hasChanged(view: View, isPatient: boolean): Promise<boolean> {
		const changes = await Promise.all(view.watched.map(async ({source, stamp}) => {
			if (!isPatient && !stamp.readable && stamp.value === 'STC_STORE_TIMEOUT' && Date.now() - view.checkedMs < stalledStoreCheckMs) {
				return false;
			}

			const next = await this.#cache.stamp(source);
			return next.readable && (next.value !== stamp.value || !stamp.readable);
		}));
		return changes.includes(true);
	}

	async #look(kind: CacheKind): Promise<View> {
		let looking = this.#looking.get(kind);
		if (!looking) {
			looking = this.#resolve(kind).finally(() => {
				this.#looking.delete(kind);
			});
			this.#looking.set(kind, looking);
		}

		return looking;
	}

	/** Reads source after source until one has the account. */
	async #resolve(kind: CacheKind): Promise<View> {
		const readings: SourceReading[] = [];
		const outcome = await this.#findAccount(kind, readings);
		const view: View = {
			outcome,
			watched: readings.map(({source, stamp}) => ({source, stamp})),
			checkedMs: Date.now(),
		};
		const previous = this.#views.get(kind);
		this.#views.set(kind, view);
		if (!previous) {
			return view;
		}

		const known = previous.outcome;
		if (!(known instanceof Error) && !isSameAccount(outcome, known) && wasUnread(known.source, readings)) {
			// A locked keyring or a damaged file is no sign-out, and no reason to take another account: what was read before is used
			// until it can be read again.
			log.warning(() => `${known.source.label} cannot be read now. What was read before is used on.`);
			view.outcome = known;
			return view;
		}

		this.#redemption?.forgetRefusals();
		this.#generation++;
		this.#onChanged();
		return view;
	}

	async #findAccount(kind: CacheKind, readings: SourceReading[]): Promise<View['outcome']> {
		const sources = this.#sources(kind);
		const {primary} = sources;
		if (primary.length === 0) {
			return new CredentialUnavailableError(
				'STC_UNSUPPORTED_PLATFORM',
				`SharedTokenCacheCredential: Shared token cache is not supported on this platform (${process.platform}).`,
			);
		}

		const query = this.#query();
		let failed: Exclude<Selection, {kind: 'one'}> = {kind: 'empty'};
		const consider = async (reading: SourceReading): Promise<View['outcome'] | undefined> => {
			readings.push(reading);
			if (!reading.slice) {
				return undefined;
			}

			const selection = selectAccount(findCandidates(reading.slice, this.#settings.clientId), this.#criteria);
			switch (selection.kind) {
				case 'one': {
					log.info(() => `The account ${inWords().describeAccount(selection.candidate.account, this.#settings.allowLoggingAccountIdentifiers)} was found in ${reading.source.label}.`);
					return this.#complete(selection.candidate, reading);
				}

				case 'several': {
					return inWords().unavailable('STC_AMBIGUOUS_ACCOUNT', selection, this.#asked());
				}

				default: {
					// The text names the accounts of the first source that has some.
					failed = failed.kind === 'empty' ? selection : failed;
					return undefined;
				}
			}
		};

		// A file costs microseconds and a keyring milliseconds, so they are read at once and judged in turn.
		for (const reading of await Promise.all(primary.map(async source => this.#cache.read(source, query)))) {
			const outcome = await consider(reading);
			if (outcome) {
				return outcome;
			}
		}

		// Whose token it is to be nobody said, and the caches that say it are damaged: no other cache's account is taken in its place.
		if (!this.#namesAccount() && readings.some(({error}) => error !== undefined && damages.has(error.code))) {
			return inWords().explainFailure(failed, readings, this.#asked());
		}

		for (const source of sources.extra) {
			const reading = await this.#readUnlessDown(source, query, readings);
			const outcome = reading && await consider(reading);
			if (outcome) {
				return outcome;
			}
		}

		return inWords().explainFailure(failed, readings, this.#asked());
	}

	/** Whether the options say which account is meant, so that any cache's will do. */
	#namesAccount(): boolean {
		const {homeAccountId, username, tenantId, tenantOnlyDisambiguates} = this.#criteria;
		return username !== undefined || homeAccountId !== undefined || (tenantId !== undefined && !tenantOnlyDisambiguates);
	}

	/** Once the service itself is missing or stalls, its other items need not be tried. */
	async #readUnlessDown(source: CacheSource, query: CacheQuery, readings: readonly SourceReading[]): Promise<SourceReading | undefined> {
		const isDown = readings.some(reading => reading.source.store === source.store && isStoreDown(reading.error));
		return isDown ? undefined : this.#cache.read(source, query);
	}

	/** A slice of many accounts comes without secrets: reads again for the one that was chosen. */
	async #complete(candidate: Candidate, reading: SourceReading): Promise<ResolvedAccount | undefined> {
		const {source, slice} = reading;
		if (candidate.refreshTokens.some(token => token.secret !== undefined)) {
			return {candidate, source, accessTokens: slice?.accessTokens ?? []};
		}

		const {homeAccountId} = candidate.account;
		const full = await this.#cache.read(source, this.#query(homeAccountId));
		const found = full.slice && findCandidates(full.slice, this.#settings.clientId).find(({account}) => account.homeAccountId.toLowerCase() === homeAccountId.toLowerCase());
		reading.stamp = full.stamp;
		reading.error = full.error;
		return found ? {candidate: found, source, accessTokens: full.slice?.accessTokens ?? []} : undefined;
	}

	/**
	 * Redeems a refresh token while no other process on this machine does so for the same token; where one just did, its token is
	 * taken from the cache.
	 */
	async #acquireAlone(account: ResolvedAccount, request: TokenRequest, signal: AbortSignal, replaced: ReplacedToken | undefined): Promise<AcquiredToken> {
		const redemption = this.#redeemer();
		// What could not be read just now is not asked again.
		const unreadable = new Set(this.#views.get(request.kind)?.watched.filter(({stamp}) => !stamp.readable).map(({source}) => source.label));
		const {primary} = this.#sources(request.kind);
		const target = await redemption.target(account, primary.filter(({label}) => !unreadable.has(label)));
		// What claims ask for is no cached token, so nobody could use another's.
		const lease = request.claims === undefined ? await redemption.takeLease(account, request, {primary, target, signal}) : undefined;
		try {
			const view = await this.#latestView(request.kind);
			const generation = this.#generation;
			if (view.outcome instanceof Error) {
				throw view.outcome;
			}

			const cached = this.#findCached(view.outcome, request, minimumLifetimeSec);
			if (cached && (!replaced || livesLonger(cached, replaced))) {
				return toAcquired(cached, generation);
			}

			const granted = await redemption.redeem(view.outcome, request, target, signal);
			// Its own challenge is what made this grant's generation old.
			return toAcquired(granted, request.claims !== undefined && this.#generation === generation + 1 ? this.#generation : generation);
		} finally {
			await lease?.release();
		}
	}

	/** What the sources say now, however short ago they were looked at. */
	async #latestView(kind: CacheKind): Promise<View> {
		const view = this.#views.get(kind);
		if (view && !await this.#hasChanged(view, false) && this.#views.get(kind) === view) {
			return view;
		}

		// A look that is under way may have passed by what another process wrote just now.
		await this.#looking.get(kind);
		return this.#look(kind);
	}

	#findCached(account: ResolvedAccount, request: TokenRequest, lifetimeSec: number): AccessTokenEntry | GrantedToken | undefined {
		if (request.claims !== undefined) {
			return undefined;
		}

		const {kind} = account.source;
		// A source of both kinds may hold tokens that no CAE request should get, and no others.
		const fitsKind = kind === request.kind || (kind === undefined && request.kind === 'nocae');
		const criteria = {
			account: account.candidate.account,
			clientId: this.#settings.clientId,
			environments: this.#settings.authority.environments,
			scopes: request.scopes,
			tenantId: request.tenantId ?? ownTenant(this.#settings),
			isAdfs: this.#settings.authority.isAdfs,
			nowSec: Math.floor(Date.now() / 1000),
			lifetimeSec,
		};
		const granted = this.#redemption?.granted.ofKind(request.kind) ?? [];
		const cached = fitsKind ? account.accessTokens : [];
		// What a challenge made worthless may expire later than what answered it.
		const challenge = this.#redemption?.granted.lastChallenge(request.kind, criteria);
		return challenge === undefined
			? findAccessToken([...granted, ...cached], criteria)
			: findAccessToken([...granted.filter(({order}) => order >= challenge.order), ...cached.filter(({cachedAt = 0}) => cachedAt * 1000 >= challenge.sentMs)], criteria);
	}

	/** Loaded when the first token is not in the cache, because that costs a hit's start-up many times over. */
	#redeemer(): Redemption {
		if (!this.#redemption) {
			const {Redemption: Redeemer} = part(() => require('../grant/refresh-grant.js') as typeof import('../grant/refresh-grant.js'));
			this.#redemption = new Redeemer({settings: this.#settings, cache: this.#cache}, {
				written: (source, baseStamp, stamp) => {
					this.#acknowledge(source, baseStamp, stamp);
				},
				challenge: () => {
					// What was asked for before it is served to those who wait for it, and to nobody else.
					this.#generation++;
				},
			});
		}

		return this.#redemption;
	}

	#asked(): Asked {
		return {criteria: this.#criteria, showUserNames: this.#settings.allowLoggingAccountIdentifiers};
	}

	/** A write of our own is no news, unless somebody else wrote just before. */
	#acknowledge(source: CacheSource, baseStamp: string, stamp: string): void {
		for (const {watched} of this.#views.values()) {
			for (const watch of watched) {
				if (watch.source.label === source.label && watch.stamp.readable && watch.stamp.value === baseStamp) {
					watch.stamp = {value: stamp, readable: true};
				}
			}
		}
	}
}

/** Loaded when there is something to explain. */
function inWords() {
	return part(() => require('../lookup/account-errors.js') as typeof import('../lookup/account-errors.js'));
}

/** The same token does not, though its times read differently once the clock by which they were written is no longer ahead. */
function livesLonger(entry: AccessTokenEntry, replaced: ReplacedToken): boolean {
	return entry.secret !== replaced.token && entry.expiresOn - clockSkewSec(entry, Math.floor(Date.now() / 1000)) > replaced.expiresOnSec;
}

function toAcquired(entry: AccessTokenEntry, generation: number): AcquiredToken {
	const skewSec = clockSkewSec(entry, Math.floor(Date.now() / 1000));
	return {
		token: entry.secret,
		expiresOnSec: entry.expiresOn - skewSec,
		refreshOnSec: entry.refreshOn && entry.refreshOn - skewSec,
		issuedSec: entry.cachedAt && entry.cachedAt - skewSec,
		isLastResort: false,
		generation,
	};
}

/** The mechanism itself does not answer, so that no item of it will. */
function isStoreDown(error: StoreError | undefined): boolean {
	return error?.code === 'STC_STORE_UNAVAILABLE' || error?.code === 'STC_STORE_TIMEOUT' || error?.code === 'STC_ADDON_MISSING';
}

function isSameAccount(outcome: View['outcome'], {candidate}: ResolvedAccount): boolean {
	return !(outcome instanceof Error) && outcome.candidate.account.homeAccountId.toLowerCase() === candidate.account.homeAccountId.toLowerCase();
}

/** The source could not be read, in contrast to: was read, or is not there, and so has no such account any more. */
function wasUnread(source: CacheSource, readings: readonly SourceReading[]): boolean {
	const reading = readings.find(({source: {label}}) => label === source.label);
	return reading ? reading.error !== undefined : readings.some(({source: {store}, error}) => store === source.store && isStoreDown(error));
}
