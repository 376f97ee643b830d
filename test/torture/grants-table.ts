/**
 * `npm run grants -- [--processes N] [--dist FOLDER]`: how often many processes ask the authority, and when the last one has its answer, in
 * cases where sharing is hard. `--dist` measures another build of this package.
 */

import {type ChildProcessByStdio, spawn} from 'node:child_process';
import {once} from 'node:events';
import {
	mkdirSync, mkdtempSync, rmSync, writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import process from 'node:process';
import {createInterface, type Interface} from 'node:readline';
import type {Readable, Writable} from 'node:stream';
import {setTimeout as sleep} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';
import {loadNativeBackend} from '../../dist/backend/native-backend.js';
import {
	accountRecord, ann, cacheOf, refreshTokenRecord,
} from '../helpers/home.js';
import {type AuthorityOptions, SingleUseAuthority} from './single-use-authority.js';

const usage = 'Usage: npm run grants -- [--processes N] [--dist FOLDER]';
const program = fileURLToPath(new URL('grant-program.mjs', import.meta.url));

const {values} = parseArgs({
	options: {
		processes: {type: 'string', default: '24'},
		dist: {type: 'string', default: fileURLToPath(new URL('../../dist', import.meta.url))},
		help: {type: 'boolean', short: 'h', default: false},
	},
});
const many = Number(values.processes);

type Case = {
	title: string;
	/** Default: {@link many}. */
	processes?: number;
	/** Default: one for all. */
	scopeOf?: (index: number) => string;
	authority?: Partial<AuthorityOptions>;
	/** Starts what makes it hard. @returns what ends it. */
	before?: (path: string) => Promise<() => Promise<void> | void>;
	/** What happens while the processes wait. */
	meanwhile?: (running: Running) => Promise<void>;
	/** Closes each credential after its token. */
	close?: boolean;
};

type Running = {authority: SingleUseAuthority; path: string; children: Member[]};

const answerMs = 300;
const cases: Case[] = [
	{
		title: 'A5 different scopes, tokens that work once', processes: 8, scopeOf: index => `api://resource-${index}/.default`, authority: {reuse: 'refuse'},
	},
	{
		title: 'A5 the same, reuse ends the session', processes: 8, scopeOf: index => `api://resource-${index}/.default`, authority: {reuse: 'end'},
	},
	{
		title: 'A5 a program holds the lock for 6 s', processes: 8, scopeOf: index => `api://resource-${index}/.default`, authority: {reuse: 'end'}, before: async path => holdLock(path, 6000),
	},
	{
		title: 'A5 the holder is stopped for 34 s', processes: 8, scopeOf: index => `api://resource-${index}/.default`, authority: {reuse: 'end'},
		async meanwhile({authority, children}) {
			while (authority.session.pid === 0) {
				await sleep(1);
			}

			const holder = children.find(({child: {pid}}) => pid === authority.session.pid)!;
			holder.child.kill('SIGSTOP');
			await sleep(34_000);
			holder.child.kill('SIGCONT');
		},
	},
	{
		title: 'A5 the only process closes after its token', processes: 1, authority: {reuse: 'end'}, before: async path => holdLock(path, 2000), close: true,
	},
	{title: 'A7 a program holds the lock for 5 s', authority: {reuse: 'keep'}, before: async path => holdLock(path, 5000)},
	{
		title: 'A7 four holders are killed', processes: 12, authority: {reuse: 'keep'},
		async meanwhile({authority, children}) {
			for (let kills = 1; kills <= 4; kills++) {
				while (authority.requests < kills) {
					await sleep(1);
				}

				const asking = authority.lastPid;
				children.find(({child: {pid}}) => pid === asking)!.child.kill('SIGKILL');
			}
		},
	},
	{title: 'B3 User.Read is granted by its short name', scopeOf: () => 'https://graph.microsoft.com/User.Read', authority: {reuse: 'keep', grantedScope: () => 'User.Read'}},
	{title: 'B3 AD FS grants "openid"', authority: {reuse: 'keep', grantedScope: () => 'openid'}},
	{title: 'B4 the lock file cannot be opened', authority: {reuse: 'keep'}, before: async path => blockLockFile(path)},
	{title: 'B5 the authority answers 503', authority: {reuse: 'keep', status: 503}},
];

type Outcome = {requests: number; errors: string; session: string; lastMs: number};

async function run({scopeOf = () => 'api://resource/.default', authority: rest, before, meanwhile, close = false}: Case, count: number): Promise<Outcome> {
	const home = mkdtempSync(join(tmpdir(), 'stc-grants-'));
	const path = join(home, '.IdentityService', 'msal.cache.nocae');
	mkdirSync(dirname(path), {mode: 0o700});
	const authority = await SingleUseAuthority.start({
		user: ann, reuse: 'refuse', delayMs: () => answerMs / 2, expiresInSec: 3600, ...rest,
	});
	const environment = {environment: `127.0.0.1:${authority.port}`};
	writeFileSync(path, JSON.stringify(cacheOf({
		accounts: [accountRecord(ann, environment)],
		refreshTokens: [refreshTokenRecord(ann, authority.session.current, {...environment, family_id: ''})],
	})), {mode: 0o600});
	const children = await Promise.all(Array.from({length: count}, async () => Member.start(home, authority.origin)));
	const after = await before?.(path);
	try {
		const startMs = Date.now();
		const asking = children.map(async (each, index) => each.ask(scopeOf(index), close));
		await meanwhile?.({authority, path, children});
		const calls = (await Promise.all(asking)).filter(call => call !== undefined);
		const {requests} = authority;
		const failed = calls.filter(({token}) => token === undefined).map(({code}) => code!);
		await after?.();
		await Promise.all(children.map(async each => each.end()));
		return {
			requests,
			errors: [...new Set(failed)].map(code => `${failed.filter(each => each === code).length} ${code}`).join(', '),
			session: await isAlive(home, authority, rest?.status) ? 'lives' : 'lost',
			lastMs: Math.max(...calls.map(({endMs}) => endMs)) - startMs,
		};
	} finally {
		await after?.();
		await Promise.all(children.map(async each => each.end()));
		await authority.close();
		rmSync(home, {
			recursive: true, force: true, maxRetries: 10, retryDelay: 50,
		});
	}
}

/** Whether a new process still gets a token for another scope. */
async function isAlive(home: string, authority: SingleUseAuthority, status?: number): Promise<boolean> {
	if (status !== undefined) {
		return true;
	}

	const fresh = await Member.start(home, authority.origin);
	const call = await fresh.ask('api://the-last/.default', true);
	await fresh.end();
	return call?.token !== undefined;
}

type Call = {endMs: number; token?: string; code?: string};

class Member {
	static async start(home: string, origin: string): Promise<Member> {
		const member = new Member(home, origin);
		await member.#next();
		return member;
	}

	readonly child: ChildProcessByStdio<Writable, Readable, null>;
	readonly #reader: Interface;
	readonly #lines: AsyncIterator<string, undefined>;

	private constructor(home: string, origin: string) {
		const job = {dist: values.dist, options: {authorityHost: origin}};
		this.child = spawn(process.execPath, [program, JSON.stringify(job)], {
			stdio: ['pipe', 'pipe', 'inherit'], env: {PATH: process.env['PATH'], HOME: home},
		});
		this.child.stdin.on('error', () => undefined);
		this.#reader = createInterface({input: this.child.stdout});
		this.#lines = this.#reader[Symbol.asyncIterator]();
	}

	/** @returns `undefined` if the process was killed. */
	async ask(scope: string, close: boolean): Promise<Call | undefined> {
		this.child.stdin.write(`${JSON.stringify({scope, close})}\n`);
		const call = await this.#next() as Call | undefined;
		if (close) {
			await this.#next();
		}

		return call;
	}

	async end(): Promise<void> {
		if (this.child.exitCode === null && this.child.signalCode === null) {
			const exit = once(this.child, 'exit');
			this.child.stdin.end();
			await exit;
		}

		this.#reader.close();
	}

	async #next(): Promise<unknown> {
		const {value, done} = await this.#lines.next();
		return done ? undefined : JSON.parse(value);
	}
}

