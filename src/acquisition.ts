/**
 * A miss: finds the account and a token of it in the shared cache, and redeems a refresh token where no access token fits. One
 * per memo; holds what the last reading of the cache showed, so that the account's next scope is a hit too.
 */

import {
	type Candidate, type AccountCriteria, explainSelection, findCandidates, selectAccount, type Selection,
} from './accounts.js';
import type {AccessTokenEntry, CacheQuery, RefreshTokenEntry} from './backend.js';
import {SharedCache, type SourceReading, type SourceStamp} from './cache.js';
import {
	AuthenticationError,
	AuthenticationRequiredError,
	CredentialUnavailableError,
	type ErrorCode,
	StoreError,
} from './errors.js';
import type {Grant} from './grant-edits.js';
import type {TokenResponse} from './grant-response.js';
import {type GrantedToken, GrantedTokens} from './granted-tokens.js';
import type {Lease} from './lease.js';
import {type CacheKind, type CacheSource, cacheSources} from './locations.js';
import {log} from './log.js';
import type {Settings} from './options.js';
import {
	consumersTenant, homeTenantOf, isTenantGuid, organizationsTenant,
} from './tenants.js';
import type {GrantRefusal, TokenClient} from './token-client.js';
import {clockSkewSec, findAccessToken, minimumLifetimeSec} from './token-match.js';
import type {WriteBack} from './write-back.js';

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

type ResolvedAccount = {
	candidate: Candidate;
	source: CacheSource;
	accessTokens: readonly AccessTokenEntry[];
};

/** The suberror with which Entra says that a refresh token is none. Source: MSAL for Node, `InteractionRequiredAuthError`. */
const badToken = 'bad_token';

/**
 * What was refused to a request is asked again after this time, for administrators and networks change what no cache tells. Source:
 * MSAL for .NET, `UiRequiredProvider`. Milliseconds.
 */
const requestRefusedMs = 120_000;

/** Refusals remembered at the most: claims differ each time. */
const maxRefused = 100;

/** A keyring that stalls is not looked at more often than this in the background, milliseconds. */
const stalledStoreCheckMs = 30_000;

/**
 * What is worth telling where sources could not be read, the most telling first. Each outweighs an answer of "no accounts" from the
 * others; what is not here, a keyring service or addon that is missing, is normal beside a plaintext cache.
 */
const tellingErrors: readonly ErrorCode[] = [
	'STC_CACHE_CORRUPT',
	'STC_CACHE_FORMAT',
	'STC_CACHE_CHANGED',
	'STC_STORE_DENIED',
	'STC_IO',
	'STC_STORE_LOCKED',
	'STC_STORE_TIMEOUT',
];

/** A cache is there, and cannot be made sense of. A keyring that is locked may as well hold none. */
const damages: ReadonlySet<ErrorCode> = new Set(['STC_CACHE_CORRUPT', 'STC_CACHE_FORMAT', 'STC_CACHE_CHANGED', 'STC_STORE_DENIED', 'STC_IO']);

export class Acquisition {
	readonly #cache: SharedCache;
	readonly #granted = new GrantedTokens();
	readonly #settings: Settings;
	readonly #criteria: AccountCriteria;
	readonly #views = new Map<CacheKind, View>();
	readonly #looking = new Map<CacheKind, Promise<View>>();
	/** What the authority refused until the cache changes: a refresh token, or a request with a cached one. */
	readonly #refused = new Map<string, {refusal: GrantRefusal; untilMs: number}>();
	readonly #onChanged: () => void;
	#client: TokenClient | undefined;
	#writeBack: WriteBack | undefined;
	#generation = 0;

