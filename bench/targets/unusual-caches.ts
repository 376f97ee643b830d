/** Unusual caches: they must not cost more than linear time and bounded memory. */

import {
	closeSync, mkdirSync, openSync, rmSync, truncateSync, writeFileSync, writeSync,
} from 'node:fs';
import {join} from 'node:path';
import {sizeLabel} from '../caches.js';
import {run} from '../processes.js';
import {
	type Outcome, pairedRatio, type Result, single,
} from '../results.js';
import {summarize} from '../statistics.mjs';
import type {Prepared} from './prepared.js';

type Reading = {ms: number[]; code: string | null; grownBytes: number; blocks: Array<{reading: number; idle: number}>};

type Kind = {
	name: string;
	head: string;
	/** Repeated until the size is reached. @param index Number of repetitions so far. */
	body(index: number): string;
	/** @param count Number of repetitions of the body. */
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
		name: 'records with one key', head: '{"AccessToken":{', body: () => '"a":{"secret":"b"},', tail: () => '"a":{}}}',
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

const environment = 'sts.windows.net';
const numbered = (index: number) => index.toString(36);
const account = (id: string) => `"home_account_id":"${id}","environment":"${environment}"`;
const refreshToken = `{${account('a.t')},"secret":"FAKE","family_id":"1"}`;
const accessToken = `{${account('a.t')},"client_id":"c","target":"t","secret":"FAKE","expires_on":"1900000000"}`;

/**
 * Caches of records that are as small as a record can be, each of which a scan takes. `code`: how a cache is refused that has more records
 * than any token cache.
 */
const dense: ReadonlyArray<Kind & {code: string | null}> = [
	{
		name: 'tiny accounts', head: '{"Account":{', body: index => `"${numbered(index)}":{${account(numbered(index))}},`, tail: () => '"":0}}', code: 'STC_CACHE_CORRUPT',
	},
	{
		name: 'tiny accounts with one key', head: '{"Account":{', body: () => `"a":{${account('b')}},`, tail: () => '"":0}}', code: null,
	},
	{
		name: 'tiny accounts that a duplicate removes', head: '{"Account":{', body: index => `"${numbered(Math.floor(index / 2))}":${index % 2 === 0 ? `{${account('b')}}` : '0'},`, tail: () => '"":0}}', code: null,
	},
	{
		name: 'tiny refresh tokens', head: `{"Account":{"a":{${account('a.t')}}},"RefreshToken":{`, body: index => `"${numbered(index)}":${refreshToken},`, tail: () => '"":0}}', code: 'STC_CACHE_CORRUPT',
	},
	{
		name: 'tiny refresh tokens with one key', head: '{"RefreshToken":{', body: () => `"a":${refreshToken},`, tail: () => '"":0}}', code: null,
	},
	{
		name: 'tiny access tokens', head: `{"Account":{"a":{${account('a.t')}}},"RefreshToken":{"a":${refreshToken}},"AccessToken":{`, body: index => `"${numbered(index)}":${accessToken},`, tail: () => '"":0}}', code: 'STC_CACHE_CORRUPT',
	},
	{
		name: 'application metadata', head: '{"AppMetadata":{', body: index => `"${numbered(index)}":{"client_id":"c","environment":"${environment}"},`, tail: () => '"":0}}', code: 'STC_CACHE_CORRUPT',
	},
];

/** The last two are larger than the processor's caches: code that is limited by memory speed is slower there. */
const sizes = [27e6, 90e6, 270e6];

/** The limit of src/backend/backend.ts. */
const maxCacheSizeBytes = 1024 ** 3;

export async function measureUnusualCaches(prepared: Prepared): Promise<Outcome> {
	const {directory, caches: {S: {path: smallPath, query, home}}, options} = prepared;
	const folder = join(directory, 'unusual-caches');
	mkdirSync(folder);
	const path = join(folder, 'msal.cache.nocae');
	const read = (rounds: number, more: {query?: object; blockRounds?: number} = {}) => JSON.parse(run('unusual-cache.mjs', home, [JSON.stringify({
		path, smallPath, query, rounds, ...more,
	})])) as Reading;
	const results: Result[] = [];
	for (const kind of kinds) {
		const times: number[] = [];
		for (const sizeBytes of sizes) {
			console.error(`  ${kind.name}, ${sizeLabel(sizeBytes)}`);
			writeCache(path, kind, sizeBytes);
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
						id: 'unusual-caches',
						what: `${kind.name}, ${sizeLabel(sizeBytes)}: read + scan`,
						unit: 'ms',
						ours: time,
						peer: {name: 'three times the time for a third of the size', summary: single(linear)},
						ratio: time.median / linear,
						direction: 'cost',
						target: {on: 'ratio', bound: 1.5},
					},
					{
						id: 'unusual-caches', what: `${kind.name}, ${sizeLabel(sizeBytes)}: memory above idle`, unit: 'MB', ours: single(grownBytes / 1e6), peer: {name: 'size of the cache', summary: single(sizeBytes / 1e6)}, ratio: grownBytes / sizeBytes, direction: 'cost', target: {on: 'ratio', bound: 4},
					},
				);
			}
		}
	}

	for (const kind of dense) {
		const sizeBytes = sizes[0]!;
		const label = `${kind.name}, ${sizeLabel(sizeBytes)}`;
		console.error(`  ${label}`);
		writeCache(path, kind, sizeBytes);
		const {code, grownBytes, blocks} = read(3, {query: {environments: [environment], clientId: 'c', nowSec: 1_800_000_000}, blockRounds: 7});
		if (code !== kind.code) {
			throw new Error(`${label}: ${code ?? 'read'}`);
		}

		const [reading, idle] = [blocks.map(block => block.reading), blocks.map(block => block.idle)];
		results.push(
			{
				id: 'unusual-caches', what: `${label}: memory above idle`, unit: 'MB', ours: single(grownBytes / 1e6), peer: {name: 'size of the cache', summary: single(sizeBytes / 1e6)}, ratio: grownBytes / sizeBytes, direction: 'cost', target: {on: 'ratio', bound: 2},
			},
			{
				id: 'unusual-caches', what: `${label}: longest block${code === null ? '' : `, refused (${code})`}`, unit: 'ms', ours: summarize(reading), peer: {name: 'the same loop without a read', summary: summarize(idle)}, ratio: pairedRatio(reading, idle), direction: 'cost', target: {on: 'ours', bound: 1},
			},
		);
	}

	// A sparse file, which takes no disk space. It must be refused by its size alone.
	writeFileSync(path, '{"long":"');
	truncateSync(path, maxCacheSizeBytes + 1);
	const tooLarge = read(7);
	if (tooLarge.code !== 'STC_CACHE_CORRUPT') {
		throw new Error(`a cache over the limit: ${tooLarge.code ?? 'read'}`);
	}

	results.push({
		id: 'unusual-caches', what: 'over the limit of 1 GiB: refused (STC_CACHE_CORRUPT)', unit: 'ms', ours: summarize(tooLarge.ms), direction: 'cost', target: {on: 'ours', bound: 5},
	});
	if (options.largeFiles) {
		writeCache(path, kinds.find(({name}) => name === 'one string')!, maxCacheSizeBytes - 2000);
		const {ms, code, grownBytes} = read(3);
		if (code !== null) {
			throw new Error(`a string of 1 GiB: ${code}`);
		}

		results.push(
			{
				id: 'unusual-caches', what: 'one string, 1 GiB: read + scan', unit: 'ms', ours: summarize(ms), direction: 'cost',
			},
			{
				id: 'unusual-caches', what: 'one string, 1 GiB: memory above idle', unit: 'MB', ours: single(grownBytes / 1e6), direction: 'cost', target: {on: 'ours', bound: 8},
			},
		);
	} else {
		console.error('  skipped: a string of 1 GiB, which needs as much disk space; use --large');
	}

	rmSync(folder, {recursive: true});
	return {results};
}

/** Writes a well-formed file of about this size. */
function writeCache(path: string, {head, body, tail}: Kind, sizeBytes: number): void {
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
		// For nesting, the tail is as long as the rest.
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
