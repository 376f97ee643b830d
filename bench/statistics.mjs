/** Medians, spread, and interleaved samples. Plain JavaScript, because the measured processes also use it. */

/** @typedef {{median: number, p10: number, p90: number, max: number, count: number, p99?: number}} Summary `p99`: where there are samples enough for one. */

/** With fewer samples, the 99th percentile is one of the two largest samples. */
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
 * Reduces many samples to a few points, denser at the slow end.
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
 * Takes samples of several tasks alternately, A B C, C B A, A B C ..., so that a drift of the machine's speed and
 * after-effects of a task affect all alike. Equal positions in two series come from the same round.
 *
 * @template Sample
 * @param {{rounds: number, warmUpRounds?: number}} plan
 * @param {ReadonlyArray<() => Sample | Promise<Sample>>} tasks Each returns one sample.
 * @returns {Promise<Sample[][]>} One series per task.
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