	/** @param onChanged Called when what the sources said before no longer holds. */
	constructor(settings: Settings, onChanged: () => void) {
		this.#settings = settings;
		this.#onChanged = onChanged;
		this.#cache = new SharedCache(settings);
		this.#criteria = {
			homeAccountId: settings.record?.homeAccountId,
			username: settings.username,
			tenantId: settings.tenantId,
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
	 * @throws the reason of `signal`, if that fired.
	 */
	async acquire(request: TokenRequest, signal: AbortSignal, replaced?: ReplacedToken): Promise<AcquiredToken> {
		const {outcome} = await this.#currentView(request.kind);
		const generation = this.#generation;
		signal.throwIfAborted();
		if (outcome instanceof Error) {
			throw outcome;
		}

		const cached = this.#findCached(outcome, request, minimumLifetimeSec);
		if (cached && livesLonger(cached, replaced)) {
			return toAcquired(cached, generation);
		}

		try {
			return await this.#acquireAlone(outcome, request, signal, replaced);
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

	/** Looks whether the sources changed since they were read, and reads them again if so. */
	async check(): Promise<void> {
		await Promise.all([...this.#views].map(async ([kind, view]) => {
			if (await this.#hasChanged(view, false)) {
				await Promise.all([this.#look(kind), this.#writeBack?.repair()]);
			} else {
				view.checkedMs = Date.now();
			}
		}));
	}

	async close(): Promise<void> {
		const client = this.#client;
		this.#client = undefined;
		const writeBack = this.#writeBack;
		this.#writeBack = undefined;
		await Promise.all([writeBack?.close(), client?.close()]);
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
			// eslint-disable-next-line no-await-in-loop
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
		const {authority, clientId, username, tenantId, enableGuestTenantAuthentication} = this.#settings;
		const query: CacheQuery = {environments: authority.environments, clientId, nowSec: Math.floor(Date.now() / 1000)};
		if (homeAccountId) {
			query.homeAccountId = homeAccountId;
		} else {
			if (username) {
				query.username = username;
			}

			if (tenantId && !enableGuestTenantAuthentication) {
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

		this.#refused.clear();
		this.#generation++;
		this.#onChanged();
		return view;
	}

	async #findAccount(kind: CacheKind, readings: SourceReading[]): Promise<View['outcome']> {
		const {primary, extra} = this.#sources(kind);
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
					return this.#complete(selection.candidate, reading);
				}

				case 'several': {
					return this.#unavailable('STC_AMBIGUOUS_ACCOUNT', selection);
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
			// eslint-disable-next-line no-await-in-loop
			const outcome = await consider(reading);
			if (outcome) {
				return outcome;
			}
		}

		// Whose token it is to be nobody said, and the caches that say it are damaged: no other cache's account is taken in its place.
		if (!this.#namesAccount() && readings.some(({error}) => error !== undefined && damages.has(error.code))) {
			return this.#explainFailure(failed, readings);
		}

		for (const source of extra) {
			// eslint-disable-next-line no-await-in-loop
			const reading = await this.#readUnlessDown(source, query, readings);
			// eslint-disable-next-line no-await-in-loop
			const outcome = reading && await consider(reading);
			if (outcome) {
				return outcome;
			}
		}

		return this.#explainFailure(failed, readings);
	}

	/** Whether the options say which account is meant, so that any cache's will do. */
	#namesAccount(): boolean {
		const {username, tenantId, record, enableGuestTenantAuthentication} = this.#settings;
		return username !== undefined || record !== undefined || (tenantId !== undefined && !enableGuestTenantAuthentication);
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
		const found = full.slice && findCandidates(full.slice, this.#settings.clientId).find(({account}) => account.homeAccountId === homeAccountId);
		reading.stamp = full.stamp;
		reading.error = full.error;
		return found ? {candidate: found, source, accessTokens: full.slice?.accessTokens ?? []} : undefined;
	}

	#unavailable(code: ErrorCode, selection: Exclude<Selection, {kind: 'one'}>, addition = ''): CredentialUnavailableError {
		return new CredentialUnavailableError(code, explainSelection(selection, this.#criteria, this.#settings.allowLoggingAccountIdentifiers) + addition);
	}

	#explainFailure(failed: Exclude<Selection, {kind: 'one'}>, readings: readonly SourceReading[]): CredentialUnavailableError {
		const broken = readings.filter(({error}) => error !== undefined);
		const rank = ({error}: SourceReading) => {
			const index = error ? tellingErrors.indexOf(error.code) : -1;
			return index === -1 ? tellingErrors.length : index;
		};

		const [worst] = broken.toSorted((a, b) => rank(a) - rank(b));
		// Peers leave empty files and `{}` beside a keyring item, to signal that it changed.
		const hasContent = readings.some(({slice}) => slice !== null && slice.sizeBytes > 2);
		if (failed.kind !== 'empty' || (hasContent && (!worst || rank(worst) === tellingErrors.length))) {
			const unread = broken.filter(reading => rank(reading) < tellingErrors.length).map(({source, error}) => `${source.label} (${error?.code ?? ''})`);
			return this.#unavailable('STC_NO_ACCOUNT', failed, unread.length > 0 ? ` Not readable: ${unread.join(', ')}.` : '');
		}

		if (worst?.error) {
			const {code, message, op, store, osDomain, osCode} = worst.error;
			const details = {
				...(op && {op}), ...(store && {store}), ...(osDomain && {osDomain}), ...(osCode !== undefined && {osCode}),
			};
			// The message of a file names it already.
			const subject = message.startsWith(worst.source.label) ? '' : `${worst.source.label}: `;
			const absent = readings.filter(({slice, error}) => slice === null && error === undefined).map(({source}) => source.label);
			// Where a keyring is merely missing, what was looked for in its place is half of the answer.
			const elsewhere = absent.length > 0 && rank(worst) === tellingErrors.length ? ` There is no cache at ${absent.join(', ')}.` : '';
			return new CredentialUnavailableError(
				code,
				`SharedTokenCacheCredential: Shared token cache unavailable: ${subject}${message}${elsewhere}`,
				{cause: worst.error, details},
			);
		}

		if (readings.some(({slice}) => slice !== null)) {
			return this.#unavailable('STC_NO_ACCOUNT', failed);
		}

		return new CredentialUnavailableError(
			'STC_CACHE_NOT_FOUND',
			`SharedTokenCacheCredential: Shared token cache unavailable: there is none. Looked at ${readings.map(({source}) => source.label).join(', ')}. Sign in with a tool that fills it, or set tokenCachePersistenceOptions.name.`,
		);
	}

	/**
	 * Redeems a refresh token while no other process on this machine does so for the same token; where one just did, its token is
	 * taken from the cache.
	 */
	async #acquireAlone(account: ResolvedAccount, request: TokenRequest, signal: AbortSignal, replaced: ReplacedToken | undefined): Promise<AcquiredToken> {
		const target = await this.#target(account, request.kind);
		// What claims ask for is no cached token, so nobody could use another's.
		const lease = request.claims === undefined ? await this.#takeLease(account, request, target, signal) : undefined;
		try {
			const view = await this.#latestView(request.kind);
			const generation = this.#generation;
			if (view.outcome instanceof Error) {
				throw view.outcome;
			}

			const cached = this.#findCached(view.outcome, request, minimumLifetimeSec);
			if (cached && livesLonger(cached, replaced)) {
				return toAcquired(cached, generation);
			}

			const granted = await this.#redeem(view.outcome, request, target, signal);
			// Its own challenge is what made this grant's generation old.
			return toAcquired(granted, request.claims !== undefined && this.#generation === generation + 1 ? this.#generation : generation);
		} finally {
			await lease?.release();
		}
	}

	/** Where a grant's results are written, `undefined` where nowhere. */
	async #target(account: ResolvedAccount, kind: CacheKind): Promise<CacheSource | undefined> {
		const {readOnly, unsafeAllowUnencryptedStorage} = this.#settings;
		if (readOnly) {
			return undefined;
		}

		// What could not be read just now cannot be written, and to ask again may take as long as a keyring that stalls.
		const unreadable = new Set(this.#views.get(kind)?.watched.filter(({stamp}) => !stamp.readable).map(({source}) => source.label));
		const primary = this.#sources(kind).primary.filter(({label}) => !unreadable.has(label));
		const own = primary.find(({label}) => label === account.source.label);
		try {
			return own ?? await this.#cache.writableSource(primary, unsafeAllowUnencryptedStorage);
		} catch (error) {
			if (!(error instanceof StoreError)) {
				throw error;
			}

			log.info(() => `Tokens are kept in memory only. ${error.message}`);
			return undefined;
		}
	}

	async #takeLease(account: ResolvedAccount, request: TokenRequest, target: CacheSource | undefined, signal: AbortSignal): Promise<Lease | undefined> {
		const {authority, clientId, cacheName} = this.#settings;
		// Beside the cache file, or where one would be: a keyring's signal file is in the same directory.
		const path = this.#sources(request.kind).primary.map(({at, signalPath}) => at.path ?? signalPath).findLast(each => each !== undefined);
		if (path === undefined) {
			return undefined;
		}

		const {leasePath, takeLease} = require('./lease.js') as typeof import('./lease.js');
		const identity = [
			cacheName,
			request.kind,
			authority.origin,
			clientId,
			account.candidate.account.homeAccountId,
			request.tenantId ?? this.#ownTenant() ?? '',
			...request.scopes.map(scope => scope.toLowerCase()).toSorted(),
		];
		return takeLease({
			path: leasePath(path, identity.map(part => part.toLowerCase())),
			tryLock: async paths => this.#cache.tryLock(paths),
			signal,
			onlyWait: target === undefined,
		});
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
			tenantId: request.tenantId ?? this.#ownTenant(),
			nowSec: Math.floor(Date.now() / 1000),
			lifetimeSec,
		};
		const granted = this.#granted.ofKind(request.kind);
		const cached = fitsKind ? account.accessTokens : [];
		// What a challenge made worthless may expire later than what answered it. Of several the last one expires last.
		const sinceMs = findAccessToken(this.#granted.challengesOfKind(request.kind), criteria)?.sentMs;
		return sinceMs === undefined
			? findAccessToken([...granted, ...cached], criteria)
			: findAccessToken([...granted.filter(({sentMs}) => sentMs >= sinceMs), ...cached.filter(({cachedAt = 0}) => cachedAt * 1000 >= sinceMs)], criteria);
	}

	/** The tenant that the options ask tokens of, where they do; otherwise the account's own is meant. */
	#ownTenant(): string | undefined {
		const {enableGuestTenantAuthentication, tenantId, record} = this.#settings;
		if (enableGuestTenantAuthentication) {
			return tenantId;
		}

		return record && (tenantId ?? record.tenantId);
	}

	/** Tries the account's refresh tokens one after the other. */
	async #redeem(account: ResolvedAccount, request: TokenRequest, target: CacheSource | undefined, signal: AbortSignal): Promise<GrantedToken> {
		const {homeAccountId} = account.candidate.account;
		const tenant = request.tenantId ?? this.#ownTenant() ?? (homeTenantOf(homeAccountId)?.toLowerCase() === consumersTenant ? consumersTenant : organizationsTenant);
		signal.throwIfAborted();
		const client = this.#tokenClient();
		let refusal: GrantRefusal | undefined;
		for (const entry of account.candidate.refreshTokens) {
			const {secret} = entry;
			if (secret === undefined) {
				continue;
			}

			const refreshToken = this.#granted.currentRefreshToken(secret);
			const keys = {token: client.fingerprint(refreshToken), request: [client.fingerprint(secret), tenant, request.kind, request.claims ?? '', ...request.scopes].join(' ')};
			const known = [keys.token, keys.request].map(key => this.#refused.get(key)).find(refused => refused && refused.untilMs > performance.now());
			if (known) {
				refusal = known.refusal;
				continue;
			}

			const sentMs = Date.now();
			try {
				// Each refusal decides whether the next refresh token is needed.
				// eslint-disable-next-line no-await-in-loop
				const response = await client.redeem(
					{
						refreshToken, scopes: request.scopes, tenant, claims: request.claims, enableCae: request.kind === 'cae', homeAccountId,
					},
					signal,
				);
				// eslint-disable-next-line no-await-in-loop
				return await this.#keep(response, account, request, {
					tenant, refreshToken, entry, target, sentMs,
				});
			} catch (error) {
				if ((error as Error).name !== 'GrantRefusal') {
					throw error;
				}

				refusal = error as GrantRefusal;
				this.#remember(refusal.isTokenDead ? keys.token : keys.request, refusal);
				log.info(() => `A refresh token was refused: ${(error as Error).message}`);
				if (target?.label === account.source.label && refusal.errorResponse.suberror === badToken) {
					// The next refresh token does not have to wait for a lock.
					void this.#writer().evict(target, account.candidate.account, refreshToken);
				}
			}
		}

		throw explainRefusal(refusal, request);
	}

