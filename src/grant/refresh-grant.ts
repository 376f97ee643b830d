/**
 * Redeems the refresh tokens of an account one after the other until one is accepted, remembers refusals, and stores what was granted in
 * memory and in the cache. Loaded when the first token is not in the cache.
 *
 * At Microsoft's authorities, a refresh token works until it expires, so processes take turns for each token. Other authorities may accept it
 * once. There, processes take turns for each account, and what was sent is followed to its end: until the answer is in the cache.
 */

import type {CommitGuard, RefreshTokenEntry} from '../backend/backend.js';
import type {ResolvedAccount, Resolution} from '../lookup/account-reader.js';
import type {Candidate} from '../lookup/select-account.js';
import type {TokenRequest} from '../lookup/token-request.js';
import type {SharedCache} from '../cache/shared-cache.js';
import {minimumLifetimeSec} from '../lookup/select-token.js';
import {AbortError, AuthenticationError, StoreError} from '../errors.js';
import type {CacheSource} from '../cache/cache-source.js';
import {isSame} from '../runtime/fold-case.js';
import {KeepAlive, keepAlive} from '../runtime/keep-alive.js';
import {log, logTextOf} from '../runtime/log.js';
import {atMost} from '../runtime/sleep.js';
import type {Settings} from '../settings/settings.js';
import {requireLazily} from '../runtime/lazy.js';
import {
	adfsTenant, consumersTenant, homeTenantOf, isTenantGuid, namedTenant, organizationsTenant, ownTenant,
} from '../settings/tenants.js';
import {AccountTurns, type Turn} from './account-turns.js';
import {GrantRefusal} from './grant-refusal.js';
import type {LeaseNote} from './lease-note.js';
import {
	type Lease, leaseName, type LeaseOptions, LeaseTimeout, takeLease,
} from './machine-lease.js';
import {type GrantedToken, GrantedTokens, type RequestTime} from './granted-tokens.js';
import {isDefinite, type RefusalKeys, Refusals} from './refusals.js';
import type {TokenResponse} from './token-response.js';
import type {Grant} from './grant-edits.js';
import type {TokenEndpoint} from './token-endpoint.js';
import type {WriteBack, WrittenListener} from './write-back.js';

/** Entra's suberror for a refresh token that is not valid at all. Source: MSAL for Node, `InteractionRequiredAuthError`. */
const badToken = 'bad_token';

/** Longest time for which callers wait until their token is written, milliseconds. The write goes on after that. */
export const longestWriteWaitMs = 500;

/** So often are the caches read again because a refresh token was refused. Each time, another process has written a newer one. */
const maxRounds = 5;

/**
 * How long an answer is waited for that no caller waits for any more, before the process may end or the credential is closed, milliseconds.
 * An answer to a refresh token that works once holds the next one.
 */
const lateAnswerMs = 5000;

/** What a grant returns. */
export type GrantResult = {
	token: GrantedToken;
	/** Whether the token answers a claims challenge, so that tokens which were requested before it are worthless. */
	challenged: boolean;
	/** Resolves when the grant is in the cache, or could not be written, with what those who wait have to know. Never rejects. */
	ended: Promise<LeaseNote | undefined>;
};

/** Where a grant is written to, and who may make it. */
export type GrantPlan = {
	/** The primary caches. The lease belongs to the store of one of them. */
	primary: readonly CacheSource[];
	/** Other caches of this machine that may hold the same refresh token. */
	others: readonly CacheSource[];
	/** `undefined`: the grant stays in memory. */
	target: CacheSource | undefined;
	signal: AbortSignal;
};

/** What is the same for all refresh tokens of an account. */
type Attempt = GrantPlan & {
	account: ResolvedAccount;
	request: TokenRequest;
	tenant: string;
	turn: Turn;
	/** The mark of sign-outs from before the account was read. */
	signOuts: CommitGuard | undefined;
	/** Refresh tokens that were sent for this request. */
	sent: Set<string>;
	/** How the authority refused them. */
	refusals: Refused[];
};

/** @param isNews Whether what is found for the account is a change. */
type Reread = (isNews: (found: Candidate) => boolean) => Promise<Resolution>;

