import {Buffer} from 'node:buffer';
import test from 'ava';
import {
	describeErrorResponse, isRefreshTokenDead, readErrorResponse, readRetryAfterMs, readTokenResponse, refusalReason,
} from '../../dist/grant/token-response.js';
import {parseJsonObject} from '../../dist/runtime/json.js';

const good = {access_token: 'FAKE.token', token_type: 'Bearer', expires_in: 3599};

/**
 * The user is not in that tenant, or the resource requires an interaction. 70000: a personal account has not consented
 * to a scope.
 */
const tenantOrRequestCodes = [50_020, 50_034, 50_072, 50_074, 50_076, 50_078, 50_079, 50_097, 50_105, 53_000, 53_003, 65_001, 70_000, 70_043, 90_072, 90_094, 500_011];

const tenantId = 'aaaaaaaa-0000-4000-8000-0000000000aa';

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

test('reads a complete response', t => {
	const idToken = `x.${encode({tid: tenantId, oid: 'oid', preferred_username: 'name'})}.`;
	const clientInfo = encode({uid: 'uid', utid: 'utid'});
	t.deepEqual(readTokenResponse({
		...good,
		ext_expires_in: 7200,
		refresh_in: '1800',
		scope: 'a b',
		refresh_token: 'FAKE-refresh',
		foci: '1',
		id_token: idToken,
		client_info: clientInfo,
	}, 1000), {
		accessToken: 'FAKE.token',
		expiresOnSec: 4599,
		extendedExpiresOnSec: 8200,
		refreshOnSec: 2800,
		scope: 'a b',
		refreshToken: 'FAKE-refresh',
		familyId: '1',
		idToken,
		tenantId,
		localAccountId: 'oid',
		username: 'name',
		clientInfo,
		homeAccountId: 'uid.utid',
	});
});

test('reads the expiry as a number or decimal string, relative or absolute', t => {
	const expiry = (fields: object) => (readTokenResponse({access_token: 'FAKE', ...fields}, 1000) as {expiresOnSec?: number}).expiresOnSec;
	t.is(expiry({expires_in: '10'}), 1010);
	t.is(expiry({expires_in: 10.9}), 1010);
	t.is(expiry({expires_on: '5000'}), 5000);
	t.is(expiry({expires_in: 10, expires_on: 5000}), 1010);
	for (const bad of [{}, {expires_in: 'soon'}, {expires_in: -1}, {expires_in: null}, {expires_in: Number.POSITIVE_INFINITY}, {expires_on: {}}]) {
		t.is(expiry(bad), undefined);
	}
});

test('the refresh time is half of a long life without refresh_in, and never after the expiry', t => {
	t.like(readTokenResponse({...good, refresh_in: 9999}, 0), {refreshOnSec: 3599});
	t.like(readTokenResponse({...good, refresh_in: undefined, expires_in: 7200}, 1000), {refreshOnSec: 4600});
	t.like(readTokenResponse({...good, refresh_in: undefined, expires_in: 7199}, 1000), {refreshOnSec: undefined});
});

test('an unusable response gives the reason', t => {
	for (const bad of [{}, {...good, access_token: ''}, {...good, access_token: 5}, {...good, access_token: 'a\r\nX-Evil: 1'}, {...good, token_type: 'pop'}, {access_token: 'FAKE'}]) {
		const why = readTokenResponse(bad, 0);
		t.is(typeof why, 'string');
		t.notRegex(why as string, /FAKE|Evil/);
	}
});

test('ignores malformed ID tokens and client info', t => {
	for (const odd of ['', 'x', 'x.y.z', 'x.e30', 5, null, `x.${encode([])}.`]) {
		t.deepEqual(readTokenResponse({...good, id_token: odd, client_info: odd}, 0), {accessToken: 'FAKE.token', expiresOnSec: 3599});
	}
});

