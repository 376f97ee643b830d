/** A real HTTP or SOCKS proxy on loopback. All its tunnels lead to one server, whatever host a client asks for. */

import {once} from 'node:events';
import {
	type AddressInfo, connect, createServer, type Server, type Socket,
} from 'node:net';
import {createServer as createTlsServer} from 'node:tls';
import type {ExecutionContext} from 'ava';
import type {ServerCertificate} from './certificates.js';

export type ProxyBehaviour = (client: Socket) => void;

export type ConnectProxyOptions = {
	/** Where tunnels lead. */
	target?: {port: number};
	/** The proxy's own certificate, for TLS to the proxy. */
	certificate?: ServerCertificate;
	/** Takes the place of the tunnel. */
	behaviour?: ProxyBehaviour;
	/** `address`: default 127.0.0.1. */
	address?: string;
	/** Requires this user name and password, `ann:secret`, and answers 407 without them. */
	credentials?: string;
	/** What precedes the tunnel. Default: a plain 200. */
	head?: string;
	/** Speaks SOCKS 5 instead of HTTP. */
	socks?: boolean;
	/** Refuses with this reply. */
	socksReply?: number;
};

export type ConnectProxy = {
	readonly port: number;
	/** The hosts and ports that clients asked for. */
	readonly asked: string[];
	/** The `Proxy-Authorization` of each request, or user name and password of SOCKS. */
	readonly authorizations: Array<string | undefined>;
	/** Number of connections, whether or not a request came. */
	connections: number;
};

export async function startConnectProxy(t: ExecutionContext, options: ConnectProxyOptions = {}): Promise<ConnectProxy> {
	const {certificate, socks, address = '127.0.0.1'} = options;
	const proxy = {
		port: 0, asked: [] as string[], authorizations: [] as Array<string | undefined>, connections: 0,
	};
	const sockets = new Set<Socket>();
	const serve = (client: Socket) => {
		sockets.add(client);
		client.on('error', () => client.destroy());
		client.on('close', () => sockets.delete(client));
		proxy.connections++;
		void (socks ? serveSocks(client, proxy, options) : serveHttp(client, proxy, options));
	};

	const server: Server = certificate ? createTlsServer({cert: certificate.cert, key: certificate.key}, serve) : createServer(serve);
	server.on('tlsClientError', () => undefined);
	server.listen(0, address);
	await once(server, 'listening');
	t.teardown(() => {
		for (const socket of sockets) {
			socket.destroy();
		}

		server.close();
	});
	proxy.port = (server.address() as AddressInfo).port;
	return proxy;
}

async function serveHttp(client: Socket, proxy: ConnectProxy, {target, behaviour, credentials, head: established = 'HTTP/1.1 200 Connection established\r\n\r\n'}: ConnectProxyOptions): Promise<void> {
	let head = '';
	for (;;) {
		const chunk = await readSome(client);
		if (chunk === undefined) {
			return;
		}

		head += chunk.toString('latin1');
		if (!/^[A-Z]/.test(head)) {
			// As HTTP servers answer what is not HTTP.
			client.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
			return;
		}

		if (head.includes('\r\n\r\n')) {
			break;
		}
	}

	proxy.asked.push(/^CONNECT (\S+) HTTP\/1\.1\r\n/.exec(head)?.[1] ?? 'no CONNECT request');
	const authorization = /^proxy-authorization: *(.*?)\r$/im.exec(head)?.[1];
	proxy.authorizations.push(authorization);
	if (behaviour) {
		behaviour(client);
	} else if (credentials !== undefined && authorization !== `Basic ${Buffer.from(credentials).toString('base64')}`) {
		client.end('HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n');
	} else {
		tunnel(client, target, established);
	}
}

/** Source: RFC 1928 and RFC 1929. */
async function serveSocks(client: Socket, proxy: ConnectProxy, {target, credentials, socksReply}: ConnectProxyOptions): Promise<void> {
	const greeting = await readSome(client);
	if (!greeting) {
		return;
	}

	const methods = greeting.subarray(2);
	const method = credentials === undefined ? 0 : 2;
	if (!methods.includes(method)) {
		client.end(Buffer.from([5, 0xFF]));
		return;
	}

	client.write(Buffer.from([5, method]));
	if (credentials !== undefined) {
		const given = await readSome(client);
		const userLength = given?.[1] ?? 0;
		const user = given?.subarray(2, 2 + userLength).toString() ?? '';
		const password = given?.subarray(3 + userLength).toString() ?? '';
		proxy.authorizations.push(`${user}:${password}`);
		const isRight = `${user}:${password}` === credentials;
		client.write(Buffer.from([1, isRight ? 0 : 1]));
		if (!isRight) {
			client.end();
			return;
		}
	}

	const request = await readSome(client);
	if (!request) {
		return;
	}

	const length = request[4] ?? 0;
	proxy.asked.push(`${request.subarray(5, 5 + length).toString()}:${request.readUInt16BE(5 + length)}`);
	if (socksReply !== undefined) {
		client.end(Buffer.from([5, socksReply, 0, 1, 0, 0, 0, 0, 0, 0]));
		return;
	}

	tunnel(client, target, Buffer.from([5, 0, 0, 1, 127, 0, 0, 1, 0, 80]));
}

function tunnel(client: Socket, target: {port: number} | undefined, established: string | Buffer): void {
	const upstream = connect(target?.port ?? 1, '127.0.0.1', () => {
		client.write(established);
		upstream.pipe(client);
		client.pipe(upstream);
	});
	upstream.on('error', () => client.destroy());
	client.on('close', () => upstream.destroy());
}

/** @returns `undefined` if the client closed the connection. */
async function readSome(client: Socket): Promise<Buffer | undefined> {
	for (;;) {
		const chunk = client.read() as Buffer | null;
		if (chunk) {
			return chunk;
		}

		if (client.readableEnded || client.destroyed) {
			return undefined;
		}

		await new Promise<void>(resolve => {
			const events = ['readable', 'end', 'close'];
			const done = () => {
				for (const event of events) {
					client.off(event, done);
				}

				resolve();
			};

			for (const event of events) {
				client.on(event, done);
			}
		});
	}
}

/** Sends this and closes the connection. */
export function answering(text: string | Buffer): ProxyBehaviour {
	return client => {
		client.end(text);
	};
}

/** Sends this and keeps the connection open. */
export function answeringForEver(text: string | Buffer): ProxyBehaviour {
	return client => {
		client.write(text);
	};
}
