/** Longer than any process waits; a timer that exists only to hold the event loop. Milliseconds. */
const holdMs = 2_147_483_647;

/**
 * Holds the event loop while somebody waits for `work`: a keyring's answer alone does not.
 *
 * Begins at once, not in a later turn.
 */
export async function holding<Result>(work: () => Promise<Result>): Promise<Result> {
	const hold = setTimeout(() => undefined, holdMs);
	try {
		return await work();
	} finally {
		clearTimeout(hold);
	}
}