	#remember(key: string, refusal: GrantRefusal): void {
		this.#refused.delete(key);
		if (this.#refused.size >= maxRefused) {
			const [oldest] = this.#refused.keys();
			this.#refused.delete(oldest ?? '');
		}

		this.#refused.set(key, {refusal, untilMs: refusal.isTokenDead ? Number.POSITIVE_INFINITY : performance.now() + requestRefusedMs});
	}

	async #keep(
		response: TokenResponse,
		account: ResolvedAccount,
		request: TokenRequest,
		sent: {tenant: string; refreshToken: string; entry: RefreshTokenEntry; target: CacheSource | undefined; sentMs: number},
	): Promise<GrantedToken> {
		const {authority, clientId} = this.#settings;
		const {homeAccountId} = account.candidate.account;
		const homeTenant = homeTenantOf(homeAccountId);
		const issuedSec = Math.floor(Date.now() / 1000);
		const accessToken: GrantedToken = {
			kind: request.kind,
			source: 'grant',
			sentMs: sent.sentMs,
			homeAccountId,
			environment: authority.host,
			clientId,
			// The tenant as it was asked for, so that the same request finds the token again; a word such as "organizations" means home.
			realm: request.tenantId ?? this.#ownTenant() ?? response.tenantId ?? homeTenant ?? sent.tenant,
			target: [...new Set([...request.scopes, ...(response.scope?.split(' ') ?? [])])].join(' '),
			secret: response.accessToken,
			cachedAt: issuedSec,
			expiresOn: response.expiresOnSec,
			...(response.refreshOnSec !== undefined && {refreshOn: response.refreshOnSec}),
		};
		this.#granted.keep(accessToken, sent.refreshToken, response.refreshToken);
		if (request.claims !== undefined) {
			this.#granted.keepChallenge(accessToken);
			// What was asked for before is served to those who wait for it, and to nobody else.
			this.#generation++;
		}

		if (sent.target && !this.#granted.isOutdated(accessToken)) {
			const grant: Grant = {
				response,
				account: account.candidate.account,
				environment: authority.host,
				environments: authority.environments,
				clientId,
				isAdfs: authority.isAdfs,
				scopes: request.scopes,
				realm: response.tenantId ?? (isTenantGuid(sent.tenant) ? sent.tenant : homeTenant ?? sent.tenant),
				redeemed: sent.entry,
				isOwnCache: sent.target.label === account.source.label,
				nowSec: issuedSec,
			};
			await this.#writer().write(sent.target, grant);
		}

		return accessToken;
	}

	/** Loaded when there is something to write, because most processes never have. */
	#writer(): WriteBack {
		if (!this.#writeBack) {
			const {WriteBack: Writer} = require('./write-back.js') as typeof import('./write-back.js');
			this.#writeBack = new Writer(this.#cache, (source, baseStamp, stamp) => {
				this.#acknowledge(source, baseStamp, stamp);
			});
		}

		return this.#writeBack;
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

	/** Loaded with undici when the first grant is needed, because that costs a hit's start-up many times over. */
	#tokenClient(): TokenClient {
		if (!this.#client) {
			const {TokenClient: Client} = require('./token-client.js') as typeof import('./token-client.js');
			this.#client = new Client(this.#settings);
		}

		return this.#client;
	}
}

