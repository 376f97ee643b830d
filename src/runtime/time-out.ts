/**
 * Time-outs that do not win over what has already arrived. After a process was stopped, or its event loop was blocked, a timer fires before
 * the loop looks at its sockets.
 */

/** A timer that fires so much later than asked for was held up by more than the usual load, milliseconds. */
const lateMs = 100;

/** Longest time for what arrived while the loop did not run, such as to write a grant to the cache, milliseconds. */
const maxGraceMs = 5000;

export type TimeoutOptions = {
	/** Whether the timer keeps the event loop alive. Default true. */
	ref?: boolean;
};

/**
 * Calls `onTimeout` once after `timeoutMs`, never before the loop has polled for I/O once more. A timer that fires late adds as much time as it
 * was late, five seconds at most.
 *
 * @returns a function that clears the time-out.
 */
export function startTimeout(timeoutMs: number, onTimeout: () => void, {ref = true}: TimeoutOptions = {}): () => void {
	const dueMs = performance.now() + timeoutMs;
	let timer: NodeJS.Timeout;
	let immediate: NodeJS.Immediate | undefined;
	const start = (delayMs: number, onTime: () => void) => {
		timer = setTimeout(() => {
			// Immediates run after the loop's next poll for I/O.
			immediate = setImmediate(onTime);
			if (!ref) {
				immediate.unref();
			}
		}, delayMs);
		if (!ref) {
			timer.unref();
		}
	};

	start(timeoutMs, () => {
		const overdueMs = performance.now() - dueMs;
		if (overdueMs < lateMs) {
			onTimeout();
		} else {
			start(Math.min(overdueMs, maxGraceMs), onTimeout);
		}
	});
	return () => {
		clearTimeout(timer);
		clearImmediate(immediate);
	};
}
