/**
 * Lines of the log and error texts hold nothing that a terminal or a log reader obeys, whoever chose the text: user names and tenants of a
 * cache come from any program of this user, and descriptions from the authority.
 */

import {execFile} from 'node:child_process';
import {promisify} from 'node:util';
import test from 'ava';
import {
	AbortError, AuthenticationError, AuthenticationRequiredError, CredentialUnavailableError, invalidArgument, oneLine, StoreError,
} from '../../dist/errors.js';
import {describeErrorResponse, readErrorResponse} from '../../dist/grant/token-response.js';
import {
	accountRecord, ann, bob, cacheOf, refreshTokenRecord, TestHome,
} from '../helpers/home.js';

const run = promisify(execFile);
const root = new URL('../../', import.meta.url);

/** Inclusive. Sources: Unicode, General_Category Cc, Zl and Zp; property Bidi_Control. */
const ranges: ReadonlyArray<readonly [number, number]> = [
	[0x00, 0x1F], [0x7F, 0x9F], [0x6_1C, 0x6_1C], [0x20_0E, 0x20_0F], [0x20_28, 0x20_2E], [0x20_66, 0x20_69],
];
const obeyed = ranges.flatMap(([first, last]) => Array.from({length: last - first + 1}, (_, index) => String.fromCodePoint(first + index)));
const isObeyed = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u;
const hostile = `eve\r\nazure:azure-shared-token-cache:error forged\u001B[31m${obeyed.join('.')}@contoso.com`;

test('G2: one filter replaces controls, line and paragraph separators and bidi controls, and nothing else', t => {
	for (let point = 0; point <= 0x10_FF_FF; point++) {
		const text = String.fromCodePoint(point);
		if (oneLine(`a${text}b`) !== (isObeyed.test(text) ? 'a b' : `a${text}b`)) {
			t.fail(`U+${point.toString(16)}`);
		}
	}

	t.is(oneLine('李雷@例え.jp עברית فارسی\u200Cها 👩\u200D🚀 \uD83D'), '李雷@例え.jp עברית فارسی\u200Cها 👩\u200D🚀 \uD83D');
	t.is(oneLine(`\u001B${obeyed.join('')}one${obeyed.join('')}two\r\n`), 'one two');
	t.notRegex(oneLine(hostile), isObeyed);
});

test('G2: the text of every error passes the filter', t => {
	const errors: Error[] = [
		new StoreError('STC_IO', hostile),
		new CredentialUnavailableError('STC_NO_ACCOUNT', hostile),
		new AuthenticationRequiredError(hostile, {scopes: []}),
		new AuthenticationError('STC_NETWORK', hostile),
		new AbortError(hostile),
		invalidArgument(hostile),
	];
	for (const error of errors) {
		t.is(error.message, oneLine(hostile), error.name);
		t.notRegex((error.stack ?? '').split('\n', 1)[0]!, isObeyed, error.name);
	}
});

test('G2: every field of an authority\'s error passes the filter', t => {
	const response = readErrorResponse({
		error: hostile, error_description: hostile, error_codes: [1], suberror: hostile, timestamp: hostile, trace_id: hostile, correlation_id: hostile,
	}, 'FAKE-refresh')!;
	for (const [name, value] of Object.entries(response)) {
		t.notRegex(String(value), isObeyed, name);
	}

	t.notRegex(describeErrorResponse(response), isObeyed);
});

test('G2: a refresh token in an authority\'s error is hidden, whatever is put into it', t => {
	const response = readErrorResponse({error: 'invalid_grant', error_description: 'The token FAKE-re\u0085fresh\u202E or FAKE-refresh is bad.'}, 'FAKE-refresh')!;
	t.false(response.errorDescription.includes('FAKE-refresh'));
});

for (const [way, logger] of [['@azure/logger', ''], ['standard error', 'const {Module} = require("node:module"); const resolve = Module._resolveFilename; Module._resolveFilename = function (name, ...rest) { if (name === "@azure/logger") { throw new Error("absent"); } return resolve.call(this, name, ...rest); };']] as const) {
	for (const useNativeAddon of [true, false]) {
		test(`G2: names of a cache forge no line and no terminal sequence: ${way}, ${useNativeAddon ? 'native' : 'pure JS'}`, async t => {
			const home = new TestHome(t);
			const eve = {...bob, username: hostile};
			home.write(cacheOf({
				accounts: [accountRecord(eve, {realm: hostile})],
				refreshTokens: [refreshTokenRecord(eve, 'FAKE-refresh')],
			}));
			home.write(cacheOf({
				accounts: [accountRecord(ann, {home_account_id: `uid.${hostile}`, username: hostile}), accountRecord(bob, {username: hostile})],
				refreshTokens: [refreshTokenRecord(ann, 'FAKE-a', {home_account_id: `uid.${hostile}`}), refreshTokenRecord(bob, 'FAKE-b')],
			}), '.IdentityService/two.nocae');
			const {stdout, stderr} = await run(process.execPath, ['--eval', `
				${logger}
				const {SharedTokenCacheCredential} = require('./dist/index.js');
				const ask = options => new SharedTokenCacheCredential({
					useNativeAddon: ${useNativeAddon}, loggingOptions: {allowLoggingAccountIdentifiers: true}, retryOptions: {maxRetries: 0},
					dispatcher: {dispatch(_, handler) { throw new Error(${JSON.stringify(hostile)}); }}, ...options,
				}).getToken('scope/.default').catch(error => console.log(JSON.stringify(error.message)));
				(async () => {
					await ask({});
					await ask({username: 'nobody'});
					await ask({tokenCachePersistenceOptions: {name: 'two'}});
					await ask({tokenCachePersistenceOptions: {name: 'two'}, username: ${JSON.stringify(hostile)}});
				})();
			`], {cwd: root, env: {PATH: process.env['PATH'] ?? '', HOME: home.path, AZURE_LOG_LEVEL: 'verbose'}});
			const messages = stdout.trim().split('\n').map(line => JSON.parse(line) as string);
			t.is(messages.length, 4);
			t.true(messages.some(message => message.includes('eve azure:')), stdout);
			const lines = stderr.trimEnd().split('\n');
			t.true(lines.some(line => line.includes('was found in') && line.includes('eve azure:')), stderr);
			for (const text of [...messages, ...lines]) {
				t.notRegex(text, isObeyed);
			}

			for (const line of lines) {
				t.regex(line, /^azure:azure-shared-token-cache:(?:error|warning|info|verbose) /);
			}

			t.false(lines.some(line => line.includes(':error forged') && !line.includes('eve azure:')), stderr);
		});
	}
}
