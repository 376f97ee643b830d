/**
 * Sign-outs against writes that are under way, wait, are retried or repair; and sign-outs of caches that cannot be reached. The keyring
 * tests and the torture test run the same against a real keyring.
 */

import {
	existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync,
} from 'node:fs';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import {leaveMark} from '../../dist/cache/sign-out-mark.js';
import type {SharedTokenCacheCredential} from '../../dist/index.js';
import type {SharedTokenCacheOptions, SignOutResult} from '../../dist/types.js';
import {startEntraServer} from '../helpers/authority/entra-server.js';
import {
	accessTokenRecord, accountRecord, ann, bob, cacheOf, type CacheSections, homeAccountId, publicCloud, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {LockProcess} from '../helpers/locks/lock-process.js';
import {holdAnswer} from '../helpers/processes/fleet.js';
import {until} from '../helpers/until.js';

const nocae = '.IdentityService/msal.cache.nocae';
const cae = '.IdentityService/msal.cache.cae';
/** Some looks of a writer at its cache. */
const looksMs = 2000;

const signedIn = (refreshToken: string) => cacheOf({accounts: [accountRecord(ann)], refreshTokens: [refreshTokenRecord(ann, refreshToken)]});
const others = cacheOf({accounts: [accountRecord(bob)], refreshTokens: [refreshTokenRecord(bob, 'FAKE-bob')]});
const code = async (promise: Promise<unknown>) => promise.then(() => 'a token', (error: unknown) => (error as {code: string}).code);

/** What a cache file has of an account: names of sections, with the number of its records. */
function left(home: TestHome, file: string, user = ann): Record<string, number> {
	const path = join(home.path, file);
	const cache = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) as CacheSections : {};
	const counts = Object.entries(cache).map(([section, records]): [string, number] => [section, Object.values(records).filter(record => record['home_account_id'] === homeAccountId(user)).length]);
	return Object.fromEntries(counts.filter(([, count]) => count > 0));
}

/** Removes the account from a file as another library does, without our mark. */
function peerRemoves(home: TestHome, file: string): void {
	const path = join(home.path, file);
	const cache = JSON.parse(readFileSync(path, 'utf8')) as CacheSections;
	const kept = Object.entries(cache).map(([section, records]): [string, object] => [section, Object.fromEntries(Object.entries(records).filter(([, record]) => record['home_account_id'] !== homeAccountId(ann)))]);
	writeFileSync(path, JSON.stringify(Object.fromEntries(kept)));
}

