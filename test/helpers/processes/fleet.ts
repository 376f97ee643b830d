/** Services that share a machine and a cache: child processes with one credential each, which the test controls. */

import {
	existsSync, readdirSync, readFileSync, writeFileSync,
} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import type {ExecutionContext} from 'ava';
import type {GetTokenOptions, SharedTokenCacheCredentialOptions, SharedTokenCacheOptions} from '../../../dist/types.js';
import {type Behaviour, type EntraServer, sendJson} from '../authority/entra-server.js';
import type {TestHome} from '../home.js';
import type {Lack} from '../peers/peers.js';
import {namer} from '../peers/written-cache.js';
import {inTime} from '../until.js';
import {LineProcess} from './line-process.js';
import {loadableBy} from './open-copy.js';

export type FleetJob = {
	options: SharedTokenCacheCredentialOptions;
	/** The user to switch to after the code is loaded. Requires root. */
	uid?: number;
};

export type FleetCommand =
	| {do: 'tokens'; scope: string; calls: number; options?: Pick<GetTokenOptions, 'enableCae' | 'claims'> & {abortAfterMs?: number}}
	| {do: 'newToken'; scope: string; withinMs: number}
	| {do: 'removeAccount'; homeAccountId: string; options?: SharedTokenCacheOptions}
	| {do: 'listAccounts'; options?: SharedTokenCacheOptions}
	| {do: 'watchLoop' | 'loop' | 'close'};

/** The result of one call of `getToken`. */
export type FleetToken = {token?: string; expiresOnMs?: number; error?: string; tookMs: number};

/** `turns`: timers of 1 ms that have fired. */
export type LoopReport = {turns: number; longestBlockMs: number};

export type FleetOptions = {
	home: TestHome;
	server: EntraServer;
	options?: SharedTokenCacheCredentialOptions;
	uid?: number | undefined;
	/** Whether the server answers as `login.microsoftonline.com`, where refresh tokens work more than once. Default false: it is an authority of its own. */
	isEntra?: boolean;
	/** Variables besides HOME, PATH and NODE_EXTRA_CA_CERTS. */
	environment?: Readonly<Record<string, string>>;
};

const program = fileURLToPath(new URL('fleet-program.mjs', import.meta.url));
const redirection = new URL('../authority/redirect-tls.mjs', import.meta.url).href;

/** The server is itself the authority, on loopback, so the records of its users contain its host name. */
export function environmentOfServer({port}: EntraServer): {environment: string} {
	return {environment: `localhost:${port}`};
}

/** Variables of a process for which the server answers as `login.microsoftonline.com`. */
export function asEntra({port}: EntraServer): Record<string, string> {
	return {NODE_OPTIONS: `--import=${redirection}`, STC_LOOPBACK_PORT: String(port)};
}

export class FleetProcess extends LineProcess {
	/** @returns when the process has loaded its code. */
	static async start(t: ExecutionContext, {
		home, server, options = {}, uid, isEntra = false, environment,
	}: FleetOptions): Promise<FleetProcess> {
		const authority = join(home.path, 'authority.pem');
		if (!existsSync(authority)) {
			writeFileSync(authority, server.ca);
		}

		const started = new FleetProcess(server, loadableBy(uid, program), {
			PATH: process.env['PATH'],
			HOME: home.path,
			NODE_EXTRA_CA_CERTS: authority,
			...(isEntra && asEntra(server)),
			...environment,
		});
		t.teardown(async () => started.kill());
		started.send(JSON.stringify({options: {...(!isEntra && {authorityHost: server.origin}), retryOptions: {retryDelayInMs: 50}, ...options}, ...(uid !== undefined && {uid})}));
		await started.expect('"ready"');
		return started;
	}

	/** Starts several equal processes in parallel. */
	static async startMany(t: ExecutionContext, count: number, options: FleetOptions): Promise<FleetProcess[]> {
		return Promise.all(Array.from({length: count}, async () => FleetProcess.start(t, options)));
	}

