/**
 * HTTPS through undici, which is loaded when the first grant is needed. Sends one request and returns its whole response, limited in size
 * and time. Sockets do not keep the process alive: callers that wait for a token do.
 */

import type {Socket} from 'node:net';
import {StringDecoder} from 'node:string_decoder';
import {unlessAborted, whenAborted} from '../runtime/abort.js';
import {requireLazily} from '../runtime/lazy.js';
import {startTimeout} from '../runtime/time-out.js';
import type {HttpDispatcher, ProxyOptions} from '../types.js';
import {HttpFailure, toHttpFailure} from './http-failure.js';
import type {Proxy} from './proxy-rules.js';
import type {Connect} from './proxy-tunnel.js';

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
	readonly #openingTunnels = new Set<Proxy>();
	#own: OwnDispatcher | undefined;
	/** undici's function for dispatchers that have none. */
	#request: Request | undefined;

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
			attempt.abort(this.#timeoutFailure());
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
		await own?.destroy?.();
	}

	#timeoutFailure(): HttpFailure {
		const [proxy] = this.#openingTunnels;
		return proxy ? loadTunnels().noTunnel(proxy, attemptTimeoutMs) : new HttpFailure('timeout', `no complete answer within ${attemptTimeoutMs / 1000} s`);
	}

	#createDispatcher(): OwnDispatcher {
		const {proxy} = this.#settings;
		const build = undiciConnector()({timeout: connectTimeoutMs});
		const connect: Connect = (target, callback) => release(build(target, callback)!);
		if (!proxy && !mayHaveProxy()) {
			return new (undiciAgent())({connect});
		}

		return new (undiciAgent())({
			connect: loadTunnels().proxyConnector({
				connect, release, proxyOption: proxy, opening: this.#openingTunnels, timeoutMs: attemptTimeoutMs,
			}),
		});
	}

	async #exchange({method, url, headers, body}: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
		const {origin, pathname, search} = new URL(url);
		const dispatcher = this.#settings.dispatcher ?? (this.#own ??= this.#createDispatcher());
		// A dispatcher of another undici version has a request function that fits it.
		const request = (dispatcher as {request?: Request}).request ?? (this.#request ??= undiciRequest());
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

// undici's main file loads the whole package, which takes three times as long as the modules that are used here. Another release may keep
// these modules elsewhere; its main file exports them under public names. In a `try` block, bundlers find them and treat them as optional.

/** Bun has dispatchers of its own in place of undici's. They have no connections to destroy. */
type OwnDispatcher = HttpDispatcher & {destroy?(): Promise<void>};
type DispatcherClass = new(options?: object) => OwnDispatcher;
type Undici = {
	Dispatcher: {prototype: {request: Request}};
	Agent: DispatcherClass;
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

/** Whether the environment names a proxy. The rules for it are loaded only then. */
function mayHaveProxy(): boolean {
	return Object.keys(process.env).some(name => /^(?:https?|all)_proxy$/i.test(name) && process.env[name] !== '');
}

function loadTunnels() {
	return requireLazily(() => require('./proxy-tunnel.js') as typeof import('./proxy-tunnel.js'));
}

/** undici keeps the event loop alive during a request. A background refresh must not. */
function release(socket: Socket): Socket {
	socket.unref();
	socket.ref = () => socket;
	return socket;
}

function wholeUndici(): Undici {
	return require('undici') as Undici;
}
