/**
 * Plaintext caches that the real libraries write, read by both backends and the credential. MSAL for Node and MSAL for
 * Python sign a user in at the embedded endpoint and store its response in a file.
 */

import {statSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {TestHome} from '../helpers/home.js';
import {lackOf, lackOfAddon, testWhere} from '../helpers/peers/peers.js';
import {readInProcess} from '../helpers/processes/reader.js';
import {signIn} from '../helpers/peers/sign-in.js';
import {
	checkRecords, customsOf, environmentOf, namer, nameTokens, query, startServer, storage, vault, writeAndRead,
} from '../helpers/peers/written-cache.js';

for (const customs of customsOf) {
	const {writer} = customs;
	for (const variant of ['native', 'pure'] as const) {
		testWhere(test, [lackOf(writer), variant === 'native' ? lackOfAddon() : undefined], `${writer}, plaintext file, ${variant}: backend and credential read it`, async t => {
			const home = new TestHome(t);
			const {slice, cachePath} = await writeAndRead(t, {
				customs, store: 'plaintext', variant, home, environment: environmentOf(home),
			});
			checkRecords(t, slice, customs);
			t.is(slice.sizeBytes, statSync(cachePath).size);
		});
	}

	testWhere(test, [lackOf(writer)], `${writer}, plaintext cache for continuous access evaluation: the credential reads it`, async t => {
		const home = new TestHome(t);
		const environment = environmentOf(home);
		const entra = await startServer(t);
		const at = (suffix: string) => join(home.path, '.IdentityService', `msal.cache.${suffix}`);
		await signIn(writer, {
			store: 'plaintext', cachePath: at('cae'), scopes: [[vault]], server: entra,
		}, environment);
		await signIn(writer, {
			store: 'plaintext', cachePath: at('nocae'), scopes: [[vault]], server: entra,
		}, environment);
		const report = await readInProcess({
			variant: 'pure',
			query,
			server: {port: entra.port, ca: entra.ca},
			options: {},
			requests: [{scope: vault, options: {enableCae: true}}, {scope: vault}, {scope: storage, options: {enableCae: true}}],
		}, environment);
		const name = namer(entra);
		t.deepEqual(nameTokens(report, name), ['access token 1', 'access token 2', 'access token 3']);
		t.is(name(entra.grants[2]?.redeemed), 'refresh token 1', 'the refresh token of that cache');
		t.is(entra.grants[2]?.request.form.get('claims'), '{"access_token":{"xms_cc":{"values":["CP1"]}}}');
	});
}
