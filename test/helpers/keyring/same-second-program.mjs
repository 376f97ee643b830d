/**
 * A program for a test: `withCache` adds a token while another program removes the token's account. Both happen within one second, in which
 * the keyring item has one stamp, and the other program touches no signal file. Tries again until both fell into one second.
 *
 * Prints JSON: how often the function of `withCache` was called, and what the cache has in the end.
 */

import {createRequire} from 'node:module';
import process from 'node:process';
import {SharedTokenCache} from '../../../dist/index.js';

const load = createRequire(import.meta.url);
const {loadNativeBackend} = load('../../../dist/backend/native-backend.js');
const {storeOf} = load('../../../dist/backend/stores.js');
const {editsOfSignOut} = load('../../../dist/cache/sign-out-edits.js');
const {at, lockPath} = JSON.parse(process.argv[2]);
const store = storeOf(loadNativeBackend().backend, 'libsecret');
const timeoutMs = 60_000;
const cache = new SharedTokenCache();
const account = {home_account_id: 'ann.home', environment: 'login.microsoftonline.com'};
// The store's own calls do not.
const keepsAlive = setInterval(() => undefined, 60_000);

for (;;) {
	await cache.withCache(records => {
		Object.assign(records, {Account: {a: {...account, username: 'ann@contoso.com'}}, AccessToken: {}});
	});
	const stamps = [await store.stamp(at, timeoutMs)];
	let calls = 0;
	await cache.withCache(async records => {
		calls++;
		if (calls === 1) {
			await store.commit(at, {change: editsOfSignOut(account.home_account_id), lockPaths: [lockPath], create: false}, timeoutMs);
			stamps.push(await store.stamp(at, timeoutMs));
		}

		records.AccessToken = {t: {...account, secret: 'FAKE-token'}};
	});
	if (stamps[0] === stamps[1]) {
		const {text} = await store.read(at, timeoutMs);
		const sections = Object.entries(JSON.parse(text)).map(([name, records]) => [name, Object.keys(records)]);
		process.stdout.write(JSON.stringify({calls, cache: Object.fromEntries(sections)}));
		break;
	}
}

clearInterval(keepsAlive);
