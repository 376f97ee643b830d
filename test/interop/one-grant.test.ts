/**
 * One grant for all processes of a machine: several services want a token that is not cached, and the embedded endpoint
 * counts the requests.
 */

import {
	chmodSync, readdirSync, readFileSync, statSync,
} from 'node:fs';
import {dirname, join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import * as faults from '../helpers/authority/entra-faults.js';
import {type EntraServer, type EntraServerOptions, startEntraServer} from '../helpers/authority/entra-server.js';
import {
	environmentOfServer, FleetProcess, type FleetToken, holdAnswer, lackOfWrongClocks, leaseHolders, nameTokens, wrongClock,
} from '../helpers/processes/fleet.js';
import {
	accessTokenRecord, accountRecord, ann, cacheOf, type CacheSections, nowSec, refreshTokenRecord, TestHome,
} from '../helpers/home.js';
import {itemAttributes} from '../helpers/keyring/keyring-items.js';
import {missingKeyring, startKeyring} from '../helpers/keyring/keyring.js';
import {lackOfAddon, testWhere} from '../helpers/peers/peers.js';
import {readInProcess} from '../helpers/processes/reader.js';
import {patienceMs, until} from '../helpers/until.js';
import {query, storage, vault} from '../helpers/peers/written-cache.js';

const refreshToken = 'FAKE-refresh-ann';
const readOnly = {tokenCachePersistenceOptions: {readOnly: true}};

/** A cache with the account, its refresh token, and an access token, by default an expired one. */
function cacheFor(server: EntraServer, accessToken = accessTokenRecord(ann, 'FAKE-expired', -60), environment: {environment?: string} = environmentOfServer(server)): CacheSections {
	return cacheOf({
		accounts: [accountRecord(ann, environment)],
		refreshTokens: [refreshTokenRecord(ann, refreshToken, environment)],
		accessTokens: [{...accessToken, ...environment}],
	});
}

type Stage = {server: EntraServer; home: TestHome; directory: string; cachePath: string};

async function setStage(t: ExecutionContext, options: EntraServerOptions = {}, accessToken?: ReturnType<typeof accessTokenRecord>): Promise<Stage> {
	const server = await startEntraServer({refreshTokens: {[refreshToken]: ann}, ...options});
	t.teardown(async () => server.close());
	const home = new TestHome(t);
	const cachePath = home.writeSettled(cacheFor(server, accessToken));
	return {
		server, home, directory: dirname(cachePath), cachePath,
	};
}

/** With a cache of `login.microsoftonline.com`. Processes need `isEntra`. */
async function setEntraStage(t: ExecutionContext, options: EntraServerOptions = {}): Promise<Stage> {
	const stage = await setStage(t, options);
	stage.home.writeSettled(cacheFor(stage.server, undefined, {}));
	return stage;
}

const all = async (fleet: readonly FleetProcess[], calls = 10, scope = vault) => {
	const got = await Promise.all(fleet.map(async process => process.tokens(scope, calls)));
	return got.flat();
};

/** Checks that every process has the token of the same grant. */
function checkAllHave(t: ExecutionContext, tokens: readonly FleetToken[], server: EntraServer, count: number): void {
	t.deepEqual(nameTokens(tokens, server), Array.from({length: count}, () => 'access token 1'));
}

async function checkNothingLeft(t: ExecutionContext, {directory}: Stage): Promise<void> {
	// On a busy machine, a caller gets its token before the write is over.
	await until(() => readdirSync(directory).length === 1).catch(() => undefined);
	t.deepEqual(readdirSync(directory), ['msal.cache.nocae'], 'neither lease files, lock files nor private files remain');
}

function recordsOf({cachePath}: Stage): CacheSections {
	return JSON.parse(readFileSync(cachePath, 'utf8')) as CacheSections;
}

for (const variant of ['native', 'pure'] as const) {
	testWhere(test.serial, [variant === 'native' ? lackOfAddon() : undefined], `8 processes with 10 calls each make one grant, ${variant}`, async t => {
		const stage = await setStage(t);
		const {server, home} = stage;
		const fleet = await FleetProcess.startMany(t, 8, {home, server, options: {useNativeAddon: variant === 'native'}});
		checkAllHave(t, await all(fleet), server, 80);
		t.is(server.tokenRequests.length, 1);
		await checkNothingLeft(t, stage);
		const [record] = Object.values(recordsOf(stage)['AccessToken']!);
		t.is(Object.values(recordsOf(stage)['AccessToken']!).length, 1, 'the expired token was replaced');
		t.is(record?.['secret'], server.grants[0]!.accessToken);
		// Repeated in processes that have nothing in memory.
		checkAllHave(t, await all(await FleetProcess.startMany(t, 2, {home, server}), 1), server, 2);
		t.is(server.tokenRequests.length, 1);
	});

	testWhere(test.serial, [variant === 'native' ? lackOfAddon() : undefined], `one process immediately replaces a holder that is killed during its grant, ${variant}`, async t => {
		const stage = await setStage(t);
		const {server, home, directory} = stage;
		const held = holdAnswer();
		server.script(held.behaviour);
		const fleet = await FleetProcess.startMany(t, 8, {
			home, server, options: {useNativeAddon: variant === 'native'}, environment: {AZURE_LOG_LEVEL: 'warning'},
		});
		const wanted = fleet.map(process => ({process, tokens: process.tokens(vault, 10)}));
		await held.arrived;
		const [holder] = leaseHolders(directory);
		const survivors = wanted.filter(({process}) => process.pid !== holder);
		t.is(survivors.length, 7);
		// Until all of them are waiting.
		await sleep(300);
		t.is(server.tokenRequests.length, 1);
		const killedMs = Date.now();
		await wanted.find(({process}) => process.pid === holder)!.process.kill();
		await t.throwsAsync(wanted.find(({process}) => process.pid === holder)!.tokens);
		const tokens = await Promise.all(survivors.map(async each => each.tokens));
		checkAllHave(t, tokens.flat(), server, 70);
		t.is(server.grants.length, 1);
		t.is(server.tokenRequests.length, 2);
		t.log(`The next request came ${server.tokenRequests[1]!.receivedMs - killedMs} ms after the kill.`);
		held.release();
		const errors = await Promise.all(survivors.map(async ({process}) => process.errors()));
		t.false(errors.some(text => text.includes('no sign of life')), 'its death was seen, and no time-out passed');
		await checkNothingLeft(t, stage);
	});
}

test.serial('an authority that answers 503 twice is asked three times in total', async t => {
	const stage = await setStage(t);
	const {server, home} = stage;
	server.script(faults.bareStatus(503), faults.bareStatus(503));
	checkAllHave(t, await all(await FleetProcess.startMany(t, 8, {home, server})), server, 80);
	t.is(server.grants.length, 1);
	t.is(server.tokenRequests.length, 3);
	await checkNothingLeft(t, stage);
});

test.serial('lists of scopes in another order and case are the same request for all processes', async t => {
	const {server, home} = await setStage(t);
	const held = holdAnswer();
	server.script(held.behaviour);
	const [one, other] = await FleetProcess.startMany(t, 2, {home, server});
	const first = one!.names('https://vault.azure.net/a https://vault.azure.net/b');
	await held.arrived;
	const second = other!.names('https://vault.azure.net/B https://vault.azure.net/a');
	await sleep(200);
	held.release();
	t.deepEqual(await first, ['access token 1']);
	t.deepEqual(await second, ['access token 1']);
	t.is(server.tokenRequests.length, 1);
});

for (const offsetSec of [600, -600]) {
	for (const isHolder of [true, false]) {
		const title = `a process whose clock is ${Math.abs(offsetSec / 60)} min ${offsetSec > 0 ? 'ahead' : 'behind'}, and which ${isHolder ? 'makes the grant' : 'uses it'}`;
		testWhere(test.serial, [lackOfWrongClocks()], title, async t => {
			const startSec = nowSec();
			const stage = await setStage(t);
			const {server, home} = stage;
			const held = holdAnswer();
			server.script(held.behaviour);
			const right = await FleetProcess.startMany(t, 3, {home, server});
			const wrong = await FleetProcess.start(t, {home, server, environment: wrongClock(`${offsetSec > 0 ? '+' : ''}${offsetSec}s`)});
			const [first, ...others] = isHolder ? [wrong, ...right] : [right[0]!, wrong, ...right.slice(1)];
			const ofFirst = first.tokens(vault, 10);
			await held.arrived;
			const ofOthers = all(others);
			await sleep(200);
			held.release();
			const tokens = [...await ofFirst, ...await ofOthers];
			checkAllHave(t, tokens, server, 40);
			t.is(server.tokenRequests.length, 1);
			await checkNothingLeft(t, stage);

			const [record] = Object.values(recordsOf(stage)['AccessToken']!);
			const writtenSec = Number(record?.['cached_at']) - (isHolder ? offsetSec : 0);
			t.true(writtenSec >= startSec - 2 && writtenSec <= nowSec() + 2, 'the clock was wrong indeed');
			const expiresMs = server.grants[0]!.request.receivedMs + 3_600_000;
			for (const {expiresOnMs = 0} of (isHolder ? tokens.slice(10) : [...tokens.slice(0, 10), ...tokens.slice(20)])) {
				t.true(expiresOnMs < expiresMs + 30_000, 'no process takes the token as valid for longer than it is');
				t.true(expiresOnMs > expiresMs - 900_000);
			}
		});
	}
}

testWhere(test.serial, [lackOfWrongClocks()], 'at Microsoft\'s authorities, a live holder that does nothing is bypassed, and does no harm when it continues', async t => {
	const stage = await setEntraStage(t);
	const {server, home, directory} = stage;
	const held = holdAnswer();
	server.script(held.behaviour);
	const stuck = await FleetProcess.start(t, {home, server, isEntra: true});
	const ofStuck = stuck.tokens(vault);
	await held.arrived;
	t.deepEqual(leaseHolders(directory), [stuck.pid]);
	stuck.stop();
	// Half a minute passes in six seconds for the waiting processes. The next holder has as long for a sign of life.
	const others = await FleetProcess.startMany(t, 3, {
		home, server, isEntra: true, environment: wrongClock('+0 x5', {isMonotonicToo: true}),
	});
	const startMs = performance.now();
	const tokens = await all(others);
	t.log(`Bypassed after ${Math.round(performance.now() - startMs)} ms.`);
	checkAllHave(t, tokens, server, 30);
	t.is(server.grants.length, 1);
	t.is(server.tokenRequests.length, 2);
	t.true(performance.now() - startMs > 4000, 'not immediately: it might only have been slow');

	held.release();
	stuck.continue();
	const [late] = await ofStuck;
	t.is(late?.error, undefined);
	t.is(server.grants.length, 2);
	await checkNothingLeft(t, stage);
	const [record] = Object.values(recordsOf(stage)['AccessToken']!);
	t.true(server.grants.some(({accessToken}) => accessToken === record?.['secret']));
});

test.serial('read-only: each process makes its own grant, none waits for another, and nothing is written', async t => {
	const {server, home, directory, cachePath} = await setStage(t);
	const before = {bytes: readFileSync(cachePath), names: readdirSync(directory), changedMs: statSync(directory).ctimeMs};
	const held = Array.from({length: 4}, () => holdAnswer());
	server.script(...held.map(({behaviour}) => behaviour));
	const fleet = await FleetProcess.startMany(t, 4, {home, server, options: readOnly});
	const got = all(fleet);
	// No request is answered before all have arrived.
	await Promise.all(held.map(async ({arrived}) => arrived));
	for (const each of held) {
		each.release();
	}

	const names = nameTokens(await got, server);
	t.deepEqual([...new Set(names)].toSorted(), [1, 2, 3, 4].map(number => `access token ${number}`));
	t.is(server.tokenRequests.length, 4);
	t.deepEqual(readdirSync(directory), before.names);
	t.is(statSync(directory).ctimeMs, before.changedMs, 'no file was created there, not even for a moment');
	t.true(readFileSync(cachePath).equals(before.bytes));
});

test.serial('read-only processes beside one that writes wait for it and use its token', async t => {
	const stage = await setStage(t);
	const {server, home} = stage;
	const held = holdAnswer();
	server.script(held.behaviour);
	const writer = await FleetProcess.start(t, {home, server});
	const readers = await FleetProcess.startMany(t, 3, {home, server, options: readOnly});
	const ofWriter = writer.tokens(vault, 10);
	await held.arrived;
	const ofReaders = all(readers);
	await sleep(300);
	t.is(server.tokenRequests.length, 1);
	held.release();
	checkAllHave(t, [...await ofWriter, ...await ofReaders], server, 40);
	t.is(server.tokenRequests.length, 1);
	await checkNothingLeft(t, stage);
});

test.serial('a refresh ahead of time: 4 processes make one grant, and all get its token', async t => {
	const stage = await setStage(t, {}, accessTokenRecord(ann, 'FAKE-cached', 400, {refresh_on: String(nowSec() - 300)}));
	const {server, home} = stage;
	const fleet = await FleetProcess.startMany(t, 4, {home, server});
	const got = await Promise.all(fleet.map(async process => process.ask<FleetToken[]>({do: 'newToken', scope: vault, withinMs: patienceMs / 2})));
	for (const [first, latest] of got) {
		t.is(first?.token, 'FAKE-cached', 'no call waits for a refresh ahead of time');
		t.deepEqual(nameTokens([latest!], server), ['access token 1']);
	}

	t.is(server.tokenRequests.length, 1);
	await checkNothingLeft(t, stage);
});

test.serial('a cached token from a clock that is ahead is refreshed ahead of time like any other', async t => {
	const aheadSec = 600;
	const stage = await setStage(t, {}, accessTokenRecord(ann, 'FAKE-cached', aheadSec + 400, {
		cached_at: String(nowSec() + aheadSec), refresh_on: String(nowSec() + aheadSec - 300),
	}));
	const {server, home} = stage;
	const process = await FleetProcess.start(t, {home, server});
	const [first, latest] = await process.ask<FleetToken[]>({do: 'newToken', scope: vault, withinMs: patienceMs / 2});
	t.is(first?.token, 'FAKE-cached');
	t.deepEqual(nameTokens([latest!], server), ['access token 1']);
	t.is(server.tokenRequests.length, 1);
});

test.serial('a refresh token that the authority refuses is removed from the cache, also after a rotation', async t => {
	const stage = await setStage(t);
	const {server, home} = stage;
	const process = await FleetProcess.start(t, {home, server});
	t.deepEqual(await process.names(vault), ['access token 1']);
	await until(() => Object.values(recordsOf(stage)['RefreshToken']!)[0]?.['secret'] === server.grants[0]!.refreshToken);
	server.script(faults.invalidGrant({suberror: 'bad_token'}));
	t.regex((await process.names(storage))[0]!, /STC_INTERACTION_REQUIRED/);
	t.is(server.tokenRequests[1]!.form.get('refresh_token'), server.grants[0]!.refreshToken ?? null);
	// No response waits for that write.
	await until(() => Object.keys(recordsOf(stage)['RefreshToken']!).length === 0);
	t.is(Object.values(recordsOf(stage)['AccessToken']!).length, 1);
});

test.serial('at Microsoft\'s authorities, processes that want tokens for different scopes do not wait for each other', async t => {
	const stage = await setEntraStage(t);
	const {server, home} = stage;
	const held = holdAnswer();
	server.script(held.behaviour);
	const [one, other] = await FleetProcess.startMany(t, 2, {home, server, isEntra: true});
	const first = one!.names(vault);
	await held.arrived;
	t.deepEqual(await other!.names(storage), ['access token 1']);
	held.release();
	t.deepEqual(await first, ['access token 2']);
	await checkNothingLeft(t, stage);
});

test.serial('another scope is granted with the refresh token that another process received', async t => {
	const {server, home} = await setStage(t, {rotation: 'revoke-old'});
	const [one, other] = await FleetProcess.startMany(t, 2, {home, server});
	t.deepEqual(await one!.names(vault), ['access token 1']);
	t.deepEqual(await other!.names(storage), ['access token 2']);
	t.deepEqual(await one!.names('https://graph.microsoft.com/.default'), ['access token 3']);
	t.deepEqual(server.grants.map(({redeemed}) => redeemed), [refreshToken, server.grants[0]!.refreshToken, server.grants[1]!.refreshToken]);
});

test.serial('a directory without write permission: each process makes its own grant at once, and all get a token', async t => {
	const {server, home, directory} = await setStage(t);
	const isRoot = process.getuid?.() === 0;
	const held = Array.from({length: 3}, () => holdAnswer());
	server.script(...held.map(({behaviour}) => behaviour));
	const fleet = await FleetProcess.startMany(t, 3, {home, server, uid: isRoot ? 65_534 : undefined});
	chmodSync(home.path, 0o755);
	chmodSync(join(directory, 'msal.cache.nocae'), 0o644);
	chmodSync(directory, 0o555);
	const names = readdirSync(directory);
	const got = all(fleet);
	const early = await Promise.race([Promise.all(held.map(async ({arrived}) => arrived)).then(() => undefined), got]);
	t.is(early && nameTokens(early, server), undefined, 'all requests arrive');
	for (const each of held) {
		each.release();
	}

	t.is(new Set(nameTokens(await got, server)).size, 3);
	t.is(server.grants.length, 3);
	t.deepEqual(readdirSync(directory), names);
	chmodSync(directory, 0o755);
});

test.serial('a caller that aborts while another process holds the lease returns at once', async t => {
	const {server, home} = await setStage(t);
	const held = holdAnswer();
	server.script(held.behaviour);
	const [one, other] = await FleetProcess.startMany(t, 2, {home, server});
	const first = one!.names(vault);
	await held.arrived;
	const [left] = await other!.tokens(vault, 1, {abortAfterMs: 300});
	t.regex(left?.error ?? '', /^AbortError/);
	held.release();
	t.deepEqual(await first, ['access token 1']);
});

test.serial('at Microsoft\'s authorities, a request with claims is not shared with other callers and waits for none', async t => {
	const {server, home} = await setEntraStage(t);
	const held = holdAnswer();
	server.script(held.behaviour);
	const [one, other] = await FleetProcess.startMany(t, 2, {home, server, isEntra: true});
	const first = one!.names(vault);
	await held.arrived;
	t.deepEqual(nameTokens(await other!.tokens(vault, 1, {claims: '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'}), server), ['access token 1']);
	held.release();
	t.deepEqual(await first, ['access token 2']);
});

testWhere(test.serial, [lackOfAddon(), missingKeyring()], 'a keyring: 4 processes make one grant and write it to Python\'s item', async t => {
	const {server, home} = await setStage(t);
	const keyring = await startKeyring();
	t.teardown(async () => keyring.close());
	const cachePath = home.writeSettled('{}');
	const before = statSync(cachePath, {bigint: true}).mtimeNs;
	const cache = {...cacheFor(server), unknown: {kept: [1, 2]}};
	await keyring.store(itemAttributes.python, JSON.stringify(cache));
	const environment = {...keyring.environment, HOME: home.path};
	const fleet = await FleetProcess.startMany(t, 4, {home, server, environment});
	checkAllHave(t, await all(fleet), server, 40);
	t.is(server.tokenRequests.length, 1);
	t.is(readFileSync(cachePath, 'utf8'), '{}', 'no token in the file');
	t.true(statSync(cachePath, {bigint: true}).mtimeNs > before, 'the file that notifies other processes was touched');
	t.deepEqual(readdirSync(dirname(cachePath)), ['msal.cache.nocae']);

	const {sources} = await readInProcess({
		variant: 'native',
		query: {...query, environments: [environmentOfServer(server).environment]},
		server: {port: server.port, ca: server.ca},
		options: {},
		requests: [],
	}, {...environment, PATH: process.env['PATH']});
	const item = sources.find(({label}) => label === 'keyring item of Python (msal.cache.nocae)')?.slice;
	t.deepEqual(nameTokens((item?.accessTokens ?? []).map(({secret}) => ({token: secret, tookMs: 0})), server), ['access token 1']);
	t.true(item?.refreshTokens.some(({secret}) => secret === server.grants[0]!.refreshToken));
	t.deepEqual(sources.filter(({slice}) => slice && slice.accounts.length > 0).map(({label}) => label), ['keyring item of Python (msal.cache.nocae)']);
});
