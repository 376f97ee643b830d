/** The "libsecret" store with a real keyring: finds each language's item and never mistakes one for another. */

import test from 'ava';
import type {CacheSlice} from '../../dist/backend/backend.js';
import {
	encodeItem, itemAttributes, type ItemKind, itemKinds, locationOf,
} from '../helpers/keyring/keyring-items.js';
import {keyringFor, keyringTest} from '../helpers/keyring/keyring-test.js';
import type {Keyring} from '../helpers/keyring/keyring.js';
import {askStore, askStoreOnce} from '../helpers/keyring/store-child.js';
import {patienceMs} from '../helpers/until.js';

const cacheOf = (name: string) => JSON.stringify({
	Account: {a: {home_account_id: `${name}.home`, environment: 'login.microsoftonline.com', username: `${name}@contoso.com`}},
	RefreshToken: {
		r: {
			home_account_id: `${name}.home`, environment: 'login.microsoftonline.com', secret: `FAKE-${name}`, family_id: '1',
		},
	},
});

const query = async (keyring: Keyring, kind: ItemKind) => askStoreOnce(keyring.environment, {call: 'query', at: locationOf(kind), timeoutMs: patienceMs});
const accountOf = (answer: unknown) => (answer as CacheSlice | null)?.accounts[0]?.homeAccountId;

keyringTest(test, 'a single item is found as its own kind only', async t => {
	for (const written of itemKinds) {
		const keyring = await keyringFor(t);
		await keyring.store(itemAttributes[written], encodeItem(written, cacheOf(written)));
		for (const asked of itemKinds) {
			const {answer, code} = await query(keyring, asked);
			t.is(code, undefined);
			t.is(accountOf(answer), asked === written ? `${written}.home` : undefined, `requested ${asked}, stored ${written}`);
			if (asked !== written) {
				t.is(answer, null);
			}
		}
	}
});

keyringTest(test, 'all kinds are found side by side, with their secrets', async t => {
	const keyring = await keyringFor(t);
	for (const kind of itemKinds) {
		await keyring.store(itemAttributes[kind], encodeItem(kind, cacheOf(kind)));
	}

	for (const kind of itemKinds) {
		const {answer} = await query(keyring, kind);
		t.is(accountOf(answer), `${kind}.home`);
		t.is((answer as CacheSlice).refreshTokens[0]?.secret, `FAKE-${kind}`);
		t.is((answer as CacheSlice).sizeBytes, cacheOf(kind).length);
	}
});

keyringTest(test, 'Python\'s items for requests with and without CAE are two', async t => {
	const keyring = await keyringFor(t);
	await keyring.store(itemAttributes.python, cacheOf('nocae'));
	await keyring.store({...itemAttributes.python, 'xdg:schema': 'msal.cache.cae'}, cacheOf('cae'));
	for (const name of ['nocae', 'cae']) {
		const {answer} = await askStoreOnce(keyring.environment, {call: 'query', at: {...locationOf('python'), schema: `msal.cache.${name}`}, timeoutMs: patienceMs});
		t.is(accountOf(answer), `${name}.home`);
	}
});

keyringTest(test, 'reads base64 with and without padding, plain text instead of base64, and non-ASCII names', async t => {
	const keyring = await keyringFor(t);
	for (const name of ['a', 'ab', 'abc', 'ünïcode-名前-😀']) {
		const encoded = Buffer.from(cacheOf(name)).toString('base64');
		for (const secret of [encoded, encoded.replaceAll('=', ''), `${encoded}\n`, cacheOf(name), ` \n${cacheOf(name)}`]) {
			await keyring.store(itemAttributes.dotnet, secret);
			const {answer, code} = await query(keyring, 'dotnet');
			t.is(code, undefined);
			t.is((answer as CacheSlice).accounts[0]?.username, `${name}@contoso.com`);
		}
	}
});

keyringTest(test, 'reports secrets that are not a cache', async t => {
	const keyring = await keyringFor(t);
	const cases: Array<[string, string | undefined]> = [
		['{}', undefined],
		['[]', 'STC_CACHE_CORRUPT'],
		['garbage !', 'STC_CACHE_CORRUPT'],
		['Z2FyYmFnZQ==', 'STC_CACHE_CORRUPT'],
		['eyJhbGciOiJkaXIi.a.b.c.d', 'STC_CACHE_FORMAT'],
		[Buffer.from('01000000d08c9ddf0115d1118c7a00c04fc297eb', 'hex').toString('base64'), 'STC_CACHE_FORMAT'],
		['{"Account":', 'STC_CACHE_CORRUPT'],
	];
	for (const [secret, code] of cases) {
		await keyring.store(itemAttributes.python, secret);
		const outcome = await query(keyring, 'python');
		t.is(outcome.code, code, secret);
		t.not(outcome.hasFrames, false);
	}

	await keyring.store(itemAttributes.python, '');
	t.like(await query(keyring, 'python'), {answer: {sizeBytes: 0, accounts: []}});
});

keyringTest(test, 'reads a secret of 1.4 MB', async t => {
	const keyring = await keyringFor(t);
	const cache = JSON.stringify({...JSON.parse(cacheOf('large')) as object, Other: {padding: 'x'.repeat(1_400_000)}});
	await keyring.store(itemAttributes.python, cache);
	const {answer} = await query(keyring, 'python');
	t.is(accountOf(answer), 'large.home');
	t.is((answer as CacheSlice).sizeBytes, cache.length);
});

keyringTest(test, 'the stamp: as the query\'s, the same until a write, another after it', async t => {
	const keyring = await keyringFor(t);
	const stamp = async () => (await askStoreOnce(keyring.environment, {call: 'stamp', at: locationOf('python'), timeoutMs: patienceMs})).answer;
	t.is(await stamp(), null);
	await keyring.store(itemAttributes.python, cacheOf('one'));
	const first = await stamp();
	t.is(typeof first, 'string');
	t.is(((await query(keyring, 'python')).answer as CacheSlice).stamp, first as string);
	t.is(await stamp(), first);
	// The Secret Service stores times in whole seconds.
	await new Promise(resolve => {
		setTimeout(resolve, 1100);
	});
	await keyring.store(itemAttributes.python, cacheOf('two'));
	t.not(await stamp(), first);
});

keyringTest(test, '20 at once, and one after the other, in one process', async t => {
	const keyring = await keyringFor(t);
	await keyring.store(itemAttributes.keytar, cacheOf('many'));
	for (const together of [true, false]) {
		const {outcomes} = await askStore(keyring.environment, {
			call: 'query', at: locationOf('keytar'), timeoutMs: patienceMs, times: 20, together,
		});
		t.deepEqual(outcomes.map(({answer}) => accountOf(answer)), Array.from({length: 20}, () => 'many.home'));
	}
});
