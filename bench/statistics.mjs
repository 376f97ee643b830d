/** Medians, spread, and samples taken in turn. Plain JavaScript, because the measured processes use it, too. */

/** @typedef {{median: number, p10: number, p90: number, max: number, count: number}} Summary */

/**
 * @param {readonly number[]} samples At least one.
 * @returns {Summary}
 */
export function summarize(samples) {
	const sorted = samples.toSorted((a, b) => a - b);
	const at = share => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
	return {
		median: at(0.5), p10: at(0.1), p90: at(0.9), max: at(1), count: sorted.length,
	};
}

/**
 * Takes samples of several things in turn, A B C, C B A, A B C ..., so that a machine whose speed drifts, and whatever one thing
 * leaves behind for the next, treats them alike. What stands at one place of two series was measured in the same round.
 *
 * @param {{rounds: number, warmUpRounds?: number}} plan
 * @param {ReadonlyArray<() => number | Promise<number>>} tasks Each gives one sample.
 * @returns {Promise<number[][]>} One series for each task.
 */
export async function interleave({rounds, warmUpRounds = 1}, tasks) {
	const series = tasks.map(() => []);
	const inOrder = [...tasks.entries()];
	for (let round = -warmUpRounds; round < rounds; round++) {
		for (const [index, task] of round % 2 === 0 ? inOrder : inOrder.toReversed()) {
			const sample = await task();
			if (round >= 0) {
				series[index].push(sample);
			}
		}
	}

	return series;
}
