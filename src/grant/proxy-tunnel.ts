/**
 * Connections through an HTTP or SOCKS 5 proxy. undici's own agents do not tell a failure of the proxy from one of the authority. Loaded when
 * there is a proxy.
 */

import type {Socket} from 'node:net';
import {startTimeout} from '../runtime/time-out.js';
import {
	HttpFailure, isTransientStatus, type Peer, toCause, toTlsFailure,
} from './http-failure.js';
import {findProxy, type Proxy, type ProxySettings} from './proxy-rules.js';

export type ConnectTarget = {
	protocol: string;
	hostname: string;
	host?: string;
	port?: string;
	/** Connected to the target already, through a proxy. */
	httpSocket?: Socket;
};

export type ConnectCallback = (error: Error | null, socket?: Socket) => void;

/** As undici's connectors. Returns the socket that is being connected; a tunnel has none yet. */
export type Connect = (target: ConnectTarget, callback: ConnectCallback) => Socket | undefined;

/** Longest answer of a proxy, bytes. */
const maxAnswerBytes = 16_384;

export type TunnelOptions = {
	/** Opens direct connections, and connections to a proxy. */
	connect: Connect;
	/** Keeps a socket from keeping the event loop alive. */
	release: (socket: Socket) => Socket;
	proxyOption: ProxySettings['option'];
	/** Holds the proxies that were asked for a tunnel and have not opened it yet. */
	opening: Set<Proxy>;
	/** How long a proxy may take to open a tunnel, milliseconds. */
	timeoutMs: number;
};

export function proxyConnector(options: TunnelOptions): Connect {
	const {connect, proxyOption} = options;
	return (target, callback) => {
		const {hostname, port, protocol} = target;
		let proxy: Proxy | undefined;
		try {
			proxy = findProxy(hostname, portOf(port, protocol), {option: proxyOption, environment: process.env});
		} catch (error) {
			callback(error as Error);
			return undefined;
		}

		if (!proxy) {
			return connect(target, callback);
		}

		openTunnel(proxy, target, options).then(httpSocket => {
			connect({...target, httpSocket}, callback);
		}, callback);
		return undefined;
	};
}

/** For a proxy that has not opened a tunnel in time. */
export function noTunnel({name, setting}: Proxy, timeoutMs: number): HttpFailure {
	return new HttpFailure('timeout', `the proxy ${name} opened no tunnel within ${timeoutMs / 1000} s`, {cure: `Check the proxy, ${setting} and NO_PROXY, or try again.`});
}

async function openTunnel(proxy: Proxy, {hostname, port, protocol}: ConnectTarget, {connect, release, opening, timeoutMs}: TunnelOptions): Promise<Socket> {
	const socket = release(await reach(proxy, connect));
	const target = {host: hostname, port: portOf(port, protocol)};
	opening.add(proxy);
	const clear = startTimeout(timeoutMs, () => {
		socket.destroy(noTunnel(proxy, timeoutMs));
	}, {ref: false});
	try {
		await (proxy.protocol === 'socks5:' ? askSocks(socket, proxy, target) : askHttp(socket, proxy, target));
		return socket;
	} catch (error) {
		socket.destroy();
		throw error instanceof HttpFailure
			? error
			: failure(proxy, 'closed the connection', {
				cause: toCause(error), cure: `Check the proxy, and its scheme and port in ${proxy.setting}.`, isTransient: true,
			});
	} finally {
		clear();
		opening.delete(proxy);
	}
}

/** Connects to the proxy itself, by TLS if it has that. */
async function reach(proxy: Proxy, connect: Connect): Promise<Socket> {
	const {hostname, port, setting} = proxy;
	return new Promise((resolve, reject) => {
		connect({
			hostname, host: hostname, port: String(port), protocol: proxy.protocol === 'https:' ? 'https:' : 'http:',
		}, (error, socket) => {
			if (socket) {
				resolve(socket);
				return;
			}

			const cause = toCause(error);
			reject(toTlsFailure(error, peerOf(proxy)) ?? failure(proxy, `cannot be reached (${cause.code ?? 'the connection failed'})`, {
				cause, cure: `Start it, or correct ${setting}.`, isTransient: true,
			}));
		});
	});
}

function peerOf({name, setting}: Proxy): Peer {
	return {
		subject: `the proxy ${name}`, possessive: `the proxy ${name}: its`, setting, isProxy: true,
	};
}

