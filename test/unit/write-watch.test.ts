/** When the caches that this process wrote are looked at, and what a look does. */

import {mock} from 'node:test';
import test, {type ExecutionContext} from 'ava';
import {plaintextFile} from '../../dist/cache/cache-source.js';
import {type Restored, WriteWatch} from '../../dist/cache/write-watch.js';

const source = plaintextFile('/c');

/** A watched cache whose time and stamp the test sets. */
function setUp(t: ExecutionContext, restored: (stamp: string) => Restored | Promise<Restored> = stamp => ({stamp, isRepaired: false})) {
	mock.timers.enable({apis: ['setTimeout']});
	let nowMs = 1000;
	const clock = mock.method(performance, 'now', () => nowMs);
	t.teardown(() => {
		mock.timers.reset();
		clock.mock.restore();
	});
	const stage = {
		stamp: 'ours', readable: true, looks: 0, restores: 0,
	};
	const watch = new WriteWatch(async () => {
		stage.looks++;
		return {value: stage.stamp, readable: stage.readable};
	}, async () => {
		stage.restores++;
		return restored(stage.stamp);
	});
	const pass = async (ms: number) => {
		for (let passed = 0; passed < ms; passed += 100) {
			nowMs += 100;
			mock.timers.tick(100);
			for (let turn = 0; turn < 20; turn++) {
				await Promise.resolve();
			}
		}
	};

	return {stage, watch, pass};
}

const written = {baseStamp: 'before', stamp: 'ours', lockLost: false};

test.serial('A8: a write is looked at twice a second for a minute, and its cache is read only if it changed', async t => {
	const {stage, watch, pass} = setUp(t);
	watch.written(source, written);
	await pass(1000);
	t.is(stage.looks, 2);
	t.is(stage.restores, 0);
	for (const second of [2, 10, 30, 59]) {
		stage.stamp = `a peer's ${second}`;
		const {restores} = stage;
		await pass(600);
		t.is(stage.restores, restores + 1, 'within a second of the change');
		await pass(2000);
		t.is(stage.restores, restores + 1, 'once');
	}

	await pass(60_000);
	const {looks} = stage;
	await pass(10_000);
	t.is(stage.looks, looks, 'the minute is over');
});

test.serial('A8: a repaired cache is watched for another minute; one that cannot be repaired, with growing pauses', async t => {
	let restored: Restored = {stamp: 'repaired', isRepaired: true};
	const {stage, watch, pass} = setUp(t, () => restored);
	watch.written(source, written);
	await pass(55_000);
	stage.stamp = 'a peer\'s';
	await pass(1000);
	stage.stamp = 'repaired';
	await pass(50_000);
	const {looks} = stage;
	await pass(1000);
	t.is(stage.looks, looks + 2);
	stage.stamp = 'a peer\'s again';
	restored = 'failed';
	const {restores} = stage;
	await pass(60_000);
	t.true(stage.restores - restores < 10, String(stage.restores - restores));
	stage.readable = false;
	await pass(120_000);
	const ended = stage.looks;
	await pass(60_000);
	t.is(stage.looks, ended);
});

test.serial('A8: a lost lock is looked at soon, and a write over a change that was not seen is checked', async t => {
	const {stage, watch, pass} = setUp(t);
	watch.written(source, {...written, lockLost: true});
	await pass(100);
	t.deepEqual([stage.looks, stage.restores], [1, 1]);
	watch.written(source, {baseStamp: 'ours', stamp: 'ours 2', lockLost: false});
	stage.stamp = 'ours 2';
	await pass(600);
	t.is(stage.restores, 1, 'nobody wrote in between');
	watch.written(source, {baseStamp: 'a peer\'s', stamp: 'ours 3', lockLost: false});
	stage.stamp = 'ours 3';
	await pass(600);
	t.is(stage.restores, 2, 'the peer may have undone the write before');
	watch.clear();
	const {looks} = stage;
	await pass(10_000);
	t.is(stage.looks, looks);
});

test.serial('A8: writes during a slow repair are looked at once afterwards, not once each', async t => {
	let running = 0;
	let most = 0;
	let release: () => void = () => undefined;
	const {stage, watch, pass} = setUp(t, async stamp => {
		running++;
		most = Math.max(most, running);
		await new Promise<void>(resolve => {
			release = resolve;
		});
		running--;
		return {stamp, isRepaired: false};
	});
	watch.written(source, written);
	stage.stamp = 'a peer\'s';
	await pass(1000);
	t.is(stage.restores, 1);
	for (let write = 0; write < 10; write++) {
		watch.written(source, written);
		await pass(600);
	}

	release();
	await pass(1000);
	t.is(stage.restores, 2);
	const looked = watch.look();
	release();
	await pass(100);
	release();
	await pass(100);
	await looked;
	t.is(most, 1, 'one repair at a time');
});
