/**
 * Refresh tokens that work once, and what several processes do with them. Unless a test says otherwise, each "process" is a credential with
 * settings of its own, which shares nothing with the others but the files.
 */

import {
	mkdirSync, readdirSync, readFileSync, rmdirSync,
} from 'node:fs';
import {dirname} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import type {SharedTokenCacheCredential} from '../../dist/index.js';
import type {SharedTokenCacheCredentialOptions} from '../../dist/types.js';
import * as faults from '../helpers/authority/entra-faults.js';
import {
	type Behaviour, type EntraServer, type EntraServerOptions, sendJson, startEntraServer,
} from '../helpers/authority/entra-server.js';
import {
	environmentOfServer, FleetProcess, holdAnswer, lackOfWrongClocks, leaseHolders, nameTokens, wrongClock,
} from '../helpers/processes/fleet.js';
import {
	accessTokenRecord, accountRecord, ann, cacheOf, refreshTokenRecord, TestHome,
} from '../helpers/home.js';
import {LockProcess} from '../helpers/locks/lock-process.js';
import {testWhere} from '../helpers/peers/peers.js';
import {inTime, until} from '../helpers/until.js';

const refreshToken = 'FAKE-refresh-ann';
const scopes = Array.from({length: 8}, (_, index) => `api://resource-${index}/.default`);

type Stage = {
	server: EntraServer;
	home: TestHome;
	path: string;
	/** Credentials with one cache that know nothing of each other. */
	processes: (count: number, options?: SharedTokenCacheCredentialOptions) => SharedTokenCacheCredential[];
	/** The refresh token in the cache. */
	cached: () => unknown;
};

async function setStage(t: ExecutionContext, options: EntraServerOptions = {}): Promise<Stage> {
	const server = await startEntraServer({refreshTokens: {[refreshToken]: ann}, rotation: 'revoke-old', ...options});
	t.teardown(async () => server.close());
	const home = new TestHome(t);
	const environment = environmentOfServer(server);
	const path = home.writeSettled(cacheOf({
		accounts: [accountRecord(ann, environment)],
		refreshTokens: [refreshTokenRecord(ann, refreshToken, environment)],
		accessTokens: [accessTokenRecord(ann, 'FAKE-expired', -60, environment)],
	}));
	let made = 0;
	return {
		server,
		home,
		path,
		processes: (count, rest = {}) => Array.from({length: count}, () => home.credential({
			authorityHost: server.origin, cacheCheckIntervalInMs: 1000 + (++made), retryOptions: {maxRetries: 1, retryDelayInMs: 5}, ...rest,
		}, server)),
		cached: () => Object.values(home.read()['RefreshToken']!)[0]?.['secret'],
	};
}

const ask = async (credential: SharedTokenCacheCredential, scope: string) => {
	const {token} = await credential.getToken(scope);
	return token;
};

/** Each refresh token was redeemed once, and the last one is in the cache. */
function checkChain(t: ExecutionContext, {server, cached}: Stage): void {
	t.deepEqual(server.grants.map(({redeemed}) => redeemed), [refreshToken, ...server.grants.slice(0, -1).map(grant => grant.refreshToken!)]);
	t.is(cached(), server.grants.at(-1)?.refreshToken);
	t.is(server.tokenRequests.length, server.grants.length, 'nothing was refused');
}

/** Lets a process stand still after the authority has processed its request, and before the answer arrives. */
function holdProcessed(): {arrived: Promise<void>; behaviour: Behaviour; release: () => void} {
	const held = holdAnswer();
	return {
		...held,
		async behaviour(exchange) {
			const {status, json} = exchange.answer();
			await held.behaviour({...exchange, answer: () => ({status, json})});
		},
	};
}

test('A4: one process asks for two tokens at once: both get one, with one refresh token after the other', async t => {
	const stage = await setStage(t);
	const [one] = stage.processes(1);
	const tokens = await Promise.all(scopes.slice(0, 3).map(async scope => ask(one!, scope)));
	t.deepEqual(tokens.toSorted(), stage.server.grants.map(({accessToken}) => accessToken).toSorted());
	checkChain(t, stage);
});

for (const useNativeAddon of [true, false]) {
	test(`A5: 8 processes ask for different tokens at once (${useNativeAddon ? 'native' : 'pure'}): all get one`, async t => {
		const stage = await setStage(t);
		const tokens = await Promise.all(stage.processes(8, {useNativeAddon}).map(async (each, index) => ask(each, scopes[index]!)));
		t.is(new Set(tokens).size, 8);
		checkChain(t, stage);
		// Writes that look whether they were overwritten may be under way.
		await until(() => readdirSync(dirname(stage.path)).length === 1);
	});
}

