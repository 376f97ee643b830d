/** Child processes that hold lock files: peers, and ourselves. */

import {type ChildProcessWithoutNullStreams, spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {text} from 'node:stream/consumers';
import {setTimeout as sleep} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import type {ExecutionContext} from 'ava';
import type {CacheBackend, HeldLock} from '../../../dist/backend/backend.js';
import {debianPython, peersFolder} from '../peers/peers.js';

/** Those whose lock is real, or done call by call in `test/peers/hold_lock.py`, which says what each is. */
export type PeerLock = 'node' | 'python' | 'python-file' | 'go' | 'dotnet' | 'java' | 'flock';

export type LockProcessOptions = {
	/** The user to run as, as soon as its code is loaded. Root alone can say so. */
	uid?: number | undefined;
	/** Default: ours. */
	environment?: NodeJS.ProcessEnv;
};

const program = fileURLToPath(new URL('lock-program.mjs', import.meta.url));

export class LockProcess {
	/** A peer that locks `path`. */
	static async startPeer(t: ExecutionContext, kind: PeerLock, path: string): Promise<LockProcess> {
		return LockProcess.#start(t, kind === 'node'
			? [process.execPath, `${peersFolder}hold-lock.mjs`, path]
			: [debianPython, `${peersFolder}hold_lock.py`, kind, path]);
	}

	/** The code under test in another process. */
	static async start(t: ExecutionContext, kind: CacheBackend['kind'], path: string, {uid, environment}: LockProcessOptions = {}): Promise<LockProcess> {
		return LockProcess.#start(t, [process.execPath, program, kind, path, ...(uid === undefined ? [] : [String(uid)])], environment);
	}

	static async #start(t: ExecutionContext, [command, ...args]: [string, ...string[]], env = process.env): Promise<LockProcess> {
		const child = spawn(command, args, {stdio: ['pipe', 'pipe', 'pipe'], env});
		const started = new LockProcess(child);
		t.teardown(async () => started.kill());
		const answer = await started.#next();
		if (answer !== 'ready') {
			throw new Error(`It answered ${answer}.`);
		}

		return started;
	}

	readonly pid: number;
	readonly #child: ChildProcessWithoutNullStreams;
	readonly #lines: AsyncIterator<string, undefined>;
	readonly #stderr: Promise<string>;

	private constructor(child: ChildProcessWithoutNullStreams) {
		this.#child = child;
		this.pid = child.pid ?? 0;
		this.#stderr = text(child.stderr);
		this.#lines = createInterface({input: child.stdout})[Symbol.asyncIterator]();
		// A program that ended says why on standard error.
		child.stdin.on('error', () => undefined);
	}

	/** @returns Its answer, as soon as there is one. */
	async ask(command: string): Promise<string> {
		this.#child.stdin.write(`${command}\n`);
		const answer = this.#next();
		// Nobody may be waiting for it any more when the process is ended.
		answer.catch(() => undefined);
		return answer;
	}

	/** Ends it without giving it a chance to do anything more, and waits until the system has forgotten it. */
	async kill(): Promise<void> {
		if (this.#child.exitCode === null && this.#child.signalCode === null) {
			this.#child.kill('SIGKILL');
			await once(this.#child, 'exit');
		}
	}

	async #next(): Promise<string> {
		const line: IteratorResult<string, undefined> = await this.#lines.next();
		if (line.done) {
			throw new Error(`It ended:\n${await this.#stderr}`);
		}

		return line.value;
	}
}

/** What a promise has come to within some time. */
export async function within<Result>(promise: Promise<Result>, timeoutMs: number): Promise<Result | 'still waiting'> {
	const timer = new AbortController();
	try {
		return await Promise.race([promise, sleep(timeoutMs, 'still waiting' as const, {signal: timer.signal})]);
	} finally {
		timer.abort();
	}
}

/** Tries again and again until it gets the lock, as `src/cache/lock-wait.ts` does. `undefined`: it did not, in that time. */
export async function lockWithin(backend: CacheBackend, path: string, timeoutMs: number): Promise<HeldLock | undefined> {
	const startMs = performance.now();
	for (;;) {
		const lock = await backend.tryLock([path]);
		if (lock) {
			return lock;
		}

		if (performance.now() - startMs > timeoutMs) {
			return undefined;
		}

		await sleep(10);
	}
}

/** A directory of its own for one test, and the path of a lock file in it. */
export function lockDirectory(t: ExecutionContext): {directory: string; path: string} {
	const directory = mkdtempSync(join(tmpdir(), 'stc-lock-'));
	t.teardown(() => {
		rmSync(directory, {recursive: true, force: true});
	});
	return {directory, path: join(directory, 'msal.cache.nocae.lockfile')};
}
