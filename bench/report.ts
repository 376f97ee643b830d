/** RESULTS.md: the rows of a run as a page. */

import {
	cellsOf, columns, type Plots, type Result,
} from './results.js';

/** The result of a run of all benchmarks. `results.json` contains one. */
export type Report = {machine: string; dateMs: number; results: Result[]; plots: Plots};

const headings: Readonly<Record<string, string>> = {
	P1: 'A hit, compared with the cheapest possible await',
	P2: 'A hit, compared with libraries that read the cache for each call',
	P3: 'A new process to its first cached token',
	P4: 'Reading and scanning a cache file',
	P5: 'Longest block of the event loop while a large cache is read',
	P6: 'Peak memory',
	P7: 'One grant',
	P8: 'Many processes request one expired token',
	P9: 'Writing one grant back',
	P10: 'Growth with the size of the cache, and the scanner alone',
	many: 'A hundred credentials on one cache',
	tail: 'The slowest hits under load',
	growth: 'Memory over time',
	'unusual-caches': 'Unusual caches: linear time and bounded memory',
};

/** The plot of a section, with its content in words. */
const pictures: Readonly<Record<string, {file: string; text: string}>> = {
	P2: {file: 'hit', text: 'Time of a hit by percentile, 6 tokens: this package near the await of a constant, the others above 400 microseconds'},
	P4: {file: 'size', text: 'Time to get a token from a cache over the size of the cache: native, pure JavaScript and msal-node'},
	P5: {file: 'block', text: 'Longest block of the event loop while the largest cache is read, one dot per run'},
	P8: {file: 'grants', text: 'Grants at the server over the number of processes that request the same expired token'},
};

export function toMarkdown({machine, dateMs, results}: Report): string {
	const lines = [
		'# Results',
		'',
		`Written by \`npm run bench\` on ${new Date(dateMs).toISOString().slice(0, 10)}: ${machine}.`,
		'',
		'Figures are medians, with the 10th and 90th percentile, the 99th with at least 200 samples, and the number of samples. The two figures of a row come from interleaved samples of one run. A ratio is',
		'the median of the ratios of the rounds. Machines differ, so quote ratios. Files are in the page cache. `results.json` contains all data. `npm run bench -- --draw` creates this page and its plots from it.',
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
