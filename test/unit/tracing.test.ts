/** Spans through the application's own `@azure/core-tracing`. */

import {type Instrumenter, type TracingContext, useInstrumenter} from '@azure/core-tracing';
import test from 'ava';
import type {GetTokenOptions} from '../../dist/types.js';
import {
	accessTokenRecord, accountRecord, ann, cacheOf, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';

type Ended = {name: string; status: string; error?: unknown};

const ended: Ended[] = [];

/** The context that an application's tracing library passes to its clients. */
class Context implements TracingContext {
	readonly #values: ReadonlyMap<symbol, unknown>;

	constructor(values: ReadonlyMap<symbol, unknown> = new Map()) {
		this.#values = values;
	}

	getValue(key: symbol): unknown {
		return this.#values.get(key);
	}

	setValue(key: symbol, value: unknown): Context {
		return new Context(new Map([...this.#values, [key, value]]));
	}

	deleteValue(key: symbol): Context {
		return new Context(new Map([...this.#values].filter(([each]) => each !== key)));
	}
}

/** Records started spans and how they end: the part of an instrumenter that a span needs. */
const instrumenter: Instrumenter = {
	startSpan(name, options) {
		const span: Ended = {name, status: 'unset'};
		return {
			span: {
				setStatus({status, ...rest}) {
					Object.assign(span, {status, ...rest});
				},
				setAttribute() {
					// Not checked.
				},
				end() {
					ended.push(span);
				},
				recordException() {
					// The status contains it.
				},
				isRecording: () => true,
			},
			tracingContext: options.tracingContext ?? new Context(),
		};
	},
	withContext: (_context, callback, ...parameters) => callback(...parameters),
	parseTraceparentHeader: () => undefined,
	createRequestHeaders: () => ({}),
};

test.serial('a call that is answered from memory creates no span; others create one with their outcome', async t => {
	useInstrumenter(instrumenter);
	const options: GetTokenOptions = {tracingOptions: {tracingContext: new Context()}};
	const home = new TestHome(t);
	home.write(cacheOf({
		accounts: [accountRecord(ann)],
		refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh')],
		accessTokens: [accessTokenRecord(ann, 'FAKE-access', 3600)],
	}));
	const credential = home.credential();
	await credential.getToken(scope, options);
	t.deepEqual(ended, [{name: 'SharedTokenCacheCredential.getToken', status: 'success'}]);
	await credential.getToken(scope, options);
	t.is(ended.length, 1);
	await t.throwsAsync(home.credential({username: 'nobody'}).getToken(scope, options));
	t.is(ended.length, 2);
	t.like(ended[1], {name: 'SharedTokenCacheCredential.getToken', status: 'error'});
	await t.throwsAsync(home.credential({username: 'nobody else'}).getToken(scope));
	t.is(ended.length, 2, 'no span without a context');
});
