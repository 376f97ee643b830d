/**
 * An embedded token endpoint in the shape of Microsoft Entra's, on loopback TLS. It is not Entra, and nothing it issues is
 * accepted anywhere.
 *
 * Imitated, from Entra's public documentation and the MSAL libraries: the routes and the fields of the token endpoint for the
 * refresh grant and the device code flow, which of those fields depend on which scope, rotation of refresh tokens, the JSON of
 * AADSTS errors, instance discovery, and the OpenID configuration. Anything else that a client may meet is scripted: see
 * `entra-faults.ts`.
 *
 * Not imitated: users, consent, policies, client authentication, signatures, keys, throttling of its own, and the lifetime of
 * refresh tokens. Every tenant exists, every client may ask for every scope, and the device code flow signs in at once.
 *
 * Needs no test framework.
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

/** A request as it came over the wire. */
export type RecordedRequest = {
	method: string;
	/** Path and query. */
	path: string;
	/** Names and values in turn, as sent and in the order sent. */
	rawHeaders: string[];
	/** Lower-case names. */
	headers: Readonly<Record<string, string | undefined>>;
	body: Buffer;
	/** The body read as a form; empty for another content type. */
	form: URLSearchParams;
	/** Server name of the TLS handshake. */
	serverName: string | undefined;
	/** Counts from 1: requests with the same number came over the same connection. */
	connection: number;
	/** Unix milliseconds. */
	receivedMs: number;
};

/** A grant that was given. */
export type Grant = {
	accessToken: string;
	/** The one that was redeemed. */
	redeemed: string;
	/** The one that was given in exchange. */
	refreshToken: string | undefined;
	user: EntraUser;
	request: RecordedRequest;
};

/** One scripted answer. */
export type Behaviour = (exchange: Exchange) => void | Promise<void>;

/** What a scripted answer may use. */
export type Exchange = {
	request: RecordedRequest;
	response: ServerResponse;
	/** Aborts when the server closes. */
	signal: AbortSignal;
	/** What the server would answer of itself; a 200 counts as a grant. */
	answer(): {status: number; json: JsonObject};
	/** Ends the connection with a TCP reset. */
	reset(): void;
};

export type EntraServerOptions = {
	/** The refresh tokens that it knows, and whose they are. */
	refreshTokens?: Readonly<Record<string, EntraUser>>;
	/** What the device code flow signs in. Default: that flow is refused. */
	deviceCodeUser?: EntraUser;
	/** Whether a grant gives a new refresh token, and whether the one redeemed lives on. Default `keep-old`, as Entra does. */
	rotation?: 'off' | 'keep-old' | 'revoke-old';
	/** Default 3600. */
	expiresInSec?: number;
	/** Default: the answer has no `refresh_in`. */
	refreshInSec?: number;
	/** Clients of the family "1". Default: Azure CLI's. */
	familyClients?: readonly string[];
	/** Hosts that instance discovery vouches for, besides Microsoft's public ones. */
	knownAuthorities?: readonly string[];
	/** How long each token request takes, milliseconds. Default 0. */
	delayMs?: number;
	/** Further names for the certificate. */
	extraNames?: readonly string[];
	/** Default: one is made. */
	certificate?: ServerCertificate;
};

export type EntraServer = {
	readonly port: number;
	/** `https://localhost:<port>` */
	readonly origin: string;
	/** The authority that a client has to trust, PEM. */
	readonly ca: string;
	/** Every request, in the order in which they were complete. */
	readonly requests: RecordedRequest[];
	readonly grants: Grant[];
	/** The requests to a token endpoint. */
	readonly tokenRequests: RecordedRequest[];
	/** Refresh tokens that are good now. Tests may add and remove. */
	readonly refreshTokens: Map<string, EntraUser>;
	/** How many TLS connections were made. */
	readonly connectionCount: number;
	/** Scripts the next token requests, one each; those after them are answered as usual. */
	script(...behaviours: Behaviour[]): void;
	/** Scripts the next requests for instance discovery. */
	scriptDiscovery(...behaviours: Behaviour[]): void;
	/** Scripts every token request that has no script of its own; without an argument, ends that. */
	scriptAll(behaviour?: Behaviour): void;
	/** Ends every connection and every behaviour. */
	close(): Promise<void>;
};

/** Azure CLI. Source: azure-identity for Python, `_constants.py`, DEVELOPER_SIGN_ON_CLIENT_ID. */
const azureCliClientId = '04b07795-8ddb-461a-bbee-02f9e1bf7b46';
const publicAuthorities = ['login.microsoftonline.com', 'login.windows.net', 'login.microsoft.com', 'sts.windows.net', 'login.microsoftonline.us'];
/** Longer than any test: an idle connection ends when the client or {@link EntraServer.close} ends it. */
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
	/** TCP sockets by the client's port: TLS sockets cannot be reset, and do not tell what is below them. */
	readonly #transports = new Map<number, Socket>();
	readonly #closing = new AbortController();
	/** Device codes that wait, and the scope that each was asked with. */
	readonly #deviceCodes = new Map<string, string>();
	/** Keeps the tokens of one server apart from another's in the same test. */
	readonly #mark = randomUUID().slice(0, 8);
	#issued = 0;
	readonly #script: Behaviour[] = [];
	readonly #discoveryScript: Behaviour[] = [];
	#always: Behaviour | undefined;

	constructor(options: EntraServerOptions, {ca, cert, key}: ServerCertificate) {
		this.#options = options;
		this.ca = ca;
		// As many as requests are being answered.
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
		// A client that distrusts the certificate, or hangs up early, is the client's affair: tests see it there.
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
		// Clients hang up when they please, also while an answer is written.
		response.on('error', () => undefined);
		const request = await this.#record(incoming);
		if (!request) {
			return;
		}

		try {
			await this.#answer(request, response);
		} catch (error) {
			// A mistake in a behaviour must not pass for an answer: it ends the process as an unhandled rejection.
			if (!this.#closing.signal.aborted) {
				throw error;
			}
		}
	}

	/** @returns `undefined` where the client hung up before the request was complete. */
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

			// MSAL for Node sends the short name, which Entra takes too.
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

/** The answer without a script. */
export const answerAsUsual: Behaviour = ({request, response, answer}) => {
	const {status, json} = answer();
	sendJson({request, response}, status, json);
};

/** Sends JSON with the headers that a client may look at. */
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

/** An error of the authority about this request. */
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
