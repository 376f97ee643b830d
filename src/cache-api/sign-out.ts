/**
 * Signs an account out of all caches, so that no write that began before comes back:
 *
 * 1. It changes the mark beside the caches. Each write that read the account earlier compares the mark under the cache's lock, and looks for
 *    the account again if it differs.
 * 2. It removes the account from every cache, one after the other, under its locks.
 * 3. It changes the mark again. A write that found the account in a cache in which it still was compares the mark of step 1.
 * 4. It removes the account once more, under the locks again: such a write has ended by then, and it or a program without locks may have put
 *    back the account, or a token of it alone.
 *
 * If this process dies in between, the account is signed out of some caches, and remains usable in the others.
 */

import {mkdir, stat} from 'node:fs/promises';
import {dirname} from 'node:path';
import type {CacheQuery} from '../backend/backend.js';
import {storeKind} from '../backend/stores.js';
import {type CacheSource, signalFileSize} from '../cache/cache-source.js';
import type {SharedCache} from '../cache/shared-cache.js';
import {editsOfSignOut} from '../cache/sign-out-edits.js';
import {leaveMark, markPathOf} from '../cache/sign-out-mark.js';
import type {SourceReading} from '../cache/source-reading.js';
import {type ErrorCode, StoreError} from '../errors.js';
import {isDownCode} from '../lookup/read-sources.js';
import {log} from '../runtime/log.js';
import type {SignOutResult} from '../types.js';

export type SignOutPlan = {
	cache: SharedCache;
	/** The caches to remove the account from. */
	own: readonly CacheSource[];
	/** The caches that are only looked at. */
	extra: readonly CacheSource[];
	homeAccountId: string;
	/** The hosts whose records to remove. `undefined`: all. */
	environments: readonly string[] | undefined;
	/** Finds the account. */
	query: CacheQuery;
};

export async function signOut(plan: SignOutPlan): Promise<SignOutResult> {
	const {own, extra} = plan;
	const run = new SignOut(plan);
	const marks = [...new Set(own.map(source => markPathOf(source)).filter(path => path !== undefined))];
	await run.mark(marks);
	// Never holds the locks of two caches, so that another program waits for one at most.
	for (const source of own) {
		await run.remove(source);
	}

	await run.mark(marks);
	for (const source of own) {
		// What failed is reported, and would make the caller wait as long again.
		if (!run.hasFailed(source)) {
			await run.remove(source);
		}
	}

	for (const source of [...own, ...extra]) {
		await run.lookAt(source);
	}

	return run.end();
}

class SignOut {
	readonly #plan: SignOutPlan;
	readonly #removedFrom = new Set<string>();
	readonly #remainsIn: string[] = [];
	/** Errors of caches that could not be read or written, by label. */
	readonly #failures = new Map<string, {code: ErrorCode; message: string}>();
	/** The stores that do not answer at all, with their error. */
	readonly #down = new Map<string, StoreError>();

	constructor(plan: SignOutPlan) {
		this.#plan = plan;
	}

	async mark(paths: readonly string[]): Promise<void> {
		const {homeAccountId} = this.#plan;
		for (const path of paths) {
			try {
				await leaveMark(path, homeAccountId);
			} catch (error) {
				if ((error as NodeJS.ErrnoException).code === 'ENOENT' && await this.#isAnywhere()) {
					// A write that is under way would make the directory.
					await mkdir(dirname(path), {recursive: true, mode: 0o700}).then(async () => leaveMark(path, homeAccountId)).catch(reportUnmarked(path));
				} else if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
					reportUnmarked(path)(error);
				}
			}
		}
	}

	async remove(source: CacheSource): Promise<void> {
		const {cache, homeAccountId, environments} = this.#plan;
		if (await this.#isSignalFile(source)) {
			// A commit would wait until nobody has touched it for seconds. The looks that follow read it.
			return;
		}

		await this.#attempt(source, async () => {
			const {outcome} = await cache.commit(source, editsOfSignOut(homeAccountId, environments), {durable: true});
			if (outcome === 'written') {
				this.#removedFrom.add(source.label);
			}
		});
	}

	hasFailed(source: CacheSource): boolean {
		return this.#failures.has(source.label);
	}

	async lookAt(source: CacheSource): Promise<void> {
		if (await this.#isIn(source)) {
			this.#remainsIn.push(source.label);
		}
	}

	end(): SignOutResult {
		const notRead = [...this.#failures].map(([source, {code}]) => Object.freeze({source, code}));
		if (notRead.length > 0) {
			log.warning(() => `An account was signed out, but may remain in caches that could not be read or written: ${[...this.#failures].map(([source, {code, message}]) => `${source} (${code}): ${message}`).join(' ')}`);
		}

		return {removedFrom: [...this.#removedFrom].filter(label => !this.#remainsIn.includes(label)), remainsIn: this.#remainsIn, notRead};
	}

	/** Whether this file holds no cache, but tells that a keyring item has changed. */
	async #isSignalFile({store, at: {path}}: CacheSource): Promise<boolean> {
		if (path === undefined || storeKind(store) !== 'file' || !this.#plan.own.some(({signalPath}) => signalPath === path)) {
			return false;
		}

		try {
			const {size} = await stat(path);
			return size <= signalFileSize;
		} catch {
			return false;
		}
	}

	async #isAnywhere(): Promise<boolean> {
		for (const source of [...this.#plan.own, ...this.#plan.extra]) {
			if (await this.#isIn(source)) {
				return true;
			}
		}

		return false;
	}

	async #isIn(source: CacheSource): Promise<boolean> {
		const reading = await this.#read(source);
		return reading !== undefined && this.#isInReading(reading);
	}

	#isInReading({slice}: SourceReading): boolean {
		const {query: {homeAccountId = ''}} = this.#plan;
		const isOf = (entry: {homeAccountId: string}) => entry.homeAccountId.toLowerCase() === homeAccountId.toLowerCase();
		return slice !== null && [slice.accounts, slice.refreshTokens].some(entries => entries.some(entry => isOf(entry)));
	}

	async #read(source: CacheSource): Promise<SourceReading | undefined> {
		if (this.#down.has(source.store) && await isMissingFile(source)) {
			return undefined;
		}

		let found: SourceReading | undefined;
		await this.#attempt(source, async () => {
			const reading = await this.#plan.cache.read(source, this.#plan.query);
			if (reading.error && !await isMissingFile(source)) {
				throw reading.error;
			}

			found = reading;
		});
		return found;
	}

	/** Calls `act`, unless its store is known not to answer. Keeps a failure of it. */
	async #attempt(source: CacheSource, act: () => Promise<void>): Promise<void> {
		try {
			const down = this.#down.get(source.store);
			if (down) {
				throw down;
			}

			await act();
		} catch (error) {
			if (!(error instanceof StoreError)) {
				throw error;
			}

			if (isDownCode(error.code)) {
				this.#down.set(source.store, error);
			}

			if (!this.#failures.has(source.label)) {
				this.#failures.set(source.label, error);
			}
		}
	}
}

/** Whether nobody has such a cache, although this process could not read it. */
async function isMissingFile({store, at: {path}}: CacheSource): Promise<boolean> {
	return storeKind(store) === 'file' && path !== undefined && stat(path).then(() => false, (error: unknown) => (error as NodeJS.ErrnoException).code === 'ENOENT');
}

function reportUnmarked(path: string): (error: unknown) => void {
	return error => {
		log.warning(() => `${path} cannot be written: a program that is writing a token now may bring back the account that is signed out. ${(error as Error).message}`);
	};
}