/** The same token does not, though its times read differently once the clock by which they were written is no longer ahead. */
function livesLonger(entry: AccessTokenEntry, replaced: ReplacedToken | undefined): boolean {
	return !replaced || (entry.secret !== replaced.token && entry.expiresOn - clockSkewSec(entry, Math.floor(Date.now() / 1000)) > replaced.expiresOnSec);
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

function explainRefusal(refusal: GrantRefusal | undefined, request: TokenRequest): CredentialUnavailableError {
	const why = refusal ? refusal.message : 'no refresh token of the account is left';
	const message = `SharedTokenCacheCredential: Token acquisition failed: the user has to sign in again: ${why}. To fix, re-authenticate through developer tooling supporting Azure single sign on.`;
	const errorResponse = refusal && {errorResponse: refusal.errorResponse, cause: refusal};
	if (request.claims === undefined) {
		return new CredentialUnavailableError('STC_INTERACTION_REQUIRED', message, {...errorResponse});
	}

	const suberror = refusal?.errorResponse.suberror;
	return new AuthenticationRequiredError(message, {scopes: request.scopes, ...errorResponse, ...(suberror && {suberror})});
}

/** The mechanism itself does not answer, so that no item of it will. */
function isStoreDown(error: StoreError | undefined): boolean {
	return error?.code === 'STC_STORE_UNAVAILABLE' || error?.code === 'STC_STORE_TIMEOUT' || error?.code === 'STC_ADDON_MISSING';
}

function isSameAccount(outcome: View['outcome'], {candidate}: ResolvedAccount): boolean {
	return !(outcome instanceof Error) && outcome.candidate.account.homeAccountId === candidate.account.homeAccountId;
}

/** The source could not be read, in contrast to: was read, or is not there, and so has no such account any more. */
function wasUnread(source: CacheSource, readings: readonly SourceReading[]): boolean {
	const reading = readings.find(({source: {label}}) => label === source.label);
	return reading ? reading.error !== undefined : readings.some(({source: {store}, error}) => store === source.store && isStoreDown(error));
}
