/** Redeems refresh tokens at the authority's token endpoint. */

import {createHash, randomUUID} from 'node:crypto';
import {type Authority, defaultAuthorityHost} from '../settings/authority.js';
import {
	AuthenticationError, cureOfTooManyFiles, type ErrorResponse, isOutOfFiles,
} from '../errors.js';
import {unlessAborted} from '../runtime/abort.js';
import {BoundedMap} from '../runtime/bounded-map.js';
import {parseJsonObject} from '../runtime/json.js';
import {log} from '../runtime/log.js';
import {sleep} from '../runtime/sleep.js';
import {packageName, packageVersion} from '../runtime/version.js';
import {hideSecret} from './hide-secret.js';
import {
	type HttpResponse, HttpClient, type HttpRequest, type HttpSettings,
} from './http-client.js';
import {GrantRefusal} from './grant-refusal.js';
import {HttpFailure, isTransientStatus} from './http-failure.js';
import {
	confirms, type Discovered, discoveredThrough, noAnswerMs, unknownMs,
} from './instance-discovery.js';
import {
	checkAccount,
	describeErrorResponse,
	isRefreshTokenDead,
	refusalReason,
	readErrorResponse,
	readRetryAfterMs,
	readTokenResponse,
	type TokenResponse,
} from './token-response.js';
import {userAgent} from './user-agent.js';

export type RedeemRequest = {
	refreshToken: string;
	/** As the caller wrote them. */
	scopes: readonly string[];
	/** Tenant ID, domain name or `organizations`. Ignored for AD FS. */
	tenant: string;
	/** A JSON object, checked. */
	claims: string | undefined;
	enableCae: boolean;
	/** The account that the token must be for. */
	homeAccountId: string;
	/** Its user name. AD FS identifies a user by that, too. */
	username?: string | undefined;
	/** Asked before each attempt. Throws if the refresh token must not be sent any more. */
	beforeSending?: () => Promise<void>;
	/**
	 * Ends an attempt that is under way, instead of the caller's signal: what the authority answers to a refresh token that works once must
	 * be read, also if nobody waits for it any more.
	 */
	attemptSignal?: AbortSignal;
};

export type TokenEndpointSettings = HttpSettings & {
	authority: Authority;
	clientId: string;
	disableInstanceDiscovery: boolean;
	/** What identifies the application in the `User-Agent`. */
	userAgentPrefix: string | undefined;
	retry: {readonly maxRetries: number; readonly retryDelayMs: number; readonly maxRetryDelayMs: number};
};

/** Requested in addition to the caller's scopes, to get the user name and a new refresh token. */
const openIdScopes = ['offline_access', 'openid', 'profile'];

/** The client capability of continuous access evaluation. Source: Microsoft identity platform, "Claims challenge, client capabilities". */
const caeCapability = {values: ['CP1']};

/** Upper bound on how long Retry-After is honoured, milliseconds. Source: MSAL for Python, `throttled_http_client.py`. */
const maxThrottleMs = 3_600_000;

/** Most Retry-After times that are remembered: callers choose the scopes. */
const maxThrottled = 100;

/** How long after a shared back-off its next failure continues it, milliseconds. */
const backoffMemoryMs = 60_000;

/** A time in which no request of a key is sent. */
type Pause = {
	/** By `performance.now()`. */
	untilMs: number;
	/** The HTTP status that caused it. */
	status: number;
	/** For a 429 that did not say how long to wait: how many attempts there were. Further calls go on from there. */
	attempts?: number;
};

/** What throttling and error texts need to know about a request. */
type RequestContext = {
	/** Requests with the same key are throttled together. */
	key: string;
	host: string;
	/** What the caller does not get, for error texts: "no token from <host>". */
	missing: string;
	/** What the host refused, for error texts: "refused the token request". */
	refused: string;
	/** What to do, for error texts, besides what the failure itself suggests. */
	cure?: string;
	/** The refresh token that the request carries: error texts must not show it. */
	refreshToken: string | undefined;
	correlationId: string;
} & Pick<RedeemRequest, 'beforeSending' | 'attemptSignal'>;

export class TokenEndpoint {
	readonly #settings: TokenEndpointSettings;
	readonly #http: HttpClient;
	/** By {@link RequestContext.key}. */
	readonly #pauses = new BoundedMap<string, Pause>(maxThrottled);
	#discovery: Promise<Discovered> | undefined;

