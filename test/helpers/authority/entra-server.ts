/**
 * An embedded token endpoint that behaves like Microsoft Entra's, on loopback TLS. No other server accepts the tokens
 * that it issues.
 *
 * Imitated, from Entra's public documentation and the MSAL libraries: the routes and fields of the token endpoint for
 * the refresh grant and the device code flow, which fields depend on which scope, rotation of refresh tokens, the JSON
 * of AADSTS errors, instance discovery, and the OpenID configuration. Tests script everything else that a client may
 * meet: see `entra-faults.ts`.
 *
 * Not imitated: users, consent, policies, client authentication, signatures, keys, throttling by load, and the lifetime
 * of refresh tokens. Every tenant exists, every client may request every scope, and the device code flow signs in at
 * once.
 *
 * Does not depend on a test framework.
 */

import {createServer, type Server} from 'node:https';
import type {IncomingMessage, ServerResponse} from 'node:http';
import type {AddressInfo, Socket} from 'node:net';
import type {TLSSocket} from 'node:tls';
import {randomUUID} from 'node:crypto';
import {setMaxListeners} from 'node:events';
import {setTimeout as sleep} from 'node:timers/promises';
import {makeServerCertificate, type ServerCertificate} from './certificates.js';
import {
	type EntraErrorDetails, type EntraUser, errorAnswer, type JsonObject, tokenAnswer,
} from './entra-answers.js';

export type {EntraUser, JsonObject} from './entra-answers.js';

/** A request as received. */
export type RecordedRequest = {
	method: string;
	/** Path and query. */
	path: string;
	/** Alternating names and values, in the order and spelling sent. */
	rawHeaders: string[];
	/** Names are in lower case. */
	headers: Readonly<Record<string, string | undefined>>;
	body: Buffer;
	/** The body parsed as a form. Empty for another content type. */
	form: URLSearchParams;
	/** Server name from the TLS handshake. */
	serverName: string | undefined;
	/** Number of the connection, counted from 1. Requests on one connection share it. */
	connection: number;
	/** Unix milliseconds. */
	receivedMs: number;
};

/** A grant that the server issued. */
export type Grant = {
	accessToken: string;
	/** The refresh token or device code that the client redeemed. */
	redeemed: string;
	/** The new refresh token. */
	refreshToken: string | undefined;
	user: EntraUser;
	request: RecordedRequest;
};

/** Sends one scripted response. */
export type Behaviour = (exchange: Exchange) => void | Promise<void>;

/** What a scripted response can use. */
export type Exchange = {
	request: RecordedRequest;
	response: ServerResponse;
	/** Aborts when the server closes. */
	signal: AbortSignal;
	/** Returns the regular response. A 200 counts as a grant. */
	answer(): {status: number; json: JsonObject};
	/** Resets the TCP connection. */
	reset(): void;
};

export type EntraServerOptions = {
	/** The refresh tokens that the server accepts, and the user of each. */
	refreshTokens?: Readonly<Record<string, EntraUser>>;
	/** The user that the device code flow signs in. Default: the server refuses this flow. */
	deviceCodeUser?: EntraUser;
	/**
	 * `off`: a grant contains no new refresh token. `keep-old`: the redeemed token stays valid, as at Entra.
	 * `revoke-old`: the redeemed token becomes invalid. Default `keep-old`.
	 */
	rotation?: 'off' | 'keep-old' | 'revoke-old';
	/** Default 3600. */
	expiresInSec?: number;
	/** Default: the response has no `refresh_in`. */
	refreshInSec?: number;
	/** Clients of family "1". Default: Azure CLI. */
	familyClients?: readonly string[];
	/** Hosts that instance discovery accepts, besides Microsoft's public ones. */
	knownAuthorities?: readonly string[];
	/** Delay of each token request in milliseconds. Default 0. */
	delayMs?: number;
	/** Additional names in the certificate. */
	extraNames?: readonly string[];
	/** Default: a new one. */
	certificate?: ServerCertificate;
};

export type EntraServer = {
	readonly port: number;
	/** `https://localhost:<port>` */
	readonly origin: string;
	/** The certificate authority that a client must trust, PEM. */
	readonly ca: string;
	/** All requests, in the order in which they were received completely. */
	readonly requests: RecordedRequest[];
	readonly grants: Grant[];
	/** The requests to a token endpoint. */
	readonly tokenRequests: RecordedRequest[];
	/** Refresh tokens that are valid now. Tests may add and remove entries. */
	readonly refreshTokens: Map<string, EntraUser>;
	/** Number of TLS connections so far. */
	readonly connectionCount: number;
	/** Scripts the next token requests, one response each. Later requests get the regular response. */
	script(...behaviours: Behaviour[]): void;
	/** Scripts the next requests for instance discovery. */
	scriptDiscovery(...behaviours: Behaviour[]): void;
	/** Scripts every token request that has no response from `script`. Without an argument, ends that. */
	scriptAll(behaviour?: Behaviour): void;
	/** Closes every connection and aborts every scripted response. */
	close(): Promise<void>;
};

