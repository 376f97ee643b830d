/**
 * Secrets stay secret: in logs of every level, in errors and their causes, and in every output of an object that we
 * return.
 */

import {createRequire} from 'node:module';
import {inspect} from 'node:util';
import test from 'ava';
import {interceptors} from 'undici';
import type {SharedTokenCacheCredential} from '../../dist/index.js';
import * as faults from '../helpers/authority/entra-faults.js';
import {type Behaviour, startEntraServer} from '../helpers/authority/entra-server.js';
import {
	accessTokenRecord, accountRecord, ann, cacheOf, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';

// The instance that a CommonJS application uses, and also the entry point that these tests load.
const {AzureLogger, setLogLevel} = createRequire(import.meta.url)('@azure/logger') as typeof import('@azure/logger');
const logged: string[] = [];
AzureLogger.log = (...parts: unknown[]) => {
	logged.push(parts.map(part => typeof part === 'string' ? part : inspect(part, {depth: 10})).join(' '));
};

setLogLevel('verbose');

/** Part of every secret in this file, and of nothing else. */
const mark = 'FAKE';
const refreshToken = `${mark}-refresh-token`;

/** Everything that a person or a log collector might print of an error. */
function everyText(error: unknown): string {
	const texts = [inspect(error, {depth: 20, showHidden: true, getters: true}), String(error), JSON.stringify(error)];
	for (let each = error; each instanceof Error; each = each.cause) {
		texts.push(each.message, each.stack ?? '', inspect(Object.getOwnPropertyDescriptors(each), {depth: 20}));
	}

	return texts.join('\n');
}

async function failure(credential: SharedTokenCacheCredential, options = {}): Promise<unknown> {
	try {
		await credential.getToken(scope, options);
	} catch (error) {
		return error;
	}

	return undefined;
}

test.serial('a returned token, alone and inside other objects, prints no secret', async t => {
	const home = new TestHome(t);
	home.write(cacheOf({accounts: [accountRecord(ann)], refreshTokens: [refreshTokenRecord(ann, refreshToken)], accessTokens: [accessTokenRecord(ann, `${mark}-access`, 3600)]}));
	const credential = home.credential();
	const token = await credential.getToken(scope);
	t.is(token.token, `${mark}-access`);
	const prints = [
		inspect(token),
		inspect({nested: [token]}, {depth: 5}),
		inspect(new Map([[token, token]])),
		inspect(credential, {depth: 20, showHidden: true}),
		inspect(await credential.listAccounts(), {depth: 20}),
	];
	for (const printed of prints) {
		t.notRegex(printed, new RegExp(mark));
	}

	const spread = {...token};
	t.is(spread.token, `${mark}-access`, 'it is still an ordinary AccessToken');
	const json = JSON.stringify(token);
	t.is((JSON.parse(json) as {token: string}).token, `${mark}-access`);
});

const behaviours: Array<[string, Behaviour]> = [
	['an error that quotes the refresh token', faults.oauthError({error: 'invalid_request', code: 900_144, text: `You sent ${refreshToken}, which is ${mark}.`.replace(`which is ${mark}`, 'wrong')})],
	['a refusal that quotes the refresh token', faults.oauthError({error: 'invalid_grant', code: 70_000, text: `The token ${refreshToken} is bad.`})],
	['a token in an unusable answer', faults.grantForAnotherAccount()],
	['a token in a truncated answer', faults.invalidJson()],
	['a token without expiry', faults.grantWithout('expires_in')],
	['a token in too long an answer', faults.oversizedBody()],
	['a reset in the answer', faults.resetInBody()],
	['the refresh token as HTML', faults.body(`<html>${refreshToken}</html>`, {contentType: 'text/html', status: 502})],
	['the refresh token in a redirect', faults.redirect(302, `https://localhost/?token=${refreshToken}`)],
	...faults.httpBreaks.map((name): [string, Behaviour] => [name, faults.brokenHttp(name)]),
	['the refresh token as the error code', faults.changedGrant(() => ({error: refreshToken, error_description: refreshToken, suberror: refreshToken}))],
];

for (const [name, behaviour] of behaviours) {
	test.serial(`errors: ${name}`, async t => {
		const entra = await startEntraServer({refreshTokens: {[refreshToken]: ann}});
		t.teardown(async () => entra.close());
		entra.scriptAll(behaviour);
		const home = new TestHome(t);
		home.writeAccount(ann, refreshToken);
		const credential = home.credential({retryOptions: {maxRetries: 1, retryDelayInMs: 1}}, entra);
		for (const options of [{}, {claims: '{"a":1}'}]) {
			const error = await failure(credential, options);
			t.true(error instanceof Error);
			t.notRegex(everyText(error), new RegExp(mark));
		}

		t.true(entra.tokenRequests.length > 0);
	});
}

test.serial('errors: an interceptor of an injected dispatcher that returns the whole response leaks no secret', async t => {
	const entra = await startEntraServer({refreshTokens: {[refreshToken]: ann}});
	t.teardown(async () => entra.close());
	entra.scriptAll(faults.body(refreshToken, {status: 400, contentType: 'text/plain'}));
	const home = new TestHome(t);
	home.writeAccount(ann, refreshToken);
	const dispatcher = home.dispatcher(entra).compose(interceptors.responseError());
	const error = await failure(home.credential({dispatcher, retryOptions: {maxRetries: 0}}));
	t.regex(String(error), /UND_ERR_RESPONSE/);
	t.notRegex(everyText(error), new RegExp(mark));
});

for (const variable of ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY']) {
	for (const proxy of ['http://ann:FAKE@two words:3128', 'ann:FAKE@proxy:3128', 'http://ann:FAKE%zz@127.0.0.1:1', 'http://ann:FAKE@127.0.0.1:99999', 'ftp://ann:FAKE@proxy.example', 'FAKE']) {
		test.serial(`errors: ${variable} with an invalid proxy URL is named without its value: ${proxy}`, async t => {
			process.env[variable] = proxy;
			t.teardown(() => {
				delete process.env[variable];
			});
			const home = new TestHome(t);
			home.writeAccount(ann, refreshToken);
			const error = await failure(home.credential({retryOptions: {maxRetries: 1, retryDelayInMs: 1}}));
			t.like(error, {name: 'AuthenticationError', code: 'STC_NETWORK'});
			t.true(String(error).includes(`no token from login.microsoftonline.com: the environment variable ${variable} is not the URL of a proxy. `), String(error));
			t.notRegex(everyText(error), new RegExp(mark));
		});
	}
}

test.serial('errors: an unreachable proxy\'s password is not quoted', async t => {
	process.env['HTTPS_PROXY'] = 'http://ann:FAKE@127.0.0.1:1';
	t.teardown(() => {
		delete process.env['HTTPS_PROXY'];
	});
	const home = new TestHome(t);
	home.writeAccount(ann, refreshToken);
	const fromOptions = {
		host: 'http://127.0.0.1', port: 1, username: 'ann', password: 'FAKE',
	};
	for (const options of [{}, {proxyOptions: fromOptions}]) {
		const error = await failure(home.credential({...options, retryOptions: {maxRetries: 0}}));
		t.regex(String(error), /ECONNREFUSED/);
		t.notRegex(everyText(error), new RegExp(mark));
	}
});

for (const content of [`{"RefreshToken":{"a":{"secret":"${mark}"}},}`, `${mark}`, `eyJ.${mark}`, `{"a":"${mark}\n"}`, `["${mark}"]`]) {
	for (const useNativeAddon of [true, false]) {
		test.serial(`errors of an unreadable cache quote no secret, ${useNativeAddon ? 'native' : 'pure'}: ${content.replace(mark, '...').replace('\n', String.raw`\n`)}`, async t => {
			const home = new TestHome(t);
			home.writeSettled(content);
			const error = await failure(home.credential({useNativeAddon}));
			t.true(error instanceof Error);
			t.notRegex(everyText(error), new RegExp(mark));
		});
	}
}

test.serial('invalid claims are not quoted', async t => {
	const home = new TestHome(t);
	const error = await failure(home.credential(), {claims: `${mark}{`});
	t.true(error instanceof TypeError);
	t.notRegex(everyText(error), new RegExp(mark));
});

test.serial('a hit, a grant, a rotation, a background refresh: no secret at any log level', async t => {
	const entra = await startEntraServer({refreshTokens: {[refreshToken]: ann}, rotation: 'revoke-old'});
	t.teardown(async () => entra.close());
	const home = new TestHome(t);
	home.writeAccount(ann, refreshToken);
	const credential = home.credential({cacheCheckIntervalInMs: 1}, entra);
	const tokens = [await credential.getToken(scope), await credential.getToken(scope), await credential.getToken('other/.default')];
	home.write('{}');
	await new Promise(resolve => {
		setTimeout(resolve, 50);
	});
	await credential.getToken(scope).catch(() => undefined);
	await new Promise(resolve => {
		setTimeout(resolve, 50);
	});
	const text = logged.join('\n');
	// This contains the log lines of the whole file, including failures.
	t.regex(text, /azure-shared-token-cache:info.*SharedTokenCacheCredential => getToken\(\) => SUCCESS\. Scopes: https:\/\/vault\.azure\.net\/\.default\./);
	t.regex(text, /SharedTokenCacheCredential => getToken\(\) => ERROR\. Scopes: /);
	t.notRegex(text, new RegExp(mark));
	for (const {token} of tokens) {
		t.false(text.includes(token.slice(0, 40)));
	}
});
