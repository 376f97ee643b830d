/**
 * HTTPS through undici, loaded when the first grant is needed. Sends one request and returns its whole answer, bounded in size
 * and time; knows nothing of OAuth. Sockets never keep the process alive: whoever waits for an answer does that.
 */

import {isIP, type Socket} from 'node:net';
import {StringDecoder} from 'node:string_decoder';
import {unlessAborted} from '../runtime/abort.js';
import type {HttpDispatcher, ProxyOptions} from '../types.js';

export type HttpRequest = {
	method: 'GET' | 'POST';
	url: string;
	/** Names and values in turn, sent in this order. */
	headers: string[];
	body?: string;
};

export type HttpResponse = {
	status: number;
	body: string;
	/** When the request was sent, Unix milliseconds. */
	sentMs: number;
	/** The value of the header with this lower-case name; of a repeated header the first. */
	header(name: string): string | undefined;
};

/** No answer, or none that can be used. */
export class HttpFailure extends Error {
	override readonly name = 'HttpFailure';
	constructor(
		/** Only `network` and `timeout` may go away by repeating the request. */
		readonly kind: 'network' | 'timeout' | 'too-large' | 'certificate' | 'proxy',
		message: string,
		options?: ErrorOptions,
	) {
		super(message, options);
	}
}

/** Longest answer that is read, bytes. A token answer has a few thousand. */
export const maxAnswerSizeBytes = 1024 * 1024;

/** Longest time for one try, milliseconds, from connecting to the last byte. */
export const attemptTimeoutMs = 30_000;

/** Longest time to connect, TLS included, milliseconds. */
const connectTimeoutMs = 10_000;