test('accepts JSON objects only', t => {
	t.deepEqual(parseJsonObject('{"a":1}'), {a: 1});
	for (const odd of ['', '[]', 'null', '"x"', '<html>', '{"a":']) {
		t.is(parseJsonObject(odd), undefined);
	}
});

test('describes an OAuth error without line breaks, the refresh token, or anything that may be a token', t => {
	const secret = 'FAKE-refresh-token';
	const response = readErrorResponse({
		error: 'invalid_grant',
		error_description: `AADSTS700082: The refresh token ${secret} has expired.\r\nTrace ID: 1\r\nCorrelation ID: 2 ${'x'.repeat(120)}`,
		error_codes: [700_082, 'odd'],
		suberror: 'bad_token',
		trace_id: '1',
		correlation_id: '2',
		timestamp: 'then',
	}, secret);
	t.deepEqual(response, {
		error: 'invalid_grant',
		errorDescription: 'AADSTS700082: The refresh token [hidden] has expired. Trace ID: 1 Correlation ID: 2 [hidden]',
		errorCodes: [700_082],
		suberror: 'bad_token',
		traceId: '1',
		correlationId: '2',
		timestamp: 'then',
	});
	t.is(response && describeErrorResponse(response), 'invalid_grant (bad_token), AADSTS700082: The refresh token [hidden] has expired.');
	t.is(readErrorResponse({error: 5}, secret), undefined);
	t.is(describeErrorResponse({error: 'x', errorDescription: ''}), 'x');
	t.deepEqual(readErrorResponse({error: 'x', error_codes: [70_000, 'y']}, secret), {error: 'x', errorDescription: '', errorCodes: [70_000]});
	t.is(describeErrorResponse({error: 'x', errorDescription: '', errorCodes: [70_000]}), 'x, AADSTS70000');
	t.is(describeErrorResponse({error: 'x', errorDescription: '', errorCodes: []}), 'x');
});

test('classifies the errors that need the user, and those that end a refresh token for every request', t => {
	const classify = (error: string, suberror?: string, ...errorCodes: number[]) => {
		const response = {
			error, errorDescription: '', ...(suberror && {suberror}), errorCodes,
		};
		return [refusalReason(response) !== undefined, isRefreshTokenDead(response)];
	};

	t.deepEqual(classify('invalid_grant', 'bad_token'), [true, true]);
	t.deepEqual(classify('invalid_grant', 'token_expired'), [true, true]);
	for (const code of [50_132, 50_133, 50_173, 70_008, 700_081, 700_082, 700_084]) {
		t.deepEqual(classify('invalid_grant', undefined, code), [true, true], `${code}`);
		t.deepEqual(classify('invalid_grant', undefined, 1, code), [true, true], `${code}`);
		t.deepEqual(classify('invalid_scope', undefined, code), [false, false], `${code}`);
	}

	// An unclear error concerns the request only.
	t.deepEqual(classify('invalid_grant'), [true, false]);
	t.deepEqual(readErrorResponse({error: 'invalid_grant'}, 'FAKE'), {error: 'invalid_grant', errorDescription: ''});
	t.false(isRefreshTokenDead({error: 'invalid_grant', errorDescription: ''}));
	for (const code of tenantOrRequestCodes) {
		t.deepEqual(classify('invalid_grant', undefined, code), [true, false], `${code}`);
	}

	for (const suberror of ['basic_action', 'additional_action', 'message_only', 'consent_required', 'protection_policy_required', 'client_mismatch', 'new_in_some_year']) {
		t.deepEqual(classify('invalid_grant', suberror), [true, false], suberror);
	}

	for (const error of ['interaction_required', 'login_required', 'consent_required']) {
		t.deepEqual(classify(error), [true, false], error);
	}

	t.deepEqual(classify('invalid_scope'), [false, false]);
	t.deepEqual(classify('temporarily_unavailable'), [false, false]);
});

