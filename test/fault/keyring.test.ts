/** Every problem that a keyring can have: a typed error within the time-out, and a responsive event loop. */

import {execFile, spawnSync} from 'node:child_process';
import {
	existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync,
} from 'node:fs';
import {createServer} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {promisify} from 'node:util';
import test, {type ExecutionContext} from 'ava';
import {writeMinimalCache} from '../helpers/caches/minimal-cache.js';
import {itemAttributes, locationOf} from '../helpers/keyring/keyring-items.js';
import {keyringFor, keyringTest} from '../helpers/keyring/keyring-test.js';
import type {Keyring} from '../helpers/keyring/keyring.js';
import {
	askStore, askStoreOnce, startStore, type StoreJob, type StoreOutcome,
} from '../helpers/keyring/store-child.js';
import {within} from '../helpers/locks/lock-process.js';
import {patienceMs, until} from '../helpers/until.js';

const run = promisify(execFile);
const root = new URL('../../', import.meta.url);

const cache = '{"Account":{"a":{"home_account_id":"a.home","environment":"login.microsoftonline.com"}}}';
const at = locationOf('python');
/** A time-out that must not be reached: a program that waits for it is killed before, and the test fails. */
const endless = 2 * patienceMs;

async function keyringWithCache(t: ExecutionContext): Promise<Keyring> {
	const keyring = await keyringFor(t);
	await keyring.store(itemAttributes.python, cache);
	return keyring;
}

function emptyDirectory(t: ExecutionContext): string {
	const path = mkdtempSync(join(tmpdir(), 'stc-keyring-fault-'));
	t.teardown(() => {
		rmSync(path, {recursive: true, force: true});
	});
	return path;
}

const bareEnvironment = (home: string) => ({PATH: process.env['PATH'] ?? '', HOME: home});
const query = (timeoutMs = endless) => ({call: 'query' as const, at, timeoutMs});

test('reports a missing session bus', async t => {
	const outcome = await askStoreOnce(bareEnvironment(emptyDirectory(t)), query());
	t.like(outcome, {code: 'STC_STORE_UNAVAILABLE', osDomain: 'g-io-error-quark', osCode: 0});
	t.regex(outcome.message ?? '', /no session bus.*dbus-run-session/);
});

test('a missing session bus is noticed at once, and every call reports it', async t => {
	const home = emptyDirectory(t);
	const [probed, asked] = [await askStoreOnce(bareEnvironment(home), {...query(), call: 'probe'}), await askStoreOnce(bareEnvironment(home), query())];
	for (const field of ['code', 'message', 'osDomain', 'osCode', 'hasFrames'] as const) {
		t.is(probed[field], asked[field], field);
	}

	// Any address counts: only a call can find out whether a server answers there.
	t.is((await askStoreOnce({...bareEnvironment(home), DBUS_SESSION_BUS_ADDRESS: 'nonsense'}, {...query(), call: 'probe'})).answer, 'here');
	mkdirSync(join(home, 'run'));
	t.is((await askStoreOnce({...bareEnvironment(home), XDG_RUNTIME_DIR: join(home, 'run')}, {...query(), call: 'probe'})).code, 'STC_STORE_UNAVAILABLE');
	writeFileSync(join(home, 'run', 'bus'), '');
	t.is((await askStoreOnce({...bareEnvironment(home), XDG_RUNTIME_DIR: join(home, 'run')}, {...query(), call: 'probe'})).answer, 'here');
});

keyringTest(test, 'reports a session bus that no longer runs', async t => {
	const home = emptyDirectory(t);
	const outcome = await askStoreOnce({...bareEnvironment(home), DBUS_SESSION_BUS_ADDRESS: `unix:path=${home}/nothing`}, query());
	t.like(outcome, {code: 'STC_STORE_UNAVAILABLE', osDomain: 'g-io-error-quark', osCode: 1});
	t.regex(outcome.message ?? '', /session bus cannot be reached/);
});