/** As another program does that writes slowly. */
async function holdLock(path: string, forMs: number): Promise<() => Promise<void>> {
	const lock = await loadNativeBackend().backend!.tryLock([`${path}.lockfile`]);
	const renewal = setInterval(() => {
		void lock?.touch();
	}, 1000);
	const held = sleep(forMs).then(async () => {
		clearInterval(renewal);
		await lock?.release();
	});
	return async () => held;
}

function blockLockFile(path: string): () => void {
	mkdirSync(`${path}.lockfile`);
	return () => {
		rmSync(`${path}.lockfile`, {recursive: true, force: true});
	};
}

function seconds(ms: number): string {
	return `${(ms / 1000).toFixed(1)} s`;
}

if (values.help || !(many > 0)) {
	console.log(usage);
	process.exitCode = values.help ? 0 : 2;
} else {
	console.log('| case | processes | requests | errors | session | last after | a single process |');
	console.log('| --- | --- | --- | --- | --- | --- | --- |');
	for (const each of cases) {
		const single = each.processes === 1 || each.meanwhile ? undefined : await run(each, 1);
		const {requests, errors, lastMs, session} = await run(each, each.processes ?? many);
		console.log(`| ${each.title} | ${each.processes ?? many} | ${requests} | ${errors || '0'} | ${session} | ${seconds(lastMs)} | ${single ? seconds(single.lastMs) : '-'} |`);
	}
}
