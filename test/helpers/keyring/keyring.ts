/**
 * A real keyring for one test: a private session bus and a gnome-keyring-daemon with a known password, in a temporary
 * directory. The bus has no service directory: on a regular session bus, any call would start another daemon, which
 * asks for a password.
 */

import {
	type ChildProcess, execFile, spawn, spawnSync,
} from 'node:child_process';
import {
	existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync,
} from 'node:fs';
import {connect} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import {until} from '../until.js';

const run = promisify(execFile);

export type ItemAttributes = Readonly<Record<string, string>>;

export type Keyring = {
	/** The environment that a process needs to use this keyring. */
	readonly environment: Readonly<Record<string, string>>;
	/** A home directory for those processes. */
	readonly home: string;
	/** Stores an item. As in libsecret, it replaces items whose attributes include all attributes of the new one. */
	store(attributes: ItemAttributes, secret: string): Promise<void>;
	lock(): Promise<void>;
	/** Stops the daemon (SIGSTOP), so that it does not answer calls. */
	freeze(): void;
	thaw(): void;
	/** Ends the daemon (SIGKILL) and waits until the bus has noticed. The bus keeps running. */
	killDaemon(): Promise<void>;
	/** Watches the bus. @returns a function that waits until a program has called this method, whether or not it is answered. */
	watchFor(method: string): Promise<() => Promise<void>>;
	/** Lets the bus start an unlocked daemon when a call needs one, as on a desktop. */
	startOnDemand(): Promise<void>;
	/** Starts a daemon on the same data. Without a password, the keyring stays locked. */
	startDaemon(password?: string): Promise<void>;
	close(): Promise<void>;
};

/** The reason why no keyring can be started here, with the command to fix it. `undefined` if one can. */
export function missingKeyring(): string | undefined {
	const {packages} = (JSON.parse(readFileSync(new URL('debian-packages.json', import.meta.url), 'utf8')) as Record<string, {packages: string[]}>)['keyring']!;
	const missing = ['dbus-daemon', 'dbus-send', 'gnome-keyring-daemon'].filter(program => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0);
	if (spawnSync('/usr/bin/python3', ['-c', 'import gi; gi.require_version("Secret", "1")']).status !== 0) {
		missing.push('python3-gi with libsecret');
	}

	return missing.length === 0 ? undefined : `${missing.join(', ')} missing: sudo apt-get install --no-install-recommends ${packages.join(' ')}`;
}

const storeProgram = fileURLToPath(new URL('store-item.py', import.meta.url));
const password = 'FAKE-keyring-password';

export async function startKeyring(): Promise<Keyring> {
	const home = mkdtempSync(join(tmpdir(), 'stc-keyring-'));
	const keyring = new PrivateKeyring(home);
	try {
		await keyring.startBus();
		await keyring.startDaemon(password);
	} catch (error) {
		await keyring.close();
		throw error;
	}

	return keyring;
}

class PrivateKeyring implements Keyring {
	readonly environment: Readonly<Record<string, string>>;
	readonly home: string;
	readonly #pidPath: string;
	#bus: ChildProcess | undefined;
	#daemon: ChildProcess | undefined;

	constructor(home: string) {
		this.home = home;
		this.#pidPath = join(home, 'started-keyring.pid');
		const runtime = join(home, 'run');
		mkdirSync(runtime, {mode: 0o700});
		this.environment = {
			PATH: process.env['PATH'] ?? '',
			HOME: home,
			XDG_RUNTIME_DIR: runtime,
			XDG_DATA_HOME: join(home, 'data'),
			XDG_CACHE_HOME: join(home, 'cache'),
			DBUS_SESSION_BUS_ADDRESS: `unix:path=${join(runtime, 'bus')}`,
		};
	}

	async startBus(): Promise<void> {
		const socket = join(this.home, 'run', 'bus');
		const configuration = join(this.home, 'bus.conf');
		writeFileSync(configuration, `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
	<type>session</type>
	<listen>unix:path=${socket}</listen>
	<auth>EXTERNAL</auth>
	<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>
`);
		this.#bus = this.#spawn('dbus-daemon', [`--config-file=${configuration}`, '--nofork', '--nopidfile']);
		// The socket file exists shortly before the bus accepts connections.
		await until(async () => isListening(socket));
	}

