/**
 * Keyring items that the real libraries write, read by the native backend and the credential: MSAL for Node through
 * keytar, MSAL for Python through its LibsecretPersistence, in a private Secret Service.
 */

import {statSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {TestHome} from '../helpers/home.js';
import {missingKeyring, startKeyring} from '../helpers/keyring/keyring.js';
import {
	type Lack, lackOf, lackOfAddon, testWhere,
} from '../helpers/peers/peers.js';
import {readInProcess} from '../helpers/processes/reader.js';
import {signIn, type Writer} from '../helpers/peers/sign-in.js';
import {
	checkRecords, customsOf, type Environment, environmentOf, namer, nameTokens, query, startServer, storage, vault, writeAndRead,
} from '../helpers/peers/written-cache.js';

const lacks = (writer: Writer): Lack[] => [
	lackOf(writer === 'msal-python' ? 'msal-python-keyring' : writer),
	lackOfAddon(),
	missingKeyring(),
];

async function startKeyringFor(t: ExecutionContext, home: TestHome): Promise<Environment> {
	const keyring = await startKeyring();
	t.teardown(async () => keyring.close());
	return environmentOf(home, keyring.environment);
}

for (const customs of customsOf) {
	const {writer} = customs;
	testWhere(test, lacks(writer), `${writer}, keyring item: backend and credential read it`, async t => {
		const home = new TestHome(t);
		const environment = await startKeyringFor(t, home);
		const {slice, cachePath} = await writeAndRead(t, {
			customs, store: 'keyring', variant: 'native', home, environment,
		});
		checkRecords(t, slice, customs);
		t.true(statSync(cachePath).size < slice.sizeBytes, 'the file beside the item contains no cache');
	});
}

testWhere(test, [...lacks('msal-node'), ...lacks('msal-python')], 'items of both libraries in one keyring are distinguished', async t => {
	const home = new TestHome(t);
	const environment = await startKeyringFor(t, home);
	const entra = await startServer(t);
	const cachePath = join(home.path, '.IdentityService', 'msal.cache.nocae');
	await signIn('msal-node', {
		store: 'keyring', cachePath, scopes: [[storage]], server: entra,
	}, environment);
	await signIn('msal-python', {
		store: 'keyring', cachePath, scopes: [[vault]], server: entra,
	}, environment);
	const report = await readInProcess({
		variant: 'native',
		query,
		server: {port: entra.port, ca: entra.ca},
		options: {},
		requests: [{scope: vault}, {scope: storage}],
	}, environment);
	const name = namer(entra);
	t.deepEqual(
		report.sources.filter(({slice}) => slice && slice.accounts.length > 0).map(({label, slice}) => [label, ...slice?.accessTokens.map(({secret}) => name(secret)) ?? []]),
		[['keyring item of Python (msal.cache.nocae)', 'access token 2'], ['keyring item of Node (keytar)', 'access token 1']],
	);
	t.deepEqual(nameTokens(report, name), ['access token 2', 'access token 3'], 'the primary store contains the account, so the other one is not read');
	t.is(name(entra.grants[2]?.redeemed), 'refresh token 2');
});
