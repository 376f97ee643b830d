/** Longer than any process waits; a timer that exists only to hold the event loop. Milliseconds. */
const holdMs = 2_147_483_647;

/** Holds the event loop until it is released. */
export class Hold {
	readonly #immediate: NodeJS.Immediate | undefined;
	#timer: NodeJS.Timeout | undefined;

	/**
	 * @param isHeld Something else holds it now, and lets it go with an answer that it gives in the event loop. The hold begins in the
	 * same turn then, if it is still wanted: a process's first timer takes 0.2 ms, which a token that is in a file does without.
	 */
	constructor(isHeld: boolean) {
		if (isHeld) {
			// Without a hold of its own, which would keep the event loop from waiting for the answer.
			this.#immediate = setImmediate(() => {
				this.#begin();
			}).unref();
		} else {
			this.#begin();
		}
	}

	/** May be called again. */
	release(): void {
		if (this.#immediate) {
			clearImmediate(this.#immediate);
		}

		if (this.#timer) {
			clearTimeout(this.#timer);
		}
	}

	#begin(): void {
		this.#timer = setTimeout(() => undefined, holdMs);
	}
}

/**
 * Holds the event loop while somebody waits for `work`: a keyring's answer alone does not.
 *
 * Begins at once, not in a later turn.
 */
export async function holding<Result>(work: () => Promise<Result>): Promise<Result> {
	const hold = new Hold(false);
	try {
		return await work();
	} finally {
		hold.release();
	}
}