keyringTest(test, 'reports an invalid bus address', async t => {
	const outcome = await askStoreOnce({...bareEnvironment(emptyDirectory(t)), DBUS_SESSION_BUS_ADDRESS: 'nonsense'}, query());
	t.like(outcome, {code: 'STC_STORE_UNAVAILABLE', osDomain: 'g-io-error-quark', osCode: 13});
});

keyringTest(test, 'reports a bus without a keyring service, and finds one that starts later', async t => {
	const keyring = await keyringWithCache(t);
	await keyring.killDaemon();
	const outcome = await askStoreOnce(keyring.environment, query());
	t.like(outcome, {code: 'STC_STORE_UNAVAILABLE', osDomain: 'g-dbus-error-quark', osCode: 2});
	t.regex(outcome.message ?? '', /No keyring service/);
	await keyring.startDaemon('FAKE-keyring-password');
	t.truthy((await askStoreOnce(keyring.environment, query())).answer);
});

keyringTest(test, 'a process finds a restarted keyring daemon again', async t => {
	const keyring = await keyringWithCache(t);
	const pausePath = join(keyring.home, 'restarted');
	const asking = askStore(keyring.environment, {...query(), times: 2, pausePath});
	await until(() => existsSync(`${pausePath}.reached`));
	await keyring.killDaemon();
	await keyring.startDaemon('FAKE-keyring-password');
	writeFileSync(pausePath, '');
	const {outcomes} = await asking;
	t.is(outcomes.length, 2);
	t.true(outcomes.every(({answer}) => answer), JSON.stringify(outcomes));
});

/** Runs this job, and ends the daemon while it owes an answer. The job's first call connects and loads the library. */
async function killInCall(keyring: Keyring, job: Omit<StoreJob, 'pausePath' | 'times'>): Promise<StoreOutcome> {
	const pausePath = join(keyring.home, 'frozen');
	const asking = askStore(keyring.environment, {...job, times: 2, pausePath});
	await until(() => existsSync(`${pausePath}.reached`));
	keyring.freeze();
	const called = await keyring.watchFor('SearchItems');
	writeFileSync(pausePath, '');
	await called();
	await keyring.killDaemon();
	const {outcomes} = await asking;
	return outcomes[1]!;
}

keyringTest(test, 'D17: a daemon that is killed in mid-call went away; it did not time out', async t => {
	for (const call of ['query', 'stamp'] as const) {
		const keyring = await keyringWithCache(t);
		const outcome = await killInCall(keyring, {...query(), call});
		t.like(outcome, {code: 'STC_STORE_UNAVAILABLE', osDomain: 'g-dbus-error-quark', osCode: 4});
		t.regex(outcome.message ?? '', /The keyring service went away during the call/);
	}
});

keyringTest(test, 'A6: a process that is stopped beyond its time-out takes the keyring\'s answer that came meanwhile', async t => {
	const keyring = await keyringWithCache(t);
	const pausePath = join(keyring.home, 'stopped');
	// Longer than a busy machine takes for the first call.
	const timeoutMs = 30_000;
	const asking = startStore(keyring.environment, {
		...query(timeoutMs), times: 2, pausePath,
	});
	await until(() => existsSync(`${pausePath}.reached`));
	keyring.freeze();
	const called = await keyring.watchFor('SearchItems');
	writeFileSync(pausePath, '');
	await called();
	asking.child.kill('SIGSTOP');
	keyring.thaw();
	await sleep(timeoutMs + 6000);
	asking.child.kill('SIGCONT');
	const {outcomes} = await asking.report;
	t.truthy(outcomes[1]!.answer, outcomes[1]!.message);
});

keyringTest(test, 'D17: a daemon that is killed in mid-call and that the bus starts again: the call is repeated once', async t => {
	const keyring = await keyringWithCache(t);
	await keyring.startOnDemand();
	const outcome = await killInCall(keyring, query());
	t.truthy(outcome.answer, outcome.message);
});

const canUnshare = spawnSync('unshare', ['-m', 'true']).status === 0;
const library = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib'].map(directory => join(directory, 'libsecret-1.so.0')).find(path => existsSync(path));
const whyNoUnshare = canUnshare ? undefined : 'hiding a library needs a mount namespace (unshare -m), which requires root';

