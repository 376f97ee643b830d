/** The cache plugin with a fake token cache, for orders of events that the real one does not produce on demand. */

import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {type CachePlugin, createCachePlugin, type TokenCacheContext} from '../../dist/cache-api/msal-node-plugin.js';
import {TestHome} from '../helpers/home.js';

type Records = Record<string, Record<string, Record<string, unknown>>>;

/** Keeps the records that it was given, and never drops one for a later text, as msal-node's does. */
class PlayedTokenCache {
	records: Records = {};

	serialize(): string {
		return JSON.stringify(this.records);
	}

	deserialize(text: string): void {
		const given = (text === '' ? {} : JSON.parse(text)) as Records;
		for (const [section, records] of Object.entries(given)) {
			this.records[section] = {...this.records[section], ...records};
		}
	}

	add(name: string): void {
		this.deserialize(JSON.stringify({
			Account: {[name]: {home_account_id: name, environment: 'e'}},
			AccessToken: {[name]: {home_account_id: name, environment: 'e', secret: `FAKE-${name}`}},
		}));
	}
}

function setUp(t: ExecutionContext): {plugin: CachePlugin; cachePath: string; tokenCache: PlayedTokenCache; open: (cacheHasChanged: boolean) => TokenCacheContext} {
	const cachePath = join(new TestHome(t).path, 'app', 'cache.json');
	const tokenCache = new PlayedTokenCache();
	return {
		plugin: createCachePlugin({cachePath, tokenCachePersistenceOptions: {unsafeAllowUnencryptedStorage: true}}),
		cachePath,
		tokenCache,
		open: cacheHasChanged => ({tokenCache, cacheHasChanged}),
	};
}

const namesIn = (cachePath: string) => Object.keys((JSON.parse(readFileSync(cachePath, 'utf8')) as Records)['Account'] ?? {});

test('a token cache that is emptied during an access removes nothing from the shared cache', async t => {
	const {plugin, cachePath, tokenCache, open} = setUp(t);
	const first = open(true);
	await plugin.beforeCacheAccess(first);
	tokenCache.add('ann');
	await plugin.afterCacheAccess(first);

	const changing = open(true);
	await plugin.beforeCacheAccess(changing);
	tokenCache.add('bob');
	// Like msal-node before a silent call: it empties its cache and reads everything again.
	tokenCache.records = {};
	const reading = open(false);
	const prepared = plugin.beforeCacheAccess(reading);
	tokenCache.add('cid');
	await plugin.afterCacheAccess(changing);
	await prepared;
	await plugin.afterCacheAccess(reading);
	t.deepEqual(namesIn(cachePath), ['ann', 'cid']);
});

test('a token cache that was emptied is complete again in the next access', async t => {
	const {plugin, tokenCache, open, cachePath} = setUp(t);
	const first = open(true);
	await plugin.beforeCacheAccess(first);
	tokenCache.add('ann');
	await plugin.afterCacheAccess(first);
	await plugin.beforeCacheAccess(open(false));

	tokenCache.records = {};
	const reading = plugin.beforeCacheAccess(open(false));
	const changing = open(true);
	await plugin.beforeCacheAccess(changing);
	t.deepEqual(Object.keys(tokenCache.records['Account'] ?? {}), ['ann']);
	tokenCache.add('bob');
	await plugin.afterCacheAccess(changing);
	await reading;
	t.deepEqual(namesIn(cachePath), ['ann', 'bob']);
});

test('an access without a change writes nothing, and an access that was not started does no harm', async t => {
	const {plugin, tokenCache, open, cachePath} = setUp(t);
	const context = open(true);
	await plugin.beforeCacheAccess(context);
	await plugin.afterCacheAccess(context);
	t.throws(() => readFileSync(cachePath), {code: 'ENOENT'});
	tokenCache.add('ann');
	await plugin.afterCacheAccess(open(true));
	t.throws(() => readFileSync(cachePath), {code: 'ENOENT'});
	const reading = open(false);
	await plugin.beforeCacheAccess(reading);
	tokenCache.add('bob');
	await plugin.afterCacheAccess(reading);
	t.throws(() => readFileSync(cachePath), {code: 'ENOENT'});
});