test('A5: requests with CAE, without, and with claims take turns, too', async t => {
	const stage = await setStage(t);
	const [one, other, third] = stage.processes(3);
	const tokens = await Promise.all([
		one!.getToken(scopes[0]!, {enableCae: true}), other!.getToken(scopes[0]!), third!.getToken(scopes[0]!, {claims: '{"access_token":{}}'}),
	]);
	t.is(new Set(tokens.map(({token}) => token)).size, 3);
	t.deepEqual(stage.server.grants.map(({redeemed}) => redeemed), [refreshToken, ...stage.server.grants.slice(0, -1).map(grant => grant.refreshToken!)]);

	// Both caches hold the newest one, so that no later request sends an old one.
	const [later, last] = stage.processes(2);
	t.truthy(await later!.getToken(scopes[1]!, {enableCae: true}));
	t.truthy(await last!.getToken(scopes[1]!));
	t.is(stage.server.tokenRequests.length, stage.server.grants.length);
});

test('A5: while a program holds the cache\'s lock, others wait for the new refresh token to be written, and this process goes on', async t => {
	const stage = await setStage(t);
	const holder = await LockProcess.start(t, 'native', `${stage.path}.lockfile`);
	t.is(await holder.ask('lock'), 'locked');
	const [one, other] = stage.processes(2);
	const first = await ask(one!, scopes[0]!);
	const waiting = ask(other!, scopes[1]!);
	t.is(stage.cached(), refreshToken, 'it could not be written');
	t.truthy(await ask(one!, scopes[2]!), 'from memory');
	await sleep(100);
	t.is(stage.server.tokenRequests.length, 2);
	t.is(await holder.ask('unlock'), 'unlocked');
	t.not(await inTime(waiting, 'the other process'), first);
	checkChain(t, stage);
});

test('A5: close() waits until the new refresh token is written', async t => {
	const stage = await setStage(t);
	const holder = await LockProcess.start(t, 'native', `${stage.path}.lockfile`);
	t.is(await holder.ask('lock'), 'locked');
	const [one, other] = stage.processes(2);
	await ask(one!, scopes[0]!);
	const closing = one!.close();
	await sleep(700);
	t.is(await holder.ask('unlock'), 'unlocked');
	await inTime(closing, 'close()');
	t.is(stage.cached(), stage.server.grants[0]!.refreshToken);
	t.truthy(await ask(other!, scopes[1]!));
	checkChain(t, stage);
});

test('A5: close() during a request waits for the answer and its writing', async t => {
	const stage = await setStage(t);
	const held = holdProcessed();
	stage.server.script(held.behaviour);
	const [one, other] = stage.processes(2);
	const asking = t.throwsAsync(ask(one!, scopes[0]!), {name: 'AbortError'});
	await held.arrived;
	const closing = one!.close();
	await asking;
	held.release();
	await closing;
	t.is(stage.cached(), stage.server.grants[0]!.refreshToken);
	t.truthy(await ask(other!, scopes[1]!));
	checkChain(t, stage);
});

test('A5: an answer that no caller waits for any more is written', async t => {
	const stage = await setStage(t);
	const held = holdProcessed();
	stage.server.script(held.behaviour);
	const [one, other] = stage.processes(2);
	const leaving = new AbortController();
	const asking = one!.getToken(scopes[0]!, {abortSignal: leaving.signal});
	await held.arrived;
	leaving.abort();
	await t.throwsAsync(asking, {name: 'AbortError'});
	const waiting = ask(other!, scopes[1]!);
	held.release();
	t.truthy(await waiting);
	checkChain(t, stage);
});

test('A5: a process that ends by itself ends after the new refresh token is written', async t => {
	const stage = await setStage(t);
	const holder = await LockProcess.start(t, 'native', `${stage.path}.lockfile`);
	t.is(await holder.ask('lock'), 'locked');
	const process = await FleetProcess.start(t, {home: stage.home, server: stage.server});
	t.deepEqual(await process.names(scopes[0]!), ['access token 1']);
	const ended = process.end();
	await sleep(300);
	t.is(await holder.ask('unlock'), 'unlocked');
	t.is(await inTime(ended, 'the end of the process'), 0);
	t.is(stage.cached(), stage.server.grants[0]!.refreshToken);
});