function failure({name}: Proxy, what: string, options: {cure: string; isTransient: boolean; cause?: Error}): HttpFailure {
	return new HttpFailure('proxy', `the proxy ${name} ${what}`, options);
}

type Target = {host: string; port: number};

/** Source: RFC 9110, 9.3.6. */
async function askHttp(socket: Socket, proxy: Proxy, {host, port}: Target): Promise<void> {
	const authority = `${host}:${port}`;
	socket.write([
		`CONNECT ${authority} HTTP/1.1`,
		`Host: ${authority}`,
		'Proxy-Connection: keep-alive',
		...(proxy.credentials === undefined ? [] : [`Proxy-Authorization: Basic ${Buffer.from(proxy.credentials).toString('base64')}`]),
		'\r\n',
	].join('\r\n'));
	for (;;) {
		const head = await receive(socket, bytes => readHead(bytes, proxy));
		const status = Number(/^HTTP\/1\.\d (\d{3})(?:[ \r\n]|$)/.exec(head)?.[1]);
		if (Number.isNaN(status)) {
			throw notHttp(proxy);
		}

		if (status >= 200 && status < 300) {
			return;
		}

		// An interim answer precedes the final one.
		if (status >= 200) {
			throw refusal(proxy, status, head, authority);
		}
	}
}

function readHead(bytes: Buffer, proxy: Proxy): Received<string> | undefined {
	const text = bytes.toString('latin1');
	if (!'HTTP/1.'.startsWith(text.slice(0, 7)) || text.length > maxAnswerBytes) {
		throw notHttp(proxy);
	}

	const end = /\r?\n\r?\n/.exec(text);
	return end ? {value: text.slice(0, end.index), length: end.index + end[0].length} : undefined;
}

function notHttp(proxy: Proxy): HttpFailure {
	const other = proxy.protocol === 'https:' ? '' : ' If it uses TLS, write https://.';
	return failure(proxy, 'does not answer as an HTTP proxy', {cure: `Check scheme and port in ${proxy.setting}.${other}`, isTransient: false});
}

function refusal(proxy: Proxy, status: number, head: string, target: string): HttpFailure {
	const {setting} = proxy;
	const refused = (why: string, cure: string) => failure(proxy, `refused (${status}): ${why}`, {cure, isTransient: isTransientStatus(status)});
	if (status === 407 || status === 401) {
		const schemes = [...head.matchAll(/^(?:proxy|www)-authenticate:[ \t]*([\w-]{1,30})/gim)].map(([, scheme]) => scheme!);
		if (schemes.length > 0 && !schemes.some(scheme => scheme.toLowerCase() === 'basic')) {
			return refused(`it wants ${schemes.join(' or ')} authentication, and only Basic is supported`, `Name a local proxy that handles it in ${setting}, or use a dispatcher.`);
		}

		return proxy.credentials === undefined
			? refused('it wants a user name and a password', setting === 'proxyOptions' ? 'Set them in proxyOptions.' : `Set them in proxyOptions, or percent-encoded in ${setting}.`)
			: refused('it does not accept the user name and password', setting === 'proxyOptions' ? 'Correct them in proxyOptions.' : `Correct them in ${setting}; special characters must be percent-encoded.`);
	}

	if (status === 403) {
		return refused(`it does not allow connections to ${target}`, 'Ask its operator, or add the host to NO_PROXY if it can be reached directly.');
	}

	if (status < 400) {
		return refused('it answers with a redirect, as the sign-in page of a network does', `Sign in to the network, or correct ${setting}.`);
	}

	if (status === 429) {
		return refused('it has too many requests', 'Try again later.');
	}

	if (status >= 500 && status !== 501 && status !== 505) {
		return refused(`it cannot reach ${target}`, 'Try again, or ask its operator.');
	}

	return refused('it opens no tunnels', `Check that ${setting} names an HTTP proxy.`);
}

/** Reasons of a SOCKS server, by their number. Source: RFC 1928, 6. */
const socksReasons = ['', 'it failed', 'it does not allow the connection', 'the network is unreachable', 'the host is unreachable', 'the host refused the connection', 'the time ran out', 'it opens no tunnels', 'it takes no host names'];

const isTransientReason = (reason: number) => reason === 1 || (reason >= 3 && reason <= 6);

