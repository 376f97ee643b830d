/** The measurements, one function a target. Each returns rows for the table. */

import {execFileSync, spawnSync} from 'node:child_process';
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {performance} from 'node:perf_hooks';
import {fileURLToPath} from 'node:url';
import type {CacheBackend, CacheQuery} from '../dist/backend.js';
import {SharedTokenCacheCredential} from '../dist/index.js';
import {loadNativeBackend} from '../dist/native.js';
import {pureBackend} from '../dist/pure.js';
import {
	buildCache, type BuiltAccount, builtClientId, builtEnvironment, cacheSizes,
} from '../test/helpers/cache-builder.js';
import type {Result} from './results.js';
import {skipScan} from './skip-scan.js';
import {interleave} from './statistics.js';

export type SizeName = keyof typeof cacheSizes;
export type SizedCache = {name: SizeName; label: string; home: string; path: string; bytes: Buffer; account: BuiltAccount};

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** Writes the three caches, each into a home directory of its own. */
export function prepareCaches(directory: string): SizedCache[] {
	return (['S', 'M', 'L'] as const).map(name => {
		const home = join(directory, name);
		mkdirSync(join(home, '.IdentityService'), {recursive: true, mode: 0o700});
		const path = join(home, '.IdentityService', 'msal.cache.nocae');
		const {text, accounts} = buildCache(cacheSizes[name]);
		writeFileSync(path, text, {mode: 0o600});
		const sizeMb = text.length / 1e6;
		return {
			name, label: sizeMb < 1 ? `${Math.round(text.length / 1000)} KB` : `${sizeMb.toFixed(1)} MB`, home, path, bytes: Buffer.from(text), account: accounts[Math.floor(accounts.length / 2)]!,
		};
	});
}

const pick = (caches: readonly SizedCache[], name: SizeName) => caches.find(cache => cache.name === name)!;

/** P1: a hit, over the cheapest thing that can be awaited. */
export async function measureHit(caches: readonly SizedCache[]): Promise<Result[]> {
	const {home, account} = pick(caches, 'S');
	process.env['HOME'] = home;
	const credential = new SharedTokenCacheCredential();
	const scope = account.scopes[0]!;
	const list = [scope];
	const clientOptions = {enableCae: false, abortSignal: new AbortController().signal};
	const constant = Object.freeze({token: ''});
	const floor = async () => constant;
	const calls = 50_000;
	const nanoseconds = (start: number) => (performance.now() - start) / calls * 1e6;
	// Each loop stands alone: a function that calls and awaits what it is given would add to every call.
	const [bare, text, array, likeClient] = await interleave(40, [
		async () => {
			const start = performance.now();
			for (let index = 0; index < calls; index++) {
				await floor();
			}

			return nanoseconds(start);
		},
		async () => {
			const start = performance.now();
			for (let index = 0; index < calls; index++) {
				await credential.getToken(scope);
			}

			return nanoseconds(start);
		},
		async () => {
			const start = performance.now();
			for (let index = 0; index < calls; index++) {
				await credential.getToken(list);
			}

			return nanoseconds(start);
		},
		async () => {
			const start = performance.now();
			for (let index = 0; index < calls; index++) {
				await credential.getToken(list, clientOptions);
			}

			return nanoseconds(start);
		},
	]);
	await credential.close();
	const row = (what: string, ours: typeof bare, target: number | undefined): Result => ({
		id: 'P1', what, unit: 'ns', ours: ours!, peer: bare!, peerName: 'await of a constant', comparison: 'cost', target,
	});
	return [
		row('warm getToken(scope)', text, 2),
		row('warm getToken([scope])', array, undefined),
		row('warm getToken([scope], options of an SDK client)', likeClient, undefined),
	];
}

