/** RESULTS.md: the rows of a run as a page. */

import {
	cellsOf, columns, type Plots, type Result,
} from './results.js';

/** What a run of all benchmarks gave; `results.json` holds one. */
export type Report = {machine: string; dateMs: number; results: Result[]; plots: Plots};

const headings: Readonly<Record<string, string>> = {
	P1: 'A hit, over the cheapest thing that can be awaited',
	P2: 'A hit, against libraries that read the cache for each call',
	P3: 'A fresh process to its first cached token',
	P4: 'Reading and scanning a cache file',
	P5: 'How long the event loop stands still while a large cache loads',
	P6: 'Peak memory',
	P7: 'One grant',
	P8: 'Many processes want one expired token',
	P9: 'Writing one grant back',
	P10: 'Growth with the cache, and the scanner alone',
	many: 'A hundred credentials on one cache',
	tail: 'The tail of a hit while much goes on',
	growth: 'Memory over time',
	odd: 'Caches that nobody writes by accident',
};

/** The plots that belong to a section, with what they show in words. */
const pictures: Readonly<Record<string, {file: string; text: string}>> = {
	P2: {file: 'hit', text: 'Time of a hit by percentile, 6 tokens: this package near the await of a constant, the others above 400 microseconds'},
	P4: {file: 'size', text: 'Time to get a token out of a cache over its size: native, pure JavaScript and msal-node'},
	P5: {file: 'block', text: 'Longest block of the event loop while the largest cache loads, one dot a run'},
	P8: {file: 'grants', text: 'Grants at the server over the number of processes that want the same expired token'},
};

export function toMarkdown({machine, dateMs, results}: Report): string {
	const lines = [
		'# Results',
		'',
		`Written by \`npm run bench\` on ${new Date(dateMs).toISOString().slice(0, 10)}: ${machine}.`,
		'',
		'Figures are medians, with the 10th and 90th percentile, the 99th where there are 200 samples or more, and the number of samples. What a row compares was measured in turn, in one run: a ratio is',
		'the median of the ratios of the rounds. Machines differ, so quote ratios. Files are in the page cache. All data is in `results.json`; `npm run bench -- --draw` makes this page and its plots from it.',
	];
	for (const id of new Set(results.map(result => result.id))) {
		lines.push('', `## ${id}: ${headings[id] ?? ''}`, '');
		const picture = pictures[id];
		if (picture) {
			lines.push(`![${picture.text}](plots/${picture.file}.svg)`, '');
		}

		lines.push(`| ${columns.slice(1).join(' | ')} |`, `|${'---|'.repeat(columns.length - 1)}`);
		for (const result of results.filter(each => each.id === id)) {
			const cells = cellsOf(result).slice(1).map(cell => cell.trim().replaceAll('|', String.raw`\|`));
			lines.push(`| ${cells.join(' | ')} |`);
		}
	}

	return `${lines.join('\n')}\n`;
}