	async startDaemon(unlockWith?: string): Promise<void> {
		const daemon = this.#spawn('gnome-keyring-daemon', ['--foreground', '--components=secrets', ...(unlockWith === undefined ? [] : ['--unlock'])]);
		daemon.stdin?.end(unlockWith ?? '');
		this.#daemon = daemon;
		await until(async () => this.#hasService());
	}

	async store(attributes: ItemAttributes, secret: string): Promise<void> {
		const storing = run('/usr/bin/python3', [storeProgram, JSON.stringify(attributes)], {env: this.environment});
		storing.child.stdin?.end(secret);
		await storing;
	}

	async lock(): Promise<void> {
		await this.#call('org.freedesktop.secrets', '/org/freedesktop/secrets', 'org.freedesktop.Secret.Service.Lock', 'array:objpath:/org/freedesktop/secrets/collection/login');
	}

	freeze(): void {
		this.#daemon?.kill('SIGSTOP');
	}

	thaw(): void {
		this.#daemon?.kill('SIGCONT');
	}

	async killDaemon(): Promise<void> {
		await end(this.#daemon);
		// The bus may have started another one.
		await until(async () => existsSync(this.#pidPath) || !await this.#hasService());
	}

	async watchFor(method: string): Promise<() => Promise<void>> {
		const monitor = spawn('dbus-monitor', ['--session', `type='method_call',member='${method}'`], {env: this.environment, stdio: ['ignore', 'pipe', 'ignore']});
		let output = '';
		monitor.stdout.on('data', chunk => {
			output += String(chunk);
		});
		// The bus tells the monitor when it has become one.
		await until(() => output.includes('member=NameLost'));
		return async () => {
			await until(() => output.includes(`member=${method}`));
			await end(monitor);
		};
	}

	async startOnDemand(): Promise<void> {
		const services = join(this.home, 'services');
		const start = join(this.home, 'start-keyring');
		mkdirSync(services);
		writeFileSync(`${start}.password`, password);
		writeFileSync(start, `#!/bin/sh\necho $$ > ${this.#pidPath}\nexec gnome-keyring-daemon --foreground --components=secrets --unlock < ${start}.password\n`, {mode: 0o700});
		writeFileSync(join(services, 'org.freedesktop.secrets.service'), `[D-BUS Service]\nName=org.freedesktop.secrets\nExec=${start}\n`);
		const configuration = join(this.home, 'bus.conf');
		writeFileSync(configuration, readFileSync(configuration, 'utf8').replace('</busconfig>', `<servicedir>${services}</servicedir></busconfig>`));
		await run('dbus-send', ['--session', '--print-reply', '--dest=org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus.ReloadConfig'], {env: this.environment});
	}

	async close(): Promise<void> {
		if (existsSync(this.#pidPath)) {
			process.kill(Number(readFileSync(this.#pidPath, 'utf8')), 'SIGKILL');
		}

		await end(this.#daemon);
		await end(this.#bus);
		rmSync(this.home, {recursive: true, force: true, maxRetries: 5});
	}

	#spawn(program: string, parameters: string[]): ChildProcess {
		return spawn(program, parameters, {env: this.environment, stdio: ['pipe', 'ignore', 'ignore']});
	}

	async #hasService(): Promise<boolean> {
		const reply = await this.#call('org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus.NameHasOwner', 'string:org.freedesktop.secrets');
		return reply.includes('boolean true');
	}

	async #call(...[destination, path, method, parameter]: [string, string, string, string]): Promise<string> {
		const {stdout} = await run('dbus-send', ['--session', '--print-reply', `--dest=${destination}`, path, method, parameter], {env: this.environment});
		return stdout;
	}
}

async function isListening(socket: string): Promise<boolean> {
	return new Promise(resolve => {
		const connection = connect(socket, () => {
			connection.destroy();
			resolve(true);
		});
		connection.on('error', () => {
			resolve(false);
		});
	});
}

/** Ends a child process, also a stopped one. */
async function end(child: ChildProcess | undefined): Promise<void> {
	if (child?.exitCode !== null || child.signalCode !== null) {
		return;
	}

	const ended = new Promise(resolve => {
		child.once('exit', resolve);
	});
	child.kill('SIGKILL');
	await ended;
}