/** P3: a fresh process to its first cached token, above an empty one. */
export async function measureFirstToken(caches: readonly SizedCache[]): Promise<Result[]> {
	const targets: Record<SizeName, number> = {S: 5, M: 6, L: 12};
	const results: Result[] = [];
	for (const {name, label, home, account} of caches) {
		const start = (parameters: string[]) => {
			const startMs = performance.now();
			const {status, stderr} = spawnSync(process.execPath, [here('first-token.cjs'), ...parameters], {env: {PATH: process.env['PATH'] ?? '', HOME: home}});
			if (status !== 0) {
				throw new Error(`a measured process failed: ${stderr.toString()}`);
			}

			return performance.now() - startMs;
		};

		const one = [account.username, account.scopes[0]!];
		const [empty, native, pure] = await interleave(25, [() => start([]), () => start([...one, 'native']), () => start([...one, 'pure'])]);
		const row = (what: string, ours: typeof empty, target: number | undefined): Result => ({
			id: 'P3', what: `first cached token, ${label}, ${what}`, unit: 'ms', ours: ours!, peer: empty!, peerName: 'an empty process', comparison: 'difference', target,
		});
		results.push(row('native', native, targets[name]), row('pure JS', pure, undefined));
	}

	return results;
}

/** P4: reading and scanning a file for one account's tokens, asynchronously, page cache warm. */
export async function measureReading(caches: readonly SizedCache[]): Promise<Result[]> {
	const {backend: native} = loadNativeBackend();
	const targets: Record<SizeName, number> = {S: 4, M: 15, L: 15};
	const rounds: Record<SizeName, number> = {S: 300, M: 60, L: 12};
	const results: Result[] = [];
	for (const {name, label, path, bytes, account} of caches) {
		const query: CacheQuery = {
			environments: [builtEnvironment], clientId: builtClientId, nowSec: 0, homeAccountId: account.homeAccountId,
		};
		const expected = account.accessTokens.length;
		const timed = async (read: () => Promise<number> | number) => {
			const start = performance.now();
			const count = await read();
			const elapsedMs = performance.now() - start;
			if (count !== expected) {
				throw new Error(`${count} tokens instead of ${expected}`);
			}

			return elapsedMs;
		};

		const viaBackend = (backend: CacheBackend) => async () => timed(async () => (await backend.query('plaintext', {path}, query, 10_000))!.accessTokens.length);
		const [ours, pure, utf8, skipping] = await interleave(rounds[name], [
			viaBackend(native!),
			viaBackend(pureBackend),
			async () => timed(async () => {
				const {AccessToken} = JSON.parse(await readFile(path, 'utf8')) as {AccessToken: Record<string, {home_account_id: string}>};
				return Object.values(AccessToken).filter(record => record.home_account_id === account.homeAccountId).length;
			}),
			async () => timed(async () => skipScan(await readFile(path, 'latin1'), account.homeAccountId).filter(record => record['credential_type'] === 'AccessToken').length),
		]);
		const row = (peerName: string, peer: typeof ours, target: number | undefined): Result => ({
			id: 'P4', what: `read + scan, ${label}`, unit: 'ms', ours: ours!, peer: peer!, peerName, comparison: 'speed-up', target,
		});
		results.push(
			row('utf8 + JSON.parse', utf8, targets[name]),
			row('pure variant (latin1 + JSON.parse)', pure, 1),
			row('latin1 + indexOf, unchecked', skipping, 1),
		);
		if (name === 'L') {
			const [scan] = await interleave(20, [() => {
				const start = performance.now();
				native!.scan(bytes, query);
				return bytes.length / (performance.now() - start) / 1e6;
			}]);
			results.push({
				id: 'P10', what: `scan in memory, ${label}`, unit: 'GB/s', ours: scan!, peer: scan!, peerName: '-', comparison: 'absolute', target: undefined,
			});
		}
	}

	return results;
}

/** P5: how long the event loop stands still while the largest cache is read. */
export async function measureBlock(caches: readonly SizedCache[]): Promise<Result[]> {
	const {label, path, account} = pick(caches, 'L');
	const block = (variant: string) => Number(execFileSync(process.execPath, [here('loop-block.mjs'), variant, path, account.homeAccountId, builtClientId]));
	const [native, pure] = await interleave(15, [() => block('native'), () => block('pure')]);
	return [
		{
			id: 'P5', what: `longest block while ${label} load, native`, unit: 'ms', ours: native!, peer: pure!, peerName: 'pure JS', comparison: 'absolute', target: 1,
		},
		{
			id: 'P5', what: `longest block while ${label} load, pure JS`, unit: 'ms', ours: pure!, peer: pure!, peerName: '-', comparison: 'absolute', target: undefined,
		},
	];
}

/** Reading the files once brings them into the page cache. */
export function warm(caches: readonly SizedCache[]): void {
	for (const {path} of caches) {
		readFileSync(path);
	}
}
