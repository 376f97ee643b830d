/**
 * HTTPS through undici, which is loaded when the first grant is needed. Sends one request and returns its whole response, limited in size
 * and time. Sockets do not keep the process alive: callers that wait for a token do.
 */

import {isIP, type Socket} from 'node:net';
import {StringDecoder} from 'node:string_decoder';
import {unlessAborted, whenAborted} from '../runtime/abort.js';
import {requireLazily} from '../runtime/lazy.js';
import {startTimeout} from '../runtime/time-out.js';
import type {HttpDispatcher, ProxyOptions} from '../types.js';

export type HttpRequest = {
	method: 'GET' | 'POST';
	url: string;
	/** Alternating names and values, sent in this order. */
	headers: string[];
	body?: string;
};

export type HttpResponse = {
	status: number;
	body: string;
	/** When the request was sent, Unix milliseconds. */
	sentMs: number;
	/** The value of a header, by its lower-case name. If the header is repeated, its first value. */
	header(name: string): string | undefined;
};

/** There is no response, or it cannot be used. */
export class HttpFailure extends Error {
	override readonly name = 'HttpFailure';
	constructor(
		/** Only `network` and `timeout` may be transient. */
		readonly kind: 'network' | 'timeout' | 'too-large' | 'certificate' | 'proxy',
		message: string,
		options?: ErrorOptions,
	) {
		super(message, options);
	}

	/** Whether another attempt may succeed. */
	get isTransient(): boolean {
		return this.kind === 'network' || this.kind === 'timeout';
	}
}

/** Longest response that is read, bytes. A token response has a few thousand. */
export const maxAnswerSizeBytes = 1024 * 1024;

/** Time-out of one attempt, milliseconds, from connecting to the last byte. */
export const attemptTimeoutMs = 30_000;

/** Time-out for connecting, including TLS, milliseconds. */
const connectTimeoutMs = 10_000;

/** The members of a readable stream that are used. */
type Body = {
	on(event: 'data', listener: (chunk: Buffer) => void): unknown;
	on(event: 'error', listener: (error: Error) => void): unknown;
	once(event: 'end' | 'close', listener: () => void): unknown;
	destroy(): unknown;
};

type UndiciResponse = {
	statusCode: number;
	headers: Record<string, string | string[] | undefined>;
	body: Body;
};

type Request = (this: HttpDispatcher, options: object) => Promise<UndiciResponse>;

export type HttpSettings = {
	dispatcher: HttpDispatcher | undefined;
	proxy: Readonly<ProxyOptions> | undefined;
};

export class HttpClient {
	readonly #settings: HttpSettings;
	#own: (HttpDispatcher & {destroy(): Promise<void>}) | undefined;

	constructor(settings: HttpSettings) {
		this.#settings = settings;
	}

	/**
	 * @throws {HttpFailure}
	 * @throws the reason of `signal`.
	 */
	async send(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
		signal.throwIfAborted();
		const attempt = new AbortController();
		const stop = whenAborted(signal, () => {
			attempt.abort(signal.reason);
		});
		const clearTimer = startTimeout(attemptTimeoutMs, () => {
			attempt.abort(new HttpFailure('timeout', `no complete answer within ${attemptTimeoutMs / 1000} s`));
		}, {ref: false});
		try {
			// undici watches the signal only once the request has a connection, which a proxy or a busy dispatcher may never provide.
			return await unlessAborted(this.#exchange(request, attempt.signal).catch((error: unknown) => {
				throw toHttpFailure(error);
			}), attempt.signal);
		} finally {
			clearTimer();
			stop();
		}
	}

	/** Closes this client's own connections. An injected dispatcher is left to its owner. */
	async close(): Promise<void> {
		const own = this.#own;
		this.#own = undefined;
		await own?.destroy();
	}

	async #exchange({method, url, headers, body}: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
		const {origin, pathname, search} = new URL(url);
		const dispatcher = this.#settings.dispatcher ?? (this.#own ??= createDispatcher(this.#settings.proxy));
		// A dispatcher of another undici version has a request function that fits it.
		const request = (dispatcher as {request?: Request}).request ?? undiciRequest();
		const sentMs = Date.now();
		const response = await request.call(dispatcher, {
			origin, path: pathname + search, method, headers, body: body ?? null, signal,
			// The attempt has its own time-out. undici's would win over an answer that came while the process was stopped.
			headersTimeout: 0,
			bodyTimeout: 0,
			// A dispatcher that follows redirects would send the refresh token to another host. This option overrides the interceptor's own.
			// Source: undici 7.30, `lib/interceptor/redirect.js`.
			maxRedirections: 0,
		});
		return {
			status: response.statusCode,
			header(name) {
				const value = response.headers[name];
				return Array.isArray(value) ? value[0] : value;
			},
			body: await readBody(response),
			sentMs,
		};
	}
}

