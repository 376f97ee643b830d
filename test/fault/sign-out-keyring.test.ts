/** Sign-outs with a real keyring: as the place that a grant under way is written to, and as a place that cannot be reached. */

import {execFile} from 'node:child_process';
import {mkdirSync} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import test, {type ExecutionContext} from 'ava';
import type {SharedTokenCacheAccount, SignOutResult} from '../../dist/types.js';
import {startEntraServer} from '../helpers/authority/entra-server.js';
import {
	accountRecord, ann, cacheOf, homeAccountId, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {locationOf} from '../helpers/keyring/keyring-items.js';
import {keyringFor, keyringTest} from '../helpers/keyring/keyring-test.js';
import {environmentOfServer, FleetProcess, holdAnswer} from '../helpers/processes/fleet.js';
import {patienceMs} from '../helpers/until.js';

const run = promisify(execFile);
const sameSecondProgram = fileURLToPath(new URL('../helpers/keyring/same-second-program.mjs', import.meta.url));

const allowed = {tokenCachePersistenceOptions: {unsafeAllowUnencryptedStorage: true}};

async function setUp(t: ExecutionContext) {
	const entra = await startEntraServer({refreshTokens: {'FAKE-ann': ann}});
	t.teardown(async () => entra.close());
	const keyring = await keyringFor(t);
	const home = new TestHome(t);
	const rest = environmentOfServer(entra);
	home.writeSettled(cacheOf({accounts: [accountRecord(ann, rest)], refreshTokens: [refreshTokenRecord(ann, 'FAKE-ann', rest)]}));
	const {DBUS_SESSION_BUS_ADDRESS = '', XDG_RUNTIME_DIR = ''} = keyring.environment;
	const [writer, signer] = await FleetProcess.startMany(t, 2, {home, server: entra, environment: {DBUS_SESSION_BUS_ADDRESS, XDG_RUNTIME_DIR}}) as [FleetProcess, FleetProcess];
	return {
		entra, keyring, home, writer, signer,
	};
}

const signOut = async (signer: FleetProcess) => signer.ask<SignOutResult>({do: 'removeAccount', homeAccountId: homeAccountId(ann), options: allowed});
const listed = async (signer: FleetProcess) => signer.ask<SharedTokenCacheAccount[]>({do: 'listAccounts', options: allowed});

keyringTest(test.serial, 'A2: a sign-out wins over a grant that is under way to the keyring', async t => {
	const {entra, writer, signer} = await setUp(t);
	const held = holdAnswer();
	entra.script(held.behaviour);
	const token = writer.tokens(scope, 1, {enableCae: true});
	await held.arrived;
	const {removedFrom, remainsIn, notRead} = await signOut(signer);
	t.is(removedFrom.length, 1);
	t.deepEqual([remainsIn, notRead], [[], []]);
	held.release();
	await token;
	await writer.ask({do: 'close'});
	t.deepEqual(await listed(signer), []);
});

keyringTest(test.serial, 'A2: what a grant wrote to the keyring is signed out with the rest', async t => {
	const {writer, signer} = await setUp(t);
	const [granted] = await writer.tokens(scope, 1, {enableCae: true});
	t.truthy(granted?.token);
	await writer.ask({do: 'close'});
	t.is((await listed(signer)).length, 2);
	const {removedFrom, remainsIn, notRead} = await signOut(signer);
	t.is(removedFrom.length, 2);
	t.deepEqual([remainsIn, notRead], [[], []]);
	t.deepEqual(await listed(signer), []);
});

keyringTest(test.serial, 'A3: items of a locked keyring, and of one that went away, are named as not read', async t => {
	const {keyring, home, writer, signer} = await setUp(t);
	await writer.tokens(scope, 1, {enableCae: true});
	await writer.ask({do: 'close'});
	await keyring.lock();
	const locked = await signOut(signer);
	t.deepEqual(locked.removedFrom, [`${home.path}/.IdentityService/msal.cache.nocae`]);
	t.true(locked.notRead.some(({source, code}) => source.includes('msal.cache.cae') && code === 'STC_STORE_LOCKED'), JSON.stringify(locked));
	await keyring.killDaemon();
	const {notRead} = await signOut(signer);
	t.true(notRead.some(({source}) => source.includes('msal.cache.cae')), JSON.stringify(notRead));
	t.true(notRead.every(({source}) => source.startsWith('keyring')));
});

keyringTest(test.serial, 'A2: withCache sees an account that another program removed from the keyring within the same second', async t => {
	const keyring = await keyringFor(t);
	const directory = join(keyring.home, '.IdentityService');
	mkdirSync(directory, {recursive: true});
	const lockPath = join(directory, 'msal.cache.nocae.lockfile');
	const {stdout} = await run(process.execPath, [sameSecondProgram, JSON.stringify({at: locationOf('python'), lockPath})], {
		env: keyring.environment, timeout: patienceMs, killSignal: 'SIGKILL',
	});
	t.deepEqual(JSON.parse(stdout), {calls: 2, cache: {Account: []}});
});
