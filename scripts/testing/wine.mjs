/** Compiles programs for Windows with MinGW-w64 and runs them under Wine. Wine follows Windows' documentation, not all of its behaviour. */

import {spawn, spawnSync} from 'node:child_process';
import {once} from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {compilerFlags as addonFlags} from '../build/addon-flags.mjs';
import {fromRoot} from '../lib/paths.mjs';
import {runOrFail} from '../lib/run.mjs';
import {StepFailure} from '../lib/steps.mjs';

const compiler = 'x86_64-w64-mingw32-g++-posix';

/** Flags of every C++ source: the addon's language and warnings. */
export const compilerFlags = [...addonFlags.filter(flag => /^-(?:std=|W)/.test(flag)), '-Werror', `-I${fromRoot('native')}`];

/** @throws {StepFailure} with the command that installs the compiler and Wine if one is missing. */
export function checkWine() {
	const missing = [compiler, 'wine', 'wineserver'].find(command => spawnSync(command, ['--version'], {stdio: 'ignore'}).error);
	if (missing) {
		throw new StepFailure(`there is no ${missing}; run: apt-get install --no-install-recommends g++-mingw-w64-x86-64-posix wine wine64`);
	}
}

/** @param {string[]} args @throws {StepFailure} with the compiler's output. */
export async function compile(args) {
	await runOrFail(compiler, args);
}

/**
 * @typedef {object} WineResult
 * @property {number | null} exitCode `null`: the time limit ended it.
 * @property {string} stdout
 * @property {string} stderr
 * @property {number[]} headless The IDs of processes that lost their first thread: see {@link HeadlessProcesses}.
 */

/** How often all processes are checked, milliseconds, and how many checks in a row have to find a process headless. */
const checkIntervalMs = 5000;
const checksInARow = 3;

/**
 * Ends programs whose first thread is gone while their other threads wait. On a busy machine, Wine 8 rarely loses a program's first thread
 * in a call to its server; the parent process then never learns of the program's end.
 */
class HeadlessProcesses {
	/** The IDs of the processes that were ended. @type {number[]} */
	ended = [];
	#prefix;
	/** @type {Map<number, number>} */
	#checks = new Map();
	#timer;

	/** @param {string} prefix The Wine prefix of the programs to check. */
	constructor(prefix) {
		this.#prefix = prefix;
		this.#timer = setInterval(() => {
			this.#check();
		}, checkIntervalMs);
	}

	stop() {
		clearInterval(this.#timer);
	}

	#check() {
		const found = fs.readdirSync('/proc').filter(name => /^\d+$/.test(name)).map(Number).filter(pid => this.#isHeadless(pid));
		this.#checks = new Map(found.map(pid => [pid, (this.#checks.get(pid) ?? 0) + 1]));
		for (const [pid, count] of this.#checks) {
			if (count === checksInARow) {
				this.ended.push(pid);
				process.kill(pid, 'SIGKILL');
			}
		}
	}

	#isHeadless(pid) {
		try {
			if (!/^State:\tZ/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))) {
				return false;
			}

			// The first thread's own environment can no longer be read.
			const other = fs.readdirSync(`/proc/${pid}/task`).find(task => Number(task) !== pid);
			return other !== undefined && fs.readFileSync(`/proc/${pid}/task/${other}/environ`, 'utf8').split('\0').includes(`WINEPREFIX=${this.#prefix}`);
		} catch {
			// The process ended during the check.
			return false;
		}
	}
}

/** A Wine prefix in a temporary folder. */
export class Wine {
	/** The folder of the prefix and of the programs. */
	folder = fs.mkdtempSync(path.join(os.tmpdir(), 'stc-wine-'));
	/** Drive C. */
	drive = path.join(this.folder, 'prefix', 'drive_c');
	#environment;
	#count = 0;

	/** The caller has to call `end()`. */
	static async start() {
		const wine = new Wine();
		try {
			// The server stays between programs, so that none waits for its start or end.
			await wine.#prepare('wineserver', ['--persistent']);
			await wine.#prepare('wineboot', ['--init']);
			// Node refuses the older Windows that Wine pretends to be by default.
			await wine.#prepare('wine', ['reg', 'add', String.raw`HKCU\Software\Wine`, '/v', 'Version', '/t', 'REG_SZ', '/d', 'win10', '/f']);
			return wine;
		} catch (error) {
			await wine.end();
			throw error;
		}
	}

	constructor() {
		// Wine waits for a display that is named and absent. The other variables are for this machine's Node.
		const {DISPLAY: _display, NODE_OPTIONS: _options, NODE_EXTRA_CA_CERTS: _certificates, ...rest} = process.env;
		const prefix = path.join(this.folder, 'prefix');
		fs.mkdirSync(prefix);
		this.#environment = {
			...rest, WINEPREFIX: prefix, WINEDEBUG: '-all', WINEDLLOVERRIDES: 'mscoree,mshtml=',
		};
	}

	/**
	 * Runs a program. Its output goes through files, because some programs cannot write to a pipe that Wine inherits.
	 *
	 * @param {string[]} command The program's path on this machine, and its arguments.
	 * @param {{cwd?: string, env?: Record<string, string>, timeoutMs: number}} options
	 * @returns {Promise<WineResult>}
	 */
	async run(command, {cwd = this.folder, env = {}, timeoutMs}) {
		this.#count++;
		const stdoutPath = path.join(this.folder, `${this.#count}.out`);
		const stderrPath = path.join(this.folder, `${this.#count}.err`);
		const stdout = fs.openSync(stdoutPath, 'w');
		const stderr = fs.openSync(stderrPath, 'w');
		const child = spawn('wine', command, {
			cwd, env: {...this.#environment, ...env}, stdio: ['ignore', stdout, stderr], timeout: timeoutMs, killSignal: 'SIGKILL',
		});
		const headless = new HeadlessProcesses(this.#environment.WINEPREFIX);
		try {
			const [exitCode] = await once(child, 'exit');
			return {
				exitCode, stdout: fs.readFileSync(stdoutPath, 'utf8'), stderr: fs.readFileSync(stderrPath, 'utf8'), headless: headless.ended,
			};
		} finally {
			headless.stop();
			fs.closeSync(stdout);
			fs.closeSync(stderr);
		}
	}

	/** Ends all programs and removes the folder. */
	async end() {
		spawnSync('wineserver', ['--kill'], {env: this.#environment, stdio: 'ignore'});
		spawnSync('wineserver', ['--wait'], {env: this.#environment, stdio: 'ignore', timeout: 10_000});
		fs.rmSync(this.folder, {
			recursive: true, force: true, maxRetries: 5, retryDelay: 100,
		});
	}

	async #prepare(command, args) {
		// No pipes: background processes that the command starts would keep them open.
		const child = spawn(command, args, {env: this.#environment, stdio: 'ignore'});
		const [exitCode] = await once(child, 'exit');
		if (exitCode !== 0) {
			throw new StepFailure(`${command} ${args.join(' ')} ended with ${exitCode}`);
		}
	}
}
