/** Services that share a machine and a cache: processes with a credential each, which do what they are told. */

import {type ChildProcessWithoutNullStreams, spawn} from 'node:child_process';
import {once} from 'node:events';
import {
	existsSync, readdirSync, readFileSync, writeFileSync,
} from 'node:fs';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {text} from 'node:stream/consumers';
import {fileURLToPath} from 'node:url';
import type {ExecutionContext} from 'ava';
import type {GetTokenOptions, SharedTokenCacheCredentialOptions} from '../../../dist/types.js';
import {type Behaviour, type EntraServer, sendJson} from '../authority/entra-server.js';
import type {TestHome} from '../home.js';
import type {Lack} from '../peers/peers.js';
import {namer} from '../peers/written-cache.js';

export type FleetJob = {
	options: SharedTokenCacheCredentialOptions;
	/** The user to run as, once the code is loaded. Root alone can say so. */
	uid?: number;
};

export type FleetCommand =
	| {do: 'tokens'; scope: string; calls: number; options?: Pick<GetTokenOptions, 'enableCae' | 'claims'> & {abortAfterMs?: number}}
	| {do: 'newToken'; scope: string; withinMs: number}
	| {do: 'watchLoop' | 'longestBlockMs' | 'close'};

/** What a call of `getToken` came to. */
export type FleetToken = {token?: string; expiresOnMs?: number; error?: string; tookMs: number};

export type FleetOptions = {
	home: TestHome;
	server: EntraServer;
	options?: SharedTokenCacheCredentialOptions;
	uid?: number | undefined;
	/** Besides the home directory and where programs are. */
	environment?: Readonly<Record<string, string>>;
};

const program = fileURLToPath(new URL('fleet-program.mjs', import.meta.url));

/** The server speaks for itself, as an authority on loopback: the records of its users name it. */
export function environmentOfServer({port}: EntraServer): {environment: string} {
	return {environment: `localhost:${port}`};
}

export class FleetProcess {
	/** @returns as soon as its code is loaded. */
	static async start(t: ExecutionContext, {home, server, options = {}, uid, environment}: FleetOptions): Promise<FleetProcess> {
		const authority = join(home.path, 'authority.pem');
		if (!existsSync(authority)) {
			writeFileSync(authority, server.ca);
		}

		const child = spawn(process.execPath, [program], {
			stdio: ['pipe', 'pipe', 'pipe'],
			env: {
				PATH: process.env['PATH'], HOME: home.path, NODE_EXTRA_CA_CERTS: authority, ...environment,
			},
		});
		const started = new FleetProcess(child, server);
		t.teardown(async () => started.kill());
		started.#send({options: {authorityHost: server.origin, retryOptions: {retryDelayInMs: 50}, ...options}, ...(uid !== undefined && {uid})});
		const answer = await started.#next();
		if (answer !== 'ready') {
			throw new Error('It did not say that it is ready.');
		}

		return started;
	}

	/** Several alike, which start side by side. */
	static async startMany(t: ExecutionContext, count: number, options: FleetOptions): Promise<FleetProcess[]> {
		return Promise.all(Array.from({length: count}, async () => FleetProcess.start(t, options)));
	}

	readonly pid: number;
	readonly #child: ChildProcessWithoutNullStreams;
	readonly #server: EntraServer;
	readonly #lines: AsyncIterator<string, undefined>;
	readonly #stderr: Promise<string>;

	private constructor(child: ChildProcessWithoutNullStreams, server: EntraServer) {
		this.#child = child;
		this.#server = server;
		this.pid = child.pid ?? 0;
		this.#stderr = text(child.stderr);
		this.#lines = createInterface({input: child.stdout})[Symbol.asyncIterator]();
		// A program that ended says why on standard error.
		child.stdin.on('error', () => undefined);
	}