	constructor(settings: TokenEndpointSettings) {
		this.#settings = settings;
		this.#http = new HttpClient(settings);
	}

	/**
	 * @throws {GrantRefusal} if the user has to act.
	 * @throws {AuthenticationError} `STC_TOKEN_REQUEST_FAILED`, `STC_NETWORK` or `STC_TIMEOUT` for any other failure.
	 * @throws the reason of `signal`.
	 */
	async redeem(request: RedeemRequest, signal: AbortSignal): Promise<TokenResponse> {
		if (this.#needsDiscovery()) {
			await unlessAborted(this.#checkAuthority(), signal);
		}

		const correlationId = randomUUID();
		const {host} = this.#settings.authority;
		const context: RequestContext = {
			key: `${request.tenant} ${request.scopes.join(' ')} ${request.homeAccountId}`,
			host,
			missing: `no token from ${host}`,
			refused: 'refused the token request',
			refreshToken: request.refreshToken,
			correlationId,
			...(request.beforeSending && {beforeSending: request.beforeSending}),
			...(request.attemptSignal && {attemptSignal: request.attemptSignal}),
		};
		const answer = await this.#sendWithRetries(
			{
				method: 'POST',
				url: this.#tokenEndpoint(request.tenant),
				headers: this.#headers(request, correlationId),
				body: this.#form(request),
			},
			context,
			signal,
		);
		return this.#readResponse(answer, request, context);
	}

	/** A hash by which refusals are remembered, so that no refresh tokens are kept in memory for that. */
	fingerprint(refreshToken: string): string {
		return createHash('sha256').update(refreshToken).digest('base64');
	}

	async close(): Promise<void> {
		await this.#http.close();
	}