/** Uses events, which cost less per request than asynchronous iteration (measured: bench P7). */
async function readBody({body}: UndiciResponse): Promise<string> {
	return new Promise((resolve, reject) => {
		const decoder = new StringDecoder('utf8');
		let sizeBytes = 0;
		let text = '';
		body.on('data', chunk => {
			sizeBytes += chunk.length;
			if (sizeBytes > maxAnswerSizeBytes) {
				// Before destroying the stream: the promise ignores what the stream emits afterwards.
				reject(new HttpFailure('too-large', `the answer is longer than ${maxAnswerSizeBytes} bytes`));
				body.destroy();
			} else {
				text += decoder.write(chunk);
			}
		});
		body.once('end', () => {
			resolve(text + decoder.end());
		});
		body.on('error', reject);
		body.once('close', () => {
			// Has no effect after the end or an error.
			reject(new HttpFailure('network', 'the connection was closed in the middle of the answer'));
		});
	});
}

/** Codes of certificate errors, of OpenSSL and of Node. Source: Node.js documentation, "TLS: X509 certificate error codes". */
const certificateErrorPattern = /^(?:ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH|INVALID_CA|CRL_)/;

function toHttpFailure(error: unknown): HttpFailure {
	if (error instanceof HttpFailure) {
		return error;
	}

	const cause = toCause(error);
	const {code = '', name} = cause;
	return certificateErrorPattern.test(code)
		? new HttpFailure('certificate', `its certificate is not trusted (${code})`, {cause})
		: new HttpFailure('network', name === 'HTTPParserError' ? 'the answer is not HTTP' : code || 'the connection failed', {cause});
}

/** What is copied from an error of undici, Node or a dispatcher. */
type Cause = Error & {code?: string; syscall?: string; address?: string; port?: number};

/**
 * Copies only those fields of an error that cannot hold a secret. undici's parser quotes the response in its error, an interceptor may attach
 * the whole response, and the error of an invalid proxy URL contains its password.
 *
 * @param depth How many nested causes are copied.
 */
function toCause(error: unknown, depth = 3): Cause {
	// When connecting to several addresses fails, there is one error for each.
	const {name, code, syscall, address, port, cause} = ((error instanceof AggregateError && error.errors[0]) || error || {}) as Readonly<Record<string, unknown>>;
	const fields = {
		...(isWord(code) && {code}),
		...(isWord(syscall) && {syscall}),
		...(typeof address === 'string' && isIP(address) > 0 && {address}),
		...(typeof port === 'number' && {port}),
	};
	const text = isWord(name) ? name : 'Error';
	const made: Cause = new Error(
		['The request failed:', fields.syscall ?? text, fields.code, fields.address, fields.port].filter(each => each !== undefined).join(' '),
		cause instanceof Error && depth > 0 ? {cause: toCause(cause, depth - 1)} : undefined,
	);
	return Object.assign(made, fields, {name: text});
}

/** Whether a value looks like the name, code or system call of an error. A dispatcher's error may contain anything. */
function isWord(value: unknown): value is string {
	return typeof value === 'string' && /^[A-Za-z]\w{0,49}$/.test(value);
}

// undici's main file loads the whole package, which takes three times as long as the modules that are used here. Another release may keep
// these modules elsewhere; its main file exports them under public names. In a `try` block, bundlers find them and treat them as optional.

type OwnDispatcher = HttpDispatcher & {destroy(): Promise<void>};
type DispatcherClass = new(options?: object) => OwnDispatcher;
type ConnectCallback = (error: Error | null, socket?: Socket) => void;
type Connect = (options: object, callback: ConnectCallback) => Socket;
type Undici = {
	Dispatcher: {prototype: {request: Request}};
	Agent: DispatcherClass;
	ProxyAgent: DispatcherClass;
	EnvHttpProxyAgent: DispatcherClass;
	Pool: new(origin: unknown, options: object) => OwnDispatcher;
	buildConnector(options: object): Connect;
};

