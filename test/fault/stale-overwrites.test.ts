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

/** Writes a secret to the cache, and returns it. */
type Writer = (t: ExecutionContext, home: TestHome, useNativeAddon: boolean) => Promise<string>;

const writers: Record<string, Writer> = {
	async credential(t, home, useNativeAddon) {
		const entra = await startEntraServer({refreshTokens: {'FAKE-ann': ann}});
		t.teardown(async () => entra.close());
		const {token} = await home.credential({useNativeAddon}, entra).getToken(scope);
		return token;
	},

	async withCache(_t, home, useNativeAddon) {
		await home.sharedCache({useNativeAddon}).withCache(cache => {
			cache['AccessToken'] = {...cache['AccessToken'], added};
		});
		return 'FAKE-added';
	},

	async 'withCache, a record without an account'(_t, home, useNativeAddon) {
		await home.sharedCache({useNativeAddon}).withCache(cache => {
			cache['AccessToken'] = {...cache['AccessToken'], app: {...added, home_account_id: '', secret: 'FAKE-app'}};
			cache['Mine'] = {entry: {value: 'FAKE-mine'}};
		});
		return 'FAKE-mine';
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
		await plugin.beforeCacheAccess(context);
		records['AccessToken'] = {...records['AccessToken'], added};
		await plugin.afterCacheAccess(context);
		return 'FAKE-added';
	},
};

for (const useNativeAddon of [true, false]) {
	for (const [name, write] of Object.entries(writers)) {
		test(`A8: ${useNativeAddon ? 'native' : 'pure'}: ${name}: what another program's old copy undoes comes back, early and late`, async t => {
			const home = new TestHome(t);
			const path = home.writeSettled(signedIn, file);
			const secret = await write(t, home, useNativeAddon);
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

		test(`A2: ${useNativeAddon ? 'native' : 'pure'}: ${name}: what was written does not come back after a sign-out`, async t => {
			const home = new TestHome(t);
			const path = home.writeSettled(signedIn, file);
			const secret = await write(t, home, useNativeAddon);
			await until(() => readFileSync(path, 'utf8').includes(secret));
			const {remainsIn} = await home.sharedCache({useNativeAddon}).removeAccount({homeAccountId: homeAccountId(ann)});
			t.deepEqual(remainsIn, []);
			home.write(cacheOf({accounts: [accountRecord(ann)], refreshTokens: [refreshTokenRecord(ann, 'FAKE-again')]}), file);
			await sleep(2000);
			const text = readFileSync(path, 'utf8');
			t.true(text.includes('FAKE-again'), 'the user signed in again');
			// An application's own tokens are nobody's session.
			t.is(text.includes(secret), secret === 'FAKE-mine');
			t.true(text.includes(publicCloud));
		});
	}
}
