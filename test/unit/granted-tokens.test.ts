/** What grants brought, kept in memory. */

import test from 'ava';
import {type GrantedToken, GrantedTokens} from '../../dist/granted-tokens.js';

const granted = (rest: Partial<GrantedToken> = {}): GrantedToken => ({
	kind: 'nocae',
	source: 'grant',
	homeAccountId: 'uid.home',
	environment: 'login.example',
	clientId: 'client',
	realm: 'home',
	target: 'scope',
	secret: 'FAKE-access',
	expiresOn: 9_000_000_000,
	sentMs: 1000,
	...rest,
});

test('every ancestor of a rotated refresh token leads to its newest descendant, for the cache may hold any', t => {
	const tokens = new GrantedTokens();
	tokens.keep(granted(), 'FAKE-0', 'FAKE-1');
	tokens.keep(granted(), tokens.currentRefreshToken('FAKE-0'), 'FAKE-2');
	tokens.keep(granted(), tokens.currentRefreshToken('FAKE-1'), 'FAKE-3');
	t.deepEqual(['FAKE-0', 'FAKE-1', 'FAKE-2', 'FAKE-3', 'FAKE-other'].map(secret => tokens.currentRefreshToken(secret)), ['FAKE-3', 'FAKE-3', 'FAKE-3', 'FAKE-3', 'FAKE-other']);
});

test('an authority that gives no refresh token, or the same, changes nothing', t => {
	const tokens = new GrantedTokens();
	tokens.keep(granted(), 'FAKE-0', undefined);
	tokens.keep(granted(), 'FAKE-0', 'FAKE-0');
	t.is(tokens.currentRefreshToken('FAKE-0'), 'FAKE-0');
});

test('rotations that are remembered are bounded, and the newest stay', t => {
	const tokens = new GrantedTokens();
	for (let account = 0; account < 1000; account++) {
		tokens.keep(granted(), `FAKE-${account}`, `FAKE-${account}-new`);
	}

	t.is(tokens.currentRefreshToken('FAKE-999'), 'FAKE-999-new');
	t.is(tokens.currentRefreshToken('FAKE-0'), 'FAKE-0');
});

test('of two requests for one token the later one counts, whichever is answered last', t => {
	const tokens = new GrantedTokens();
	tokens.keep(granted({secret: 'FAKE-later', sentMs: 2000}), 'FAKE-0', undefined);
	tokens.keep(granted({secret: 'FAKE-earlier', sentMs: 1000}), 'FAKE-0', undefined);
	t.deepEqual(tokens.ofKind('nocae').map(({secret}) => secret), ['FAKE-later']);
	tokens.keep(granted({secret: 'FAKE-other', sentMs: 1000, target: 'other'}), 'FAKE-0', undefined);
	t.is(tokens.ofKind('nocae').length, 2);
	t.is(tokens.ofKind('cae').length, 0);
});

test('what was asked for before a challenge is outdated; challenges hold no secret', t => {
	const tokens = new GrantedTokens();
	tokens.keepChallenge(granted({sentMs: 2000}));
	t.true(tokens.isOutdated(granted({sentMs: 1999})));
	t.false(tokens.isOutdated(granted({sentMs: 2000})));
	t.false(tokens.isOutdated(granted({sentMs: 1999, kind: 'cae'})));
	t.deepEqual(tokens.challengesOfKind('nocae').map(({secret, sentMs}) => [secret, sentMs]), [['', 2000]]);
});
