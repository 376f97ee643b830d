import {getEventListeners, setMaxListeners} from 'node:events';
import {setTimeout as sleep} from 'node:timers/promises';
import test from 'ava';
import {unlessAborted} from '../../dist/runtime/abort.js';
import {sleep as ownSleep} from '../../dist/runtime/sleep.js';
import {SingleFlight} from '../../dist/runtime/single-flight.js';

const never = async () => new Promise<void>(() => {
	// Nothing settles it.
});

test('D15: many waits for one signal add one listener to it, and none remains', async t => {
	const {signal} = new AbortController();
	// Node warns at the eleventh listener.
	setMaxListeners(1, signal);
	const warnings: Error[] = [];
	const onWarning = (warning: Error) => {
		warnings.push(warning);
	};

	process.on('warning', onWarning);
	t.teardown(() => process.off('warning', onWarning));
	let end: () => void = () => undefined;
	const work = new Promise<void>(resolve => {
		end = resolve;
	});
	const flight = new SingleFlight(async () => work, () => undefined);
	const waits = Array.from({length: 12}, () => [
		flight.wait({abortSignal: signal, timeoutMs: undefined}),
		unlessAborted(work, signal),
		ownSleep(20, {signal}),
	]).flat();
	t.is(getEventListeners(signal, 'abort').length, 1);
	end();
	await Promise.all(waits);
	t.is(getEventListeners(signal, 'abort').length, 0);
	// Warnings are emitted in a later tick.
	await sleep(0);
	t.deepEqual(warnings, []);
});

test('D15: each wait for a signal ends when it fires, also one that began after others had ended', async t => {
	const controller = new AbortController();
	const {signal} = controller;
	await unlessAborted(Promise.resolve(), signal);
	const flight = new SingleFlight(never, () => undefined);
	const waits = [flight.wait({abortSignal: signal, timeoutMs: undefined}), flight.wait({abortSignal: signal, timeoutMs: undefined}), unlessAborted(never(), signal), ownSleep(1e6, {signal})];
	controller.abort(new Error('enough'));
	const outcomes = await Promise.allSettled(waits);
	t.true(outcomes.every(({status}) => status === 'rejected'));
	await t.throwsAsync(unlessAborted(never(), signal), {message: 'enough'});
	await t.throwsAsync(flight.wait({abortSignal: signal, timeoutMs: undefined}), {name: 'AbortError'});
	await t.throwsAsync(ownSleep(1e6, {signal}), {message: 'enough'});
	t.is(getEventListeners(signal, 'abort').length, 0);
});