	#tokenEndpoint(tenant: string): string {
		const {origin, isAdfs} = this.#settings.authority;
		return isAdfs ? `${origin}/adfs/oauth2/token` : `${origin}/${encodeURIComponent(tenant)}/oauth2/v2.0/token`;
	}

	#headers({homeAccountId}: RedeemRequest, correlationId: string): string[] {
		const [uid, utid] = homeAccountId.split('.');
		return [
			'content-type',
			'application/x-www-form-urlencoded;charset=utf-8',
			'accept',
			'application/json',
			'user-agent',
			userAgent(this.#settings.userAgentPrefix),
			'client-request-id',
			correlationId,
			'return-client-request-id',
			'true',
			'x-client-sku',
			packageName,
			'x-client-ver',
			packageVersion,
			// Lets the service route the request to the account's region. Only for ids that are safe in a header.
			...(utid && /^[\w.-]+$/.test(homeAccountId) ? ['x-anchormailbox', `Oid:${uid}@${utid}`] : []),
		];
	}

	#form({refreshToken, scopes, claims, enableCae}: RedeemRequest): string {
		const form = new URLSearchParams({
			grant_type: 'refresh_token',
			refresh_token: refreshToken,
			client_id: this.#settings.clientId,
			scope: [...new Set([...scopes, ...openIdScopes])].join(' '),
			client_info: '1',
		});
		const merged = mergeClaims(claims, enableCae);
		if (merged !== undefined) {
			form.set('claims', merged);
		}

		return form.toString();
	}

	/** Retries failures that may be transient. Sending a refresh token twice is safe: Entra accepts a rotated one for a while. */
	async #sendWithRetries(request: HttpRequest, context: RequestContext, signal: AbortSignal): Promise<HttpResponse> {
		const {maxRetries, maxRetryDelayMs} = this.#settings.retry;
		const before = await this.#waitOutPause(context, signal);
		for (let attempt = before; ; attempt++) {
			await context.beforeSending?.();
			signal.throwIfAborted();
			const outcome = await this.#try(request, context.attemptSignal ?? signal);
			const answer = outcome instanceof HttpFailure ? undefined : outcome;
			const retryAfterMs = answer && answer.status !== 200 ? readRetryAfterMs(name => answer.header(name), Date.now()) : undefined;
			if (answer && !isTransientStatus(answer.status)) {
				return answer;
			}

			const pauseMs = pauseBeforeRetryMs(attempt, retryAfterMs, this.#settings.retry);
			const isPermanent = outcome instanceof HttpFailure && !outcome.isTransient;
			if (isPermanent || attempt >= maxRetries || (retryAfterMs ?? 0) > maxRetryDelayMs) {
				if (retryAfterMs !== undefined) {
					this.#pause(context.key, retryAfterMs, {status: answer!.status});
				} else if (answer?.status === tooManyRequests) {
					this.#pause(context.key, pauseMs, {status: tooManyRequests, attempts: attempt + 1});
				}

				throw toError(outcome, context, {attempts: attempt - before + 1, retryAfterMs});
			}

			log.info(() => `The token request failed (${outcome instanceof HttpFailure ? outcome.message : `HTTP ${outcome.status}`}); trying again in ${pauseMs} ms. Correlation id ${context.correlationId}.`);
			await sleep(pauseMs, {signal, ref: false});
		}
	}

	async #try(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse | HttpFailure> {
		try {
			return await this.#http.send(request, signal);
		} catch (error) {
			if (error instanceof HttpFailure) {
				return error;
			}

			throw error;
		}
	}

	#pause(key: string, pauseMs: number, why: Omit<Pause, 'untilMs'>): void {
		this.#pauses.set(key, {...why, untilMs: performance.now() + Math.min(pauseMs, maxThrottleMs)});
	}

	/**
	 * Waits until the authority may be asked again.
	 *
	 * @returns how many attempts of earlier calls the back-off counts.
	 * @throws {AuthenticationError} `STC_TOKEN_REQUEST_FAILED` if the authority asked for a longer pause than `maxRetryDelayMs`, or if the calls of
	 * this key are backing off.
	 */
	async #waitOutPause({key, host, correlationId}: RequestContext, signal: AbortSignal): Promise<number> {
		const pause = this.#pauses.get(key);
		if (!pause) {
			return 0;
		}

		const waitMs = pause.untilMs - performance.now();
		if (waitMs > (pause.attempts === undefined ? this.#settings.retry.maxRetryDelayMs : 0)) {
			const asked = pause.attempts === undefined ? 'asked clients to wait for another' : `is throttling (HTTP ${pause.status}); requests are paused for another`;
			throw new AuthenticationError(
				'STC_TOKEN_REQUEST_FAILED',
				`SharedTokenCacheCredential: ${host} ${asked} ${Math.ceil(waitMs / 1000)} s, so no request was sent. Try again after that time.`,
				{statusCode: pause.status, retryAfterInMs: waitMs, correlationId},
			);
		}

		if (waitMs > 0) {
			await sleep(waitMs, {signal, ref: false});
		}

		this.#pauses.delete(key);
		return waitMs > -backoffMemoryMs ? pause.attempts ?? 0 : 0;
	}

	#readResponse(answer: HttpResponse, request: RedeemRequest, context: RequestContext): TokenResponse {
		const {correlationId} = context;
		const json = parseJsonObject(answer.body);
		const errorResponse = json && readErrorResponse(json, request.refreshToken);
		const retryAfterMs = answer.status === 200 ? undefined : readRetryAfterMs(name => answer.header(name), Date.now());
		const reason = errorResponse && refusalReason(errorResponse);
		if (reason) {
			throw new GrantRefusal(describeErrorResponse(errorResponse), errorResponse, {
				isTokenDead: isRefreshTokenDead(errorResponse), reason, correlationId: correlationIdOf(errorResponse, correlationId), retryAfterMs,
			});
		}

		if (!json || errorResponse || answer.status !== 200) {
			if (retryAfterMs !== undefined) {
				this.#pause(context.key, retryAfterMs, {status: answer.status});
			}

			throw toError(answer, context, {attempts: 1, retryAfterMs});
		}

		const response = readTokenResponse(json, Math.floor(answer.sentMs / 1000));
		if (typeof response === 'string') {
			throw this.#unusable(answer, response, correlationId);
		}

		const mismatch = checkAccount(json, response, {...request, isAdfs: this.#settings.authority.isAdfs});
		if (mismatch !== undefined) {
			throw this.#unusable(answer, mismatch, correlationId);
		}

		return response;
	}

	#unusable(answer: HttpResponse, why: string, correlationId: string): AuthenticationError {
		return new AuthenticationError(
			'STC_TOKEN_REQUEST_FAILED',
			`SharedTokenCacheCredential: the answer of ${this.#settings.authority.host} cannot be used: ${why}. If this happens again, sign in again. Correlation id ${correlationId}.`,
			{statusCode: answer.status, correlationId},
		);
	}

	/** Whether instance discovery has to confirm the authority: it is not well-known, and `disableInstanceDiscovery` is not set. */
	#needsDiscovery(): boolean {
		const {authority, disableInstanceDiscovery} = this.#settings;
		return !(authority.isWellKnown || authority.isLoopback || authority.isAdfs || disableInstanceDiscovery);
	}

	/**
	 * Rejects an authority that Microsoft's public cloud does not know, because its operator could use the refresh token. One discovery request
	 * runs at a time, and its result is remembered.
	 */
	async #checkAuthority(): Promise<void> {
		let known = discoveredThrough(this.#settings).get(this.#settings.authority.origin);
		if (!known || known.untilMs <= performance.now()) {
			this.#discovery ??= this.#discover().finally(() => {
				this.#discovery = undefined;
			});
			known = await this.#discovery;
		}

		if (known.error) {
			const {code, message, statusCode, errorResponse, correlationId, retryAfterInMs, cause} = known.error;
			// Each caller gets an error with a stack of its own.
			throw new AuthenticationError(code, message, {
				statusCode, errorResponse, correlationId, retryAfterInMs, ...(cause !== undefined && {cause}),
			});
		}
	}

	/** Source: Microsoft identity platform, instance discovery; MSAL for Python 1.39, `authority.py`. */
	async #discover(): Promise<Discovered> {
		const {authority, userAgentPrefix} = this.#settings;
		const {origin, host} = authority;
		const correlationId = randomUUID();
		const query = new URLSearchParams({
			'api-version': '1.1',
			authorization_endpoint: `${origin}/common/oauth2/v2.0/authorize`,
		});
		const context: RequestContext = {
			key: 'discovery',
			host: defaultAuthorityHost,
			missing: `no answer from ${defaultAuthorityHost} on whether ${host} is an authority`,
			refused: `refused to say whether ${host} is an authority`,
			cure: 'If you trust that host, set disableInstanceDiscovery.',
			refreshToken: undefined,
			correlationId,
		};
		let answer: HttpResponse;
		try {
			answer = await this.#sendWithRetries(
				{
					method: 'GET',
					url: `https://${defaultAuthorityHost}/common/discovery/instance?${query.toString()}`,
					headers: ['accept', 'application/json', 'user-agent', userAgent(userAgentPrefix), 'client-request-id', correlationId],
				},
				context,
				// Several callers share this request, so none of their signals aborts it.
				new AbortController().signal,
			);
		} catch (error) {
			if (error instanceof AuthenticationError) {
				return this.#rememberDiscovered(noAnswerMs, error);
			}

			throw error;
		}

		const json = parseJsonObject(answer.body);
		if (answer.status === 200 && json && confirms(json, authority)) {
			return this.#rememberDiscovered(Number.POSITIVE_INFINITY);
		}

		return json?.['error'] === 'invalid_instance'
			? this.#rememberDiscovered(unknownMs, new AuthenticationError(
				'STC_TOKEN_REQUEST_FAILED',
				`SharedTokenCacheCredential: ${host} is not an authority that ${defaultAuthorityHost} knows, so no refresh token is sent there. Correct authorityHost, or set disableInstanceDiscovery if you trust it.`,
				{statusCode: answer.status, correlationId},
			))
			// Any other answer, such as a captive portal's page, says nothing about the authority.
			: this.#rememberDiscovered(noAnswerMs, toError(answer, context, {attempts: 1, retryAfterMs: undefined}));
	}

	#rememberDiscovered(forMs: number, error?: AuthenticationError): Discovered {
		const result = {untilMs: performance.now() + forMs, ...(error && {error})};
		discoveredThrough(this.#settings).set(this.#settings.authority.origin, result);
		return result;
	}
}

