/** One piece of work that many wait for: each with its own patience, and nobody's impatience is another's failure. */

import {AbortError, AuthenticationError} from '../errors.js';
import {LazyAbortController, toAbortError} from './abort.js';
import {Hold} from './keep-alive.js';
import type {AbortSignalLike} from '../types.js';

export type WaitOptions = {
	abortSignal: AbortSignalLike | undefined;
	/** Milliseconds; `undefined`: no limit. */
	timeoutMs: number | undefined;
};

export class Flight<Result> {
	readonly #abort = new LazyAbortController();
	readonly #result: Promise<Result>;
	readonly #onAbandoned: () => void;
	#waiting = 0;
	#isBackground = false;
	#isDone = false;
	#hold: Hold | undefined;

	/** @param onAbandoned Called when the last one who waited went away, and the work is being aborted: nobody should join it now. */
	constructor(work: (abort: LazyAbortController) => Promise<Result>, onAbandoned: () => void) {
		this.#onAbandoned = onAbandoned;
		this.#result = this.#run(work);
		// Each waiter gets the failure; when all have left, nobody is there to handle it.
		this.#result.catch(() => undefined);
	}

	/**
	 * @throws {AbortError} when `abortSignal` fires.
	 * @throws {AuthenticationError} `STC_TIMEOUT` when `timeoutMs` is over.
	 */
	async wait({abortSignal, timeoutMs}: WaitOptions): Promise<Result> {
		this.#waiting++;
		// The work itself holds no event loop, because a refresh in the background must not.
		this.#hold ??= new Hold();
		let timer: NodeJS.Timeout | undefined;
		let onAbort: (() => void) | undefined;
		try {
			return await new Promise<Result>((resolve, reject) => {
				if (abortSignal) {
					onAbort = () => {
						reject(toAbortError(abortSignal));
					};

					abortSignal.addEventListener('abort', onAbort);
					if (abortSignal.aborted) {
						onAbort();
					}
				}

				if (timeoutMs !== undefined) {
					timer = setTimeout(() => {
						reject(new AuthenticationError('STC_TIMEOUT', `SharedTokenCacheCredential: no token within the request's timeout of ${timeoutMs} ms. Raise requestOptions.timeout, or check the network.`));
					}, timeoutMs);
				}

				this.#result.then(resolve, reject);
			});
		} finally {
			if (timer) {
				clearTimeout(timer);
			}

			// Before the signal is let go, which is the caller's own and may throw.
			this.#leave();
			if (onAbort) {
				abortSignal?.removeEventListener('abort', onAbort);
			}
		}
	}

	/** Waits without holding the event loop, and keeps the work going when others leave. */
	async background(): Promise<Result> {
		this.#isBackground = true;
		return this.#result;
	}

	abort(): void {
		this.#abort.abort(new AbortError('The credential was closed.'));
	}

	async #run(work: (abort: LazyAbortController) => Promise<Result>): Promise<Result> {
		try {
			return await work(this.#abort);
		} finally {
			this.#isDone = true;
			this.#hold?.release();
		}
	}

	#leave(): void {
		this.#waiting--;
		if (this.#waiting === 0) {
			this.#hold?.release();
			this.#hold = undefined;
			if (!this.#isBackground && !this.#isDone) {
				this.#onAbandoned();
				this.#abort.abort(new AbortError('Nobody waits for this token any longer.'));
			}
		}
	}
}