/**
 * If undici lacks this file, Node goes on looking for it in the folders of NODE_PATH and of the home directory.
 *
 * @throws if it would load the file from there.
 */
function checkOwn(file: string): void {
	const {isFromOwnFolder} = requireLazily(() => require('../runtime/own-folder.js') as typeof import('../runtime/own-folder.js'));
	if (!isFromOwnFolder(file)) {
		throw new Error(file);
	}
}

function undiciRequest(): Request {
	try {
		checkOwn('undici/lib/api/api-request.js');
		return require('undici/lib/api/api-request.js') as Request;
	} catch {
		return wholeUndici().Dispatcher.prototype.request;
	}
}

function undiciAgent(): DispatcherClass {
	try {
		checkOwn('undici/lib/dispatcher/agent.js');
		return require('undici/lib/dispatcher/agent.js') as DispatcherClass;
	} catch {
		return wholeUndici().Agent;
	}
}

function undiciConnector(): Undici['buildConnector'] {
	try {
		checkOwn('undici/lib/core/connect.js');
		return require('undici/lib/core/connect.js') as Undici['buildConnector'];
	} catch {
		return wholeUndici().buildConnector;
	}
}

function createDispatcher(proxy: Readonly<ProxyOptions> | undefined): OwnDispatcher {
	// The proxy agents need methods that undici's main file adds to all dispatchers.
	if (proxy) {
		const token = proxy.username === undefined ? {} : {token: `Basic ${Buffer.from(`${proxy.username}:${proxy.password ?? ''}`).toString('base64')}`};
		return new (wholeUndici().ProxyAgent)({uri: `${proxy.host}:${proxy.port}`, ...token, ...releasedPools()});
	}

	if (proxyVariables().length > 0) {
		return new (wholeUndici().EnvHttpProxyAgent)(releasedPools());
	}

	const connect = undiciConnector()({timeout: connectTimeoutMs});
	return new (undiciAgent())({connect: (options: object, callback: ConnectCallback) => release(connect(options, callback))});
}

/**
 * The names of the environment variables that set a proxy. The lower-case name has priority, even if it is empty. Source: undici 7.30,
 * `lib/dispatcher/env-http-proxy-agent.js`.
 *
 * @throws {HttpFailure} naming a variable that is not a proxy URL. undici's own error would show its value, and so a password.
 */
function proxyVariables(): string[] {
	const set = [['http_proxy', 'HTTP_PROXY'], ['https_proxy', 'HTTPS_PROXY']]
		.map(names => names.find(name => process.env[name] !== undefined))
		.filter(name => name !== undefined && process.env[name] !== '') as string[];
	const wrong = set.find(name => !isProxyUrl(process.env[name]!));
	if (wrong !== undefined) {
		throw new HttpFailure('proxy', `the environment variable ${wrong} is not the URL of a proxy`);
	}

	return set;
}

function isProxyUrl(text: string): boolean {
	try {
		const {protocol, hostname, username, password} = new URL(text);
		// undici decodes both, and throws if that fails.
		decodeURIComponent(username + password);
		return /^(?:https?|socks5?):$/.test(protocol) && hostname !== '';
	} catch {
		return false;
	}
}

/** undici keeps the event loop alive during a request. A background refresh must not. */
function release(socket: Socket): Socket {
	socket.unref();
	socket.ref = () => socket;
	return socket;
}

/** Options for undici's proxy agents: the connections to the proxy and through it do not keep the event loop alive either. */
function releasedPools(): object {
	const {Pool, buildConnector} = wholeUndici();
	// Hosts in NO_PROXY are connected to directly, without a given connect function.
	const factory = (origin: unknown, {connect = buildConnector({timeout: connectTimeoutMs}), ...options}: {connect?: Connect}) => new Pool(origin, {
		...options,
		async connect(target: object, callback: ConnectCallback) {
			// The tunnel's connect function passes its socket to the callback only.
			const socket = connect(target, (error, connected) => {
				callback(error, connected && release(connected));
			}) as Partial<Socket> | Promise<void> | undefined;
			if (socket && 'unref' in socket) {
				release(socket as Socket);
			}

			return socket;
		},
	});
	return {factory, clientFactory: factory};
}

function wholeUndici(): Undici {
	return require('undici') as Undici;
}