	/** @returns Its answer, as soon as there is one. */
	async ask<Value>(command: FleetCommand): Promise<Value> {
		this.#send(command);
		const answer = this.#next();
		// Nobody may be waiting for it any more when the process is ended.
		answer.catch(() => undefined);
		return answer as Promise<Value>;
	}

	/** Calls `getToken` that often at once. */
	async tokens(scope: string, calls = 1, options: Extract<FleetCommand, {do: 'tokens'}>['options'] = {}): Promise<FleetToken[]> {
		return this.ask<FleetToken[]>({
			do: 'tokens', scope, calls, options,
		});
	}

	/** As {@link tokens}: the grant's name for each token, or the error. So that a test that fails prints no token. */
	async names(scope: string, calls = 1): Promise<string[]> {
		return nameTokens(await this.tokens(scope, calls), this.#server);
	}

	/** Ends its input. @returns what it said on standard error. */
	async errors(): Promise<string> {
		await this.end();
		return this.#stderr;
	}

	/** A live process that does nothing any more. */
	stop(): void {
		this.#child.kill('SIGSTOP');
	}

	continue(): void {
		this.#child.kill('SIGCONT');
	}

	/** Ends its input, so that it ends when nothing else holds it. @returns its exit code or signal. */
	async end(): Promise<number | string> {
		const exit = once(this.#child, 'exit');
		this.#child.stdin.end();
		const [code, signal] = await exit as [number | null, string | null];
		return code ?? signal ?? '';
	}

	/** Ends it without giving it a chance to do anything more. */
	async kill(): Promise<void> {
		if (this.#child.exitCode === null && this.#child.signalCode === null) {
			const exit = once(this.#child, 'exit');
			this.#child.kill('SIGKILL');
			await exit;
		}
	}

	#send(line: unknown): void {
		this.#child.stdin.write(`${JSON.stringify(line)}\n`);
	}

	async #next(): Promise<unknown> {
		const line = await this.#lines.next();
		if (line.done) {
			throw new Error(`It ended:\n${await this.#stderr}`);
		}

		return JSON.parse(line.value) as unknown;
	}
}

export function nameTokens(tokens: readonly FleetToken[], server: EntraServer): string[] {
	const name = namer(server);
	return tokens.map(({token, error}) => error ?? name(token));
}

/** An answer that is held back until it is let go. */
export type HeldAnswer = {
	/** When the request is there. */
	arrived: Promise<void>;
	/** Answers as usual once it is let go. */
	behaviour: Behaviour;
	letGo: () => void;
};

export function holdAnswer(): HeldAnswer {
	let arrive: () => void;
	let letGo: () => void;
	const arrived = new Promise<void>(resolve => {
		arrive = resolve;
	});
	const free = new Promise<void>(resolve => {
		letGo = resolve;
	});
	return {
		arrived,
		async behaviour(exchange) {
			arrive();
			await free;
			// Whoever hung up meanwhile gets no grant.
			if (exchange.response.socket?.destroyed === false) {
				const {status, json} = exchange.answer();
				sendJson(exchange, status, json);
			}
		},
		letGo() {
			letGo();
		},
	};
}

const leasePattern = /^\.[\da-f]{32}\.lease$/;

/** Who holds the lease of a token request in this directory: the process ids in the lease files. */
export function leaseHolders(directory: string): number[] {
	return readdirSync(directory).filter(name => leasePattern.test(name)).map(name => Number.parseInt(readFileSync(join(directory, name), 'utf8'), 10));
}

const faketimeLibrary = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map(name => `/usr/lib/${name}/faketime/libfaketime.so.1`).find(path => existsSync(path));

/** Why no process can be given a wrong clock here. */
export function lackOfWrongClocks(): Lack {
	return faketimeLibrary === undefined ? 'libfaketime is not installed; run: apt-get install --no-install-recommends libfaketime' : undefined;
}

/**
 * The environment of a process whose clock is wrong, for all of its code. The files' times are still the machine's.
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