test('B2, D16: says who can do something about a refusal', t => {
	const reasonOf = (error: string, suberror?: string, ...errorCodes: number[]) => refusalReason({
		error, errorDescription: '', ...(suberror && {suberror}), errorCodes,
	});
	t.is(reasonOf('unauthorized_client', undefined, 700_016), 'client');
	t.is(reasonOf('invalid_client', undefined, 70_002), 'client');
	t.is(reasonOf('invalid_grant', 'client_mismatch'), 'client');
	for (const error of ['invalid_scope', 'invalid_resource', 'invalid_request', 'invalid_target', 'unsupported_grant_type', 'temporarily_unavailable', '']) {
		t.is(reasonOf(error), undefined, error);
	}

	t.is(reasonOf('consent_required'), 'consent');
	t.is(reasonOf('invalid_grant', 'consent_required'), 'consent');
	t.is(reasonOf('invalid_grant', undefined, 65_001), 'consent');
	t.is(reasonOf('interaction_required'), 'policy');
	for (const suberror of ['basic_action', 'additional_action', 'message_only', 'protection_policy_required']) {
		t.is(reasonOf('invalid_grant', suberror), 'policy', suberror);
	}

	t.is(reasonOf('invalid_grant', undefined, 53_003), 'policy');
	t.is(refusalReason({error: 'invalid_grant', errorDescription: '', claims: '{}'}), 'policy');
	t.is(reasonOf('invalid_grant', undefined, 50_020), 'tenant');
	t.is(reasonOf('invalid_grant', 'bad_token'), 'sign-in');
	t.is(reasonOf('invalid_grant'), 'sign-in');
	t.is(reasonOf('login_required'), 'sign-in');
});

test('D7: reads the claims of a policy, if they are a JSON object in plain text', t => {
	const claimsOf = (claims: unknown) => readErrorResponse({error: 'interaction_required', claims}, 'FAKE-refresh')?.claims;
	const claims = '{"access_token":{"capolids":{"essential":true,"values":["FAKE-policy"]}}}';
	t.is(claimsOf(claims), claims);
	for (const wrong of [undefined, null, 5, {}, '', '[]', '{', '"a"', '{"a":"FAKE-refresh"}', `{"a":"${'x'.repeat(100_000)}"}`]) {
		t.is(claimsOf(wrong), undefined, JSON.stringify(wrong)?.slice(0, 20));
	}
});

test('reads Retry-After in both forms, and the headers in milliseconds', t => {
	const retryAfterMs = (headers: Readonly<Record<string, string | undefined>>) => readRetryAfterMs((name: string) => headers[name], Date.parse('2026-11-23T10:00:00Z'));
	t.is(retryAfterMs({'retry-after': '3'}), 3000);
	t.is(retryAfterMs({'retry-after': 'Mon, 23 Nov 2026 10:00:07 GMT'}), 7000);
	t.is(retryAfterMs({'retry-after': 'Mon, 23 Nov 2026 09:00:00 GMT'}), 0);
	t.is(retryAfterMs({'retry-after-ms': '250', 'retry-after': '3'}), 250);
	t.is(retryAfterMs({'x-ms-retry-after-ms': '50'}), 50);
	t.is(retryAfterMs({'retry-after': ' 3 '}), 3000);
	t.is(retryAfterMs({'retry-after': '99999999999'}), 99_999_999_999_000, 'a long pause is none to ignore');
	// Source: RFC 9110, 5.6.7: recipients accept the obsolete forms, too.
	t.is(retryAfterMs({'retry-after': 'Monday, 23-Nov-26 10:00:07 GMT'}), 7000);
	t.is(retryAfterMs({'retry-after': 'Mon Nov 23 10:00:07 2026'}), 7000);
	t.is(retryAfterMs({'retry-after': 'Tue Dec  1 10:00:00 2026'}), 8 * 86_400_000);
	for (const odd of ['', 'soon', '-', undefined, 'Mon Nov 23 10:00:07', 'Mon Foo 23 10:00:07 2026', 'Monday, 23-Nov-2026 10:00:07 GMT', 'Tue Dec 32 10:00:00 2026', '-5', '1.5', '5, 10', '+5', '0x5', '5 s', 'Mon, 23 Nov 2026 10:00:07', '2026-11-23T10:00:07Z', 'Mon, 99 Nov 2026 10:00:07 GMT']) {
		t.is(retryAfterMs({'retry-after': odd}), undefined, odd);
	}
});