	readonly #server: EntraServer;

	private constructor(server: EntraServer, path: string, environment: NodeJS.ProcessEnv) {
		super('The service process', [process.execPath, path], environment);
		this.#server = server;
	}

	/** Sends a command. @returns the answer. */
	async ask<Value>(command: FleetCommand): Promise<Value> {
		return JSON.parse(await this.exchange(JSON.stringify(command))) as Value;
	}

	/** Calls `getToken` `calls` times concurrently. */
	async tokens(scope: string, calls = 1, options: Extract<FleetCommand, {do: 'tokens'}>['options'] = {}): Promise<FleetToken[]> {
		return this.ask<FleetToken[]>({
			do: 'tokens', scope, calls, options,
		});
	}

	/**
	 * Like {@link tokens}, but returns the grant's name for each token, or the error, so that a failing test does not
	 * print tokens.
	 */
	async names(scope: string, calls = 1): Promise<string[]> {
		return nameTokens(await this.tokens(scope, calls), this.#server);
	}

	/** Closes the standard input. @returns the text on standard error. */
	async errors(): Promise<string> {
		await this.end();
		return this.stderr();
	}

	/** Suspends the process. */
	stop(): void {
		this.signal('SIGSTOP');
	}

	continue(): void {
		this.signal('SIGCONT');
	}
}

export function nameTokens(tokens: readonly FleetToken[], server: EntraServer): string[] {
	const name = namer(server);
	return tokens.map(({token, error}) => error ?? name(token));
}

/** A response that the server delays until the test releases it. */
export type HeldAnswer = {
	/** Resolves when the request has arrived, and rejects if it does not. */
	readonly arrived: Promise<void>;
	/** Sends the regular response after the release. */
	behaviour: Behaviour;
	release: () => void;
};

export function holdAnswer(): HeldAnswer {
	let arrive: () => void;
	let release: () => void;
	const arrived = new Promise<void>(resolve => {
		arrive = resolve;
	});
	const free = new Promise<void>(resolve => {
		release = resolve;
	});
	return {
		get arrived() {
			return inTime(arrived, 'a token request');
		},
		async behaviour(exchange) {
			arrive();
			await free;
			// A client that has hung up in the meantime gets no grant.
			if (exchange.response.socket?.destroyed === false) {
				const {status, json} = exchange.answer();
				sendJson(exchange, status, json);
			}
		},
		release() {
			release();
		},
	};
}

const leasePattern = /^\.[\da-f]{32}\.lease$/;

/** The process IDs in the lease files of this directory: the holders of the leases for token requests. */
export function leaseHolders(directory: string): number[] {
	return readdirSync(directory).filter(name => leasePattern.test(name)).map(name => Number.parseInt(readFileSync(join(directory, name), 'utf8'), 10));
}

const faketimeLibrary = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map(name => `/usr/lib/${name}/faketime/libfaketime.so.1`).find(path => existsSync(path));

/** The reason why processes cannot be started with a wrong clock. */
export function lackOfWrongClocks(): Lack {
	return faketimeLibrary === undefined ? 'libfaketime is not installed; run: apt-get install --no-install-recommends libfaketime' : undefined;
}

/**
 * The environment of a process with a wrong clock. Time stamps of files still use the machine's clock.
 *
 * @param specification As in faketime(1): `+600s`, or `+0 x20` for a clock that runs too fast.
 */
export function wrongClock(specification: string, {isMonotonicToo = false} = {}): Readonly<Record<string, string>> {
	return {
		LD_PRELOAD: faketimeLibrary ?? '',
		FAKETIME: specification,
		FAKETIME_DONT_FAKE_MONOTONIC: isMonotonicToo ? '0' : '1',
		NO_FAKE_STAT: '1',
		FAKE_UTIME: '0',
	};
}