function toError(
	outcome: HttpResponse | HttpFailure,
	{host, missing, refused, cure: ownCure, refreshToken, correlationId}: RequestContext,
	{attempts, retryAfterMs}: {attempts: number; retryAfterMs: number | undefined},
): AuthenticationError {
	const tries = attempts > 1 ? ` after ${attempts} tries` : '';
	if (outcome instanceof HttpFailure) {
		const cure = isOutOfFiles((outcome.cause as NodeJS.ErrnoException | undefined)?.code) ? cureOfTooManyFiles : outcome.cure;
		return new AuthenticationError(
			outcome.kind === 'timeout' ? 'STC_TIMEOUT' : (outcome.kind === 'too-large' ? 'STC_TOKEN_REQUEST_FAILED' : 'STC_NETWORK'),
			sentences(`SharedTokenCacheCredential: ${missing}${tries}: ${outcome.message}`, ownCure, cure, `Correlation id ${correlationId}.`),
			{cause: outcome, correlationId},
		);
	}

	const json = parseJsonObject(outcome.body);
	const errorResponse = json && readErrorResponse(json, refreshToken);
	const why = errorResponse ? describeErrorResponse(errorResponse) : describeUnusable(outcome, json !== undefined, refreshToken);
	const id = correlationIdOf(errorResponse, correlationId);
	const cure = ownCure ?? cureOfAnswer(outcome.status, errorResponse?.error, retryAfterMs);
	// The authority's words must leave room for what to do. `errorResponse` has all of them.
	const said = why.length <= longestQuote ? why : `${why.slice(0, longestQuote - 1).trimEnd()}…`;
	return new AuthenticationError(
		'STC_TOKEN_REQUEST_FAILED',
		sentences(`SharedTokenCacheCredential: ${host} ${refused}${tries} with HTTP ${outcome.status}: ${said}`, cure, `Correlation id ${id}.`),
		{
			statusCode: outcome.status, errorResponse, correlationId: id, retryAfterInMs: retryAfterMs,
		},
	);
}

