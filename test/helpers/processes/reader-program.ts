/**
 * A program: reads shared caches with the code under test. Its environment determines the home directory and the
 * session bus. Reads a {@link ReaderJob} from standard input and prints a {@link ReaderReport}. `reader.ts` starts it.
 */

import {text} from 'node:stream/consumers';
import {homedir} from 'node:os';
import {join} from 'node:path';
import type {CacheBackend} from '../../../dist/backend/backend.js';
import {SharedTokenCacheCredential, StoreError} from '../../../dist/index.js';
import {cacheSources} from '../../../dist/cache/locations/index.js';
import {loadNativeBackend} from '../../../dist/backend/native-backend.js';
import {jsBackend} from '../../../dist/backend/js/js-backend.js';
import {storeOf, storesOf} from '../../../dist/backend/stores.js';
import {loopbackDispatcher} from '../authority/dispatcher.js';
import type {
	ReaderJob, ReaderReport, SourceReport, TokenReport,
} from './reader.js';

const keyringTimeoutMs = 120_000;

const job = JSON.parse(await text(process.stdin)) as ReaderJob;
const report: ReaderReport = {sources: await readSources(job), accounts: [], tokens: []};
const dispatcher = loopbackDispatcher(job.server);
const credential = new SharedTokenCacheCredential({...job.options, dispatcher, useNativeAddon: job.variant === 'native'});
report.accounts = await credential.listAccounts();
for (const {scope, options} of job.requests) {
	report.tokens.push(await requestToken(scope, options));
}

await credential.close();
await dispatcher.close();
console.log(JSON.stringify(report));

/** Reads every possible cache location through the backend. */
async function readSources({variant, query}: ReaderJob): Promise<SourceReport[]> {
	const backend = variant === 'native' ? nativeBackend() : jsBackend;
	const home = homedir();
	const {primary, extra} = cacheSources('nocae', {
		platform: process.platform,
		home,
		dataHome: join(home, '.local', 'share'),
		cacheHome: join(home, '.cache'),
		cacheName: 'msal.cache',
	});
	const reports: SourceReport[] = [];
	// The backend does not keep the event loop alive during a keyring call. The caller must.
	const hold = setInterval(() => undefined, keyringTimeoutMs);
	for (const {store, at, label} of [...primary, ...extra].filter(source => storesOf(backend).includes(source.store))) {
		try {
			const slice = await storeOf(backend, store).query(at, {...query, nowSec: Math.floor(Date.now() / 1000)}, keyringTimeoutMs);
			reports.push({label, slice, stamp: await storeOf(backend, store).stamp(at, keyringTimeoutMs)});
		} catch (error) {
			if (!(error instanceof StoreError)) {
				throw error;
			}

			reports.push({
				label,
				slice: null,
				stamp: null,
				errorCode: error.code,
			});
		}
	}

	clearInterval(hold);
	return reports;
}

function nativeBackend(): CacheBackend {
	const {backend, error} = loadNativeBackend();
	if (!backend) {
		throw error ?? new Error('The native addon is not loaded.');
	}

	return backend;
}

async function requestToken(scope: string, options: ReaderJob['requests'][number]['options']): Promise<TokenReport> {
	try {
		const {token, expiresOnTimestamp} = await credential.getToken(scope, options);
		return {token, expiresOnTimestamp};
	} catch (error) {
		const {name, message, code} = error as Error & {code?: string};
		return {name, message, ...(code !== undefined && {code})};
	}
}
