/** Authentication records of `@azure/identity`, as its users store them. */

import {createRequire} from 'node:module';
import test from 'ava';
import type {AuthenticationRecord} from '../../dist/types.js';
import {startEntraServer} from '../helpers/authority/entra-server.js';
import {
	accountRecord, ann, bob, cacheOf, clientId, homeAccountId, publicCloud, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {lackOf, peersFolder, testWhere} from '../helpers/peers/peers.js';

/** The parts of `@azure/identity` that the test uses. */
type Identity = {
	serializeAuthenticationRecord: (record: AuthenticationRecord) => string;
	deserializeAuthenticationRecord: (text: string) => AuthenticationRecord;
};

const record: AuthenticationRecord = {
	authority: publicCloud, homeAccountId: homeAccountId(bob), tenantId: bob.utid, clientId, username: bob.username,
};

for (const [how, read] of [
	['deserializeAuthenticationRecord', (text: string, {deserializeAuthenticationRecord}: Identity) => deserializeAuthenticationRecord(text)],
	['JSON.parse', (text: string) => JSON.parse(text) as AuthenticationRecord],
] as const) {
	testWhere(test, [lackOf('identity')], `a record that serializeAuthenticationRecord wrote, read by ${how}, selects one of several accounts`, async t => {
		const identity = createRequire(peersFolder)('@azure/identity') as Identity;
		const entra = await startEntraServer({refreshTokens: {'FAKE-refresh-ann': ann, 'FAKE-refresh-bob': bob}});
		t.teardown(async () => entra.close());
		const home = new TestHome(t);
		home.write(cacheOf({accounts: [accountRecord(ann), accountRecord(bob)], refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh-ann'), refreshTokenRecord(bob, 'FAKE-refresh-bob')]}));
		const authenticationRecord = read(identity.serializeAuthenticationRecord(record), identity);
		const {token} = await home.credential({authenticationRecord}, entra).getToken(scope);
		t.is(token, entra.grants[0]!.accessToken);
		t.is(entra.grants[0]!.redeemed, 'FAKE-refresh-bob');
		t.is(entra.tokenRequests[0]!.path, `/${bob.utid}/oauth2/v2.0/token`);
	});
}