/** Most characters of an authority's words in an error text. */
const longestQuote = 150;

/** The one thing to do about an answer that is no token. */
function cureOfAnswer(status: number, oauthError: string | undefined, retryAfterMs: number | undefined): string {
	if (status === 429) {
		return retryAfterMs === undefined ? 'Ask less often, and try again later.' : `Wait ${Math.ceil(retryAfterMs / 1000)} s before the next call.`;
	}

	if (status === 408 || status >= 500) {
		return 'Try again later.';
	}

	switch (oauthError) {
		case undefined: {
			return 'Check whether a proxy or a sign-in page answers in its place.';
		}

		case 'invalid_scope':
		case 'invalid_resource': {
			return 'Correct the scopes of the call.';
		}

		default: {
			return 'Look the number up at https://login.microsoftonline.com/error.';
		}
	}
}

/** Joins sentences, of which the first may lack its full stop. */
function sentences(first: string, ...others: Array<string | undefined>): string {
	return [/[.!?…]$/.test(first) ? first : `${first}.`, ...others].filter(Boolean).join(' ');
}

/** The authority's own id for the request, if it looks like one, or else ours. */
function correlationIdOf(response: ErrorResponse | undefined, sent: string): string {
	const given = response?.correlationId;
	return given !== undefined && /^[\w-]{1,64}$/.test(given) ? given : sent;
}

/**
 * How long to wait after a failed attempt, milliseconds.
 *
 * @param attempt Counts from 0.
 * @param retryAfterMs The least pause, from the authority's `Retry-After`. It may be 0 while the authority is down.
 */
export function pauseBeforeRetryMs(attempt: number, retryAfterMs: number | undefined, {retryDelayMs, maxRetryDelayMs}: TokenEndpointSettings['retry']): number {
	const backoffMs = Math.min(retryDelayMs * (2 ** attempt), maxRetryDelayMs);
	// A jitter of up to a quarter spreads the retries of processes that failed at the same time.
	return Math.max(retryAfterMs ?? 0, Math.min(Math.round(backoffMs * (0.75 + (Math.random() / 2))), maxRetryDelayMs));
}

/** Adds the CAE client capability to the caller's claims if `enableCae` is set. */
function mergeClaims(claims: string | undefined, enableCae: boolean): string | undefined {
	if (!enableCae) {
		return claims;
	}

	const merged: {access_token?: object} = {...(claims === undefined ? {} : parseJsonObject(claims))};
	return JSON.stringify({...merged, access_token: {...merged.access_token, xms_cc: caeCapability}});
}

const tooManyRequests = 429;

function describeUnusable(answer: HttpResponse, isJson: boolean, refreshToken = ''): string {
	if (answer.status >= 300 && answer.status < 400) {
		return 'a redirect, which is never followed with a refresh token';
	}

	if (isJson) {
		return 'an answer without an OAuth error';
	}

	const type = answer.header('content-type')?.split(';')[0]?.trim();
	return `an answer that is not JSON${type && /^[\w/+.-]{1,60}$/.test(type) && hideSecret(type, refreshToken) === type ? ` (${type})` : ''}`;
}
