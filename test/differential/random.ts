/** Random choices, determined by a seed. */

export type Random = {
	/** In [0, 1). */
	number: () => number;
	chance: (share: number) => boolean;
	/** Both limits are included. */
	integer: (least: number, most: number) => number;
	pick: <Value>(values: readonly Value[]) => Value;
	/** Chooses by weight. */
	weighted: <Value>(values: ReadonlyArray<readonly [Value, number]>) => Value;
	/** In place. */
	shuffle: <Value>(values: Value[]) => Value[];
};

/**
 * @param seed An integer from 0 to 2 ** 32 - 1. Source of the generator: Tommy Ettinger's mulberry32, public domain.
 */
export function randomOf(seed: number): Random {
	let state = seed >>> 0;
	const number = () => {
		state = (state + 0x6D_2B_79_F5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / (2 ** 32);
	};

	const integer = (least: number, most: number) => least + Math.floor(number() * (most - least + 1));
	return {
		number,
		chance: share => number() < share,
		integer,
		pick: values => values[integer(0, values.length - 1)]!,
		weighted(values) {
			let left = number() * values.reduce((sum, [, weight]) => sum + weight, 0);
			for (const [value, weight] of values) {
				left -= weight;
				if (left < 0) {
					return value;
				}
			}

			return values.at(-1)![0];
		},
		shuffle(values) {
			for (let index = values.length - 1; index > 0; index--) {
				const other = integer(0, index);
				[values[index], values[other]] = [values[other]!, values[index]!];
			}

			return values;
		},
	};
}