testWhere(test, [lackOfWrongClocks()], 'A5: a process that was stopped for half a minute in mid-request is waited for, and writes what it got', async t => {
	const stage = await setStage(t);
	const {server, home, path} = stage;
	const held = holdProcessed();
	server.script(held.behaviour);
	const stuck = await FleetProcess.start(t, {home, server});
	const ofStuck = stuck.names(scopes[0]!);
	await held.arrived;
	t.deepEqual(leaseHolders(dirname(path)), [stuck.pid]);
	stuck.stop();
	held.release();
	// A minute passes in some seconds for the waiting process.
	const hasty = await FleetProcess.start(t, {home, server, environment: wrongClock('+0 x20', {isMonotonicToo: true})});
	const patient = await FleetProcess.start(t, {home, server});
	const ofPatient = patient.names(scopes[2]!);
	const [left] = await hasty.tokens(scopes[1]!);
	t.regex(left?.error ?? '', new RegExp(String.raw`^CredentialUnavailableError STC_LOCK_TIMEOUT: .*Process ${stuck.pid} requests a token with the refresh token of a\*\*\*@contoso\.com`));
	t.is(server.tokenRequests.length, 1, 'nobody has sent a refresh token that may be used up');

	stuck.continue();
	t.deepEqual(await ofStuck, ['access token 1']);
	t.deepEqual(await ofPatient, ['access token 2']);
	checkChain(t, stage);
});

test('A4: a refusal belongs to the refresh token that was sent: a newer one in the cache is tried at once', async t => {
	const stage = await setStage(t);
	const {server, home} = stage;
	// Another program redeems without our turns, and writes its refresh token before ours is refused.
	server.script(exchange => {
		server.refreshTokens.delete(refreshToken);
		server.refreshTokens.set('FAKE-newer', ann);
		const environment = environmentOfServer(server);
		home.write(cacheOf({accounts: [accountRecord(ann, environment)], refreshTokens: [refreshTokenRecord(ann, 'FAKE-newer', environment)]}));
		const {status, json} = exchange.answer();
		sendJson(exchange, status, {...json, error_codes: []});
	});
	const [one] = stage.processes(1);
	t.truthy(await ask(one!, scopes[0]!));
	t.deepEqual(server.tokenRequests.map(({form}) => form.get('refresh_token')), [refreshToken, 'FAKE-newer']);

	server.refreshTokens.clear();
	await t.throwsAsync(ask(one!, scopes[1]!), {code: 'STC_INTERACTION_REQUIRED'} as object);
	await t.throwsAsync(ask(one!, scopes[1]!), {code: 'STC_INTERACTION_REQUIRED'} as object);
	t.is(server.tokenRequests.length, 3, 'the refusal is remembered');
});

for (const rotation of ['revoke-old', 'keep-old'] as const) {
	test(`A7: a program holds the cache's lock: 8 processes make one request for one token (${rotation})`, async t => {
		const stage = await setStage(t, {rotation});
		const holder = await LockProcess.start(t, 'native', `${stage.path}.lockfile`);
		t.is(await holder.ask('lock'), 'locked');
		const waiting = Promise.all(stage.processes(8).map(async each => ask(each, scopes[0]!)));
		await until(() => stage.server.grants.length > 0);
		// Longer than the process that made the request lets its caller wait.
		await sleep(1000);
		t.is(await holder.ask('unlock'), 'unlocked');
		t.is(new Set(await waiting).size, 1);
		t.is(stage.server.tokenRequests.length, 1);
	});
}

for (const [title, granted, asked] of [
	['graph, by the short name', 'User.Read', 'https://graph.microsoft.com/User.Read'],
	['AD FS, which names other scopes', 'openid', 'api://resource/.default'],
	['one of two scopes', 'https://vault.azure.net/a', 'https://vault.azure.net/a https://vault.azure.net/b'],
] as const) {
	test(`B3: 8 processes make one request, and none later: ${title}`, async t => {
		const stage = await setStage(t);
		const {server} = stage;
		server.scriptAll(faults.changedGrant(json => ({...json, scope: granted})));
		const tokens = await Promise.all(stage.processes(8).map(async each => ask(each, asked)));
		t.is(new Set(tokens).size, 1);
		t.deepEqual(await Promise.all(stage.processes(2).map(async each => ask(each, asked))), tokens.slice(0, 2));
		t.is(server.tokenRequests.length, 1);
	});
}

test('B3: a token that is too short-lived for the cache is shared by those who waited for it', async t => {
	const stage = await setStage(t, {expiresInSec: 120});
	const tokens = await Promise.all(stage.processes(8).map(async each => ask(each, scopes[0]!)));
	t.is(new Set(tokens).size, 1);
	t.is(stage.server.tokenRequests.length, 1);
});

