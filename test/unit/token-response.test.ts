import {Buffer} from 'node:buffer';
import test from 'ava';
import {
	describeErrorResponse, isRefreshTokenDead, needsUser, readErrorResponse, readRetryAfterMs, readTokenResponse,
} from '../../dist/grant/token-response.js';
import {parseJsonObject} from '../../dist/runtime/json.js';

const good = {access_token: 'FAKE.token', token_type: 'Bearer', expires_in: 3599};

/**
 * The user is not in that tenant, or the resource requires an interaction. 70000: a personal account has not consented
 * to a scope.
 */
const tenantOrRequestCodes = [50_020, 50_034, 50_072, 50_074, 50_076, 50_078, 50_079, 50_097, 50_105, 53_000, 53_003, 65_001, 70_000, 70_043, 90_072, 90_094, 500_011];

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

test('reads a complete response', t => {
	const idToken = `x.${encode({tid: 'tenant', oid: 'oid', preferred_username: 'name'})}.`;
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
		tenantId: 'tenant',
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

test('the refresh time is never after the expiry', t => {
	t.like(readTokenResponse({...good, refresh_in: 9999}, 0), {refreshOnSec: 3599});
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
		return [needsUser(response), isRefreshTokenDead(response)];
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

test('reads Retry-After in both forms, and the headers in milliseconds', t => {
	const retryAfterMs = (headers: Readonly<Record<string, string | undefined>>) => readRetryAfterMs((name: string) => headers[name], Date.parse('2026-11-23T10:00:00Z'));
	t.is(retryAfterMs({'retry-after': '3'}), 3000);
	t.is(retryAfterMs({'retry-after': 'Mon, 23 Nov 2026 10:00:07 GMT'}), 7000);
	t.is(retryAfterMs({'retry-after': 'Mon, 23 Nov 2026 09:00:00 GMT'}), 0);
	t.is(retryAfterMs({'retry-after-ms': '250', 'retry-after': '3'}), 250);
	t.is(retryAfterMs({'x-ms-retry-after-ms': '50'}), 50);
	for (const odd of ['', 'soon', '-', '99999999999', undefined, '-5', '1.5', '5, 10', '+5', '0x5', '5 s', 'Mon, 23 Nov 2026 10:00:07', '2026-11-23T10:00:07Z', 'Mon, 99 Nov 2026 10:00:07 GMT']) {
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
