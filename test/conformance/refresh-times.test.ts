/**
 * When a token is refreshed ahead of time, and which time the caller gets. Serial, because each test changes the clock
 * and the random numbers of the whole process.
 */

import {mock} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import {startEntraServer} from '../helpers/authority/entra-server.js';
import {
	accessTokenRecord, accountRecord, ann, cacheOf, nowSec, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {until} from '../helpers/until.js';

const realNow = Date.now;
const clock: {aheadMs: number; stoppedMs: number | undefined} = {aheadMs: 0, stoppedMs: undefined};
Date.now = () => (clock.stoppedMs ?? realNow()) + clock.aheadMs;

/** The times of a record are whole seconds. */
const roundingMs = 1000;

for (const [expiresInSec, refreshInSec, expectedSec] of [
	[3600, undefined, undefined], [7199, undefined, undefined], [7200, undefined, 3600], [86_400, undefined, 43_200], [86_400, 50_000, 50_000], [3600, 1800, 1800],
] as const) {
	test.serial(`a grant of ${expiresInSec} s with refresh_in ${refreshInSec} has refreshAfterTimestamp, also for the next process`, async t => {
		const entra = await startEntraServer({refreshTokens: {'FAKE-refresh-ann': ann}, expiresInSec, ...(refreshInSec && {refreshInSec})});
		t.teardown(async () => entra.close());
		const home = new TestHome(t);
		home.writeAccount(ann, 'FAKE-refresh-ann');
		const startMs = Date.now();
		for (const cacheCheckIntervalInMs of [1000, 999]) {
			const granted = await home.credential({cacheCheckIntervalInMs}, entra).getToken(scope);
			const isBetween = (timestamp: number, lifeSec: number) => timestamp >= startMs + (lifeSec * 1000) - roundingMs && timestamp <= Date.now() + (lifeSec * 1000) + roundingMs;
			t.true(isBetween(granted.expiresOnTimestamp, expiresInSec));
			if (expectedSec === undefined) {
				t.false('refreshAfterTimestamp' in granted);
			} else {
				t.true(isBetween(granted.refreshAfterTimestamp!, expectedSec), String(granted.refreshAfterTimestamp));
			}
		}

		t.is(entra.grants.length, 1);
	});
}

test.serial('the next process refreshes a token of two hours at half its life, also if the response was slow', async t => {
	// Longer than the rounding of the times of a record.
	const entra = await startEntraServer({refreshTokens: {'FAKE-refresh-ann': ann}, expiresInSec: 7200, delayMs: 2 * roundingMs});
	t.teardown(async () => entra.close());
	const home = new TestHome(t);
	home.writeAccount(ann, 'FAKE-refresh-ann');
	const granted = await home.credential({}, entra).getToken(scope);
	const cached = await home.credential({cacheCheckIntervalInMs: 999}, entra).getToken(scope);
	t.is(cached.token, granted.token);
	t.is(cached.refreshAfterTimestamp, granted.refreshAfterTimestamp);
	t.is(cached.refreshAfterTimestamp, cached.expiresOnTimestamp - 3_600_000);
});

test.serial('refreshAfterTimestamp of a cached token is its refresh_on', async t => {
	const home = new TestHome(t);
	const refreshOnSec = nowSec() + 1234;
	home.write(cacheOf({
		accounts: [accountRecord(ann)],
		refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh-ann')],
		accessTokens: [accessTokenRecord(ann, 'FAKE-cached', 3000, {refresh_on: String(refreshOnSec)})],
	}));
	t.is((await home.credential().getToken(scope)).refreshAfterTimestamp, refreshOnSec * 1000);
});

/** Returns the seconds from now at which a hit first starts a background refresh, out of the given ones. */
async function refreshedAt(t: ExecutionContext, lifeSec: number, refreshInSec: number | undefined, looksSec: readonly number[]): Promise<number | undefined> {
	const entra = await startEntraServer({refreshTokens: {'FAKE-refresh-ann': ann}, expiresInSec: 200_000});
	clock.stoppedMs = realNow();
	t.teardown(async () => {
		clock.aheadMs = 0;
		clock.stoppedMs = undefined;
		await entra.close();
	});
	const home = new TestHome(t);
	home.write(cacheOf({
		accounts: [accountRecord(ann)],
		refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh-ann')],
		accessTokens: [accessTokenRecord(ann, 'FAKE-cached', lifeSec, {cached_at: String(nowSec()), ...(refreshInSec && {refresh_on: String(nowSec() + refreshInSec)})})],
	}));
	const credential = home.credential({cacheCheckIntervalInMs: 1_000_000_000}, entra);
	t.is((await credential.getToken(scope)).token, 'FAKE-cached');
	for (const lookSec of looksSec) {
		clock.aheadMs = lookSec * 1000;
		t.is((await credential.getToken(scope)).token, 'FAKE-cached');
		// At the last time the refresh is due.
		await (lookSec === looksSec.at(-1) ? until(() => entra.tokenRequests.length > 0) : sleep(150));
		if (entra.tokenRequests.length > 0) {
			await until(async () => (await credential.getToken(scope)).token === entra.grants[0]!.accessToken);
			t.is(entra.grants.length, 1);
			clock.aheadMs = 0;
			return lookSec;
		}
	}

	return undefined;
}

const cases: Array<[what: string, lifeSec: number, refreshInSec: number | undefined, fromSec: number, spreadSec: number]> = [
	['two hours', 7200, undefined, 3600, 30],
	['a day', 86_400, undefined, 43_200, 30],
	['an hour', 3600, undefined, 3300, 30],
	['an hour, refresh_on after ten minutes', 3600, 600, 600, 30],
	['an hour, refresh_on a hundred seconds before its end', 3600, 3500, 3500, 10],
];

for (const [what, lifeSec, refreshInSec, fromSec, spreadSec] of cases) {
	for (const chance of [0, 0.5, 0.999_999]) {
		test.serial(`a token that lives ${what} is refreshed after ${fromSec} s, plus ${chance} of ${spreadSec} s`, async t => {
			const random = mock.method(Math, 'random', () => chance);
			t.teardown(() => {
				random.mock.restore();
			});
			const dueSec = fromSec + (chance * spreadSec);
			// Two seconds tolerance on both sides: the times of a record are whole seconds.
			t.is(await refreshedAt(t, lifeSec, refreshInSec, [dueSec - 4, dueSec + 2]), dueSec + 2);
		});
	}
}
