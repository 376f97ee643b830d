import {createServer, connect, type AddressInfo} from 'node:net';
import {once} from 'node:events';
import test from 'ava';
import {startTimeout} from '../../dist/runtime/time-out.js';
import {SingleFlight} from '../../dist/runtime/single-flight.js';

/** Blocks the event loop. */
function block(timeMs: number): void {
	Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, timeMs);
}

test('A6: a time-out that fires late comes after what the event loop received meanwhile', async t => {
	const order: string[] = [];
	const server = createServer(socket => {
		socket.end('answer');
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
	await once(socket, 'connect');
	await new Promise<void>(resolve => {
		socket.on('data', () => order.push('answer'));
		startTimeout(5, () => {
			order.push('time-out');
			resolve();
		});
		block(50);
	});
	t.deepEqual(order, ['answer', 'time-out']);
	server.close();
});

test('A6: after a late time-out, work that needs a few more turns of the event loop still counts', async t => {
	const flight = new SingleFlight(async () => {
		// As for reading an answer and writing it to the cache.
		for (let turn = 0; turn < 5; turn++) {
			await new Promise(resolve => {
				setImmediate(resolve);
			});
		}

		return 'result';
	}, () => undefined);
	const result = flight.wait({abortSignal: undefined, timeoutMs: 5});
	block(2000);
	t.is(await result, 'result');
});

test('a time-out that is cleared never fires', async t => {
	for (const clearAfter of ['at once', 'in the turn in which it is due', 'after a block']) {
		let count = 0;
		const clear = startTimeout(5, () => {
			count++;
		});
		if (clearAfter !== 'at once') {
			await new Promise<void>(resolve => {
				setTimeout(resolve, 5);
				if (clearAfter === 'after a block') {
					block(50);
				}
			});
		}

		const before = count;
		clear();
		await new Promise(resolve => {
			setTimeout(resolve, 100);
		});
		t.is(count, before, clearAfter);
	}
});