keyringTest(test, 'reports that libsecret is not installed', async t => {
	const keyring = await keyringWithCache(t);
	// Mounts an empty file over the library, for this child only. If the library is not installed, nothing must be
	// hidden.
	const hide = library ? ['unshare', '-m', 'sh', '-c', `mount --bind /dev/null "$(readlink -f ${library})" && exec "$@"`, 'sh'] : [];
	const outcome = await askStoreOnce(keyring.environment, query(), hide);
	t.like(outcome, {code: 'STC_STORE_UNAVAILABLE', osDomain: 'dlopen'});
	t.regex(outcome.message ?? '', /apt-get install libsecret-1-0/);
}, whyNoUnshare);

keyringTest(test, 'reports a locked collection, and a daemon that was never unlocked', async t => {
	const keyring = await keyringWithCache(t);
	await keyring.lock();
	const locked = await askStoreOnce(keyring.environment, query());
	t.like(locked, {code: 'STC_STORE_LOCKED'});
	t.regex(locked.message ?? '', /locked\. Unlock it/);
	await keyring.killDaemon();
	await keyring.startDaemon();
	t.like(await askStoreOnce(keyring.environment, query()), {code: 'STC_STORE_LOCKED'});
	t.like(await askStoreOnce(keyring.environment, {...query(), call: 'stamp'}), {code: 'STC_STORE_LOCKED'});
});

keyringTest(test, 'a stall exceeds a short time-out but not a long one; the event loop turns meanwhile', async t => {
	const keyring = await keyringWithCache(t);
	keyring.freeze();
	const turnsPath = join(keyring.home, 'turns');
	const asking = askStoreOnce(keyring.environment, {...query(), turnsPath});
	const impatient = await askStoreOnce(keyring.environment, query(2000));
	t.like(impatient, {code: 'STC_STORE_TIMEOUT'});
	t.regex(impatient.message ?? '', /did not answer in time/);
	t.true(impatient.elapsedMs >= 2000, `${impatient.elapsedMs}`);
	// The keyring answers only after the turns.
	await Promise.race([until(() => existsSync(turnsPath)), asking]);
	t.is(await within(asking, 0), 'still waiting');
	keyring.thaw();
	const patient = await asking;
	t.truthy(patient.answer);
	t.log(`longest block of the event loop: ${impatient.longestBlockMs.toFixed(1)} and ${patient.longestBlockMs.toFixed(1)} ms`);
});

keyringTest(test, 'a call times out on a bus that accepts connections and never answers', async t => {
	const home = emptyDirectory(t);
	const path = join(home, 'bus');
	const server = createServer(() => undefined).listen(path);
	t.teardown(() => {
		server.close();
	});
	const outcome = await askStoreOnce({...bareEnvironment(home), DBUS_SESSION_BUS_ADDRESS: `unix:path=${path}`}, query(1000));
	t.like(outcome, {code: 'STC_STORE_TIMEOUT'});
	t.true(outcome.elapsedMs >= 1000, `${outcome.elapsedMs}`);
});

/** Runs a program with a frozen keyring. @throws if it does not end. */
async function runWith(keyring: Keyring, code: string): Promise<void> {
	await run(process.execPath, ['--eval', `
		const {backend} = require('./dist/backend/native-backend.js').loadNativeBackend();
		const {storeOf} = require('./dist/backend/stores.js');
		const ask = () => storeOf(backend, 'libsecret').query(${JSON.stringify(at)}, {environments: ['e'], clientId: 'c', nowSec: 0}, ${endless});
		${code}
	`], {
		cwd: root, env: keyring.environment, timeout: patienceMs, killSignal: 'SIGKILL',
	});
}

