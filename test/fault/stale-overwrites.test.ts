/** Another program that read a cache before our write writes its copy afterwards: what we wrote comes back, whoever wrote it. */

import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import {createCachePlugin} from '../../dist/index.js';
import {startEntraServer} from '../helpers/authority/entra-server.js';
import {
	accessTokenRecord, accountRecord, ann, cacheOf, type CacheSections, homeAccountId, publicCloud, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {until} from '../helpers/until.js';

const file = '.IdentityService/msal.cache.nocae';
const signedIn = cacheOf({accounts: [accountRecord(ann)], refreshTokens: [refreshTokenRecord(ann, 'FAKE-ann')]});
const peers = {...signedIn, AccessToken: {theirs: accessTokenRecord(ann, 'FAKE-theirs', 3600, {client_id: 'theirs', target: 'theirs'})}};
const added = accessTokenRecord(ann, 'FAKE-added', 3600);

/** Begins to use the cache. The result writes a secret to it, a new one each time, and returns it. */
type Start = (t: ExecutionContext, home: TestHome, useNativeAddon: boolean) => Promise<() => Promise<string>>;

const starts: Record<string, Start> = {
	async credential(t, home, useNativeAddon) {
		const entra = await startEntraServer({refreshTokens: {'FAKE-ann': ann}});
		t.teardown(async () => entra.close());
		const credential = home.credential({useNativeAddon}, entra);
		return async () => {
			// Claims make it ask for a new token.
			const {token} = await credential.getToken(scope, {claims: '{}'});
			return token;
		};
	},

	async withCache(_t, home, useNativeAddon) {
		const cache = home.sharedCache({useNativeAddon});
		let writes = 0;
		return async () => {
			const secret = `FAKE-added-${++writes}`;
			await cache.withCache(sections => {
				sections['AccessToken'] = {...sections['AccessToken'], added: {...added, secret}};
			});
			return secret;
		};
	},

	async 'withCache, a record without an account'(_t, home, useNativeAddon) {
		const cache = home.sharedCache({useNativeAddon});
		let writes = 0;
		return async () => {
			const value = `FAKE-mine-${++writes}`;
			await cache.withCache(sections => {
				sections['AccessToken'] = {...sections['AccessToken'], app: {...added, home_account_id: '', secret: `FAKE-app-${writes}`}};
				sections['Mine'] = {entry: {value}};
			});
			return value;
		};
	},

	async plugin(_t, home, useNativeAddon) {
		let records: CacheSections = {};
		const plugin = createCachePlugin({cachePath: join(home.path, file), useNativeAddon, tokenCachePersistenceOptions: {unsafeAllowUnencryptedStorage: true}});
		const context = {
			cacheHasChanged: true,
			tokenCache: {
				serialize: () => JSON.stringify(records),
				deserialize(text: string) {
					records = JSON.parse(text) as CacheSections;
				},
			},
		};
		let writes = 0;
		return async () => {
			const secret = `FAKE-added-${++writes}`;
			await plugin.beforeCacheAccess(context);
			records['AccessToken'] = {...records['AccessToken'], added: {...added, secret}};
			await plugin.afterCacheAccess(context);
			return secret;
		};
	},
};

for (const useNativeAddon of [true, false]) {
	for (const [name, start] of Object.entries(starts)) {
		test(`A8: ${useNativeAddon ? 'native' : 'pure'}: ${name}: what another program's old copy undoes comes back, early and late`, async t => {
			const home = new TestHome(t);
			const path = home.writeSettled(signedIn, file);
			const write = await start(t, home, useNativeAddon);
			const secret = await write();
			const has = () => readFileSync(path, 'utf8').includes(secret);
			await until(has);
			for (const pauseMs of [300, 2200, 4500]) {
				await sleep(pauseMs);
				home.write(peers, file);
				const startMs = performance.now();
				await until(has);
				t.log(`${pauseMs} ms after the last write: back after ${Math.round(performance.now() - startMs)} ms`);
				t.true(readFileSync(path, 'utf8').includes('FAKE-theirs'), 'what the other program wrote stays');
			}
		});

		test(`A8: ${useNativeAddon ? 'native' : 'pure'}: ${name}: what was renewed comes back, too, over a copy without the record and over one from two renewals ago`, async t => {
			const home = new TestHome(t);
			const path = home.writeSettled(signedIn, file);
			const write = await start(t, home, useNativeAddon);
			const copies: CacheSections[] = [peers];
			let secret = '';
			for (let renewal = 0; renewal < 3; renewal++) {
				secret = await write();
				await until(() => readFileSync(path, 'utf8').includes(secret));
				// Caches tell the age of a token in seconds. Sizes differ: a write without a lock, just after ours and of its size, is not noticed.
				await sleep(1100);
				copies.push({...JSON.parse(readFileSync(path, 'utf8')) as CacheSections, Other: {kept: {value: `FAKE-theirs${'.'.repeat(renewal)}`}}});
			}

			// Written while the record was missing: the program did not see what it replaced.
			home.write(peers, file);
			secret = await write();
			for (const copy of copies) {
				home.write(copy, file);
				await until(() => readFileSync(path, 'utf8').includes(secret));
				t.true(readFileSync(path, 'utf8').includes('FAKE-theirs'), 'what the other program wrote stays');
			}
		});

		test(`A2: ${useNativeAddon ? 'native' : 'pure'}: ${name}: what was written does not come back after a sign-out`, async t => {
			const home = new TestHome(t);
			const path = home.writeSettled(signedIn, file);
			const write = await start(t, home, useNativeAddon);
			const secret = await write();
			await until(() => readFileSync(path, 'utf8').includes(secret));
			const {remainsIn} = await home.sharedCache({useNativeAddon}).removeAccount({homeAccountId: homeAccountId(ann)});
			t.deepEqual(remainsIn, []);
			home.write(cacheOf({accounts: [accountRecord(ann)], refreshTokens: [refreshTokenRecord(ann, 'FAKE-again')]}), file);
			// An application's own tokens are nobody's session.
			const isNobodys = secret.startsWith('FAKE-mine');
			await (isNobodys ? until(() => readFileSync(path, 'utf8').includes(secret)) : sleep(2000));
			const text = readFileSync(path, 'utf8');
			t.true(text.includes('FAKE-again'), 'the user signed in again');
			t.is(text.includes(secret), isNobodys);
			t.true(text.includes(publicCloud));
		});
	}
}
