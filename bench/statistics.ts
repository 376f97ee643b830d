/** Medians and spread of samples. */

export type Summary = {median: number; p10: number; p90: number; count: number};

export function summarize(samples: readonly number[]): Summary {
	const sorted = samples.toSorted((a, b) => a - b);
	const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
	return {
		median: at(0.5), p10: at(0.1), p90: at(0.9), count: sorted.length,
	};
}

/**
 * Takes samples of several things in turn, A B C A B C ..., so that a machine whose speed drifts treats them alike.
 *
 * @param tasks Each gives one sample.
 */
export async function interleave(rounds: number, tasks: ReadonlyArray<() => number | Promise<number>>): Promise<Summary[]> {
	const samples: number[][] = tasks.map(() => []);
	for (let round = -1; round < rounds; round++) {
		for (const [index, task] of tasks.entries()) {
			const sample = await task();
			// The first round warms up.
			if (round >= 0) {
				samples[index]!.push(sample);
			}
		}
	}

	return samples.map(each => summarize(each));
}