test('a date in Retry-After is relative to the response\'s Date header, because the server\'s clock may differ', t => {
	const retryAfterMs = (date: string) => readRetryAfterMs((name: string) => ({'retry-after': 'Mon, 23 Nov 2026 10:00:07 GMT', date})[name], Date.parse('2030-01-01T00:00:00Z'));
	t.is(retryAfterMs('Mon, 23 Nov 2026 10:00:02 GMT'), 5000);
	for (const odd of ['', 'today', '5', '2026-11-23T10:00:02Z']) {
		t.is(retryAfterMs(odd), 0, odd);
	}
});

test('an expiry in the past, or more than ten years ahead, makes a response unusable', t => {
	const tenYearsSec = 10 * 365 * 86_400;
	for (const bad of [{expires_in: 0}, {expires_in: '0'}, {expires_in: 0.9}, {expires_in: 1e15}, {expires_in: tenYearsSec + 1}, {expires_on: 1000}, {expires_on: '999'}, {expires_on: 1000 + tenYearsSec + 1}]) {
		t.regex(readTokenResponse({access_token: 'FAKE', ...bad}, 1000) as string, /^its expiry is /, JSON.stringify(bad));
	}

	for (const [good, expiresOnSec] of [[{expires_in: 1}, 1001], [{expires_in: tenYearsSec}, 1000 + tenYearsSec], [{expires_on: 1001}, 1001]] as const) {
		t.like(readTokenResponse({access_token: 'FAKE', ...good}, 1000), {expiresOnSec});
	}

	t.false('extendedExpiresOnSec' in (readTokenResponse({...good, ext_expires_in: 1e15}, 1000) as object));
	t.like(readTokenResponse({...good, refresh_in: 1e15}, 1000), {refreshOnSec: 4599});
});

