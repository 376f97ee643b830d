/**
 * Programs for Windows, compiled and run here: MinGW-w64 makes them, Wine runs them. What Wine shows is what Windows documents, not
 * all of what Windows does.
 */

import {spawn, spawnSync} from 'node:child_process';
import {once} from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {fromRoot} from '../lib/paths.mjs';
import {runOrFail} from '../lib/run.mjs';
import {StepFailure} from '../lib/steps.mjs';

const compiler = 'x86_64-w64-mingw32-g++-posix';

/** Flags of every C++ source. */
export const compilerFlags = ['-std=c++17', '-Wall', '-Wextra', '-Wpedantic', '-Wshadow', '-Werror', `-I${fromRoot('native')}`];

/** @throws {StepFailure} with the command that installs what is missing to compile and run programs for Windows. */
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
 * @property {number | null} exitCode `null`: ended by the time limit.
 * @property {string} stdout
 * @property {string} stderr
 * @property {number[]} headless Processes that Wine lost: see {@link Headless}.
 */

/** A look at all processes is taken this often, milliseconds, and this many of them in a row have to find one headless. */
const lookMs = 5000;
const looksInARow = 3;

/**
 * Programs whose first thread is gone while their others wait. Wine 8 does that to itself once in a long while on a busy machine: the thread ends
 * in the middle of a call to Wine's server, and whoever started the program waits for its end for ever. They are ended for good.
 */
class Headless {
	/** Those that were ended. @type {number[]} */
	ended = [];
	#prefix;
	/** @type {Map<number, number>} */
	#looks = new Map();
	#timer;

	/** @param {string} prefix Whose programs are looked at. */
	constructor(prefix) {
		this.#prefix = prefix;
		this.#timer = setInterval(() => {
			this.#look();
		}, lookMs);
	}

	stop() {
		clearInterval(this.#timer);
	}

	#look() {
		const found = fs.readdirSync('/proc').filter(name => /^\d+$/.test(name)).map(Number).filter(pid => this.#isHeadless(pid));
		this.#looks = new Map(found.map(pid => [pid, (this.#looks.get(pid) ?? 0) + 1]));
		for (const [pid, looks] of this.#looks) {
			if (looks === looksInARow) {
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

			// The first thread has nothing left to tell.
			const other = fs.readdirSync(`/proc/${pid}/task`).find(task => Number(task) !== pid);
			return other !== undefined && fs.readFileSync(`/proc/${pid}/task/${other}/environ`, 'utf8').split('\0').includes(`WINEPREFIX=${this.#prefix}`);
		} catch {
			// It ended just now.
			return false;
		}
	}
}

/** A Windows of its own. */
export class Wine {
	/** Where it and what it runs are. */
	folder = fs.mkdtempSync(path.join(os.tmpdir(), 'stc-wine-'));
	/** Its drive C. */
	drive = path.join(this.folder, 'prefix', 'drive_c');
	#environment;
	#count = 0;

	/** To be ended, whatever happens. */
	static async start() {
		const wine = new Wine();
		try {
			// First, and to stay between programs: none has to wait for it to start or end.
			await wine.#prepare('wineserver', ['--persistent']);
			await wine.#prepare('wineboot', ['--init']);
			// Node refuses what Wine seems to be otherwise.
			await wine.#prepare('wine', ['reg', 'add', String.raw`HKCU\Software\Wine`, '/v', 'Version', '/t', 'REG_SZ', '/d', 'win10', '/f']);
			return wine;
		} catch (error) {
			await wine.end();
			throw error;
		}
	}

	constructor() {
		// Neither a display, whose absence is waited for, nor options for another Node.
		const {DISPLAY: _display, NODE_OPTIONS: _options, NODE_EXTRA_CA_CERTS: _certificates, ...rest} = process.env;
		const prefix = path.join(this.folder, 'prefix');
		fs.mkdirSync(prefix);
		this.#environment = {
			...rest, WINEPREFIX: prefix, WINEDEBUG: '-all', WINEDLLOVERRIDES: 'mscoree,mshtml=',
		};
	}

	/**
	 * Runs a program. Its output goes through files: some programs cannot write to a pipe from outside.
	 *
	 * @param {string[]} command The program's path here, and its arguments.
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
		const headless = new Headless(this.#environment.WINEPREFIX);
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

	/** With all of its programs and files. */
	async end() {
		spawnSync('wineserver', ['--kill'], {env: this.#environment, stdio: 'ignore'});
		spawnSync('wineserver', ['--wait'], {env: this.#environment, stdio: 'ignore', timeout: 10_000});
		fs.rmSync(this.folder, {
			recursive: true, force: true, maxRetries: 5, retryDelay: 100,
		});
	}

	async #prepare(command, args) {
		// What it leaves running in the background would keep a pipe open.
		const child = spawn(command, args, {env: this.#environment, stdio: 'ignore'});
		const [exitCode] = await once(child, 'exit');
		if (exitCode !== 0) {
			throw new StepFailure(`${command} ${args.join(' ')} ended with ${exitCode}`);
		}
	}
}
