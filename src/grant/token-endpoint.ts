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
import {
	type HttpResponse, HttpClient, HttpFailure, type HttpRequest, type HttpSettings,
} from './http-client.js';
import {
	describeErrorResponse,
	isRefreshTokenDead,
	needsUser,
	readErrorResponse,
	readRetryAfterMs,
	readTokenResponse,
	type TokenResponse,
} from './token-response.js';

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
};

/** The authority requires the user to act. Another refresh token may still be accepted. Internal: callers get one of the public errors. */
export class GrantRefusal extends Error {
	override readonly name = 'GrantRefusal';
	constructor(
		message: string,
		readonly errorResponse: ErrorResponse,
		/** Whether the refresh token will never be accepted again, for any request. */
		readonly isTokenDead: boolean,
	) {
		super(message);
	}
}

export type TokenEndpointSettings = HttpSettings & {
	authority: Authority;
	clientId: string;
	disableInstanceDiscovery: boolean;
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

/** The result of instance discovery. Without `unknown`, the authority is known. */
type Discovered = {
	/** When the result expires, by `performance.now()`. */
	untilMs: number;
	unknown?: {status: number; correlationId: string};
};

/** How long an authority is remembered as unknown, milliseconds: it may belong to a new cloud. */
const unknownMs = 3_600_000;

/** Most authorities that are remembered. */
const maxDiscovered = 100;

/** Results by origin, for all credentials of the process: they do not depend on a credential's settings. */
const discovered = new BoundedMap<string, Discovered>(maxDiscovered);

/** What throttling and error texts need to know about a request. */
type RequestContext = {
	/** Requests with the same key are throttled together. */
	key: string;
	host: string;
	/** What the caller does not get, for error texts: "no token from <host>". */
	missing: string;
	/** What the host refused, for error texts: "refused the token request". */
	refused: string;
	/** The refresh token that the request carries: error texts must not show it. */
	refreshToken: string | undefined;
	correlationId: string;
};

export class TokenEndpoint {
	readonly #settings: TokenEndpointSettings;
	readonly #http: HttpClient;
	/** By {@link RequestContext.key}: when requests may be sent again, by `performance.now()`, and the HTTP status that asked for the pause. */
	readonly #throttled = new BoundedMap<string, {untilMs: number; status: number}>(maxThrottled);
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
		await this.#waitOutThrottle(context, signal);
		for (let attempt = 0; ; attempt++) {
			const outcome = await this.#try(request, signal);
			if (!(outcome instanceof HttpFailure) && !isRepeatable(outcome.status)) {
				return outcome;
			}

			const retryAfterMs = outcome instanceof HttpFailure ? undefined : readRetryAfterMs(name => outcome.header(name), Date.now());
			const pauseMs = pauseBeforeRetryMs(attempt, retryAfterMs, this.#settings.retry);
			const isPermanent = outcome instanceof HttpFailure && outcome.kind !== 'network' && outcome.kind !== 'timeout';
			if (isPermanent || attempt >= maxRetries || (retryAfterMs ?? 0) > maxRetryDelayMs) {
				if (retryAfterMs !== undefined && !(outcome instanceof HttpFailure)) {
					this.#throttle(context.key, retryAfterMs, outcome.status);
				}

				throw toError(outcome, context, {attempts: attempt + 1, retryAfterMs});
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

	#throttle(key: string, retryAfterMs: number, status: number): void {
		this.#throttled.set(key, {untilMs: performance.now() + Math.min(retryAfterMs, maxThrottleMs), status});
	}

	/** @throws {AuthenticationError} `STC_TOKEN_REQUEST_FAILED` if the authority asked for a longer pause than `maxRetryDelayMs`. */
	async #waitOutThrottle({key, host, correlationId}: RequestContext, signal: AbortSignal): Promise<void> {
		const throttled = this.#throttled.get(key);
		if (!throttled) {
			return;
		}

		const waitMs = throttled.untilMs - performance.now();
		if (waitMs > this.#settings.retry.maxRetryDelayMs) {
			throw new AuthenticationError(
				'STC_TOKEN_REQUEST_FAILED',
				`SharedTokenCacheCredential: ${host} asked clients to wait for another ${Math.ceil(waitMs / 1000)} s, so no request was sent. Try again after that time.`,
				{statusCode: throttled.status, retryAfterInMs: waitMs, correlationId},
			);
		}

		if (waitMs > 0) {
			await sleep(waitMs, {signal, ref: false});
		}

		this.#throttled.delete(key);
	}

	#readResponse(answer: HttpResponse, request: RedeemRequest, context: RequestContext): TokenResponse {
		const {correlationId} = context;
		const json = parseJsonObject(answer.body);
		const errorResponse = json && readErrorResponse(json, request.refreshToken);
		if (errorResponse && needsUser(errorResponse)) {
			throw new GrantRefusal(
				`${describeErrorResponse(errorResponse)} (correlation id ${errorResponse.correlationId ?? correlationId})`,
				errorResponse,
				isRefreshTokenDead(errorResponse),
			);
		}

		if (!json || errorResponse || answer.status !== 200) {
			throw toError(answer, context, {attempts: 1, retryAfterMs: undefined});
		}

		const response = readTokenResponse(json, Math.floor(answer.sentMs / 1000));
		if (typeof response === 'string') {
			throw this.#unusable(answer, response, correlationId);
		}

		if (response.homeAccountId !== undefined && response.homeAccountId.toLowerCase() !== request.homeAccountId.toLowerCase()) {
			throw this.#unusable(answer, 'it is for another account than the one whose refresh token was sent', correlationId);
		}

		return response;
	}

	#unusable(answer: HttpResponse, why: string, correlationId: string): AuthenticationError {
		return new AuthenticationError(
			'STC_TOKEN_REQUEST_FAILED',
			`SharedTokenCacheCredential: the answer of ${this.#settings.authority.host} cannot be used: ${why}. Correlation id ${correlationId}.`,
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
		const {origin, host} = this.#settings.authority;
		let known = discovered.get(origin);
		if (!known || known.untilMs <= performance.now()) {
			this.#discovery ??= this.#discover().finally(() => {
				this.#discovery = undefined;
			});
			known = await this.#discovery;
		}

		if (known.unknown) {
			const {status, correlationId} = known.unknown;
			throw new AuthenticationError(
				'STC_TOKEN_REQUEST_FAILED',
				`SharedTokenCacheCredential: ${host} is not an authority that ${defaultAuthorityHost} knows, so no refresh token is sent there. Correct authorityHost, or set disableInstanceDiscovery if you trust it.`,
				{statusCode: status, correlationId},
			);
		}
	}

	/** Source: Microsoft identity platform, instance discovery; MSAL for Python 1.39, `authority.py`. */
	async #discover(): Promise<Discovered> {
		const {origin, host} = this.#settings.authority;
		const correlationId = randomUUID();
		const query = new URLSearchParams({
			'api-version': '1.1',
			authorization_endpoint: `${origin}/common/oauth2/v2.0/authorize`,
		});
		const {status, body} = await this.#sendWithRetries(
			{
				method: 'GET',
				url: `https://${defaultAuthorityHost}/common/discovery/instance?${query.toString()}`,
				headers: ['accept', 'application/json', 'client-request-id', correlationId],
			},
			{
				key: 'discovery',
				host: defaultAuthorityHost,
				missing: `no answer from ${defaultAuthorityHost} on whether ${host} is an authority`,
				refused: `refused to say whether ${host} is an authority`,
				refreshToken: undefined,
				correlationId,
			},
			// Several callers share this request, so none of their signals aborts it.
			new AbortController().signal,
		);
		const json = parseJsonObject(body);
		if (status === 200 && typeof json?.['tenant_discovery_endpoint'] === 'string') {
			return remember(origin, {untilMs: Number.POSITIVE_INFINITY});
		}

		const unknown = {status, correlationId};
		// Any other response, such as a captive portal's page, says nothing about the authority and is not remembered.
		return json?.['error'] === 'invalid_instance'
			? remember(origin, {untilMs: performance.now() + unknownMs, unknown})
			: {untilMs: 0, unknown};
	}
}

