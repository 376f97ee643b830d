/** Longer than any process waits; a timer that exists only to hold the event loop. Milliseconds. */
const holdMs = 2_147_483_647;

/** Holds the event loop, from now on until it is released. */
export class Hold {
	/** For the rest of this turn: a process's first timer takes 0.3 ms, which a token that is there before the next one does without. */
	readonly #immediate = setImmediate(() => {
		this.#timer = setTimeout(() => undefined, holdMs);
	});

	#timer: NodeJS.Timeout | undefined;

	/** May be called again. */
	release(): void {
		clearImmediate(this.#immediate);
		if (this.#timer) {
			clearTimeout(this.#timer);
		}
	}
}

/**
 * Holds the event loop while somebody waits for `work`: a keyring's answer alone does not.
 *
 * Begins at once, not in a later turn.
 */
export async function holding<Result>(work: () => Promise<Result>): Promise<Result> {
	const hold = new Hold();
	try {
		return await work();
	} finally {
		hold.release();
	}
}
