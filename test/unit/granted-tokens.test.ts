/** Tokens from grants, kept in memory. */

import test from 'ava';
import {type GrantedToken, GrantedTokens} from '../../dist/grant/granted-tokens.js';
import type {TokenCriteria} from '../../dist/lookup/select-token.js';

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
	order: 1,
	sentMs: 1000,
	...rest,
});

test('every predecessor of a rotated refresh token leads to the newest one, because the cache may contain any of them', t => {
	const tokens = new GrantedTokens();
	tokens.keep(granted(), 'FAKE-0', 'FAKE-1');
	tokens.keep(granted(), tokens.currentRefreshToken('FAKE-0'), 'FAKE-2');
	tokens.keep(granted(), tokens.currentRefreshToken('FAKE-1'), 'FAKE-3');
	t.deepEqual(['FAKE-0', 'FAKE-1', 'FAKE-2', 'FAKE-3', 'FAKE-other'].map(secret => tokens.currentRefreshToken(secret)), ['FAKE-3', 'FAKE-3', 'FAKE-3', 'FAKE-3', 'FAKE-other']);
});

test('a response without a refresh token, or with the same one, changes nothing', t => {
	const tokens = new GrantedTokens();
	tokens.keep(granted(), 'FAKE-0', undefined);
	tokens.keep(granted(), 'FAKE-0', 'FAKE-0');
	t.is(tokens.currentRefreshToken('FAKE-0'), 'FAKE-0');
});

test('the number of remembered rotations is limited, and the newest are kept', t => {
	const tokens = new GrantedTokens();
	for (let account = 0; account < 1000; account++) {
		tokens.keep(granted(), `FAKE-${account}`, `FAKE-${account}-new`);
	}

	t.is(tokens.currentRefreshToken('FAKE-999'), 'FAKE-999-new');
	t.is(tokens.currentRefreshToken('FAKE-0'), 'FAKE-0');
});

test('of two requests for one token the later one counts, in any order of responses and after clock changes', t => {
	const tokens = new GrantedTokens();
	tokens.keep(granted({secret: 'FAKE-later', order: 2, sentMs: 500}), 'FAKE-0', undefined);
	tokens.keep(granted({secret: 'FAKE-earlier', order: 1, sentMs: 1000}), 'FAKE-0', undefined);
	t.deepEqual(tokens.ofKind('nocae').map(({secret}) => secret), ['FAKE-later']);
	tokens.keep(granted({secret: 'FAKE-other', order: 1, target: 'other'}), 'FAKE-0', undefined);
	t.is(tokens.ofKind('nocae').length, 2);
	t.is(tokens.ofKind('cae').length, 0);
});

test('requests are ordered by their start, whatever the clock', t => {
	const tokens = new GrantedTokens();
	const beforeMs = Date.now();
	const first = tokens.now();
	const second = tokens.now();
	t.true(second.order > first.order);
	t.true(beforeMs <= first.sentMs && first.sentMs <= second.sentMs && second.sentMs <= Date.now());
});

const criteria: TokenCriteria = {
	account: {homeAccountId: 'uid.home', environment: 'login.example'},
	clientId: 'client',
	environments: ['login.example'],
	scopes: ['scope'],
	tenantId: undefined,
	isAdfs: false,
	nowSec: 1,
	lifetimeSec: 300,
};

test('a token that was requested before a challenge is outdated; challenges contain no secret', t => {
	const tokens = new GrantedTokens();
	tokens.keepChallenge(granted({order: 2, sentMs: 2000, cachedAt: 2}));
	t.true(tokens.isOutdated(granted({order: 1, sentMs: 3000})), 'the clock was set back before the challenge');
	t.false(tokens.isOutdated(granted({order: 2})));
	t.false(tokens.isOutdated(granted({order: 3, sentMs: 1000})), 'the clock was set back after the challenge');
	t.false(tokens.isOutdated(granted({order: 1, kind: 'cae'})));
	t.like(tokens.lastChallenge('nocae', criteria), {order: 2, sentMs: 2000, secret: ''});
	t.is(tokens.lastChallenge('cae', criteria), undefined);
	t.is(tokens.lastChallenge('nocae', {...criteria, scopes: ['other']}), undefined);
});

test('of several challenges the last one requested counts, in any order of responses and whatever the clock', t => {
	const tokens = new GrantedTokens();
	tokens.keepChallenge(granted({order: 3, sentMs: 1_000_000, target: 'scope more'}));
	tokens.keepChallenge(granted({order: 2, sentMs: 9_000_000, target: 'scope other'}));
	t.is(tokens.lastChallenge('nocae', criteria)?.order, 3);
	tokens.keepChallenge(granted({order: 5, sentMs: 2_000_000, cachedAt: 100_000}));
	tokens.keepChallenge(granted({order: 4, sentMs: 3_000_000}));
	t.is(tokens.lastChallenge('nocae', criteria)?.order, 5, 'an older challenge for the same token does not replace it');
});
