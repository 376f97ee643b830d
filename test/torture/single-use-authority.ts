/**
 * An authority whose refresh tokens work once, on loopback without TLS. It knows which process got which refresh token, so it can say
 * whether a session was lost, and why.
 */

import {randomBytes} from 'node:crypto';
import {once} from 'node:events';
import {
	createServer, type IncomingMessage, type Server, type ServerResponse,
} from 'node:http';
import type {AddressInfo} from 'node:net';
import {setTimeout as sleep} from 'node:timers/promises';
import {text} from 'node:stream/consumers';
import {type EntraUser, tokenAnswer} from '../helpers/authority/entra-answers.js';

/** `refuse`: an old refresh token is refused. `end`: that ends the session, as RFC 9700, 4.14.2, recommends. `keep`: it still works. */
export type Reuse = 'refuse' | 'end' | 'keep';

export type AuthorityOptions = {
	user: EntraUser;
	reuse: Reuse;
	/** Delay before a request is processed, and again before it is answered. Milliseconds. */
	delayMs: () => number;
	expiresInSec: number;
	/** Answers each request with this HTTP status, and grants nothing. */
	status?: number;
	/** What the answer says that was granted. Default: what was asked for. */
	grantedScope?: (asked: string) => string;
	/** Called when a request has arrived. */
	onRequest?: (request: GrantRequest) => void;
	/** Called when an old refresh token has arrived. */
	onReuse?: (request: GrantRequest) => void;
	/** Called when a grant has been sent completely. */
	onAnswered?: (request: GrantRequest, refreshToken: string) => void;
};

export type GrantRequest = {pid: number; scope: string; refreshToken: string};

/** What became of the newest refresh token. */
export type SessionState = {
	/** The refresh token that works now. */
	current: string;
	/** The process that it was sent to; 0: a sign-in. */
	pid: number;
	/** Whether the answer with it has left. */
	isAnswered: boolean;
	hasEnded: boolean;
	/** All refresh tokens of the session. Those of earlier sessions are nobody's. */
	known: Set<string>;
};

export class SingleUseAuthority {
	static async start(options: AuthorityOptions): Promise<SingleUseAuthority> {
		const authority = new SingleUseAuthority(options);
		authority.#server.listen(0, '127.0.0.1');
		await once(authority.#server, 'listening');
		return authority;
	}

	/** Requests so far. */
	requests = 0;
	/** The process that sent the last one. */
	lastPid = 0;
	session: SessionState;
	readonly #options: AuthorityOptions;
	readonly #server: Server;
	#issued = 0;

	private constructor(options: AuthorityOptions) {
		this.#options = options;
		this.#server = createServer({keepAliveTimeout: 120_000}, (request, response) => {
			void this.#serve(request, response);
		});
		this.session = this.#newSession();
	}

	get port(): number {
		return (this.#server.address() as AddressInfo).port;
	}

	get origin(): string {
		return `http://127.0.0.1:${this.port}`;
	}

	/** Starts a new session. @returns its refresh token. */
	signIn(): string {
		this.session = this.#newSession();
		return this.session.current;
	}

	async close(): Promise<void> {
		this.#server.close();
		this.#server.closeAllConnections();
	}

	#newSession(): SessionState {
		const current = newRefreshToken();
		return {
			current, pid: 0, isAnswered: true, hasEnded: false, known: new Set([current]),
		};
	}

	async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
		response.on('error', () => undefined);
		let form: URLSearchParams;
		try {
			form = new URLSearchParams(await text(incoming));
		} catch {
			return;
		}

		const scopes = (form.get('scope') ?? '').split(' ');
		const request: GrantRequest = {
			pid: Number(incoming.headers['x-pid'] ?? 0),
			scope: scopes.filter(scope => !['openid', 'profile', 'offline_access'].includes(scope)).join(' '),
			refreshToken: form.get('refresh_token') ?? '',
		};
		this.requests++;
		this.lastPid = request.pid;
		this.#options.onRequest?.(request);
		await sleep(this.#options.delayMs());
		if (this.#options.status !== undefined) {
			this.#send(response, this.#options.status, {});
			return;
		}

		const {session} = this;
		if (request.refreshToken !== session.current || session.hasEnded) {
			this.#options.onReuse?.(request);
			if (this.#options.reuse === 'end' && session.known.has(request.refreshToken)) {
				session.hasEnded = true;
			}

			if (this.#options.reuse !== 'keep' || !session.known.has(request.refreshToken)) {
				await sleep(this.#options.delayMs());
				this.#send(response, 400, {error: 'invalid_grant', error_description: 'The refresh token was used before.'});
				return;
			}
		}

		const refreshToken = newRefreshToken();
		session.known.add(refreshToken);
		Object.assign(session, {current: refreshToken, pid: request.pid, isAnswered: false});
		const answer = this.#answer(form, scopes, refreshToken);
		await sleep(this.#options.delayMs());
		response.on('finish', () => {
			if (session.current === refreshToken) {
				session.isAnswered = true;
			}

			this.#options.onAnswered?.(request, refreshToken);
		});
		this.#send(response, 200, answer);
	}

	#answer(form: URLSearchParams, scopes: readonly string[], refreshToken: string): object {
		const {user, expiresInSec, grantedScope} = this.#options;
		this.#issued++;
		const answer = tokenAnswer({
			user,
			clientId: form.get('client_id') ?? '',
			pathTenant: 'organizations',
			scopes,
			nowSec: Math.floor(Date.now() / 1000),
			expiresInSec,
			refreshInSec: undefined,
			serial: String(this.#issued),
			refreshToken,
			isFamilyClient: false,
			wantsClientInfo: true,
		});
		return grantedScope ? {...answer, scope: grantedScope(answer['scope'] as string)} : answer;
	}

	#send(response: ServerResponse, status: number, json: object): void {
		const body = JSON.stringify(json);
		response.writeHead(status, {'content-type': 'application/json', 'content-length': Buffer.byteLength(body)});
		response.end(body);
	}
}

function newRefreshToken(): string {
	return `FAKE-refresh-${randomBytes(12).toString('hex')}`;
}
