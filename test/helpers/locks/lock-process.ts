/** Child processes that hold lock files, with the locks of other libraries or with ours. */

import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import type {ExecutionContext} from 'ava';
import type {CacheBackend, HeldLock} from '../../../dist/backend/backend.js';
import {debianPython, peersFolder} from '../peers/peers.js';
import {LineProcess} from '../processes/line-process.js';
import {loadableBy} from '../processes/open-copy.js';

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

export class LockProcess extends LineProcess {
	/** Starts a process that locks `path` like that library. */
	static async startPeer(t: ExecutionContext, kind: PeerLock, path: string): Promise<LockProcess> {
		return LockProcess.#start(t, kind === 'node'
			? [process.execPath, `${peersFolder}hold-lock.mjs`, path]
			: [debianPython, `${peersFolder}hold_lock.py`, kind, path]);
	}

	/** Starts a process that locks `path` with the code under test. */
	static async start(t: ExecutionContext, kind: CacheBackend['kind'], path: string, {uid, environment}: LockProcessOptions = {}): Promise<LockProcess> {
		return LockProcess.#start(t, [process.execPath, loadableBy(uid, program), kind, path, ...(uid === undefined ? [] : [String(uid)])], environment);
	}

	static async #start(t: ExecutionContext, command: [string, ...string[]], environment = process.env): Promise<LockProcess> {
		const started = new LockProcess('The lock process', command, environment);
		t.teardown(async () => started.kill());
		await started.expect('ready');
		return started;
	}

	/** Sends a command. @returns the answer. */
	async ask(command: string): Promise<string> {
		return this.exchange(command);
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

/**
 * Tries to take over a lock file until it is old enough. On a busy machine the attempts come late, but the first one that
 * begins at that age must succeed.
 *
 * @param attempt Resolves with `null` while the file counts as held.
 * @param ageSec The age, counted from the end of the first attempt: the time stamps may be wrong.
 * @returns `null` if an attempt at that age fails.
 */
export async function lockAtAge<Lock>(attempt: () => Promise<Lock | null>, ageSec: number): Promise<Lock | null> {
	let seenMs: number | undefined;
	for (;;) {
		const startMs = performance.now();
		const lock = await attempt();
		seenMs ??= performance.now();
		if (lock !== null || startMs - seenMs > ageSec * 1000) {
			return lock;
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