for (const rotation of ['keep-old', 'off'] as const) {
	test(`B4: a cache that cannot be written: those who waited go on together (${rotation})`, async t => {
		const stage = await setStage(t, {rotation});
		const {server, path} = stage;
		mkdirSync(`${path}.lockfile`);
		const first = holdAnswer();
		const others = Array.from({length: 7}, () => holdAnswer());
		server.script(first.behaviour, ...others.map(({behaviour}) => behaviour));
		const waiting = Promise.all(stage.processes(8).map(async each => ask(each, scopes[0]!)));
		await first.arrived;
		await sleep(500);
		t.is(server.tokenRequests.length, 1);
		first.release();
		// None is answered before all have arrived.
		await inTime(Promise.all(others.map(async ({arrived}) => arrived)), 'the other requests');
		for (const {release} of others) {
			release();
		}

		t.is(new Set(await waiting).size, 8);
		t.is(server.tokenRequests.length, 8);
		rmdirSync(`${path}.lockfile`);
	});
}

test('B5: the authority is down: those who waited fail with the holder, for the same reason', async t => {
	const stage = await setStage(t);
	const {server} = stage;
	const held = holdAnswer();
	server.script(async exchange => {
		await held.behaviour({...exchange, answer: () => ({status: 503, json: {}})});
	});
	server.scriptAll(faults.bareStatus(503));
	const waiting = Promise.allSettled(stage.processes(8).map(async (each, index) => ask(each, scopes[index % 2]!)));
	await held.arrived;
	await sleep(500);
	held.release();
	const reasons = (await waiting).map(outcome => (outcome as PromiseRejectedResult).reason as {name: string; code: string; statusCode: number; message: string});
	t.deepEqual(reasons.map(({name, code, statusCode}) => [name, code, statusCode]), Array.from({length: 8}, () => ['AuthenticationError', 'STC_TOKEN_REQUEST_FAILED', 503]));
	t.is(reasons.filter(({message}) => message.includes('Another process on this machine asked')).length, 7);
	t.is(server.tokenRequests.length, 2, 'a request and its repetition');

	const [late] = stage.processes(1);
	server.scriptAll();
	t.truthy(await ask(late!, scopes[0]!), 'who comes later asks');
});

test('B5: a refusal of the first process is known to those who waited for it', async t => {
	const stage = await setStage(t);
	const {server} = stage;
	const held = holdAnswer();
	server.refreshTokens.clear();
	server.script(held.behaviour);
	const waiting = Promise.allSettled(stage.processes(8).map(async each => ask(each, scopes[0]!)));
	await held.arrived;
	await sleep(500);
	held.release();
	const codes = (await waiting).map(outcome => ((outcome as PromiseRejectedResult).reason as {code: string}).code);
	t.deepEqual(codes, Array.from({length: 8}, () => 'STC_INTERACTION_REQUIRED'));
	t.is(server.tokenRequests.length, 1);
	t.false(readFileSync(stage.path, 'utf8').includes('FAKE-newer'));
	for (const name of readdirSync(dirname(stage.path)).filter(each => each.endsWith('.note'))) {
		t.notRegex(readFileSync(`${dirname(stage.path)}/${name}`, 'utf8'), /FAKE/, 'notes hold no secret');
	}
});

test('A7: of 6 processes, the first 3 die in mid-request: 4 requests', async t => {
	const {server, home, path} = await setStage(t, {rotation: 'keep-old'});
	const held = Array.from({length: 3}, () => holdAnswer());
	server.script(...held.map(({behaviour}) => behaviour));
	const fleet = await FleetProcess.startMany(t, 6, {home, server});
	const wanted = new Map(fleet.map(process => [process.pid, {process, tokens: process.tokens(scopes[0]!)}]));
	for (const {arrived} of held) {
		await arrived;
		// Until all others wait.
		await sleep(300);
		const [holder = 0] = leaseHolders(dirname(path));
		const {process, tokens} = wanted.get(holder)!;
		wanted.delete(holder);
		const failing = t.throwsAsync(tokens);
		await process.kill();
		await failing;
	}

	const got = await Promise.all([...wanted.values()].map(async ({tokens}) => tokens));
	t.deepEqual(nameTokens(got.flat(), server), ['access token 1', 'access token 1', 'access token 1']);
	t.is(server.tokenRequests.length, 4);
	for (const {release} of held) {
		release();
	}
});