/** The proxy resolves the host's name, as with curl's `socks5h`. Sources: RFC 1928; RFC 1929 for the password. */
async function askSocks(socket: Socket, proxy: Proxy, {host, port}: Target): Promise<void> {
	const {credentials, setting} = proxy;
	const wrongPassword = (why: string) => failure(proxy, `refused: ${why}`, {cure: `Correct the user name and password in ${setting}.`, isTransient: false});
	socket.write(Buffer.from(credentials === undefined ? [5, 1, 0] : [5, 2, 0, 2]));
	const [, method] = await receive(socket, bytes => readSocks(bytes, 2, proxy));
	if (method === 2 && credentials !== undefined) {
		const colon = credentials.indexOf(':');
		const [user, password] = [credentials.slice(0, colon), credentials.slice(colon + 1)].map(text => Buffer.from(text).subarray(0, 255)) as [Buffer, Buffer];
		socket.write(Buffer.concat([Buffer.from([1, user.length]), user, Buffer.from([password.length]), password]));
		const [, status] = await receive(socket, bytes => bytes.length < 2 ? undefined : {value: bytes.subarray(0, 2), length: 2});
		if (status !== 0) {
			throw wrongPassword('it does not accept the user name and password');
		}
	} else if (method !== 0) {
		throw wrongPassword(credentials === undefined ? 'it wants a user name and a password' : 'it has no way to sign in that is supported');
	}

	const name = Buffer.from(host.replace(/^\[(.*)\]$/, '$1'));
	socket.write(Buffer.concat([Buffer.from([5, 1, 0, 3, name.length]), name, Buffer.from([port >> 8, port & 0xFF])]));
	const head = await receive(socket, bytes => readSocks(bytes, 5, proxy), true);
	const reason = head[1]!;
	if (reason !== 0) {
		throw failure(proxy, `refused (${reason}): ${socksReasons[reason] ?? 'it gives no known reason'}`, {cure: `Check the proxy, and ${setting}.`, isTransient: isTransientReason(reason)});
	}

	// Address and port at the proxy's side: IPv4, a name, or IPv6.
	const addressLengths: Readonly<Record<number, number>> = {1: 4, 3: 1 + head[4]!, 4: 16};
	const addressLength = addressLengths[head[3]!] ?? 4;
	await receive(socket, bytes => bytes.length < 6 + addressLength ? undefined : {value: bytes, length: 6 + addressLength});
}

function readSocks(bytes: Buffer, length: number, proxy: Proxy): Received<Buffer> | undefined {
	if (bytes.length > 0 && bytes[0] !== 5) {
		throw failure(proxy, 'does not answer as a SOCKS 5 proxy', {cure: `Check scheme and port in ${proxy.setting}.`, isTransient: false});
	}

	return bytes.length < length ? undefined : {value: bytes.subarray(0, length), length};
}

type Received<Value> = {value: Value; length: number};

/**
 * Reads until `read` finds what it looks for, and leaves what follows to the next reader.
 *
 * @param peek Leave also what was found.
 * @throws the error of the socket, or one without a code if it was closed.
 */
async function receive<Value>(socket: Socket, read: (bytes: Buffer) => Received<Value> | undefined, peek = false): Promise<Value> {
	let bytes = Buffer.alloc(0);
	return new Promise((resolve, reject) => {
		const stop = () => {
			socket.off('readable', onReadable).off('end', onEnd).off('close', onEnd).off('error', onError);
		};

		const onError = (error: Error) => {
			stop();
			reject(error);
		};

		const onEnd = () => {
			onError(new Error('closed'));
		};

		const onReadable = () => {
			for (let chunk = socket.read() as Buffer | null; chunk; chunk = socket.read() as Buffer | null) {
				bytes = Buffer.concat([bytes, chunk]);
			}

			try {
				const found = read(bytes);
				if (found) {
					stop();
					const rest = peek ? bytes : bytes.subarray(found.length);
					if (rest.length > 0) {
						socket.unshift(rest);
					}

					resolve(found.value);
				}
			} catch (error) {
				onError(error as Error);
			}
		};

		socket.on('readable', onReadable).on('end', onEnd).on('close', onEnd).on('error', onError);
		onReadable();
	});
}

function portOf(port: string | undefined, protocol: string): number {
	return Number(port) || (protocol === 'https:' ? 443 : 80);
}