for (const useNativeAddon of [true, false]) {
	const variant = useNativeAddon ? 'native' : 'pure';

	/** Ann is signed in to the cache for requests without CAE alone. A request with CAE has arrived at the authority. */
	const setUp = async (t: ExecutionContext, {rotation = 'keep-old' as const, lockTimeoutInMs = 30_000} = {}) => {
		const entra = await startEntraServer({rotation, refreshTokens: {'FAKE-ann': ann, 'FAKE-again': ann}});
		t.teardown(async () => entra.close());
		const home = new TestHome(t);
		home.writeSettled(signedIn('FAKE-ann'), nocae);
		home.writeSettled(others, cae);
		const options: SharedTokenCacheOptions = {useNativeAddon, lockTimeoutInMs};
		const credential = home.credential({
			...options, cacheCheckIntervalInMs: 20, username: ann.username, tokenCachePersistenceOptions: {unsafeAllowUnencryptedStorage: true},
		}, entra);
		const cache = home.sharedCache(options);
		return {
			entra, home, credential, cache, signOut: async () => cache.removeAccount({homeAccountId: homeAccountId(ann)}),
		};
	};

	const begin = async (entra: Awaited<ReturnType<typeof startEntraServer>>, credential: SharedTokenCacheCredential) => {
		const held = holdAnswer();
		entra.script(held.behaviour);
		const token = credential.getToken(scope, {enableCae: true});
		token.catch(() => undefined);
		await held.arrived;
		return {token, release: held.release};
	};

	const isGone = async (t: ExecutionContext, home: TestHome, credential: SharedTokenCacheCredential) => {
		await sleep(looksMs);
		t.deepEqual(left(home, nocae), {});
		t.deepEqual(left(home, cae), {});
		t.deepEqual(left(home, cae, bob), {Account: 1, RefreshToken: 1});
		t.deepEqual((await home.sharedCache({useNativeAddon}).listAccounts()).map(({username}) => username), [bob.username]);
		await until(async () => await code(credential.getToken('https://other.example/.default', {enableCae: true})) !== 'a token');
	};

	test(`A2: ${variant}: a sign-out wins over a grant that is under way to the other kind's cache`, async t => {
		const {entra, home, credential, signOut} = await setUp(t);
		const {token, release} = await begin(entra, credential);
		const {removedFrom, remainsIn} = await signOut();
		t.deepEqual([removedFrom, remainsIn], [[join(home.path, nocae)], []]);
		release();
		await code(token);
		await isGone(t, home, credential);
	});

	test(`A2: ${variant}: the same, if another program signs out, and leaves no mark`, async t => {
		const {entra, home, credential} = await setUp(t);
		const {token, release} = await begin(entra, credential);
		peerRemoves(home, nocae);
		release();
		await code(token);
		await isGone(t, home, credential);
	});

	test(`A2: ${variant}: a sign-out wins over a grant that waits for a lock`, async t => {
		const {entra, home, credential, signOut} = await setUp(t);
		const holder = await LockProcess.start(t, useNativeAddon ? 'native' : 'pure', join(home.path, `${cae}.lockfile`));
		t.is(await holder.ask('lock'), 'locked');
		t.truthy((await credential.getToken(scope, {enableCae: true})).token, 'the caller does not wait');
		const signingOut = signOut();
		await until(() => Object.keys(left(home, nocae)).length === 0);
		await holder.ask('unlock');
		t.deepEqual((await signingOut).remainsIn, []);
		t.is(entra.tokenRequests.length, 1);
		await isGone(t, home, credential);
	});

	test(`A2: ${variant}: what was written between another program's sign-out and the look after it is taken out again`, async t => {
		const {home, credential} = await setUp(t);
		const holder = await LockProcess.start(t, useNativeAddon ? 'native' : 'pure', join(home.path, `${cae}.lockfile`));
		t.is(await holder.ask('lock'), 'locked');
		await credential.getToken(scope, {enableCae: true});
		peerRemoves(home, nocae);
		await holder.ask('unlock');
		await until(() => Object.keys(left(home, cae)).length === 0);
		await isGone(t, home, credential);
	});

	test(`A2: ${variant}: a sign-out wins over a write that failed and is retried, and says what it could not write`, async t => {
		const {home, credential, signOut} = await setUp(t, {lockTimeoutInMs: 100});
		const lockPath = join(home.path, `${cae}.lockfile`);
		const holder = await LockProcess.start(t, useNativeAddon ? 'native' : 'pure', lockPath);
		t.is(await holder.ask('lock'), 'locked');
		await credential.getToken(scope, {enableCae: true});
		await sleep(1000);
		const {removedFrom, notRead} = await signOut();
		t.deepEqual(removedFrom, [join(home.path, nocae)]);
		t.deepEqual(notRead.filter(({source}) => source.endsWith('.cae')), [{source: join(home.path, cae), code: 'STC_LOCK_TIMEOUT'}]);
		await holder.ask('unlock');
		// A change of the cache makes it retry.
		home.write(others, cae);
		await isGone(t, home, credential);
	});

	test(`A2: ${variant}: a sign-out ends repairs, although another program's copy brings the account back`, async t => {
		const {home, credential, signOut} = await setUp(t);
		const {token} = await credential.getToken(scope, {enableCae: true});
		await until(() => readFileSync(join(home.path, cae), 'utf8').includes(token));
		await signOut();
		home.write(signedIn('FAKE-again'), cae);
		await sleep(looksMs);
		t.deepEqual(left(home, cae), {Account: 1, RefreshToken: 1});
		t.false(readFileSync(join(home.path, cae), 'utf8').includes(token));
	});

	test(`A2: ${variant}: what another program writes back during a sign-out is removed, also a token without its account`, async t => {
		const {home, signOut} = await setUp(t);
		const holder = await LockProcess.start(t, useNativeAddon ? 'native' : 'pure', join(home.path, `${cae}.lockfile`));
		t.is(await holder.ask('lock'), 'locked');
		const signingOut = signOut();
		await until(() => Object.keys(left(home, nocae)).length === 0);
		home.write(cacheOf({accessTokens: [accessTokenRecord(ann, 'FAKE-back', 3600, {client_id: 'another'})]}), nocae);
		await holder.ask('unlock');
		t.deepEqual((await signingOut).remainsIn, []);
		t.deepEqual(left(home, nocae), {});
	});

	test(`A2: ${variant}: a sign-in after the sign-out wins over it, and over the grant of the earlier session`, async t => {
		const {entra, home, credential, signOut} = await setUp(t);
		const {token, release} = await begin(entra, credential);
		await signOut();
		home.write(signedIn('FAKE-again'), nocae);
		release();
		await code(token);
		await sleep(looksMs);
		t.deepEqual(left(home, nocae), {Account: 1, RefreshToken: 1});
		t.deepEqual(left(home, cae), {});
		t.true(readFileSync(join(home.path, nocae), 'utf8').includes('FAKE-again'));
		// The new session is written as any other.
		const next = await credential.getToken('https://next.example/.default', {enableCae: true});
		await until(() => readFileSync(join(home.path, cae), 'utf8').includes(next.token));
		t.is(entra.grants.at(-1)!.redeemed, 'FAKE-again');
	});

	test(`A2: ${variant}: a sign-out that died after its mark ends nobody's session`, async t => {
		const {entra, home, credential} = await setUp(t);
		const {token, release} = await begin(entra, credential);
		await leaveMark(join(home.path, '.IdentityService', '.signed-out'), homeAccountId(ann));
		release();
		const granted = (await token).token;
		await until(() => readFileSync(join(home.path, cae), 'utf8').includes(granted));
		t.true(readFileSync(join(home.path, cae), 'utf8').includes(entra.grants[0]!.refreshToken!));
	});

	test(`A2: ${variant}: a sign-out of another account stops no write`, async t => {
		const {entra, home, credential, cache} = await setUp(t);
		const {token, release} = await begin(entra, credential);
		await cache.removeAccount({homeAccountId: homeAccountId(bob)});
		release();
		const granted = (await token).token;
		await until(() => readFileSync(join(home.path, cae), 'utf8').includes(granted));
		t.deepEqual(left(home, cae, bob), {});
	});

	test(`A3: ${variant}: a failing cache keeps no other one from being cleaned, and is not reported as clean`, async t => {
		const {home, cache} = await setUp(t, {lockTimeoutInMs: 200});
		home.write(signedIn('FAKE-ann'), cae);
		const corrupt = home.writeSettled('{"Account": {"half', '.local/.IdentityService/msal.cache');
		const holder = await LockProcess.start(t, useNativeAddon ? 'native' : 'pure', join(home.path, `${nocae}.lockfile`));
		t.is(await holder.ask('lock'), 'locked');
		const ofFiles = ({removedFrom, remainsIn, notRead}: SignOutResult) => ({removedFrom, remainsIn, notRead: notRead.filter(({source}) => !source.startsWith('keyring'))});
		t.deepEqual(ofFiles(await cache.removeAccount({homeAccountId: homeAccountId(ann)})), {
			removedFrom: [join(home.path, cae)],
			remainsIn: [join(home.path, nocae)],
			notRead: [{source: join(home.path, nocae), code: 'STC_LOCK_TIMEOUT'}, {source: corrupt, code: 'STC_CACHE_CORRUPT'}],
		});
		t.deepEqual(left(home, cae), {});
		await holder.ask('unlock');
		rmSync(corrupt);
		t.deepEqual(ofFiles(await cache.removeAccount({homeAccountId: homeAccountId(ann)})), {removedFrom: [join(home.path, nocae)], remainsIn: [], notRead: []});
	});

	test(`A3: ${variant}: an account of another cloud that remains in another language's cache is named`, async t => {
		const home = new TestHome(t);
		const government = {environment: 'login.microsoftonline.us'};
		const path = home.write(cacheOf({accounts: [accountRecord(ann, government)], refreshTokens: [refreshTokenRecord(ann, 'FAKE', government)]}), '.local/.IdentityService/msal.cache');
		const cache = home.sharedCache({useNativeAddon});
		for (const environment of [undefined, 'login.usgovcloudapi.net']) {
			const {remainsIn} = await cache.removeAccount({homeAccountId: homeAccountId(ann), ...(environment && {environment})});
			t.deepEqual(remainsIn, [path], environment);
		}

		t.deepEqual((await cache.removeAccount({homeAccountId: homeAccountId(ann), environment: publicCloud})).remainsIn, []);
	});

	test(`A2: ${variant}: a sign-out where nothing is signed in leaves no trace`, async t => {
		const home = new TestHome(t);
		const {removedFrom, remainsIn} = await home.sharedCache({useNativeAddon}).removeAccount({homeAccountId: homeAccountId(ann)});
		t.deepEqual([removedFrom, remainsIn, readdirSync(home.path)], [[], [], []]);
		mkdirSync(join(home.path, '.IdentityService'));
	});
}