for (const [encoding, encode] of [
	['as it is', (text: string) => text],
	['in upper case', (text: string) => text.toUpperCase()],
	['percent-encoded', (text: string) => encodeURIComponent(text)],
	['percent-encoded in lower case', (text: string) => encodeURIComponent(text).toLowerCase()],
	['percent-encoded, every character', (text: string) => [...text].map(each => `%${each.codePointAt(0)!.toString(16)}`).join('')],
	['percent-encoded twice', (text: string) => encodeURIComponent(encodeURIComponent(text))],
	['as a form', (text: string) => new URLSearchParams({refresh_token: text}).toString()],
	['with JSON escapes', (text: string) => [...text].map(each => String.raw`\u${each.codePointAt(0)!.toString(16).padStart(4, '0')}`).join('')],
	['with JSON escapes of slashes', (text: string) => text.replaceAll('/', String.raw`\/`)],
	['with decimal HTML entities', (text: string) => [...text].map(each => `&#${each.codePointAt(0)!};`).join('')],
	['with hexadecimal HTML entities', (text: string) => [...text].map(each => `&#x${each.codePointAt(0)!.toString(16)};`).join('')],
	['with named HTML entities', (text: string) => text.replaceAll('&', '&amp;')],
	['in base64', (text: string) => Buffer.from(text).toString('base64')],
	['in base64url', (text: string) => Buffer.from(text).toString('base64url')],
	['in base64, in the middle of a text', (text: string) => Buffer.from(`ab${text}cd`).toString('base64')],
	['in base64, percent-encoded', (text: string) => encodeURIComponent(Buffer.from(`a${text}`).toString('base64'))],
	['in hexadecimal digits', (text: string) => Buffer.from(text).toString('hex')],
	['cut in the middle', (text: string) => text.slice(0, -5)],
] as const) {
	for (const secret of ['0.AX/FAKE+rt.short=&1', `1.FAKE&${'aB3/+_-.~'.repeat(9)}=`, `0.FAKE-${'xyz/+_-.Q7'.repeat(150)}`]) {
		test(`D14: a refresh token of ${secret.length} characters that the authority returns ${encoding} is hidden`, t => {
			const echoed = encode(secret);
			const response = readErrorResponse({
				error: 'invalid_request', error_description: `AADSTS9002313: the token '${echoed}' is malformed`, suberror: echoed, trace_id: echoed, correlation_id: echoed,
			}, secret)!;
			const shown = JSON.stringify(response) + describeErrorResponse(response);
			for (let start = 0; start + 16 <= Math.min(echoed.length, 1000); start++) {
				t.false(shown.includes(JSON.stringify(echoed.slice(start, start + 16)).slice(1, -1)), shown);
			}

			t.regex(response.errorDescription, /^AADSTS9002313: the token '\S*\[hidden\]/);
		});
	}
}

test('D14: other words than the refresh token stay', t => {
	const errorDescription = String.raw`AADSTS70011: The scope https%3A%2F%2Fvault.azure.net%2F.default is not valid for 100 % &amp; &#65; \u0041.`;
	t.is(readErrorResponse({error: 'invalid_scope', error_description: errorDescription}, '0.AX/FAKE+rt.short=&1')?.errorDescription, errorDescription);
	t.is(readErrorResponse({error: 'invalid_scope', error_description: errorDescription}, '')?.errorDescription, errorDescription);
});

test('G13: a long error text is cut before it is searched', t => {
	const long = 'ab '.repeat(400_000);
	const response = readErrorResponse({
		error: long, error_description: long, suberror: long, error_codes: Array.from({length: 100_000}, () => 1),
	}, 'FAKE-refresh-token')!;
	t.true(response.errorDescription.length <= 2000);
	t.true(JSON.stringify(response).length < 10_000);
	t.true(describeErrorResponse(response).length < 1000);
});

test('G13: a text that is cut shows no part of the refresh token at its end', t => {
	const secret = 'FAKE-refresh-token-that-is-cut';
	for (let before = 1900; before < 2020; before++) {
		const {errorDescription} = readErrorResponse({error: 'x', error_description: `${'a '.repeat(before / 2)}${secret} ${'b '.repeat(5000)}`}, secret)!;
		t.notRegex(errorDescription, /FAKE-refr/);
	}
});

test('D7: the claims of an error response are kept as they are, if they are a JSON object', t => {
	const claims = '{"access_token":{"capolids":{"essential":true,"values":["c03897a3-0000-4000-8000-00000000000a"]}}}';
	t.is(readErrorResponse({error: 'interaction_required', claims}, 'FAKE')?.claims, claims);
	for (const odd of [5, null, '', 'text', '[]', '{"a":', `{"a":${'['.repeat(5000)}${']'.repeat(5000)}}`, `{"a":"${'x'.repeat(100_000)}"}`, '{"a":"FAKE-refresh-token"}']) {
		t.is(readErrorResponse({error: 'interaction_required', claims: odd}, 'FAKE-refresh-token')?.claims, undefined, JSON.stringify(odd).slice(0, 100));
	}
});

test('G8: a tid that is no tenant is ignored', t => {
	for (const tid of ['tenant', 'organizations', '../common', 'aaaaaaaa-0000-4000-8000-0000000000aa ', '']) {
		t.like(readTokenResponse({...good, id_token: `x.${encode({tid, oid: 'oid'})}.`}, 0), {localAccountId: 'oid', tenantId: undefined});
	}
});
