/**
 * Programs for Windows, compiled and run here: MinGW-w64 makes them, Wine runs them. What Wine shows is what Windows documents, not
 * all of what Windows does.
 */

import {spawn, spawnSync} from 'node:child_process';
import {once} from 'node:events';
import {
	closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import type {Lack} from './peers.js';
import {runProgram} from './run-program.js';

const compiler = 'x86_64-w64-mingw32-g++-posix';
const installCommand = 'apt-get install --no-install-recommends g++-mingw-w64-x86-64-posix wine wine64';
const root = fileURLToPath(new URL('../../', import.meta.url));

/** Why programs for Windows cannot be compiled and run here. */
export function lackOfWine(): Lack {
	const missing = [compiler, 'wine', 'wineserver'].find(command => spawnSync(command, ['--version'], {stdio: 'ignore'}).status !== 0);
	return missing && `there is no ${missing}; run: ${installCommand}`;
}

export type WineResult = {
	/** `null`: it was ended by the time limit. */
	exitCode: number | null;
	stdout: string;
	stderr: string;
};

/** A Windows of its own. */
export class Wine {
	static async start(): Promise<Wine> {
		const wine = new Wine();
		// First, and to stay between programs: none has to wait for it to start or end.
		await wine.#prepare('wineserver', '--persistent');
		await wine.#prepare('wineboot', '--init');
		return wine;
	}

	readonly #folder = mkdtempSync(join(tmpdir(), 'stc-wine-'));
	readonly #environment: NodeJS.ProcessEnv;

	private constructor() {
		// Neither a display, whose absence is waited for, nor options for another Node.
		const {DISPLAY: _display, NODE_OPTIONS: _options, ...rest} = process.env;
		const prefix = join(this.#folder, 'prefix');
		mkdirSync(prefix);
		this.#environment = {
			...rest, WINEPREFIX: prefix, WINEDEBUG: '-all', WINEDLLOVERRIDES: 'mscoree,mshtml=',
		};
	}

	/**
	 * @param sources Relative to the package.
	 * @returns The program's path.
	 */
	async compile(name: string, sources: readonly string[]): Promise<string> {
		const program = join(this.#folder, `${name}.exe`);
		await runProgram(compiler, [
			'-std=c++17',
			'-O1',
			'-static',
			'-municode',
			'-Wall',
			'-Wextra',
			'-Wpedantic',
			'-Wshadow',
			'-Werror',
			`-I${root}native`,
			`-I${root}test/native`,
			'-o',
			program,
			...sources.map(source => join(root, source)),
		]);
		return program;
	}

	/** Runs a program. Its output goes through files: some programs cannot write to a pipe from outside. */
	async run(program: string, timeoutMs: number): Promise<WineResult> {
		const stdoutPath = `${program}.out`;
		const stderrPath = `${program}.err`;
		const stdout = openSync(stdoutPath, 'w');
		const stderr = openSync(stderrPath, 'w');
		const child = spawn('wine', [program], {
			cwd: this.#folder, env: this.#environment, stdio: ['ignore', stdout, stderr], timeout: timeoutMs, killSignal: 'SIGKILL',
		});
		try {
			const [exitCode] = await once(child, 'exit') as [number | null];
			return {exitCode, stdout: readFileSync(stdoutPath, 'utf8'), stderr: readFileSync(stderrPath, 'utf8')};
		} finally {
			closeSync(stdout);
			closeSync(stderr);
		}
	}

	/** With all of its programs and files. */
	async end(): Promise<void> {
		spawnSync('wineserver', ['--kill'], {env: this.#environment, stdio: 'ignore'});
		spawnSync('wineserver', ['--wait'], {env: this.#environment, stdio: 'ignore', timeout: 10_000});
		rmSync(this.#folder, {
			recursive: true, force: true, maxRetries: 5, retryDelay: 100,
		});
	}

	async #prepare(command: string, argument: string): Promise<void> {
		// What it leaves running in the background keeps a pipe open.
		const child = spawn(command, [argument], {env: this.#environment, stdio: 'ignore'});
		const [exitCode] = await once(child, 'exit') as [number | null];
		if (exitCode !== 0) {
			throw new Error(`${command} ${argument} ended with ${exitCode}.`);
		}
	}
}
