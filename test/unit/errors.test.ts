/** The error classes: what an application may construct, how long a text is, and what a log line shows of it. */

import {inspect} from 'node:util';
import test from 'ava';
import {
	AuthenticationError, AuthenticationRequiredError, CredentialUnavailableError, errorText, invalidArgument, maxErrorTextLength, StoreError, toUnavailable, withLogText,
} from '../../dist/errors.js';
import {logTextOf, maskUserNamesIn} from '../../dist/runtime/log-text.js';

test('C11: an application can construct the errors as those of @azure/identity', t => {
	t.like(new CredentialUnavailableError('no luck'), {name: 'CredentialUnavailableError', message: 'no luck', code: 'STC_NO_ACCOUNT'});
	t.is(new CredentialUnavailableError().message, '');
	const cause = new Error('why');
	t.like(new CredentialUnavailableError('no luck', {cause}), {message: 'no luck', cause});
	t.like(new CredentialUnavailableError('STC_IO', 'no luck', {cause}), {message: 'no luck', code: 'STC_IO', cause});
	t.like(new AuthenticationError(400, 'refused', {cause}), {
		name: 'AuthenticationError', message: 'refused', statusCode: 400, code: 'STC_TOKEN_REQUEST_FAILED', cause,
	});
	t.like(new AuthenticationRequiredError({scopes: ['a'], message: 'sign in'}), {
		name: 'AuthenticationRequiredError', message: 'sign in', scopes: ['a'], code: 'STC_INTERACTION_REQUIRED',
	});
});

test('C11: wrong arguments crash no constructor', t => {
	const classes = [CredentialUnavailableError, AuthenticationError, AuthenticationRequiredError, StoreError] as unknown as Array<new (...values: unknown[]) => Error>;
	for (const Class of classes) {
		for (const values of [[], [null], [undefined, null], [5], [{}], ['a', 5], ['a', 'b', null], [{scopes: 5}]]) {
			t.notThrows(() => new Class(...values), `${Class.name} ${inspect(values)}`);
		}
	}
});

test('an error text has at most 400 characters, and its beginning stays', t => {
	const text = `The beginning. ${'x'.repeat(500)}`;
	for (const error of [
		new StoreError('STC_IO', text), new CredentialUnavailableError('STC_IO', text), new AuthenticationError('STC_NETWORK', text), invalidArgument(text), toUnavailable(new StoreError('STC_IO', text)) as Error,
	]) {
		t.is(error.message.length, maxErrorTextLength);
		t.regex(error.message, /^(?:SharedTokenCacheCredential: Shared token cache unavailable: )?The beginning\. x+…$/);
	}

	t.is(errorText('x'.repeat(400)), 'x'.repeat(400));
	// A pair of surrogates is not cut in two.
	t.notRegex(errorText('\u{1F680}'.repeat(300)), /[\uD800-\uDBFF](?![\uDC00-\uDFFF])/);
});

test('details are frozen, pass the filter of messages, and come along when an error is wrapped', t => {
	const wrapped = toUnavailable(new StoreError('STC_IO', 'It failed.', {details: [{place: '/a\n/b', text: 'a\u001B[31mb', code: 'STC_IO'}]})) as CredentialUnavailableError;
	t.deepEqual(wrapped.details, [{place: '/a /b', text: 'a [31mb', code: 'STC_IO'}]);
	t.true(Object.isFrozen(wrapped.details) && Object.isFrozen(wrapped.details![0]));
	t.is(logTextOf(wrapped), `${wrapped.message} Details: /a /b: a [31mb`);
});

test('D9: a log line may show another text than the error', t => {
	const error = withLogText(new CredentialUnavailableError('STC_NO_ACCOUNT', 'ann@contoso.com is missing.'), 'a***@contoso.com is missing.');
	t.is(error.message, 'ann@contoso.com is missing.');
	t.is(logTextOf(error), 'a***@contoso.com is missing.');
	t.is(logTextOf(new Error('other')), 'other');
});

test('D9: names in the words of others are masked, and what is masked or no name stays', t => {
	for (const [text, masked] of [
		['User account \'ann@contoso.com\' does not exist; ANN.b+c@x.example, <a@b.example>.', 'User account \'a***@contoso.com\' does not exist; A***@x.example, <a***@b.example>.'],
		['al***@contoso.com and ad***@contoso.com', 'al***@contoso.com and ad***@contoso.com'],
		['ann_contoso.com#EXT#@fabrikam.com', 'a***@fabrikam.com'],
		['李雷@例え.jp', '李***@例え.jp'],
		['node_modules/@azure/identity, a @ b, ann@localhost, https://login.example/a', 'node_modules/@azure/identity, a @ b, ann@localhost, https://login.example/a'],
	] as const) {
		t.is(maskUserNamesIn(text), masked);
		t.is(logTextOf(new Error(text)), masked);
		t.is(logTextOf(new Error(text), true), text);
	}
});