type Refused = {keys: RefusalKeys; answer: GrantRefusal};

/** Another process has taken over the turn, and may be using the refresh token. */
class LostTurn extends Error {
	override readonly name = 'LostTurn';
}

export class RefreshGrant {
	readonly granted = new GrantedTokens();
	readonly #settings: Settings;
	readonly #cache: SharedCache;
	readonly #onWritten: WrittenListener;
	readonly #refusals = new Refusals();
	readonly #turns = new AccountTurns();
	/** What must be followed to its end: answers, and writes of refresh tokens that replace the ones that were sent. */
	readonly #answers = new Set<Promise<unknown>>();
	readonly #writes = new Set<Promise<unknown>>();
	readonly #closing = new AbortController();
	#endpoint: TokenEndpoint | undefined;
	#writeBack: WriteBack | undefined;
	#isClosed = false;

	/** @param onWritten Called after each write, including those in the background. */
	constructor({settings, cache}: {settings: Settings; cache: SharedCache}, onWritten: WrittenListener) {
		this.#settings = settings;
		this.#cache = cache;
		this.#onWritten = onWritten;
	}

	/** Whether a refresh token may work only once: the authority is none of Microsoft's. */
	get #worksOnce(): boolean {
		return !this.#settings.authority.isWellKnown;
	}

	/**
	 * Chooses the cache that the grant is written to.
	 *
	 * @param primary The primary caches that can be read. Probing a keyring that stalled just now would take its time-out again.
	 * @returns `undefined` if the grant stays in memory.
	 */
	async target(account: ResolvedAccount, primary: readonly CacheSource[]): Promise<CacheSource | undefined> {
		const {readOnly, unsafeAllowUnencryptedStorage} = this.#settings;
		if (readOnly) {
			return undefined;
		}

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

	/**
	 * Waits until nobody else requests this token, or uses this account's refresh token where that works once.
	 *
	 * @throws {AuthenticationError} as the process failed that was waited for.
	 * @throws {CredentialUnavailableError} `STC_LOCK_TIMEOUT` if it does not finish.
	 * @throws the reason of `signal`.
	 */
	async takeTurn(account: ResolvedAccount, request: TokenRequest, {primary, target, signal}: GrantPlan): Promise<Turn> {
		const token = this.#tokenName(account, request);
		const onNote = (note: LeaseNote) => this.#heed(note, token);
		try {
			if (this.#worksOnce) {
				const {homeAccountId} = account.candidate.account;
				const name = leaseName(['account', this.#settings.authority.origin, homeAccountId.toLowerCase()]);
				return await this.#turns.enter(name, signal, async () => this.#lease(primary, name, {
					signal, onlyWait: this.#settings.readOnly, mayEvict: false, onNote,
				}));
			}

			// A request with claims wants a new token, so it does not wait for another process's.
			return turnOf(request.claims === undefined ? await this.#lease(primary, token, {signal, onlyWait: target === undefined, onNote}) : undefined);
		} catch (error) {
			throw error instanceof LeaseTimeout ? explain().explainTimeout(error, this.#refused(account, request)) : error;
		}
	}

	/** Call this before the account is read from the cache for a grant: a later sign-out wins over the grant. */
	async signOutsSoFar(target: CacheSource | undefined): Promise<CommitGuard | undefined> {
		const {signOutGuard} = requireLazily(() => require('../cache/sign-out-mark.js') as typeof import('../cache/sign-out-mark.js'));
		return target && signOutGuard(target);
	}

	/**
	 * Tries the refresh tokens of the account one after the other. After a refusal, looks whether another process has written a newer one.
	 *
	 * @param signOuts What {@link signOutsSoFar} returned before the account was read.
	 * @param read Reads the caches, and not what is remembered of them. Told what counts as a change.
	 * @throws {CredentialUnavailableError} {AuthenticationRequiredError} if all are refused.
	 * @throws {AuthenticationError} if the authority does not give a usable response.
	 * @throws {LostTurn} if another process may be using the refresh token now.
	 * @throws the reason of `signal`.
	 */
	async redeem(account: ResolvedAccount, request: TokenRequest, {turn, signOuts, read, ...plan}: GrantPlan & {turn: Turn; signOuts: CommitGuard | undefined; read: Reread}): Promise<GrantResult> {
		plan.signal.throwIfAborted();
		const sent = new Set<string>();
		const refusals: Refused[] = [];
		let refusal: GrantRefusal | undefined;
		let current = account;
		let hasWaited = turn.hasLease || !this.#worksOnce;
		for (let round = 0; round < maxRounds; round++) {
			const before = sent.size;
			const outcome = await this.#redeemAny({
				...plan, account: current, request, tenant: this.#tenantOf(current, request), turn, signOuts, sent, refusals,
			});
			if (outcome && !(outcome instanceof GrantRefusal)) {
				return outcome;
			}

			refusal = outcome ?? refusal;
			if (sent.size === before) {
				// Nothing was sent, so nothing can have changed because of that.
				break;
			}

			const isNews = (found: Candidate) => this.#hasUnsent(found, sent);
			let latest = await read(isNews);
			if (!hasWaited && !this.#isNews(latest, current, sent)) {
				// A process that uses the refresh token may have got the next one.
				hasWaited = true;
				await this.#waitForOthers(current, plan);
				latest = await read(isNews);
			}

			// Another change of the caches, which made them be forgotten, is no reason to repeat what was refused just now.
			for (const {keys, answer} of refusals) {
				this.#refusals.remember(keys, answer);
			}

			if (!this.#isNews(latest, current, sent)) {
				break;
			}

			current = latest;
		}

		throw explain().explainRefusal(refusal, this.#refused(current, request));
	}

	/** Whether another process has taken over the turn before anything was sent: take a new one. */
	isLostTurn(error: unknown): boolean {
		return error instanceof LostTurn;
	}

	/** What those who wait for this process have to know of a failure. */
	noteOf(error: unknown): LeaseNote | undefined {
		return error instanceof AuthenticationError && !isDefinite(error) && !this.#closing.signal.aborted ? {kind: 'failed', error} : undefined;
	}

	/** Call this when the cache has changed: what was refused may be granted now. */
	forgetRefusals(): void {
		this.#refusals.clear();
	}

	/** Writes tokens again that another program overwrote. */
	async repair(): Promise<void> {
		await this.#writeBack?.repair();
	}

	/** Waits for what must be followed to its end: late answers for {@link lateAnswerMs}, and writes until the lock's time-out is over. */
	async close(): Promise<void> {
		if (this.#answers.size + this.#writes.size > 0) {
			await keepAlive(async () => {
				await atMost(lateAnswerMs, Promise.allSettled(this.#answers));
				await atMost(this.#settings.lockTimeoutMs, Promise.allSettled(this.#writes));
			});
		}

		const endpoint = this.#endpoint;
		this.#endpoint = undefined;
		this.#isClosed = true;
		this.#closing.abort(new AbortError('The credential was closed.'));
		await Promise.all([this.#writeBack?.close(longestWriteWaitMs), endpoint?.close()]);
	}

	/** @returns the grant, the last refusal, or `undefined` if there was nothing to send. */
	async #redeemAny(attempt: Attempt): Promise<GrantResult | GrantRefusal | undefined> {
		const {account, target} = attempt;
		let refusal: GrantRefusal | undefined;
		for (const entry of account.candidate.refreshTokens) {
			const {secret: cachedRefreshToken} = entry;
			if (cachedRefreshToken === undefined) {
				continue;
			}

			const refreshToken = this.granted.currentRefreshToken(cachedRefreshToken);
			// Each refusal decides whether the next refresh token is needed.
			let outcome = await this.#redeemOne(entry, refreshToken, attempt);
			if (refreshToken !== cachedRefreshToken && outcome instanceof GrantRefusal && outcome.isTokenDead && target?.label !== account.source.label) {
				// If grants are not written to this cache, it keeps the ancestor, which may still be valid.
				outcome = await this.#redeemOne(entry, cachedRefreshToken, attempt);
			}

			if (!(outcome instanceof GrantRefusal)) {
				return outcome;
			}

			// What the user can do about one sign-in tells more than that another one does not fit.
			refusal = refusal && outcome.reason === 'client' ? refusal : outcome;
		}

		return refusal;
	}

	/** @param refreshToken The refresh token of `entry`, or the one that it was rotated to. */
	async #redeemOne(entry: RefreshTokenEntry, refreshToken: string, attempt: Attempt): Promise<GrantResult | GrantRefusal> {
		const {
			account, request, tenant, target, signal, turn, sent, refusals,
		} = attempt;
		const endpoint = this.#loadTokenEndpoint();
		const {homeAccountId} = account.candidate.account;
		const keysOf = (secret: string) => this.#refusals.keysOf(secret, [tenant, request.kind, request.claims ?? '', ...request.scopes]);
		const keys = keysOf(refreshToken);
		const known = this.#refusals.answerTo(keys, this.granted.ancestorsOf(refreshToken).map(ancestor => keysOf(ancestor)));
		if (known instanceof GrantRefusal) {
			return known;
		}

		if (known) {
			throw known;
		}

		if (!this.#settings.readOnly) {
			// Loaded before the request: if loading failed afterwards, or took long, the grant could be lost.
			this.#loadWriteBack();
			this.#cache.prepareToCommit();
		}

		const moment = this.granted.now();
		let wasSent = false;
		try {
			const answering = endpoint.redeem(
				{
					refreshToken,
					scopes: request.scopes,
					tenant,
					claims: request.claims,
					enableCae: request.kind === 'cae',
					homeAccountId,
					username: account.candidate.account.username,
					async beforeSending() {
						if (!await turn.isHeld()) {
							throw new LostTurn('Another process has taken over the turn.');
						}

						wasSent = true;
						sent.add(refreshToken);
					},
					...(this.#worksOnce && {attemptSignal: this.#closing.signal}),
				},
				signal,
			);
			// Nothing may come between the answer and its writing.
			const granting = answering.then(response => this.#keep(response, attempt, {refreshToken, entry, moment}));
			return await (this.#worksOnce ? this.#followed(granting) : granting);
		} catch (error) {
			if (error instanceof AuthenticationError && wasSent && isDefinite(error)) {
				turn.note = {kind: 'refused', key: this.#refusals.remember(keys, error), answer: error};
			}

			if (!(error instanceof GrantRefusal)) {
				throw error;
			}

			turn.note = {kind: 'refused', key: this.#refusals.remember(keys, error), answer: error};
			refusals.push({keys, answer: error});
			log.info(() => `A refresh token was refused: ${logTextOf(error, this.#settings.allowLoggingAccountIdentifiers)}`);
			if (target?.label === account.source.label && error.errorResponse.suberror === badToken) {
				// Not awaited: the next refresh token need not wait for the lock.
				void this.#loadWriteBack().evict(target, account.candidate.account, refreshToken);
			}

			return error;
		}
	}

	/** Work that goes on when its caller has left, and keeps the process alive for a while. */
	async #followed<Result>(work: Promise<Result>): Promise<Result> {
		this.#answers.add(work);
		const held = new KeepAlive();
		const timer = setTimeout(() => {
			held.release();
		}, lateAnswerMs).unref();
		try {
			return await work;
		} finally {
			clearTimeout(timer);
			held.release();
			this.#answers.delete(work);
		}
	}

	#keep(response: TokenResponse, attempt: Attempt, sent: {refreshToken: string; entry: RefreshTokenEntry; moment: RequestTime}): GrantResult {
		const {account, request, tenant, target, others, signOuts} = attempt;
		const {authority, clientId} = this.#settings;
		const {homeAccountId} = account.candidate.account;
		const requested = request.tenantId ?? ownTenant(this.#settings);
		const issuedSec = Math.floor(Date.now() / 1000);
		const accessToken: GrantedToken = {
			kind: request.kind,
			source: 'grant',
			...sent.moment,
			homeAccountId,
			environment: authority.host,
			clientId,
			// The tenant as requested, so that the same request finds the token again. A name such as "organizations" means the home tenant.
			realm: requested === undefined ? response.tenantId ?? homeTenantOf(homeAccountId) ?? tenant : namedTenant(requested) ?? requested,
			target: [...new Set([...request.scopes, ...(response.scope?.split(' ') ?? [])])].join(' '),
			secret: response.accessToken,
			cachedAt: issuedSec,
			expiresOn: response.expiresOnSec,
			...(response.refreshOnSec !== undefined && {refreshOn: response.refreshOnSec}),
		};
		const replaceable = [...new Set([sent.refreshToken, sent.entry.secret ?? sent.refreshToken, ...this.granted.ancestorsOf(sent.refreshToken)])];
		this.granted.keep(accessToken, sent.refreshToken, response.refreshToken);
		const challenged = request.claims !== undefined;
		if (challenged) {
			this.granted.keepChallenge(accessToken);
		}

		const isRotated = response.refreshToken !== undefined && response.refreshToken !== sent.refreshToken;
		const endsSession = isRotated && this.#worksOnce;
		const realm = writtenRealm(account, authority.isAdfs, tenant, response.tenantId);
		const note = (isWritten: boolean): LeaseNote | undefined => {
			// Where a refresh token works once, those who wait need the new one, and go on in turn.
			const isFindable = isWritten && response.expiresOnSec - issuedSec > minimumLifetimeSec;
			return isFindable || (isWritten && endsSession) ? undefined : {kind: 'alone', token: this.#tokenName(account, request), isUnwritten: !isWritten};
		};

		const writes: Array<Promise<boolean>> = [];
		if (target && realm !== undefined && !this.granted.isOutdated(accessToken)) {
			const grant: Grant = {
				response,
				account: account.candidate.account,
				environment: authority.host,
				environments: authority.environments,
				clientId,
				isAdfs: authority.isAdfs,
				scopes: request.scopes,
				realm,
				redeemed: sent.entry,
				replaceable,
				endsSession,
				session: {
					account: account.candidate.account,
					environments: authority.environments,
					clientId,
					source: account.source,
					isUnlisted: account.candidate.isWithoutRecord === true,
					refreshTokens: new Set([...replaceable, ...(response.refreshToken === undefined ? [] : [response.refreshToken])]),
					guard: signOuts,
				},
				isOwnCache: target.label === account.source.label,
				nowSec: issuedSec,
			};
			writes.push(this.#loadWriteBack().write(target, grant));
		} else {
			writes.push(Promise.resolve(false));
		}

		if (endsSession && !this.#settings.readOnly) {
			writes.push(this.#loadWriteBack().replaceElsewhere(
				[account.source, ...others].filter(({label}) => label !== target?.label),
				account.candidate.account,
				{replaceable, refreshToken: response.refreshToken!, nowSec: issuedSec},
			));
		}

		const ended = Promise.all(writes).then(([isWritten = false]) => note(isWritten));
		if (endsSession) {
			// A process that ends by itself ends after that.
			this.#writes.add(ended);
			void keepAlive(async () => ended).finally(() => {
				this.#writes.delete(ended);
			});
		}

		return {token: accessToken, challenged, ended};
	}

	/** Does what a process does that waits for another one whose request ended like this. @returns whether it goes on without a turn. */
	#heed(note: LeaseNote, token: string): boolean {
		switch (note.kind) {
			case 'failed': {
				throw note.error;
			}

			case 'refused': {
				this.#refusals.add(note.key, note.answer);
				return false;
			}

			default: {
				return note.isUnwritten || note.token === token;
			}
		}
	}

	/** The name of the lease for one token. */
	#tokenName(account: ResolvedAccount, request: TokenRequest): string {
		const {authority, clientId, cacheName} = this.#settings;
		const identity = [
			cacheName,
			request.kind,
			authority.origin,
			clientId,
			account.candidate.account.homeAccountId,
			request.tenantId ?? ownTenant(this.#settings) ?? '',
			...request.scopes.map(scope => scope.toLowerCase()).toSorted(),
		];
		// Others do not want the token for a challenge.
		return leaseName([...identity.map(each => each.toLowerCase()), ...(request.claims === undefined ? [] : [request.claims, ''])]);
	}

	async #lease(primary: readonly CacheSource[], name: string, options: Omit<LeaseOptions, 'lease'>): Promise<Lease | undefined> {
		const lease = this.#cache.lease(primary, name);
		return lease && takeLease({lease, ...options});
	}

	/** Waits for a process that has the turn, if there is one. */
	async #waitForOthers(account: ResolvedAccount, {primary, signal}: GrantPlan): Promise<void> {
		const name = leaseName(['account', this.#settings.authority.origin, account.candidate.account.homeAccountId.toLowerCase()]);
		await this.#lease(primary, name, {
			signal, onlyWait: true, mayEvict: false, onNote: () => true,
		});
	}

	/** Whether the caches hold a refresh token of the account that was not sent. */
	#isNews(latest: Resolution, {candidate: {account}}: ResolvedAccount, sent: ReadonlySet<string>): latest is ResolvedAccount {
		return !(latest instanceof Error)
			&& isSame(latest.candidate.account.homeAccountId, account.homeAccountId)
			&& this.#hasUnsent(latest.candidate, sent);
	}

	#hasUnsent({refreshTokens}: Candidate, sent: ReadonlySet<string>): boolean {
		return refreshTokens.some(({secret}) => secret !== undefined && !sent.has(this.granted.currentRefreshToken(secret)));
	}

	#tenantOf({candidate: {account: {homeAccountId}}}: ResolvedAccount, request: TokenRequest): string {
		const asked = request.tenantId ?? ownTenant(this.#settings);
		const home = homeTenantOf(homeAccountId)?.toLowerCase() === consumersTenant ? consumersTenant : organizationsTenant;
		// `organizations` and `common` mean the home tenant.
		return (asked === undefined ? undefined : namedTenant(asked)) ?? home;
	}

	/** What an error text names. */
	#refused(account: ResolvedAccount, request: TokenRequest) {
		const {clientId, authority, allowLoggingAccountIdentifiers} = this.#settings;
		return {
			account: account.candidate.account,
			cache: account.source.label,
			clientId,
			host: authority.host,
			tenant: this.#tenantOf(account, request),
			request,
			showUserNames: allowLoggingAccountIdentifiers,
		};
	}

	/** Loaded when there is something to write: most processes never write. */
	#loadWriteBack(): WriteBack {
		if (!this.#writeBack) {
			const {WriteBack: Writer} = requireLazily(() => require('./write-back.js') as typeof import('./write-back.js'));
			this.#writeBack = new Writer(this.#cache, this.#onWritten);
			if (this.#isClosed) {
				// The credential was closed in the tick in which the grant arrived.
				void this.#writeBack.close(longestWriteWaitMs);
			}
		}

		return this.#writeBack;
	}

	/** Loaded, together with undici, when the first grant is needed: that costs many times the start-up of a hit. */
	#loadTokenEndpoint(): TokenEndpoint {
		if (!this.#endpoint) {
			const {TokenEndpoint: Endpoint} = requireLazily(() => require('./token-endpoint.js') as typeof import('./token-endpoint.js'));
			this.#endpoint = new Endpoint(this.#settings);
		}

		return this.#endpoint;
	}
}

/**
 * The tenant under which a token is cached.
 *
 * @param requested The tenant of the request.
 * @param issuer The tenant that the response names.
 * @returns `undefined` if it is unknown. The token is not cached then, because it could be taken for another tenant's.
 */
function writtenRealm({candidate: {account}}: ResolvedAccount, isAdfs: boolean, requested: string, issuer: string | undefined): string | undefined {
	const issuerId = issuer && namedTenant(issuer);
	if (issuerId) {
		return issuerId;
	}

	const named = namedTenant(requested);
	if (named !== undefined) {
		return isTenantGuid(named) ? named : undefined;
	}

	const known = homeTenantOf(account.homeAccountId) ?? (account.realm && namedTenant(account.realm));
	return known || (isAdfs ? adfsTenant : undefined);
}

/** A turn for one token. */
function turnOf(lease: Lease | undefined): Turn {
	return {
		hasLease: lease !== undefined,
		note: undefined,
		isHeld: async () => !lease || lease.isHeld(),
		answered: () => undefined,
		async end(note) {
			await lease?.release(note);
		},
	};
}

/** Loaded when there is something to explain. */
function explain() {
	return requireLazily(() => require('./refusal-errors.js') as typeof import('./refusal-errors.js'));
}
