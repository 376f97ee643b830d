/** Work that several callers wait for. Each has its own time-out and signal, and one that gives up does not affect the others. */

import {AbortError, AuthenticationError} from '../errors.js';
import type {AbortSignalLike} from '../types.js';
import {LazyAbortController, toAbortError, whenAborted} from './abort.js';
import {KeepAlive} from './keep-alive.js';
import {requireLazily} from './lazy.js';

export type WaitOptions = {
	abortSignal: AbortSignalLike | undefined;
	/** Milliseconds. `undefined` means no limit. */
	timeoutMs: number | undefined;
};

export class SingleFlight<Result> {
	readonly #abort = new LazyAbortController();
	readonly #result: Promise<Result>;
	readonly #onAbandoned: () => void;
	#waiting = 0;
	#isBackground = false;
	#isDone = false;
	#keepAlive: KeepAlive | undefined;
	/** Makes each waiter fail. */
	readonly #rejections = new Set<(reason: Error) => void>();

	/** @param onAbandoned Called when the last waiter has left and the work is being aborted, so that nobody joins it any more. */
	constructor(work: (abort: LazyAbortController) => Promise<Result>, onAbandoned: () => void) {
		this.#onAbandoned = onAbandoned;
		this.#result = this.#run(work);
		// Each waiter gets the failure. If all have left, it must not become an unhandled rejection.
		this.#result.catch(() => undefined);
	}

	/**
	 * @throws {AbortError} when `abortSignal` fires.
	 * @throws {AuthenticationError} `STC_TIMEOUT` when `timeoutMs` is over.
	 */
	async wait({abortSignal, timeoutMs}: WaitOptions): Promise<Result> {
		this.#waiting++;
		// The work itself does not keep the event loop alive, because a background refresh must not.
		this.#keepAlive ??= new KeepAlive();
		let clearTimer: (() => void) | undefined;
		let stop: (() => void) | undefined;
		let fail: ((reason: Error) => void) | undefined;
		try {
			return await new Promise<Result>((resolve, reject) => {
				fail = reject;
				this.#rejections.add(reject);
				if (abortSignal) {
					const onAbort = () => {
						reject(toAbortError(abortSignal));
					};

					stop = whenAborted(abortSignal, onAbort);
					if (abortSignal.aborted) {
						onAbort();
					}
				}

				if (timeoutMs !== undefined) {
					const {startTimeout} = requireLazily(() => require('./time-out.js') as typeof import('./time-out.js'));
					clearTimer = startTimeout(timeoutMs, () => {
						reject(new AuthenticationError('STC_TIMEOUT', `SharedTokenCacheCredential: no token within the request's timeout of ${timeoutMs} ms. Raise requestOptions.timeout, or check the network.`));
					});
				}

				this.#result.then(resolve, reject);
			});
		} finally {
			clearTimer?.();
			this.#rejections.delete(fail!);
			// First, because the caller's own signal may throw in removeEventListener.
			this.#leave();
			stop?.();
		}
	}

	/** Waits without keeping the event loop alive. The work goes on after other waiters have left. */
	async background(): Promise<Result> {
		this.#isBackground = true;
		return this.#result;
	}

	/** Waiters fail at once, also if the work has to go on for a while. */
	abort(): void {
		const reason = new AbortError('The credential was closed.');
		this.#abort.abort(reason);
		for (const reject of this.#rejections) {
			reject(reason);
		}
	}

	async #run(work: (abort: LazyAbortController) => Promise<Result>): Promise<Result> {
		try {
			return await work(this.#abort);
		} finally {
			this.#isDone = true;
			this.#keepAlive?.release();
		}
	}

	#leave(): void {
		this.#waiting--;
		if (this.#waiting === 0) {
			this.#keepAlive?.release();
			this.#keepAlive = undefined;
			if (!this.#isBackground && !this.#isDone) {
				this.#onAbandoned();
				this.#abort.abort(new AbortError('All callers have stopped waiting for this token.'));
			}
		}
	}
}
