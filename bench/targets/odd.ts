/** Caches that nobody writes by accident: they may cost no more than linear time and bounded memory. */

import {
	closeSync, mkdirSync, openSync, rmSync, truncateSync, writeFileSync, writeSync,
} from 'node:fs';
import {join} from 'node:path';
import {sizeLabel} from '../caches.js';
import {run} from '../processes.js';
import {type Outcome, type Result, single} from '../results.js';
import {summarize} from '../statistics.mjs';
import type {Prepared} from './prepared.js';

type Reading = {ms: number[]; code: string | null; grownBytes: number};

type Kind = {
	name: string;
	head: string;
	/** Repeated until the size is reached. `index`: how often so far. */
	body(index: number): string;
	/** @param count How often the body was repeated. */
	tail(count: number): string;
};

const kinds: readonly Kind[] = [
	{
		name: 'deep nesting', head: '{"deep":', body: () => '[', tail: count => `${']'.repeat(count)}}`,
	},
	{
		name: 'tiny keys', head: '{"many":{', body: index => `"${index.toString(36)}":1,`, tail: () => '"":0}}',
	},
	{
		name: 'tiny records', head: '{"AccessToken":{', body: index => `"${index.toString(36)}":{},`, tail: () => '"":{}}}',
	},
	{
		name: 'records under one key', head: '{"AccessToken":{', body: () => '"a":{"secret":"b"},', tail: () => '"a":{}}}',
	},
	{
		name: 'one string', head: '{"long":"', body: () => 'x'.repeat(1000), tail: () => '"}',
	},
	{
		name: 'one string of escapes', head: '{"AccessToken":{"a":{"secret":"', body: () => String.raw`\u00fc\"\ud83d\ude00`, tail: () => '"}}}',
	},
	{
		name: 'white space', head: '{"AccessToken":{', body: () => ' \n\t\r', tail: () => '}}',
	},
];

/** The last two are larger than what processors cache: what goes at the speed of memory is slower there than below. */
const sizes = [27e6, 90e6, 270e6];

/** The limit of src/backend/backend.ts. */
const maxCacheSizeBytes = 1024 ** 3;

export async function measureOdd(prepared: Prepared): Promise<Outcome> {
	const {directory, caches: {S: {path: smallPath, query, home}}, options} = prepared;
	const folder = join(directory, 'odd');
	mkdirSync(folder);
	const path = join(folder, 'msal.cache.nocae');
	const read = (rounds: number) => JSON.parse(run('odd-cache.mjs', home, [JSON.stringify({
		path, smallPath, query, rounds,
	})])) as Reading;
	const results: Result[] = [];
	for (const kind of kinds) {
		const times: number[] = [];
		for (const sizeBytes of sizes) {
			console.error(`  ${kind.name}, ${sizeLabel(sizeBytes)}`);
			writeOdd(path, kind, sizeBytes);
			const {ms, code, grownBytes} = read(sizeBytes > 1e8 ? 3 : 7);
			if (code !== null) {
				throw new Error(`${kind.name}, ${sizeLabel(sizeBytes)}: ${code}`);
			}

			const time = summarize(ms);
			times.push(time.median);
			if (sizeBytes === sizes.at(-1)) {
				const linear = times.at(-2)! * 3;
				results.push(
					{
						id: 'odd',
						what: `${kind.name}, ${sizeLabel(sizeBytes)}: read + scan`,
						unit: 'ms',
						ours: time,
						peer: {name: 'three times that of a third of it', summary: single(linear)},
						ratio: time.median / linear,
						direction: 'cost',
						target: {on: 'ratio', bound: 1.5},
					},
					{
						id: 'odd', what: `${kind.name}, ${sizeLabel(sizeBytes)}: memory above idle`, unit: 'MB', ours: single(grownBytes / 1e6), peer: {name: 'the cache itself', summary: single(sizeBytes / 1e6)}, ratio: grownBytes / sizeBytes, direction: 'cost', target: {on: 'ratio', bound: 4},
					},
				);
			}
		}
	}

	// Sparse: costs no disk, and has to be refused by its size alone.
	writeFileSync(path, '{"long":"');
	truncateSync(path, maxCacheSizeBytes + 1);
	const tooLarge = read(7);
	if (tooLarge.code !== 'STC_CACHE_CORRUPT') {
		throw new Error(`a cache over the limit: ${tooLarge.code ?? 'read'}`);
	}

	results.push({
		id: 'odd', what: 'over the limit of 1 GiB: refused (STC_CACHE_CORRUPT)', unit: 'ms', ours: summarize(tooLarge.ms), direction: 'cost', target: {on: 'ours', bound: 5},
	});
	if (options.largeFiles) {
		writeOdd(path, kinds.find(({name}) => name === 'one string')!, maxCacheSizeBytes - 2000);
		const {ms, code, grownBytes} = read(3);
		if (code !== null) {
			throw new Error(`a string of 1 GiB: ${code}`);
		}

		results.push(
			{
				id: 'odd', what: 'one string, 1 GiB: read + scan', unit: 'ms', ours: summarize(ms), direction: 'cost',
			},
			{
				id: 'odd', what: 'one string, 1 GiB: memory above idle', unit: 'MB', ours: single(grownBytes / 1e6), direction: 'cost', target: {on: 'ours', bound: 8},
			},
		);
	} else {
		console.error('  a string of 1 GiB is left out, which takes as much disk: --large');
	}

	rmSync(folder, {recursive: true});
	return {results};
}

/** Well formed, and about so large. */
function writeOdd(path: string, {head, body, tail}: Kind, sizeBytes: number): void {
	const file = openSync(path, 'w');
	const write = (text: string) => {
		const bytes = Buffer.from(text, 'latin1');
		for (let done = 0; done < bytes.length;) {
			done += writeSync(file, bytes, done);
		}

		return bytes.length;
	};

	try {
		let written = write(head);
		let count = 0;
		// The tail of a nesting is as long as the rest.
		const half = tail(1).length > tail(0).length ? 0.5 : 1;
		while (written < sizeBytes * half) {
			const parts: string[] = [];
			for (let length = 0; length < 1e6 && written + length < sizeBytes * half;) {
				const part = body(count++);
				parts.push(part);
				length += part.length;
			}

			written += write(parts.join(''));
		}

		write(tail(count));
	} finally {
		closeSync(file);
	}
}
