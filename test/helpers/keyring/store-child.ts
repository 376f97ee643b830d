/** Runs `store-program.mjs`: the native backend in a child process with its own environment. */

import {type ChildProcess, execFile} from 'node:child_process';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import type {
	CacheSlice, CommitRequest, CommitResult, StoreLocation,
} from '../../../dist/backend/backend.js';
import {patienceMs} from '../until.js';

export type StoreJob = {
	call: 'probe' | 'query' | 'stamp' | 'commit';
	at: StoreLocation;
	/** Required for `commit`. */
	request?: CommitRequest;
	timeoutMs: number;
	times?: number;
	together?: boolean;
	pauseMs?: number;
	/** Before the second call, the program makes this file with the suffix `.reached`, and waits until the file itself exists. */
	pausePath?: string;
	/** The program makes this file when the event loop has turned a hundred times during its calls. */
	turnsPath?: string;
};

export type StoreOutcome = {
	answer?: CacheSlice | CommitResult | string | null;
	code?: string;
	osDomain?: string;
	osCode?: number;
	message?: string;
	/** Whether the stack of the error contains the caller. */
	hasFrames?: boolean;
	elapsedMs: number;
};

export type StoreReport = {outcomes: StoreOutcome[]; longestBlockMs: number; rssBytes: number};

const run = promisify(execFile);
const program = fileURLToPath(new URL('store-program.mjs', import.meta.url));

/** Starts {@link askStore}, for tests that signal the process. */
export function startStore(environment: Readonly<Record<string, string>>, job: StoreJob): {child: ChildProcess; report: Promise<StoreReport>} {
	const running = run(process.execPath, [program, JSON.stringify(job)], {
		env: environment, timeout: patienceMs, killSignal: 'SIGKILL', maxBuffer: 64 * 1024 * 1024,
	});
	return {child: running.child, report: running.then(({stdout}) => JSON.parse(stdout) as StoreReport)};
}

/** @param wrapper A command that runs the program, such as `unshare -m`. */
export async function askStore(environment: Readonly<Record<string, string>>, job: StoreJob, wrapper: readonly string[] = []): Promise<StoreReport> {
	const [command, ...parameters] = [...wrapper, process.execPath, program, JSON.stringify(job)];
	const {stdout} = await run(command, parameters, {
		env: environment, timeout: patienceMs, killSignal: 'SIGKILL', maxBuffer: 64 * 1024 * 1024,
	});
	return JSON.parse(stdout) as StoreReport;
}

/** Like {@link askStore}, for the first outcome only. */
export async function askStoreOnce(environment: Readonly<Record<string, string>>, job: StoreJob, wrapper?: readonly string[]): Promise<StoreOutcome & {longestBlockMs: number}> {
	const {outcomes, longestBlockMs} = await askStore(environment, job, wrapper);
	return {...outcomes[0]!, longestBlockMs};
}
