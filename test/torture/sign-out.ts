/**
 * Sign-outs, sign-ins and grants against each other, in real processes over all caches: files of both kinds, a real keyring, MSAL for Node
 * with our plugin, MSAL for Python, the credential and `withCache`. A sign-out is followed by looks at every cache before the next sign-in of
 * that account: whatever is there has come back.
 */

import {mkdirSync} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import type {ExecutionContext} from 'ava';
import type {CacheBackend} from '../../dist/backend/backend.js';
import type {SignOutResult} from '../../dist/types.js';
import {type EntraServer, type EntraUser, startEntraServer} from '../helpers/authority/entra-server.js';
import {
	accountRecord, ann, bob, homeAccountId, refreshTokenRecord,
} from '../helpers/home.js';
import type {Keyring} from '../helpers/keyring/keyring.js';
import {MsalProcess} from '../helpers/peers/msal-process.js';
import {PythonProcess} from '../helpers/peers/python-process.js';
import {LineProcess} from '../helpers/processes/line-process.js';
import type {Found, WorkerCommand, WorkerJob} from './sign-out-worker.js';

export type SignOutPlan = {
	home: string;
	/** Default: there is only the plaintext cache. */
	keyring?: Keyring | undefined;
	/** Holds lock files at random. */
	backend: CacheBackend;
	/** It goes on until this time is over, and so many sign-outs were watched. A busy machine takes longer. */
	forMs: number;
	leastSignOuts?: number;
	/** Whether the real libraries take part. */
	peers: {node: boolean; python: boolean};
	/** How long each sign-out is watched. Default 1200 ms. */
	watchMs?: number;
};

export type SignOutReport = {
	seconds: number;
	signIns: Record<string, number>;
	/** Sign-outs that ended with nothing left, and were watched. */
	signOuts: number;
	/** What a sign-out returned that could not reach everything. It was repeated. */
	signOutsIncomplete: string[];
	/** Sign-outs whose process was killed on the way; each was repeated. */
	signOutsKilled: number;
	/** Sign-outs by other programs, of their cache alone. */
	peerSignOuts: number;
	grants: number;
	withCacheWrites: number;
	writersKilled: number;
	/** Accounts that were listed again after their sign-out, though nobody had signed in. */
	accountsBack: string[];
	/** Tokens of ours that came back, without an account. */
	tokensBack: string[];
	/** Tokens that another library wrote after the sign-out, as it does with its own sign-outs: without an account. */
	peerTokensLeft: number;
	/** Accounts that nobody had signed out, and that were gone. */
	accountsLost: string[];
};

const cid: EntraUser = {uid: '33333333-0000-4000-8000-00000000000c', utid: 'cccccccc-0000-4000-8000-0000000000cc', username: 'cid@tailspin.example'};
const users = [ann, bob, cid];
const scopes = ['https://sign-in.example/.default'];
/** Longest time to wait for the last sign-outs, so that a run ends. Milliseconds. */
const patienceMs = 300_000;
const worker = fileURLToPath(new URL('sign-out-worker.ts', import.meta.url));

type SignIns = Record<string, {in: () => Promise<unknown>; out?: () => Promise<unknown>}>;

class Worker extends LineProcess {
	static async start(job: WorkerJob, environment: NodeJS.ProcessEnv): Promise<Worker> {
		const started = new Worker(`The ${job.role} process`, [process.execPath, '--import=tsx', worker], environment);
		started.send(JSON.stringify(job));
		await started.expect('"ready"');
		return started;
	}

	async ask<Value>(command: WorkerCommand): Promise<Value> {
		return JSON.parse(await this.exchange(JSON.stringify(command))) as Value;
	}
}

/** What ends with the run, in the order in which it was started. Stands in for the test that the peers' helpers end with. */
class Endings {
	readonly context: ExecutionContext;
	readonly #acts: Array<() => unknown> = [];

	constructor() {
		const teardown = (act: () => unknown) => {
			this.#acts.push(act);
		};

		this.context = {teardown} as unknown as ExecutionContext;
	}

	async end(): Promise<void> {
		for (const act of this.#acts.toReversed()) {
			await act();
		}
	}
}

export async function tortureSignOut(plan: SignOutPlan): Promise<SignOutReport> {
	const endings = new Endings();
	try {
		return await new Run(plan, endings).run();
	} finally {
		await endings.end();
	}
}