/** Azure CLI. Source: azure-identity for Python, `_constants.py`, DEVELOPER_SIGN_ON_CLIENT_ID. */
const azureCliClientId = '04b07795-8ddb-461a-bbee-02f9e1bf7b46';
const publicAuthorities = ['login.microsoftonline.com', 'login.windows.net', 'login.microsoft.com', 'sts.windows.net', 'login.microsoftonline.us'];
/** Longer than any test: only the client or {@link EntraServer.close} closes an idle connection. */
const keepAliveTimeoutMs = 120_000;
const tokenPath = /^\/(?<tenant>[^/]+)\/oauth2\/(?:v2\.0\/)?token$/;
const discoveryPath = '/common/discovery/instance';
const deviceCodePath = /^\/[^/]+\/oauth2\/v2\.0\/devicecode$/;
const configurationPath = /^\/(?<tenant>[^/]+)\/v2\.0\/\.well-known\/openid-configuration$/;

export async function startEntraServer(options: EntraServerOptions = {}): Promise<EntraServer> {
	const certificate = options.certificate ?? await makeServerCertificate(options.extraNames);
	const endpoint = new EmbeddedEntra(options, certificate);
	await endpoint.listen();
	return endpoint;
}

class EmbeddedEntra implements EntraServer {
	readonly requests: RecordedRequest[] = [];
	readonly grants: Grant[] = [];
	readonly refreshTokens: Map<string, EntraUser>;
	readonly ca: string;
	connectionCount = 0;
	readonly #options: EntraServerOptions;
	readonly #server: Server;
	readonly #connections = new WeakMap<object, number>();
	/** TCP sockets by client port. TLS sockets cannot be reset and do not expose their TCP socket. */
	readonly #transports = new Map<number, Socket>();
	readonly #closing = new AbortController();
	/** Pending device codes, with the scope of each. */
	readonly #deviceCodes = new Map<string, string>();
	/** Makes the tokens of this server differ from those of another server in the same test. */
	readonly #mark = randomUUID().slice(0, 8);
	#issued = 0;
	readonly #script: Behaviour[] = [];
	readonly #discoveryScript: Behaviour[] = [];
	#always: Behaviour | undefined;