/** The part of a readable stream that is used. */
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
	 * @throws the reason of `signal`, if that fired.
	 */
	async send(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
		signal.throwIfAborted();
		const attempt = new AbortController();
		const onAbort = () => {
			attempt.abort(signal.reason);
		};

		signal.addEventListener('abort', onAbort, {once: true});
		const timer = setTimeout(() => {
			attempt.abort(new HttpFailure('timeout', `no complete answer within ${attemptTimeoutMs / 1000} s`));
		}, attemptTimeoutMs);
		timer.unref();
		try {
			// undici heeds a signal only once the request has a connection, which a proxy or a busy dispatcher may never give it.
			return await unlessAborted(this.#exchange(request, attempt.signal).catch((error: unknown) => {
				throw toHttpFailure(error);
			}), attempt.signal);
		} finally {
			clearTimeout(timer);
			signal.removeEventListener('abort', onAbort);
		}
	}

	/** Ends the connections of this client's own; an injected dispatcher belongs to whoever made it. */
	async close(): Promise<void> {
		const own = this.#own;
		this.#own = undefined;
		await own?.destroy();
	}

	async #exchange({method, url, headers, body}: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
		const {origin, pathname, search} = new URL(url);
		const dispatcher = this.#settings.dispatcher ?? (this.#own ??= createDispatcher(this.#settings.proxy));
		// A dispatcher of another undici version brings the request function that suits it.
		const request = (dispatcher as {request?: Request}).request ?? undiciRequest();
		const sentMs = Date.now();
		const response = await request.call(dispatcher, {
			origin, path: pathname + search, method, headers, body: body ?? null, signal,
			// A dispatcher that follows redirects would take the refresh token to wherever an answer points. The option of a request goes
			// before an interceptor's own. Source: undici 7.30, `lib/interceptor/redirect.js`.
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

/** By events, which cost 5 us less per request than iteration (npm run bench -- --only P7). */
async function readBody({body}: UndiciResponse): Promise<string> {
	return new Promise((resolve, reject) => {
		const decoder = new StringDecoder('utf8');
		let sizeBytes = 0;
		let text = '';
		body.on('data', chunk => {
			sizeBytes += chunk.length;
			if (sizeBytes > maxAnswerSizeBytes) {
				// What the stream says to being destroyed is too late to count.
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
			// After an end or an error this changes nothing.
			reject(new HttpFailure('network', 'the connection was closed in the middle of the answer'));
		});
	});
}

/** Error codes of OpenSSL's verification and of Node's own. Source: Node.js documentation, "TLS: X509 certificate error codes". */
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

/** What is taken over of an error that somebody else made. */
type Cause = Error & {code?: string; syscall?: string; address?: string; port?: number};

/**
 * The error made anew, of nothing but what cannot hold a secret: undici's parser quotes the answer, a dispatcher's interceptors may
 * have all of it, and a URL that is none stands in its error with the proxy's password.
 *
 * @param depth How many causes of causes are taken over.
 */
function toCause(error: unknown, depth = 3): Cause {
	// Connecting to several addresses fails with one error for each.
	const {name, code, syscall, address, port, cause} = ((error instanceof AggregateError && error.errors[0]) || error || {}) as Readonly<Record<string, unknown>>;
	const fields = {
		...(isWord(code) && {code}),
		...(isWord(syscall) && {syscall}),
		...(typeof address === 'string' && isIP(address) > 0 && {address}),
		...(typeof port === 'number' && {port}),
	};
	const text = isWord(name) ? name : 'Error';
	const made: Cause = new Error(
		['The request failed:', fields.syscall ?? text, fields.code, fields.address, fields.port].filter(part => part !== undefined).join(' '),
		cause instanceof Error && depth > 0 ? {cause: toCause(cause, depth - 1)} : undefined,
	);
	return Object.assign(made, fields, {name: text});
}

/** The names of errors, their codes and system calls are short and of letters, digits and underscores; the request function of a dispatcher may bring anything. */
function isWord(value: unknown): value is string {
	return typeof value === 'string' && /^[A-Za-z]\w{0,49}$/.test(value);
}

// The package's main file loads all of undici, which takes three times as long as the parts that are used here. Another release may
// keep them elsewhere; its main file has them under public names. Written out within `try`, bundlers find them and take them for optional.

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

function undiciRequest(): Request {
	try {
		return require('undici/lib/api/api-request.js') as Request;
	} catch {
		return wholeUndici().Dispatcher.prototype.request;
	}
}

function undiciAgent(): DispatcherClass {
	try {
		return require('undici/lib/dispatcher/agent.js') as DispatcherClass;
	} catch {
		return wholeUndici().Agent;
	}
}

function undiciConnector(): Undici['buildConnector'] {
	try {
		return require('undici/lib/core/connect.js') as Undici['buildConnector'];
	} catch {
		return wholeUndici().buildConnector;
	}
}

function createDispatcher(proxy: Readonly<ProxyOptions> | undefined): OwnDispatcher {
	// The proxy agents need methods that undici's main file adds to every dispatcher.
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
 * The environment variables that name a proxy. Of each two the first one counts, though it be empty. Source: undici 7.30,
 * `lib/dispatcher/env-http-proxy-agent.js`.
 *
 * @throws {HttpFailure} naming one that no proxy can be made of, because undici's error would hold its value, and so a password.
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
		// undici decodes both, and fails where that cannot be done.
		decodeURIComponent(username + password);
		return /^(?:https?|socks5?):$/.test(protocol) && hostname !== '';
	} catch {
		return false;
	}
}

/** undici holds the event loop while a request is under way; a refresh in the background must not. */
function release(socket: Socket): Socket {
	socket.unref();
	socket.ref = () => socket;
	return socket;
}

/** Options of undici's proxy agents: the connections to the proxy, and those through it, are released like all others. */
function releasedPools(): object {
	const {Pool, buildConnector} = wholeUndici();
	// Hosts that NO_PROXY names are connected to without one.
	const factory = (origin: unknown, {connect = buildConnector({timeout: connectTimeoutMs}), ...options}: {connect?: Connect}) => new Pool(origin, {
		...options,
		async connect(target: object, callback: ConnectCallback) {
			// The tunnel's own connect function gives its socket to the callback alone.
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