function remember(origin: string, answer: Discovered): Discovered {
	discovered.set(origin, answer);
	return answer;
}

function toError(
	outcome: HttpResponse | HttpFailure,
	{host, missing, refused, refreshToken, correlationId}: RequestContext,
	{attempts, retryAfterMs}: {attempts: number; retryAfterMs: number | undefined},
): AuthenticationError {
	const tries = attempts > 1 ? ` after ${attempts} tries` : '';
	if (outcome instanceof HttpFailure) {
		const cures: Record<HttpFailure['kind'], string> = {
			network: 'Check the network, DNS and proxy settings (HTTPS_PROXY, NO_PROXY).',
			timeout: 'Check the network and proxy, or try again.',
			certificate: 'Give Node the certificate authority in NODE_EXTRA_CA_CERTS.',
			'too-large': 'Check that authorityHost is an authority.',
			proxy: 'Set it to a URL such as "http://proxy.example:3128", or unset it.',
		};
		const cure = isOutOfFiles((outcome.cause as NodeJS.ErrnoException | undefined)?.code) ? cureOfTooManyFiles : cures[outcome.kind];
		return new AuthenticationError(
			outcome.kind === 'timeout' ? 'STC_TIMEOUT' : (outcome.kind === 'too-large' ? 'STC_TOKEN_REQUEST_FAILED' : 'STC_NETWORK'),
			`SharedTokenCacheCredential: ${missing}${tries}: ${outcome.message}. ${cure} Correlation id ${correlationId}.`,
			{cause: outcome, correlationId},
		);
	}

	const json = parseJsonObject(outcome.body);
	const errorResponse = json && readErrorResponse(json, refreshToken);
	const why = errorResponse ? describeErrorResponse(errorResponse) : describeUnusable(outcome, json !== undefined);
	return new AuthenticationError(
		'STC_TOKEN_REQUEST_FAILED',
		`SharedTokenCacheCredential: ${host} ${refused}${tries} with HTTP ${outcome.status}: ${why}. Correlation id ${errorResponse?.correlationId ?? correlationId}.`,
		{
			statusCode: outcome.status, errorResponse, correlationId: errorResponse?.correlationId ?? correlationId, retryAfterInMs: retryAfterMs,
		},
	);
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

function isRepeatable(status: number): boolean {
	return status === 429 || status === 408 || status >= 500;
}

function describeUnusable(answer: HttpResponse, isJson: boolean): string {
	if (answer.status >= 300 && answer.status < 400) {
		return 'a redirect, which is never followed with a refresh token';
	}

	if (isJson) {
		return 'an answer without an OAuth error';
	}

	const type = answer.header('content-type')?.split(';')[0]?.trim();
	return `an answer that is not JSON${type && /^[\w/+.-]{1,60}$/.test(type) ? ` (${type})` : ''}`;
}