	constructor(options: EntraServerOptions, {ca, cert, key}: ServerCertificate) {
		this.#options = options;
		this.ca = ca;
		// One listener per request in progress, without a limit.
		setMaxListeners(0, this.#closing.signal);
		this.refreshTokens = new Map(Object.entries(options.refreshTokens ?? {}));
		this.#server = createServer({cert, key, keepAliveTimeout: keepAliveTimeoutMs}, (request, response) => {
			void this.#serve(request, response);
		});
		this.#server.on('connection', (socket: Socket) => {
			const {remotePort} = socket;
			if (remotePort !== undefined) {
				this.#transports.set(remotePort, socket);
				socket.once('close', () => {
					this.#transports.delete(remotePort);
				});
			}
		});
		this.#server.on('secureConnection', (socket: TLSSocket) => {
			this.connectionCount++;
			this.#connections.set(socket, this.connectionCount);
		});
		// A client that distrusts the certificate or hangs up early is not an error here. Tests check for it in the
		// client.
		this.#server.on('tlsClientError', () => undefined);
	}

	get port(): number {
		return (this.#server.address() as AddressInfo).port;
	}

	get origin(): string {
		return `https://localhost:${this.port}`;
	}

	get tokenRequests(): RecordedRequest[] {
		return this.requests.filter(request => tokenPath.test(pathnameOf(request)));
	}

	async listen(): Promise<void> {
		await new Promise<void>((resolve, reject) => {
			this.#server.once('error', reject);
			this.#server.listen(0, '127.0.0.1', resolve);
		});
	}

	script(...behaviours: Behaviour[]): void {
		this.#script.push(...behaviours);
	}

	scriptDiscovery(...behaviours: Behaviour[]): void {
		this.#discoveryScript.push(...behaviours);
	}

	scriptAll(behaviour?: Behaviour): void {
		this.#always = behaviour;
	}

	async close(): Promise<void> {
		this.#closing.abort();
		await new Promise<void>(resolve => {
			this.#server.close(() => {
				resolve();
			});
			this.#server.closeAllConnections();
		});
	}

	async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
		// Clients may hang up at any time, also during a response.
		response.on('error', () => undefined);
		const request = await this.#record(incoming);
		if (!request) {
			return;
		}

		try {
			await this.#answer(request, response);
		} catch (error) {
			// An error in a scripted response ends the process as an unhandled rejection. Otherwise the client would
			// see it as a network failure.
			if (!this.#closing.signal.aborted) {
				throw error;
			}
		}
	}

	/** @returns `undefined` if the client hung up before the request was complete. */
	async #record(incoming: IncomingMessage): Promise<RecordedRequest | undefined> {
		const chunks: Buffer[] = [];
		try {
			for await (const chunk of incoming) {
				chunks.push(chunk as Buffer);
			}
		} catch {
			return undefined;
		}

		const body = Buffer.concat(chunks);
		const headers = Object.fromEntries(Object.entries(incoming.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]));
		const isForm = headers['content-type']?.startsWith('application/x-www-form-urlencoded') ?? false;
		const {servername} = incoming.socket as TLSSocket & {servername?: string | false};
		const request: RecordedRequest = {
			method: incoming.method ?? '',
			path: incoming.url ?? '',
			rawHeaders: incoming.rawHeaders,
			headers,
			body,
			form: new URLSearchParams(isForm ? body.toString('utf8') : ''),
			serverName: servername || undefined,
			connection: this.#connections.get(incoming.socket) ?? 0,
			receivedMs: Date.now(),
		};
		this.requests.push(request);
		return request;
	}

	async #answer(request: RecordedRequest, response: ServerResponse): Promise<void> {
		const pathname = pathnameOf(request);
		if (tokenPath.test(pathname)) {
			const {signal} = this.#closing;
			if (this.#options.delayMs) {
				await sleep(this.#options.delayMs, undefined, {signal});
			}

			const behaviour = this.#script.shift() ?? this.#always ?? answerAsUsual;
			await behaviour(this.#exchange(request, response, () => this.#tokenAnswer(request)));
			return;
		}

		const behaviour = (pathname === discoveryPath ? this.#discoveryScript.shift() : undefined) ?? answerAsUsual;
		await behaviour(this.#exchange(request, response, () => this.#otherAnswer(request, pathname)));
	}

	#exchange(request: RecordedRequest, response: ServerResponse, answer: Exchange['answer']): Exchange {
		const {remotePort = 0} = response.socket ?? {};
		return {
			request,
			response,
			signal: this.#closing.signal,
			answer,
			reset: () => {
				this.#transports.get(remotePort)?.resetAndDestroy();
				response.destroy();
			},
		};
	}

	#tokenAnswer(request: RecordedRequest): {status: number; json: JsonObject} {
		if (request.method !== 'POST') {
			return refusal(request, {error: 'invalid_request', code: 900_561, text: 'The endpoint only accepts POST requests.'});
		}

		const grantType = request.form.get('grant_type');
		for (const name of ['grant_type', 'client_id']) {
			if (!request.form.get(name)) {
				return refusal(request, {error: 'invalid_request', code: 900_144, text: `The request body must contain the following parameter: '${name}'.`});
			}
		}

		switch (grantType) {
			case 'refresh_token': {
				return this.#redeemRefreshToken(request);
			}

			// MSAL for Node sends the short name, which Entra also accepts.
			case 'device_code':
			case 'urn:ietf:params:oauth:grant-type:device_code': {
				return this.#redeemDeviceCode(request);
			}

			default: {
				return refusal(request, {error: 'unsupported_grant_type', code: 70_003, text: 'The app requested an unsupported grant type.'});
			}
		}
	}

	#redeemRefreshToken(request: RecordedRequest): {status: number; json: JsonObject} {
		const redeemed = request.form.get('refresh_token');
		if (!redeemed) {
			return refusal(request, {error: 'invalid_request', code: 900_144, text: 'The request body must contain the following parameter: \'refresh_token\'.'});
		}

		const user = this.refreshTokens.get(redeemed);
		if (!user) {
			return refusal(request, {error: 'invalid_grant', code: 700_082, text: 'The refresh token has expired due to inactivity.'});
		}

		if (this.#options.rotation === 'revoke-old') {
			this.refreshTokens.delete(redeemed);
		}

		return this.#grant(request, user, redeemed, request.form.get('scope') ?? '');
	}

	#redeemDeviceCode(request: RecordedRequest): {status: number; json: JsonObject} {
		const code = request.form.get('device_code') ?? '';
		const user = this.#options.deviceCodeUser;
		const scope = this.#deviceCodes.get(code);
		if (!user || scope === undefined) {
			return refusal(request, {error: 'bad_verification_code', code: 7_000_014, text: 'The provided value for the input parameter \'device_code\' is not valid.'});
		}

		this.#deviceCodes.delete(code);
		return this.#grant(request, user, code, scope);
	}

	#grant(request: RecordedRequest, user: EntraUser, redeemed: string, scope: string): {status: number; json: JsonObject} {
		this.#issued++;
		const serial = `${this.#mark}-${this.#issued}`;
		const {expiresInSec = 3600, refreshInSec, rotation, familyClients = [azureCliClientId]} = this.#options;
		const {form} = request;
		const clientId = form.get('client_id') ?? '';
		const refreshToken = rotation === 'off' ? undefined : `FAKE-refresh-token-${serial}`;
		const json = tokenAnswer({
			user,
			clientId,
			pathTenant: tokenPath.exec(pathnameOf(request))?.groups?.['tenant'] ?? '',
			scopes: scope.split(' ').filter(Boolean),
			nowSec: Math.floor(Date.now() / 1000),
			expiresInSec,
			refreshInSec,
			serial,
			refreshToken,
			isFamilyClient: familyClients.includes(clientId),
			wantsClientInfo: form.get('client_info') === '1',
		});
		const given = json['refresh_token'] as string | undefined;
		if (given !== undefined) {
			this.refreshTokens.set(given, user);
		}

		this.grants.push({
			accessToken: json['access_token'] as string, redeemed, refreshToken: given, user, request,
		});
		return {status: 200, json};
	}

	#otherAnswer(request: RecordedRequest, pathname: string): {status: number; json: JsonObject} {
		const host = request.headers['host'] ?? `localhost:${this.port}`;
		if (request.method === 'GET' && pathname === discoveryPath) {
			return this.#discoveryAnswer(request);
		}

		const tenant = configurationPath.exec(pathname)?.groups?.['tenant'];
		if (request.method === 'GET' && tenant !== undefined) {
			const base = `https://${host}/${tenant}`;
			return {
				status: 200,
				json: {
					token_endpoint: `${base}/oauth2/v2.0/token`,
					issuer: `${base}/v2.0`,
					authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
					device_authorization_endpoint: `${base}/oauth2/v2.0/devicecode`,
					end_session_endpoint: `${base}/oauth2/v2.0/logout`,
					jwks_uri: `${base}/discovery/v2.0/keys`,
				},
			};
		}

		if (request.method === 'POST' && deviceCodePath.test(pathname)) {
			const code = `FAKE-device-code-${randomUUID()}`;
			this.#deviceCodes.set(code, request.form.get('scope') ?? '');
			return {
				status: 200,
				json: {
					user_code: 'FAKECODE',
					device_code: code,
					verification_uri: `https://${host}/device`,
					expires_in: 900,
					interval: 1,
					message: 'Nobody has to enter this code: the embedded server signs in at once.',
				},
			};
		}

		return {status: 404, json: {error: 'not_found'}};
	}

	#discoveryAnswer(request: RecordedRequest): {status: number; json: JsonObject} {
		const endpoint = new URL(request.path, 'https://localhost').searchParams.get('authorization_endpoint') ?? '';
		const host = URL.canParse(endpoint) ? new URL(endpoint).host : '';
		if (![...publicAuthorities, ...this.#options.knownAuthorities ?? []].includes(host)) {
			return refusal(request, {error: 'invalid_instance', code: 50_049, text: 'Unknown or invalid instance.'});
		}

		return {
			status: 200,
			json: {
				tenant_discovery_endpoint: `https://${host}/common/v2.0/.well-known/openid-configuration`,
				'api-version': '1.1',
				metadata: [{preferred_network: host, preferred_cache: host, aliases: [host]}],
			},
		};
	}
}

