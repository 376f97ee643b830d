/**
 * MSAL for Node with its own extensions reads what the credential and the cache plugin write: it finds and redeems our
 * tokens. What it overwrites, because it read the cache before our write, is restored.
 */

import {mkdirSync, readFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import {createCachePlugin} from '../../dist/cache-api/msal-node-plugin.js';
import {WriteWatch} from '../../dist/cache/write-watch.js';
import {type EntraServer, type EntraUser, startEntraServer} from '../helpers/authority/entra-server.js';
import {ann, TestHome} from '../helpers/home.js';
import {LockProcess} from '../helpers/locks/lock-process.js';
import {MsalApp} from '../helpers/peers/msal-app.js';
import {MsalProcess} from '../helpers/peers/msal-process.js';
import {lackOf, lackOfAddon, testWhere} from '../helpers/peers/peers.js';
import {environmentOf, namer, storage} from '../helpers/peers/written-cache.js';
import {patienceMs, until} from '../helpers/until.js';

// MSAL tries 500 times to get the lock, which takes longer than our minute on a busy machine.
WriteWatch.watchedForMs = 2 * patienceMs;

const variants = ['native', 'pure'] as const;
const writers = ['credential', 'plugin'] as const;
type Kind = {variant: typeof variants[number]; writer: typeof writers[number]};

/** A round counts only if the test sees our token before it is overwritten, which it may miss on a busy machine. */
const maxRounds = 24;
const guests: EntraUser[] = Array.from({length: maxRounds}, (_, index) => ({uid: `guest-${index}`, utid: ann.utid, username: `guest-${index}@contoso.com`}));
const tokenOf = ({username}: EntraUser) => `FAKE-refresh-token-of-${username}`;
const scopeOf = (name: string) => `https://${name}.example/.default`;

type Stage = {entra: EntraServer; cachePath: string; peer: MsalProcess; name: (secret: string) => string; getToken: (scope: string) => Promise<string>};

/** A cache in which MSAL for Node has signed a user in, and a writer of ours for that user. */
async function setStage(t: ExecutionContext, {variant, writer}: Kind, rotation: 'keep-old' | 'revoke-old'): Promise<Stage> {
	const home = new TestHome(t);
	const cachePath = join(home.path, '.IdentityService', 'msal.cache.nocae');
	mkdirSync(dirname(cachePath), {recursive: true});
	const entra = await startEntraServer({rotation, refreshTokens: Object.fromEntries([ann, ...guests].map(user => [tokenOf(user), user]))});
	t.teardown(async () => entra.close());
	const peer = await MsalProcess.start(t, {plugin: 'extensions', cachePath, server: entra}, environmentOf(home));
	await peer.ask({do: 'signIn', refreshTokens: [tokenOf(ann)], scopes: [scopeOf('first')]});
	const useNativeAddon = variant === 'native';
	const credential = home.credential({username: ann.username, useNativeAddon}, entra);
	const app = new MsalApp(t, createCachePlugin({cachePath, tokenCachePersistenceOptions: {unsafeAllowUnencryptedStorage: true}, useNativeAddon}), entra);
	return {
		entra,
		cachePath,
		peer,
		name: secret => namer(entra)(secret),
		getToken: async scope => writer === 'credential' ? (await credential.getToken(scope)).token : (await app.silent(ann.username, scope)).accessToken,
	};
}

for (const variant of variants) {
	for (const writer of writers) {
		const declare = (title: string, implementation: (t: ExecutionContext) => Promise<void>) => {
			testWhere(test, [lackOf('msal-node'), variant === 'native' ? lackOfAddon() : undefined], `${writer}, ${variant}: ${title}`, implementation);
		};

		declare('MSAL for Node finds the access token and redeems the refresh token', async t => {
			const {entra, peer, name, getToken, cachePath} = await setStage(t, {variant, writer}, 'revoke-old');
			const getWrittenToken = async (scope: string) => {
				const token = await getToken(scope);
				// The credential does not delay the token until the write: on a busy machine the token comes first.
				await until(() => readFileSync(cachePath, 'utf8').includes(token));
				return token;
			};

			t.is(name(await getWrittenToken(storage)), 'access token 2');
			const found = await peer.silent(ann.username, storage);
			t.true(found.fromCache);
			t.is(name(found.accessToken), 'access token 2');
			// Only the last refresh token is valid.
			const refreshed = await peer.silent(ann.username, scopeOf('second'));
			t.is(name(refreshed.accessToken), 'access token 3');
			t.is(name(entra.grants[2]!.redeemed), 'refresh token 2');
			t.is(name(await getWrittenToken(scopeOf('third'))), 'access token 4');
			t.is(name(entra.grants[3]!.redeemed), 'refresh token 3');
			t.true((await peer.silent(ann.username, scopeOf('third'))).fromCache);
			t.is(entra.grants.length, 4);
		});

		declare('what MSAL for Node overwrites without having read it is restored', async t => {
			const {cachePath, peer, getToken} = await setStage(t, {variant, writer}, 'keep-old');
			const holder = await LockProcess.startPeer(t, 'node', `${cachePath}.lockfile`);
			let overwritten = 0;
			let rounds = 0;
			// The order of the lock holders is likely, but not certain.
			while (rounds < 2 || (overwritten < 2 && rounds < maxRounds)) {
				const scope = scopeOf(`round-${rounds}`);
				// MSAL has the current content of the cache and sees no reason to read it again.
				await peer.accounts();
				t.is(await holder.ask('lock'), 'locked');
				const signedIn = peer.ask({do: 'signIn', refreshTokens: [tokenOf(guests[rounds]!)], scopes: [scopeOf('guest')]});
				// MSAL is waiting for the lock now and retries every 100 ms. We retry more often.
				await sleep(400);
				const got = getToken(scope);
				await sleep(200);
				t.is(await holder.ask('unlock'), 'unlocked');
				const token = await got;
				let isThere = false;
				let untilMs = performance.now() + patienceMs;
				const endMs = untilMs;
				const itsWrite = signedIn.then(() => {
					// Long enough for us to check.
					untilMs = performance.now() + 2000;
				});
				// Longer only if the token is still missing.
				while (performance.now() < untilMs || (!isThere && performance.now() < endMs)) {
					const has = readFileSync(cachePath, 'utf8').includes(token);
					overwritten += isThere && !has ? 1 : 0;
					isThere = has;
					await sleep(1);
				}

				await itsWrite;
				t.true(isThere, `round ${rounds}`);
				t.true((await peer.silent(ann.username, scope)).fromCache);
				rounds++;
			}

			t.true(overwritten > 0, 'MSAL never overwrote anything: this test proves nothing');
			t.deepEqual(await peer.accounts(), [ann, ...guests.slice(0, rounds)].map(({username}) => username).toSorted());
		});
	}
}
