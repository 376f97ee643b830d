/** Keeping the event loop alive for work that does not do so itself, such as a keyring call. */

/** The longest delay that a timer takes, milliseconds. */
const maxDelayMs = 2_147_483_647;

/** Keeps the event loop alive until it is released. */
export class KeepAlive {
	/** Keeps the loop alive for this tick without creating a timer. */
	readonly #immediate = setImmediate(() => {
		this.#timer = setTimeout(() => undefined, maxDelayMs);
	});

	#timer: NodeJS.Timeout | undefined;

	/** May be called more than once. */
	release(): void {
		clearImmediate(this.#immediate);
		if (this.#timer) {
			clearTimeout(this.#timer);
		}
	}
}

/** Keeps the event loop alive while `work` runs. Calls `work` at once, in the same tick. */
export async function keepAlive<Result>(work: () => Promise<Result>): Promise<Result> {
	const held = new KeepAlive();
	try {
		return await work();
	} finally {
		held.release();
	}
}