keyringTest(test, 'a stalled keyring delays neither the end of the process nor that of a worker', async t => {
	const keyring = await keyringWithCache(t);
	keyring.freeze();
	await t.notThrowsAsync(runWith(keyring, 'ask(); setTimeout(() => process.exit(), 300);'), 'process.exit()');
	await t.notThrowsAsync(runWith(keyring, 'ask(); setTimeout(() => undefined, 300);'), 'the regular end');
	await t.notThrowsAsync(runWith(keyring, `
		const {Worker} = require('node:worker_threads');
		const worker = new Worker(\`
			const {backend} = require(\${JSON.stringify(require('node:path').resolve('dist/backend/native-backend.js'))}).loadNativeBackend();
			const {storeOf} = require(\${JSON.stringify(require('node:path').resolve('dist/backend/stores.js'))});
			for (let call = 0; call < 10; call++) {
				storeOf(backend, 'libsecret').query(${JSON.stringify(at)}, {environments: ['e'], clientId: 'c', nowSec: 0}, ${endless});
			}
			setInterval(() => undefined, 1000);
		\`, {eval: true});
		worker.on('online', () => setTimeout(async () => { await worker.terminate(); }, 500));
	`), 'worker.terminate()');
	keyring.thaw();
});

keyringTest(test, 'other work of the process continues while calls to a stalled keyring wait', async t => {
	const keyring = await keyringWithCache(t);
	keyring.freeze();
	// More calls than libuv has threads. Reading a file needs one of those threads.
	await t.notThrowsAsync(runWith(keyring, `
		for (let call = 0; call < 12; call++) { ask().catch(() => undefined); }
		setTimeout(async () => { await require('node:fs/promises').readFile('package.json'); process.exit(); }, 200);
	`));
	keyring.thaw();
});

keyringTest(test, '300 look-ups of 200 KB leak no memory', async t => {
	const keyring = await keyringWithCache(t);
	await keyring.store(itemAttributes.python, JSON.stringify({Other: 'x'.repeat(200_000)}));
	const few = await askStore(keyring.environment, {...query(), times: 50});
	const many = await askStore(keyring.environment, {...query(), times: 350});
	t.true(many.outcomes.every(({answer}) => answer));
	const growthMb = (many.rssBytes - few.rssBytes) / 1e6;
	t.log(`growth over 300 look-ups: ${growthMb.toFixed(1)} MB; a leak of each would add 60 MB`);
	t.true(growthMb < 30);
});

keyringTest(test, 'the credential reports each failure with its own code, and reads a plaintext cache in spite of it', async t => {
	const keyring = await keyringWithCache(t);
	const credential = async (environment: Readonly<Record<string, string>>, keyringTimeoutInMs = endless) => {
		const {stdout} = await run(process.execPath, ['--eval', `
			const {SharedTokenCacheCredential} = require('./dist/index.js');
			new SharedTokenCacheCredential({keyringTimeoutInMs: ${keyringTimeoutInMs}}).getToken('scope/.default').then(
				({token}) => console.log(token),
				error => console.log(JSON.stringify({name: error.name, code: error.code, message: error.message, cause: error.cause && error.cause.code})),
			);
		`], {
			cwd: root, env: environment, timeout: patienceMs, killSignal: 'SIGKILL',
		});
		return stdout.trim();
	};

	const failure = async (keyringTimeoutInMs?: number) => JSON.parse(await credential(keyring.environment, keyringTimeoutInMs)) as {name: string; code: string; message: string; cause?: string};
	t.like(await failure(), {name: 'CredentialUnavailableError', code: 'STC_NO_ACCOUNT'});
	keyring.freeze();
	t.like(await failure(1000), {name: 'CredentialUnavailableError', code: 'STC_STORE_TIMEOUT', cause: 'STC_STORE_TIMEOUT'});
	keyring.thaw();
	await keyring.lock();
	t.like(await failure(), {name: 'CredentialUnavailableError', code: 'STC_STORE_LOCKED', cause: 'STC_STORE_LOCKED'});
	await keyring.killDaemon();
	const gone = await failure();
	t.like(gone, {name: 'CredentialUnavailableError', code: 'STC_CACHE_NOT_FOUND', cause: 'STC_STORE_UNAVAILABLE'});
	t.regex(gone.message, /The keyring was not searched: no keyring service is on the session bus\.$/);

	writeMinimalCache(keyring.home, 'FAKE-plain');
	t.is(await credential(keyring.environment), 'FAKE-plain');
});
