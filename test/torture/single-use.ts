/**
 * Processes that share an account of an authority whose refresh tokens work once, and that are killed and stopped at random. Reports what
 * was lost. Only one thing may be: the session, if a process is killed after the authority has processed its request and before the next
 * refresh token is in the cache.
 */

import {type ChildProcessByStdio, spawn} from 'node:child_process';
import {once} from 'node:events';
import {
	mkdirSync, mkdtempSync, readFileSync, rmSync, watch, writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {createInterface} from 'node:readline';
import type {Readable, Writable} from 'node:stream';
import {setTimeout as sleep} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import {loadNativeBackend} from '../../dist/backend/native-backend.js';
import {storeOf} from '../../dist/backend/stores.js';
import {
	accountRecord, ann, cacheOf, type CacheSections, homeAccountId, refreshTokenRecord,
} from '../helpers/home.js';
import {randomFrom} from './kills.js';
import {type GrantRequest, type Reuse, SingleUseAuthority} from './single-use-authority.js';

export type SingleUsePlan = {
	seconds: number;
	reuse: Reuse;
	processes: number;
	scopes: number;
	/** Mean time between two kills. Milliseconds. */
	killEveryMs: number;
	/** Mean time between two stops, and how long they last at least and at most. Milliseconds. */
	stopEveryMs: number;
	stopMs: [number, number];
	/** Shortened limits of leases. */
	times?: Readonly<Record<string, number>>;
	seed: number;
};

export type SingleUseReport = {
	calls: number;
	tokens: number;
	requests: number;
	/** Requests for a token that was in the cache. */
	overMinimum: number;
	kills: number;
	stops: number;
	/** Sessions that ended although no process was killed in the window. Must be 0. */
	sessionsLost: number;
	/** Sessions that ended because a process was killed in the window: before its answer had left, or before it was written. */
	killedBeforeAnswer: number;
	killedBeforeWrite: number;
	/** Calls that told the user to sign in although the session lived. Must be 0. */
	wrongInteractionRequired: number;
	/** Calls that failed because a stopped process had the turn. */
	lockTimeouts: number;
	/** Other failures, by code. */
	otherErrors: Record<string, number>;
	/** From the answer's departure to the new refresh token in the cache, milliseconds, with the delays of this busy process. */
	windowMs: {median: number; most: number};
};

type Child = ChildProcessByStdio<Writable, Readable, null>;
type Call = {scope: string; startMs: number; endMs: number; token?: string; name?: string; code?: string};

const program = fileURLToPath(new URL('grant-program.mjs', import.meta.url));
const dist = fileURLToPath(new URL('../../dist', import.meta.url));

/** Tokens are used as long as they live for more than five minutes. */
const usedUntilSec = 300;
const lifeSec = usedUntilSec + 3;

export async function tortureSingleUse(plan: SingleUsePlan): Promise<SingleUseReport> {
	const run = new Run(plan);
	try {
		return await run.report();
	} finally {
		run.clear();
	}
}

class Run {
	readonly #plan: SingleUsePlan;
	readonly #home = mkdtempSync(join(tmpdir(), 'stc-single-use-'));
	readonly #path: string;
	readonly #random: () => number;
	readonly #scopes: string[];
	readonly #children = new Set<Child>();
	readonly #stopped = new Set<Child>();
	/** Processes that were killed. */
	readonly #killed = new Set<number>();
	readonly #answeredMs = new Map<string, number>();
	readonly #windows: number[] = [];
	#authority!: SingleUseAuthority;
	#signedInMs = Date.now();
	#isEnding = false;
	readonly #report: SingleUseReport = {
		calls: 0,
		tokens: 0,
		requests: 0,
		overMinimum: 0,
		kills: 0,
		stops: 0,
		sessionsLost: 0,
		killedBeforeAnswer: 0,
		killedBeforeWrite: 0,
		wrongInteractionRequired: 0,
		lockTimeouts: 0,
		otherErrors: {},
		windowMs: {median: 0, most: 0},
	};

	constructor(plan: SingleUsePlan) {
		this.#plan = plan;
		this.#random = randomFrom(plan.seed);
		this.#path = join(this.#home, '.IdentityService', 'msal.cache.nocae');
		this.#scopes = Array.from({length: plan.scopes}, (_, index) => `api://resource-${index}/.default`);
		mkdirSync(dirname(this.#path), {mode: 0o700});
	}

	async report(): Promise<SingleUseReport> {
		this.#authority = await SingleUseAuthority.start({
			user: ann,
			reuse: this.#plan.reuse,
			delayMs: () => this.#random() * 60,
			expiresInSec: lifeSec,
			onRequest: request => {
				this.#countRequest(request);
			},
			onReuse: () => {
				this.#judge();
			},
			onAnswered: (_request, refreshToken) => {
				this.#answeredMs.set(refreshToken, performance.now());
			},
		});
		const environment = {environment: `127.0.0.1:${this.#authority.port}`};
		writeFileSync(this.#path, JSON.stringify(cacheOf({
			accounts: [accountRecord(ann, environment)],
			refreshTokens: [refreshTokenRecord(ann, this.#authority.session.current, {...environment, family_id: ''})],
		})), {mode: 0o600});
		const watcher = watch(dirname(this.#path), () => {
			this.#lookAtCache();
		});
		try {
			for (let index = 0; index < this.#plan.processes; index++) {
				this.#start(index);
			}

			const endMs = performance.now() + (this.#plan.seconds * 1000);
			await Promise.all([this.#killAtRandom(endMs), this.#stopAtRandom(endMs)]);
			this.#isEnding = true;
			await Promise.all([...this.#children].map(async child => end(child)));
		} finally {
			watcher.close();
			await this.#authority.close();
		}

		this.#judge();
		const sorted = this.#windows.toSorted((a, b) => a - b);
		return {
			...this.#report,
			requests: this.#authority.requests,
			windowMs: {median: round(sorted[Math.floor(sorted.length / 2)]), most: round(sorted.at(-1))},
		};
	}

	clear(): void {
		for (const child of this.#children) {
			child.kill('SIGKILL');
		}

		rmSync(this.#home, {
			recursive: true, force: true, maxRetries: 10, retryDelay: 50,
		});
	}

	#start(index: number): void {
		const options = {
			authorityHost: this.#authority.origin,
			// Some without the addon.
			...(index % 4 === 3 && {useNativeAddon: false}),
			retryOptions: {maxRetries: 1, retryDelayInMs: 50},
		};
		const job = {
			dist, options, times: this.#plan.times, random: {scopes: this.#scopes, seed: 1 + Math.floor(this.#random() * (2 ** 31))},
		};
		const child = spawn(process.execPath, [program, JSON.stringify(job)], {
			stdio: ['pipe', 'pipe', 'inherit'], env: {PATH: process.env['PATH'], HOME: this.#home},
		});
		child.stdin.on('error', () => undefined);
		this.#children.add(child);
		createInterface({input: child.stdout}).on('line', line => {
			this.#countCall(line);
		});
		child.once('exit', () => {
			this.#children.delete(child);
			this.#stopped.delete(child);
			if (!this.#isEnding) {
				this.#start(index);
			}
		});
	}

	async #killAtRandom(endMs: number): Promise<void> {
		for (;;) {
			await sleep(this.#random() * 2 * this.#plan.killEveryMs);
			const child = this.#pick();
			if (performance.now() > endMs) {
				return;
			}

			if (child?.pid !== undefined) {
				const exit = once(child, 'exit');
				this.#killed.add(child.pid);
				child.kill('SIGKILL');
				this.#report.kills++;
				await exit;
				this.#judge();
			}
		}
	}

	async #stopAtRandom(endMs: number): Promise<void> {
		const [least, most] = this.#plan.stopMs;
		const stops: Array<Promise<void>> = [];
		for (;;) {
			await sleep(this.#random() * 2 * this.#plan.stopEveryMs);
			if (performance.now() > endMs) {
				break;
			}

			const child = this.#pick();
			if (child) {
				child.kill('SIGSTOP');
				this.#stopped.add(child);
				this.#report.stops++;
				stops.push(sleep(least + (this.#random() * (most - least))).then(() => {
					this.#stopped.delete(child);
					child.kill('SIGCONT');
				}));
			}
		}

		await Promise.all(stops);
	}

	#pick(): Child | undefined {
		const running = [...this.#children].filter(child => !this.#stopped.has(child));
		return running[Math.floor(this.#random() * running.length)];
	}

	#countRequest({scope}: GrantRequest): void {
		const nowSec = Date.now() / 1000;
		const isCached = Object.values(this.#read()?.['AccessToken'] ?? {}).some(({target, expires_on: expiresOn}) =>
			String(target).split(' ').includes(scope) && Number(expiresOn) - usedUntilSec > nowSec);
		this.#report.overMinimum += Number(isCached);
	}

	#countCall(line: string): void {
		const call = JSON.parse(line) as Call;
		this.#report.calls++;
		if (call.token !== undefined) {
			this.#report.tokens++;
		} else if (call.code === 'STC_INTERACTION_REQUIRED') {
			// A call that began before the last sign-in may have met the session that was lost.
			if (call.startMs > this.#signedInMs && !this.#judge()) {
				this.#report.wrongInteractionRequired++;
			}
		} else if (call.code === 'STC_LOCK_TIMEOUT') {
			this.#report.lockTimeouts++;
		} else if (call.name !== 'AbortError') {
			const code = `${call.name} ${call.code ?? ''}`;
			this.#report.otherErrors[code] = (this.#report.otherErrors[code] ?? 0) + 1;
		}
	}

	/** Looks whether the session is lost, counts why, and signs in again. @returns whether it was lost. */
	#judge(): boolean {
		const {session} = this.#authority;
		const wasKilled = this.#killed.has(session.pid);
		const isCached = this.#secrets().includes(session.current);
		if (!session.hasEnded && (isCached || !wasKilled)) {
			return false;
		}

		if (!wasKilled || isCached) {
			this.#report.sessionsLost++;
			console.error(JSON.stringify({
				lost: {...session, known: session.known.size}, wasKilled, isCached, stopped: [...this.#stopped].map(({pid}) => pid),
			}));
		} else if (session.isAnswered) {
			this.#report.killedBeforeWrite++;
		} else {
			this.#report.killedBeforeAnswer++;
		}

		this.#signIn();
		return true;
	}

	/** As another program does it. */
	#signIn(): void {
		const secret = this.#authority.signIn();
		this.#signedInMs = Date.now();
		void this.#write(secret);
	}

	async #write(secret: string): Promise<void> {
		const {backend} = loadNativeBackend();
		for (;;) {
			const {outcome} = await storeOf(backend!, 'plaintext').commit!({path: this.#path}, {
				change: {
					edits: [{
						section: 'RefreshToken', action: 'update', match: {home_account_id: [homeAccountId(ann)]}, set: {secret: JSON.stringify(secret)},
					}],
				},
				lockPaths: [`${this.#path}.lockfile`, join(dirname(this.#path), '.lockfile')],
				create: false,
			}, 1000);
			if (outcome !== 'locked') {
				// Calls that began before that may have met the old one.
				this.#signedInMs = Date.now();
				return;
			}

			await sleep(5);
		}
	}

	#lookAtCache(): void {
		for (const secret of this.#secrets()) {
			const answeredMs = this.#answeredMs.get(secret);
			if (answeredMs !== undefined) {
				this.#windows.push(performance.now() - answeredMs);
				this.#answeredMs.delete(secret);
			}
		}
	}

	#secrets(): string[] {
		return Object.values(this.#read()?.['RefreshToken'] ?? {}).map(({secret}) => String(secret));
	}

	#read(): CacheSections | undefined {
		try {
			return JSON.parse(readFileSync(this.#path, 'utf8')) as CacheSections;
		} catch {
			return undefined;
		}
	}
}

/** Lets a process end by itself. */
async function end(child: Child): Promise<void> {
	const exit = once(child, 'exit');
	child.stdin.end();
	await exit;
}

function round(value = 0): number {
	return Math.round(value * 10) / 10;
}
