/** Changes to the cache while a credential uses it: sign-out, deletion, damage. */

import {rmSync} from 'node:fs';
import {setTimeout as sleep} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import type {CredentialUnavailableError, ErrorCode} from '../../dist/errors.js';
import type {SharedTokenCacheCredential} from '../../dist/index.js';
import {startEntraServer} from '../helpers/authority/entra-server.js';
import {
	accessTokenRecord, accountRecord, ann, bob, cacheOf, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {until} from '../helpers/until.js';

const cacheFor = (user: typeof ann, token: string) => cacheOf({
	accounts: [accountRecord(user)],
	refreshTokens: [refreshTokenRecord(user, `FAKE-refresh-${user.username}`)],
	accessTokens: [accessTokenRecord(user, token, 4000)],
});

async function outcome(credential: SharedTokenCacheCredential, wanted = scope): Promise<string> {
	try {
		return (await credential.getToken(wanted)).token;
	} catch (error) {
		return (error as CredentialUnavailableError).code;
	}
}

async function setUp(t: ExecutionContext) {
	const entra = await startEntraServer({refreshTokens: {[`FAKE-refresh-${ann.username}`]: ann}});
	t.teardown(async () => entra.close());
	const home = new TestHome(t);
	const path = home.writeSettled(cacheFor(ann, 'FAKE-ann'));
	const credential = home.credential({cacheCheckIntervalInMs: 20}, entra);
	t.is(await outcome(credential), 'FAKE-ann');
	return {
		entra, home, path, credential,
	};
}

const signOuts: Record<string, {act: (home: TestHome, path: string) => void; codes: ErrorCode[]}> = {
	deleted: {
		act(_home, path) {
			rmSync(path);
		},
		// No cache. The code depends on whether a keyring may exist.
		codes: ['STC_CACHE_NOT_FOUND', 'STC_STORE_UNAVAILABLE'],
	},
	'made empty': {
		act(home) {
			home.writeSettled('');
		},
		codes: ['STC_NO_ACCOUNT', 'STC_STORE_UNAVAILABLE'],
	},
	'replaced by {}': {
		act(home) {
			home.writeSettled('{}');
		},
		codes: ['STC_NO_ACCOUNT', 'STC_STORE_UNAVAILABLE'],
	},
	'left without accounts': {
		act(home) {
			home.writeSettled(cacheOf({}));
		},
		codes: ['STC_NO_ACCOUNT'],
	},
};

for (const [how, {act, codes}] of Object.entries(signOuts)) {
	test(`a cache that is ${how} is a sign-out, although no keyring answers`, async t => {
		const {entra, home, path, credential} = await setUp(t);
		act(home, path);
		await until(async () => await outcome(credential) !== 'FAKE-ann');
		for (const wanted of [scope, 'https://other.example/.default']) {
			const code = await outcome(credential, wanted);
			t.true((codes as string[]).includes(code), code);
		}

		t.is(entra.tokenRequests.length, 0, 'the earlier refresh token is not redeemed');
	});
}

test('while its cache is damaged, a credential keeps its account and takes none from another cache', async t => {
	const {home, credential} = await setUp(t);
	home.writeSettled(cacheFor(bob, 'FAKE-bob'), '.IdentityService/msal.cache');
	home.writeSettled('{"Account": {"half');
	for (let call = 0; call < 30; call++) {
		t.is(await outcome(credential), 'FAKE-ann');
		await sleep(10);
	}
});

test('a new credential takes no account from another cache while its own is damaged, unless the account is configured', async t => {
	const home = new TestHome(t);
	home.writeSettled(cacheFor(bob, 'FAKE-bob'), '.IdentityService/msal.cache');
	const path = home.writeSettled('{"Account": {"half');
	const error = await t.throwsAsync<CredentialUnavailableError>(home.credential().getToken(scope), {name: 'CredentialUnavailableError'});
	t.is(error.code, 'STC_CACHE_CORRUPT');
	t.true(error.message.includes(path), error.message);
	t.is(await outcome(home.credential({username: bob.username})), 'FAKE-bob');
	t.is(await outcome(home.credential({tenantId: bob.utid})), 'FAKE-bob');
	rmSync(path);
	t.is(await outcome(home.credential({cacheCheckIntervalInMs: 999})), 'FAKE-bob');
});
