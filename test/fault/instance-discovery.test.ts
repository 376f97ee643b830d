/** Instance discovery: whether the public cloud knows an authority, before a refresh token is sent there. */

import test, {type ExecutionContext} from 'ava';
import type {AuthenticationError} from '../../dist/errors.js';
import {loopbackDispatcher} from '../helpers/authority/dispatcher.js';
import * as faults from '../helpers/authority/entra-faults.js';
import {type EntraServer, type EntraServerOptions, startEntraServer} from '../helpers/authority/entra-server.js';
import {
	accountRecord, ann, cacheOf, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {until} from '../helpers/until.js';

const refreshToken = 'FAKE-refresh-token-of-ann';

async function server(t: ExecutionContext, options: EntraServerOptions = {}): Promise<EntraServer> {
	const started = await startEntraServer({refreshTokens: {[refreshToken]: ann}, ...options});
	t.teardown(async () => started.close());
	return started;
}

const quick = {retryOptions: {maxRetries: 2, retryDelayInMs: 5, maxRetryDelayInMs: 1500}};

const discoveries = (entra: EntraServer) => entra.requests.filter(({path}) => path.startsWith('/common/discovery/instance')).length;

/** Lets the clock of remembered results run ahead, for tests that run alone. */
function waitInClock(t: ExecutionContext, byMs: number): void {
	const now = performance.now.bind(performance);
	performance.now = () => now() + byMs;
	t.teardown(() => {
		performance.now = now;
	});
}

/** A home directory with one account of this authority. */
function homeAt(t: ExecutionContext, environment: string): TestHome {
	const home = new TestHome(t);
	home.write(cacheOf({accounts: [accountRecord(ann, {environment})], refreshTokens: [refreshTokenRecord(ann, refreshToken, {environment})]}));
	return home;
}

test('instance discovery: an unknown authority is confirmed once; the option disables the check', async t => {
	const entra = await server(t, {extraNames: ['login.contoso.example'], knownAuthorities: ['login.contoso.example']});
	const stranger = await server(t, {extraNames: ['login.stranger.example']});
	const at = (environment: string) => cacheOf({
		accounts: [accountRecord(ann, {environment})],
		refreshTokens: [refreshTokenRecord(ann, refreshToken, {environment})],
	});
	const known = new TestHome(t);
	known.write(at('login.contoso.example'));
	const credential = known.credential({authorityHost: 'login.contoso.example'}, entra);
	await credential.getToken(scope);
	await credential.getToken('other/.default');
	t.is(discoveries(entra), 1);
	t.is(entra.tokenRequests.length, 2);

	const unknown = new TestHome(t);
	unknown.write(at('login.stranger.example'));
	await t.throwsAsync(unknown.credential({authorityHost: 'login.stranger.example'}, stranger).getToken(scope), {name: 'AuthenticationError', message: /disableInstanceDiscovery/});
	t.is(stranger.tokenRequests.length, 0);
	t.truthy(await unknown.credential({authorityHost: 'login.stranger.example', disableInstanceDiscovery: true}, stranger).getToken(scope));
});

test('instance discovery: the result is kept for all credentials with the same dispatcher', async t => {
	const entra = await server(t, {extraNames: ['login.known-once.example', 'login.unknown-once.example'], knownAuthorities: ['login.known-once.example']});
	const dispatcher = loopbackDispatcher(entra);
	t.teardown(async () => dispatcher.destroy());
	for (let count = 0; count < 3; count++) {
		const known = homeAt(t, 'login.known-once.example').credential({authorityHost: 'login.known-once.example', dispatcher});
		t.truthy(await known.getToken(scope));
		const unknown = homeAt(t, 'login.unknown-once.example').credential({authorityHost: 'login.unknown-once.example', dispatcher});
		for (let call = 0; call < 2; call++) {
			const error = await t.throwsAsync<AuthenticationError>(unknown.getToken(scope), {name: 'AuthenticationError', message: /^SharedTokenCacheCredential: login\.unknown-once\.example is not an authority that login\.microsoftonline\.com knows/});
			t.is(error.statusCode, 400);
		}
	}

	t.is(discoveries(entra), 2);
	t.deepEqual(entra.tokenRequests.map(({serverName}) => serverName), Array.from({length: 3}, () => 'login.known-once.example'));
});

test('G12: what the answers of one dispatcher say does not count for another', async t => {
	const environment = 'login.split-view.example';
	const entra = await server(t, {extraNames: [environment]});
	const lying = await server(t, {extraNames: [environment], knownAuthorities: [environment]});
	t.truthy(await homeAt(t, environment).credential({authorityHost: environment}, lying).getToken(scope));
	await t.throwsAsync(homeAt(t, environment).credential({authorityHost: environment}, entra).getToken(scope), {name: 'AuthenticationError', message: /is not an authority/});
	t.is(entra.tokenRequests.length, 0);
});

for (const [what, json, isAccepted] of [
	['an empty endpoint', {tenant_discovery_endpoint: ''}, false],
	['an endpoint that is no URL', {tenant_discovery_endpoint: 'common'}, false],
	['an endpoint at another host', {tenant_discovery_endpoint: 'https://evil.example/common/v2.0/.well-known/openid-configuration'}, false],
	['an endpoint at a host that begins like the authority', {tenant_discovery_endpoint: 'https://login.odd-answer.example.evil.example/common'}, false],
	['an endpoint without TLS', {tenant_discovery_endpoint: 'http://login.odd-answer.example/common'}, false],
	['an endpoint that is no string', {tenant_discovery_endpoint: ['https://login.odd-answer.example/common']}, false],
	['aliases that do not contain both hosts', {tenant_discovery_endpoint: 'https://evil.example/common', metadata: [{aliases: ['evil.example']}, {aliases: ['login.odd-answer.example']}]}, false],
	['an error beside the endpoint', {tenant_discovery_endpoint: 'https://login.odd-answer.example/common', error: 'invalid_instance'}, false],
	['an empty error beside the endpoint', {tenant_discovery_endpoint: 'https://login.odd-answer.example/common', error: ''}, false],
	['the authority in upper case', {tenant_discovery_endpoint: 'https://LOGIN.odd-answer.example/common/v2.0/.well-known/openid-configuration'}, true],
	['an alias of the authority', {tenant_discovery_endpoint: 'https://login.alias.example/common', metadata: [5, {aliases: ['login.alias.example', 'Login.odd-answer.example']}]}, true],
] as const) {
	test(`G12: instance discovery that answers with ${what} is ${isAccepted ? 'a confirmation' : 'none'}`, async t => {
		const environment = 'login.odd-answer.example';
		const entra = await server(t, {extraNames: [environment]});
		entra.scriptDiscovery(faults.answer(json, {status: 200}));
		const answer = homeAt(t, environment).credential({authorityHost: environment}, entra).getToken(scope);
		await (isAccepted ? t.notThrowsAsync(answer) : t.throwsAsync(answer, {name: 'AuthenticationError', message: /disableInstanceDiscovery/}));
		t.is(entra.tokenRequests.length, isAccepted ? 1 : 0);
	});
}

test.serial('B6: instance discovery without a connection: the error names the host and the option, and is remembered for a minute', async t => {
	const environment = 'login.discovery-down.example';
	const entra = await server(t, {extraNames: [environment], knownAuthorities: [environment]});
	const down = {port: 1, ca: entra.ca};
	const others: Record<string, typeof down> = {'login.microsoftonline.com': down};
	let connections = 0;
	const dispatcher = loopbackDispatcher(entra, others).compose(dispatch => (options, handler) => {
		connections++;
		return dispatch(options, handler);
	});
	t.teardown(async () => dispatcher.destroy());
	const credential = homeAt(t, environment).credential({...quick, authorityHost: environment, dispatcher});
	const other = homeAt(t, environment).credential({...quick, authorityHost: environment, dispatcher});
	for (const each of [credential, credential, other]) {
		const error = await t.throwsAsync<AuthenticationError>(each.getToken(scope), {name: 'AuthenticationError'});
		t.is(error.code, 'STC_NETWORK');
		t.regex(error.message, /^SharedTokenCacheCredential: no answer from login\.microsoftonline\.com on whether login\.discovery-down\.example is an authority after 3 tries: ECONNREFUSED\. .*disableInstanceDiscovery/);
		t.is(connections, 3);
	}

	t.is(entra.requests.length, 0);
	delete others['login.microsoftonline.com'];
	waitInClock(t, 61_000);
	t.is((await credential.getToken(scope)).token, entra.grants[0]!.accessToken);
});

test.serial('instance discovery that fails: the error names the failing side, does not count as a refusal, and is remembered for a minute', async t => {
	const environment = 'login.discovery-failing.example';
	const entra = await server(t, {extraNames: [environment], knownAuthorities: [environment]});
	entra.scriptDiscovery(faults.oauthError({error: 'temporarily_unavailable', code: 90_033, text: 'A transient error has occurred.'}, 503), faults.html(404));
	const credential = homeAt(t, environment).credential({authorityHost: environment, retryOptions: {maxRetries: 0}}, entra);
	for (const pattern of [
		/^SharedTokenCacheCredential: login\.microsoftonline\.com refused to say whether login\.discovery-failing\.example is an authority with HTTP 503: temporarily_unavailable, AADSTS90033: A transient error has occurred\..*disableInstanceDiscovery/,
		/^SharedTokenCacheCredential: login\.microsoftonline\.com refused to say whether login\.discovery-failing\.example is an authority with HTTP 404: an answer that is not JSON \(text\/html\)\..*disableInstanceDiscovery/,
	]) {
		const before = discoveries(entra);
		for (let call = 0; call < 2; call++) {
			await t.throwsAsync(credential.getToken(scope), {name: 'AuthenticationError', message: pattern});
		}

		t.is(discoveries(entra), before + 1);
		waitInClock(t, 61_000);
	}

	t.is((await credential.getToken(scope)).token, entra.grants[0]!.accessToken);
	t.is(entra.requests.length, 4);
});

test.serial('an unknown authority is asked for again after an hour: it may belong to a new cloud', async t => {
	const environment = 'login.new-cloud.example';
	const knownAuthorities: string[] = [];
	const entra = await server(t, {extraNames: [environment], knownAuthorities});
	const credential = homeAt(t, environment).credential({authorityHost: environment}, entra);
	await t.throwsAsync(credential.getToken(scope), {message: /is not an authority/});
	knownAuthorities.push(environment);
	waitInClock(t, 3_500_000);
	await t.throwsAsync(credential.getToken(scope), {message: /is not an authority/});
	waitInClock(t, 200_000);
	t.truthy(await credential.getToken(scope));
	t.is(discoveries(entra), 2);
});

test('instance discovery is shared by callers: an aborting caller ends it for no other', async t => {
	const environment = 'login.discovery-shared.example';
	const entra = await server(t, {extraNames: [environment], knownAuthorities: [environment]});
	let answer: () => void = () => undefined;
	const answered = new Promise<void>(resolve => {
		answer = resolve;
	});
	entra.scriptDiscovery(async exchange => {
		await answered;
		await faults.slowHeaders(0)(exchange);
	});
	const credential = homeAt(t, environment).credential({authorityHost: environment}, entra);
	const controller = new AbortController();
	const aborted = t.throwsAsync(credential.getToken('other/.default', {abortSignal: controller.signal}), {name: 'AbortError'});
	const kept = credential.getToken(scope);
	await until(() => entra.requests.length > 0);
	t.is(entra.requests.length, 1);
	controller.abort(new Error('enough'));
	t.is(((await aborted)?.cause as Error).message, 'enough');
	answer();
	t.is((await kept).token, entra.grants[0]!.accessToken);
	t.deepEqual(entra.requests.map(({path}) => path.startsWith('/common/discovery/instance')), [true, false]);
});

