/** Child processes that hold lock files, with the locks of other libraries or with ours. */

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

/**
 * The implementations in `test/peers`: the library's own lock, or the same system calls (`hold_lock.py` describes
 * each).
 */
export type PeerLock = 'node' | 'python' | 'python-file' | 'go' | 'dotnet' | 'java' | 'flock';

export type LockProcessOptions = {
	/** The user to switch to after the code is loaded. Requires root. */
	uid?: number | undefined;
	/** Default: the environment of this process. */
	environment?: NodeJS.ProcessEnv;
};

const program = fileURLToPath(new URL('lock-program.mjs', import.meta.url));

export class LockProcess {
	/** Starts a process that locks `path` like that library. */
	static async startPeer(t: ExecutionContext, kind: PeerLock, path: string): Promise<LockProcess> {
		return LockProcess.#start(t, kind === 'node'
			? [process.execPath, `${peersFolder}hold-lock.mjs`, path]
			: [debianPython, `${peersFolder}hold_lock.py`, kind, path]);
	}

	/** Starts a process that locks `path` with the code under test. */
	static async start(t: ExecutionContext, kind: CacheBackend['kind'], path: string, {uid, environment}: LockProcessOptions = {}): Promise<LockProcess> {
		return LockProcess.#start(t, [process.execPath, program, kind, path, ...(uid === undefined ? [] : [String(uid)])], environment);
	}

	static async #start(t: ExecutionContext, [command, ...args]: [string, ...string[]], env = process.env): Promise<LockProcess> {
		const child = spawn(command, args, {stdio: ['pipe', 'pipe', 'pipe'], env});
		const started = new LockProcess(child);
		t.teardown(async () => started.kill());
		const answer = await started.#next();
		if (answer !== 'ready') {
			throw new Error(`The lock process answered "${answer}" instead of "ready".`);
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
		// If the process has ended, standard error contains the reason.
		child.stdin.on('error', () => undefined);
	}

	/** Sends a command. @returns the answer. */
	async ask(command: string): Promise<string> {
		this.#child.stdin.write(`${command}\n`);
		const answer = this.#next();
		// The caller may not await the answer any more when the process is killed.
		answer.catch(() => undefined);
		return answer;
	}

	/** Kills the process (SIGKILL) and waits until it has exited. */
	async kill(): Promise<void> {
		if (this.#child.exitCode === null && this.#child.signalCode === null) {
			this.#child.kill('SIGKILL');
			await once(this.#child, 'exit');
		}
	}

	async #next(): Promise<string> {
		const line: IteratorResult<string, undefined> = await this.#lines.next();
		if (line.done) {
			throw new Error(`The lock process ended:\n${await this.#stderr}`);
		}

		return line.value;
	}
}

/** Returns the promise's result, or `still waiting` after the time-out. */
export async function within<Result>(promise: Promise<Result>, timeoutMs: number): Promise<Result | 'still waiting'> {
	const timer = new AbortController();
	try {
		return await Promise.race([promise, sleep(timeoutMs, 'still waiting' as const, {signal: timer.signal})]);
	} finally {
		timer.abort();
	}
}

/** Retries until it holds the lock, as `src/cache/lock-wait.ts` does. @returns `undefined` after the time-out. */
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

/** Creates a temporary directory for one test and returns the path of a lock file in it. */
export function lockDirectory(t: ExecutionContext): {directory: string; path: string} {
	const directory = mkdtempSync(join(tmpdir(), 'stc-lock-'));
	t.teardown(() => {
		rmSync(directory, {recursive: true, force: true});
	});
	return {directory, path: join(directory, 'msal.cache.nocae.lockfile')};
}
