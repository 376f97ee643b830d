/** After close() has resolved, the credential starts, requests and writes nothing. */

import {readFileSync} from 'node:fs';
import {setTimeout as sleep} from 'node:timers/promises';
import {mock} from 'node:test';
import test, {type ExecutionContext} from 'ava';
import {TokenEndpoint} from '../../dist/grant/token-endpoint.js';
import {startEntraServer} from '../helpers/authority/entra-server.js';
import {
	accessTokenRecord, accountRecord, ann, cacheOf, nowSec, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {LockProcess} from '../helpers/locks/lock-process.js';

async function server(t: ExecutionContext) {
	const entra = await startEntraServer({refreshTokens: {'FAKE-refresh-ann': ann}});
	t.teardown(async () => entra.close());
	return entra;
}

test('close() in the same turn prevents the refresh that a hit would start', async t => {
	const entra = await server(t);
	const home = new TestHome(t);
	const path = home.write(cacheOf({
		accounts: [accountRecord(ann)],
		refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh-ann')],
		accessTokens: [accessTokenRecord(ann, 'FAKE-aging', 400, {refresh_on: String(nowSec() - 100)})],
	}));
	const before = readFileSync(path, 'utf8');
	const credential = home.credential({}, entra);
	await credential.getToken(scope);
	const served = credential.getToken(scope);
	const closing = credential.close();
	t.is((await served).token, 'FAKE-aging');
	await closing;
	await sleep(300);
	t.is(entra.requests.length, 0);
	t.is(readFileSync(path, 'utf8'), before);
});

test.serial('a grant that arrives while the credential is closed is not written to the cache', async t => {
	const home = new TestHome(t);
	const path = home.writeAccount(ann, 'FAKE-refresh-ann');
	const before = readFileSync(path, 'utf8');
	const credential = home.credential();
	let closing: Promise<void> | undefined;
	// Closes in the same turn in which the response has been read.
	const redeem = mock.method(TokenEndpoint.prototype, 'redeem', async () => {
		closing = credential.close();
		return {accessToken: 'FAKE-granted', expiresOnSec: nowSec() + 3600, tenantId: ann.utid};
	});
	t.teardown(() => {
		redeem.mock.restore();
	});
	await credential.getToken(scope).catch(() => undefined);
	await closing;
	t.is(redeem.mock.callCount(), 1);
	await sleep(300);
	t.is(readFileSync(path, 'utf8'), before);
});

test('every call of close() waits for the write in progress', async t => {
	const entra = await server(t);
	const home = new TestHome(t);
	const path = home.writeAccount(ann, 'FAKE-refresh-ann');
	const holder = await LockProcess.start(t, 'native', `${path}.lockfile`);
	t.is(await holder.ask('lock'), 'locked');
	const credential = home.credential({}, entra);
	await credential.getToken(scope);
	let isClosed = false;
	const first = credential.close().then(() => {
		isClosed = true;
	});
	await credential.close();
	t.true(isClosed);
	await first;
});
