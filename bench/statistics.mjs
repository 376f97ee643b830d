/** Medians, spread, and samples taken in turn. Plain JavaScript, because the measured processes use it, too. */

/** @typedef {{median: number, p10: number, p90: number, max: number, count: number, p99?: number}} Summary `p99`: where there are samples enough for one. */

/** With fewer samples, the 99th percentile is the largest or the next to it. */
const leastForP99 = 200;

/**
 * @param {readonly number[]} samples At least one.
 * @returns {Summary}
 */
export function summarize(samples) {
	const sorted = samples.toSorted((a, b) => a - b);
	return {
		median: quantile(sorted, 0.5),
		p10: quantile(sorted, 0.1),
		p90: quantile(sorted, 0.9),
		max: quantile(sorted, 1),
		count: sorted.length,
		...(sorted.length >= leastForP99 && {p99: quantile(sorted, 0.99)}),
	};
}

/**
 * @param {ArrayLike<number>} sorted
 * @param {number} share From 0 to 1.
 * @returns {number}
 */
export function quantile(sorted, share) {
	return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

/**
 * The distribution of many samples in few points, denser towards its end: where the tail is.
 *
 * @param {readonly number[] | Float64Array} samples
 * @returns {Array<{share: number, value: number}>}
 */
export function distribution(samples) {
	const sorted = samples.toSorted((a, b) => a - b);
	const shares = [0, 0.1, 0.25, 0.5, 0.75];
	for (let nines = 1; 2 * (10 ** nines) <= sorted.length; nines += 0.25) {
		shares.push(1 - (10 ** -nines));
	}

	return shares.map(share => ({share, value: quantile(sorted, share)}));
}

/**
 * Takes samples of several things in turn, A B C, C B A, A B C ..., so that a machine whose speed drifts, and whatever one thing
 * leaves behind for the next, treats them alike. What stands at one place of two series was measured in the same round.
 *
 * @template Sample
 * @param {{rounds: number, warmUpRounds?: number}} plan
 * @param {ReadonlyArray<() => Sample | Promise<Sample>>} tasks Each gives one sample.
 * @returns {Promise<Sample[][]>} One series for each task.
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