/** Sends the regular response. */
export const answerAsUsual: Behaviour = ({request, response, answer}) => {
	const {status, json} = answer();
	sendJson({request, response}, status, json);
};

/** Sends JSON with the headers that clients evaluate. */
export function sendJson({request, response}: Pick<Exchange, 'request' | 'response'>, status: number, json: unknown, headers: Readonly<Record<string, string>> = {}): void {
	const body = Buffer.from(JSON.stringify(json));
	response.writeHead(status, {
		'cache-control': 'no-store, no-cache',
		'content-type': 'application/json; charset=utf-8',
		'content-length': body.length,
		...echoedRequestId(request),
		...headers,
	});
	response.end(body);
}

/** Returns an error response in Entra's format for this request. */
export function refusal(request: RecordedRequest, details: EntraErrorDetails): {status: number; json: JsonObject} {
	return {status: 400, json: errorAnswer(details, request.headers['client-request-id'] ?? randomUUID())};
}

function echoedRequestId(request: RecordedRequest): Record<string, string> {
	const id = request.headers['client-request-id'];
	return id !== undefined && request.headers['return-client-request-id'] === 'true' ? {'client-request-id': id} : {};
}

function pathnameOf({path}: RecordedRequest): string {
	return path.split('?', 1)[0] ?? '';
}
