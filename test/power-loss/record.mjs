/** The record that a writer puts into the cache, which shows whether it is whole. */

import {createHash} from 'node:crypto';

/** @param {number} number */
export function recordOf(number) {
	// Of different sizes, from less than a page to some hundred pages.
	const size = [100, 5000, 60_000, 700_000][number % 4];
	const digest = createHash('sha256').update(String(number)).digest('hex');
	return {record: {number, text: digest.repeat(Math.ceil(size / digest.length))}};
}

/**
 * The number of the record in a cache.
 *
 * @param {string} text
 * @throws if the cache is not whole.
 */
export function numberIn(text) {
	const {Mine: {counter}, Theirs: theirs} = JSON.parse(text);
	if (JSON.stringify(counter) !== JSON.stringify(recordOf(counter.number).record)) {
		throw new Error(`record ${counter.number} is torn`);
	}

	if (JSON.stringify(theirs) !== JSON.stringify(foreign)) {
		throw new Error('the other records are torn');
	}

	return counter.number;
}

export const foreign = {kept: {text: 'é'.repeat(10_000)}};

/** @param {number} number */
export const cacheOf = number => JSON.stringify({Theirs: foreign, Mine: {counter: recordOf(number).record}});
