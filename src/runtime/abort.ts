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

		if (signal.aborted) {
			onAbort();
		}

		signal.addEventListener('abort', onAbort, {once: true});
		work.finally(() => {
			signal.removeEventListener('abort', onAbort);
		}).then(resolve, reject);
	});
}

/** What is thrown for a caller's signal. */
export function toAbortError(abortSignal: AbortSignalLike): AbortError {
	const {reason} = abortSignal as {reason?: unknown};
	return new AbortError('The operation was aborted.', reason === undefined ? undefined : {cause: reason});
}
