import test from 'ava';
import {pauseBeforeRetryMs} from '../../dist/grant/token-endpoint.js';

const retry = {maxRetries: 3, retryDelayMs: 800, maxRetryDelayMs: 10_000};

test('retry delays grow, vary by up to a quarter, and have a maximum', t => {
	for (let attempt = 0; attempt < 20; attempt++) {
		const backoffMs = Math.min(800 * (2 ** attempt), 10_000);
		const pauses = Array.from({length: 200}, () => pauseBeforeRetryMs(attempt, undefined, retry));
		t.true(Math.min(...pauses) >= backoffMs * 0.75);
		t.true(Math.max(...pauses) <= Math.min(backoffMs * 1.25, 10_000));
		t.true(new Set(pauses).size > 50, 'jitter');
	}
});

test('the authority\'s Retry-After is the minimum delay, with the back-off if that is longer', t => {
	t.is(pauseBeforeRetryMs(0, 5000, retry), 5000);
	t.is(pauseBeforeRetryMs(0, 50_000, retry), 50_000);
	for (const askedMs of [0, 1]) {
		t.true(pauseBeforeRetryMs(1, askedMs, retry) >= 1200);
	}
});
