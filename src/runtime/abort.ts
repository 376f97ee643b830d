/** Ending work before it is done. */

import {AbortError} from '../errors.js';
import type {AbortSignalLike} from '../types.js';

/** An `AbortController` that is created when its signal is first read: a cached token needs none. */
export class LazyAbortController {
	#controller: AbortController | undefined;
	#reason: Error | undefined;

	get signal(): AbortSignal {
		if (!this.#controller) {
			this.#controller = new AbortController();
			if (this.#reason) {
				this.#controller.abort(this.#reason);
			}
		}

		return this.#controller.signal;
	}

	/** @throws the reason of {@link abort}. */
	throwIfAborted(): void {
		if (this.#reason) {
			throw this.#reason;
		}
	}

	abort(reason: Error): void {
		this.#reason ??= reason;
		this.#controller?.abort(this.#reason);
	}
}

type Listening = {readonly actions: Set<() => void>; stop(): void};

/** What waits for each signal. */
const listening = new WeakMap<AbortSignalLike, Listening>();

/**
 * Calls `action` when `signal` fires. All waits for one signal share one listener: Node warns of a leak at the eleventh, and a program may
 * pass one signal to all its calls.
 *
 * @returns a function that ends the wait.
 */
export function whenAborted(signal: AbortSignalLike, action: () => void): () => void {
	const entry = listening.get(signal) ?? listen(signal);
	entry.actions.add(action);
	return () => {
		if (entry.actions.delete(action) && entry.actions.size === 0) {
			entry.stop();
		}
	};
}

function listen(signal: AbortSignalLike): Listening {
	const onAbort = () => {
		const waiting = [...entry.actions];
		entry.actions.clear();
		entry.stop();
		for (const action of waiting) {
			action();
		}
	};

	const entry: Listening = {
		actions: new Set(),
		stop() {
			listening.delete(signal);
			signal.removeEventListener('abort', onAbort);
		},
	};
	signal.addEventListener('abort', onAbort);
	listening.set(signal, entry);
	return entry;
}

/**
 * The result of `work`, which goes on after an abort.
 *
 * @throws the reason of `signal` as soon as it fires.
 */
export async function unlessAborted<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
	return new Promise((resolve, reject) => {
		const onAbort = () => {
			reject(signal.reason as Error);
		};

		const stop = whenAborted(signal, onAbort);
		if (signal.aborted) {
			// It does not fire again, so nothing else would end the wait if the work never does.
			stop();
			onAbort();
		}

		work.finally(stop).then(resolve, reject);
	});
}

/** What is thrown for a caller's signal. */
export function toAbortError(abortSignal: AbortSignalLike): AbortError {
	const {reason} = abortSignal as {reason?: unknown};
	return new AbortError('The operation was aborted.', reason === undefined ? undefined : {cause: reason});
}