class Run {
	readonly #plan: SignOutPlan;
	readonly #endings: Endings;
	readonly #environment: NodeJS.ProcessEnv;
	readonly #watchMs: number;
	readonly #report: SignOutReport = {
		seconds: 0,
		signIns: {},
		signOuts: 0,
		signOutsIncomplete: [],
		signOutsKilled: 0,
		peerSignOuts: 0,
		grants: 0,
		withCacheWrites: 0,
		writersKilled: 0,
		accountsBack: [],
		tokensBack: [],
		peerTokensLeft: 0,
		accountsLost: [],
	};

	#server: EntraServer | undefined;
	#workers: Worker[] = [];
	#serial = 0;
	#isOver = false;
	/** Files of other languages' programs are not used here, so every cache is one of ours. */
	readonly #isReached: (result: SignOutResult) => boolean;

	constructor(plan: SignOutPlan, endings: Endings) {
		this.#plan = plan;
		this.#endings = endings;
		this.#watchMs = plan.watchMs ?? 1200;
		this.#environment = {...plan.keyring?.environment, PATH: process.env['PATH'], HOME: plan.home};
		// Without a keyring, its items cannot be looked at.
		this.#isReached = ({remainsIn, notRead}) => remainsIn.length === 0 && notRead.every(({source}) => plan.keyring === undefined && source.startsWith('keyring'));
	}

	async run(): Promise<SignOutReport> {
		mkdirSync(join(this.#plan.home, '.IdentityService'), {recursive: true, mode: 0o700});
		const server = await startEntraServer({deviceCodeUser: ann, delayMs: 0});
		this.#server = server;
		this.#endings.context.teardown(async () => server.close());
		// The answers take different times, so that writes meet sign-outs at every moment.
		server.scriptAll(async ({response, answer}) => {
			await sleep(Math.random() * 600);
			const {status, json} = answer();
			response.writeHead(status, {'content-type': 'application/json'});
			response.end(JSON.stringify(json));
		});
		const writers: WorkerJob[] = [
			this.#job('credential', 'a', {}),
			// Its writes fail while a lock is held, and are retried.
			this.#job('credential', 'b', {lockTimeoutInMs: 50}),
			this.#job('credential', 'pure', {useNativeAddon: false}),
			this.#job('withCache', 'w', {}),
		];
		this.#workers = await Promise.all(writers.map(async job => this.#start(job)));
		const lookers = await Promise.all(users.map(async () => this.#start(this.#job('look', 'look', {}))));
		const startMs = performance.now();
		const loops = Promise.all([
			...users.map(async (user, index) => this.#signInAndOut(user, lookers[index]!)),
			this.#killWriters(writers),
			this.#holdLocks(),
		]);
		const {forMs, leastSignOuts = 1} = this.#plan;
		while (performance.now() - startMs < forMs || (this.#report.signOuts < leastSignOuts && performance.now() - startMs < forMs + patienceMs)) {
			await Promise.race([loops, sleep(100)]);
		}

		this.#isOver = true;
		await loops;
		this.#report.seconds = Math.round((performance.now() - startMs) / 1000);
		for (const [index, {role}] of writers.entries()) {
			this.#report[role === 'credential' ? 'grants' : 'withCacheWrites'] += await this.#workers[index]!.ask<number>({do: 'count'});
		}

		return this.#report;
	}

	#job(role: WorkerJob['role'], name: string, rest: Partial<WorkerJob>): WorkerJob {
		const {port, ca} = this.#server!;
		return {
			role, name, users: users.map(user => ({username: user.username, homeAccountId: homeAccountId(user)})), server: {port, ca}, useNativeAddon: true, lockTimeoutInMs: 30_000, ...rest,
		};
	}

	async #start(job: WorkerJob): Promise<Worker> {
		const started = await Worker.start(job, this.#environment);
		this.#endings.context.teardown(async () => started.kill());
		return started;
	}

	async #signInAndOut(user: EntraUser, looker: Worker): Promise<void> {
		const signIns = await this.#signInsOf(user, looker);
		let signer = await this.#start(this.#job('signOut', 'out', {}));
		while (!this.#isOver) {
			const names = Object.keys(signIns);
			const name = names[Math.floor(Math.random() * names.length)]!;
			const {in: signIn, out: signOut} = signIns[name]!;
			await signIn();
			this.#report.signIns[name] = (this.#report.signIns[name] ?? 0) + 1;
			// Others may be writing their tokens now.
			await sleep(Math.random() * 1000);
			if (!(await looker.ask<Found>({do: 'look'})).some(found => found.homeAccountId === homeAccountId(user) && found.isListed)) {
				this.#report.accountsLost.push(`${user.username} after ${name}`);
			}

			if (signOut && Math.random() < 0.3) {
				// Of one cache, and without our mark. Ours follows at once.
				await signOut().then(() => {
					this.#report.peerSignOuts++;
				}, () => undefined);
			}

			if (Math.random() < 0.2) {
				// The process may die at any moment.
				void signer.ask({do: 'signOut', homeAccountId: homeAccountId(user)}).catch(() => undefined);
				await sleep(Math.random() * 40);
				await signer.kill();
				this.#report.signOutsKilled++;
				signer = await this.#start(this.#job('signOut', 'out', {}));
			}

			const result = await signer.ask<SignOutResult>({do: 'signOut', homeAccountId: homeAccountId(user)});
			if (!this.#isReached(result)) {
				// Such as a keyring that is busy. It is no sign-out yet.
				this.#report.signOutsIncomplete.push(JSON.stringify(result));
				continue;
			}

			this.#report.signOuts++;
			await this.#watch(user, looker);
		}
	}

	/** Looks at all caches until the watch is over. */
	async #watch(user: EntraUser, looker: Worker): Promise<void> {
		const endMs = performance.now() + this.#watchMs;
		const back = new Set<string>();
		const tokens = new Set<string>();
		const left = new Set<string>();
		do {
			for (const {source, isListed, secrets} of (await looker.ask<Found>({do: 'look'})).filter(found => found.homeAccountId === homeAccountId(user))) {
				if (isListed) {
					back.add(source);
				}

				for (const secret of secrets) {
					(this.#isOurs(secret) ? tokens : left).add(`${source}: ...${secret.slice(-30)}`);
				}
			}

			await sleep(50);
		} while (performance.now() < endMs);

		this.#report.accountsBack.push(...[...back].map(source => `${user.username} in ${source}`));
		this.#report.tokensBack.push(...tokens);
		this.#report.peerTokensLeft += left.size;
	}

	/** Whether the credential, our plugin or `withCache` wrote it. */
	#isOurs(secret: string): boolean {
		const grant = this.#server!.grants.find(({accessToken, refreshToken}) => secret === accessToken || secret === refreshToken);
		return !grant?.request.headers['x-client-sku']?.includes('Python');
	}

	async #signInsOf(user: EntraUser, looker: Worker): Promise<SignIns> {
		const {peers, home, keyring} = this.#plan;
		const server = this.#server!;
		const newRefreshToken = () => {
			this.#serial++;
			const refreshToken = `FAKE-sign-in-${this.#serial}`;
			server.refreshTokens.set(refreshToken, user);
			return refreshToken;
		};

		const signIns: SignIns = {};
		for (const isCae of [false, true]) {
			signIns[`withCache ${isCae ? 'cae' : 'nocae'}`] = {
				in: async () => looker.ask({
					do: 'signIn',
					isCae,
					sections: {
						Account: {[`account-${user.uid}`]: accountRecord(user)},
						RefreshToken: {[`refresh-${user.uid}`]: refreshTokenRecord(user, newRefreshToken())},
					},
				}),
			};
			if (peers.node) {
				const app = await MsalProcess.start(this.#endings.context, {
					plugin: 'ours', server, options: {enableCae: isCae, tokenCachePersistenceOptions: {unsafeAllowUnencryptedStorage: true}},
				}, this.#environment);
				signIns[`MSAL for Node ${isCae ? 'cae' : 'nocae'}`] = {
					in: async () => app.ask({do: 'signIn', refreshTokens: [newRefreshToken()], scopes}),
					out: async () => app.ask({do: 'signOut', username: user.username}),
				};
			}
		}

		if (peers.python && user === ann) {
			for (const store of ['plaintext', ...(keyring ? ['keyring' as const] : [])] as const) {
				const app = await PythonProcess.start(this.#endings.context, {
					store, cachePath: join(home, '.IdentityService', 'msal.cache.nocae'), server, tenant: ann.utid,
				}, this.#environment);
				signIns[`MSAL for Python ${store}`] = {
					in: async () => app.ask({do: 'signIn', scopes}),
					out: async () => app.ask({do: 'signOut', username: user.username}),
				};
			}
		}

		return signIns;
	}

	async #killWriters(jobs: readonly WorkerJob[]): Promise<void> {
		while (!this.#isOver) {
			await sleep(3000 + (Math.random() * 6000));
			const index = Math.floor(Math.random() * jobs.length);
			const victim = this.#workers[index]!;
			const count = await victim.ask<number>({do: 'count'});
			this.#report[jobs[index]!.role === 'credential' ? 'grants' : 'withCacheWrites'] += count;
			await victim.kill();
			this.#report.writersKilled++;
			this.#workers[index] = await this.#start(jobs[index]!);
		}
	}

	async #holdLocks(): Promise<void> {
		while (!this.#isOver) {
			await sleep(Math.random() * 700);
			const kind = Math.random() < 0.5 ? 'nocae' : 'cae';
			const held = await this.#plan.backend.tryLock([join(this.#plan.home, '.IdentityService', `msal.cache.${kind}.lockfile`)]);
			await sleep(Math.random() * 300);
			await held?.release();
		}
	}
}
