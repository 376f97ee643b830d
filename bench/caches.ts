/** The caches that are measured: three sizes, each in a home directory of its own, the same bytes in every run but for times. */

import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import type {CacheQuery} from '../dist/backend.js';
import {
	buildCache, builtClientId, builtEnvironment, cacheSizes,
} from '../test/helpers/cache-builder.js';

export type SizeName = keyof typeof cacheSizes;

export type SizedCache = {
	name: SizeName;
	/** Its size, for people. */
	label: string;
	home: string;
	/** Of the cache of tokens without CAE. */
	path: string;
	username: string;
	scope: string;
	/** Asks for the account in the middle of the file. */
	query: CacheQuery;
	/** Access tokens that the query finds. */
	tokenCount: number;
};

/** @param directory Empty; gets one home directory a size. */
export function prepareCaches(directory: string): Record<SizeName, SizedCache> {
	return {S: prepareCache(directory, 'S'), M: prepareCache(directory, 'M'), L: prepareCache(directory, 'L')};
}

function prepareCache(directory: string, name: SizeName): SizedCache {
	const home = join(directory, name);
	const {text, accounts} = buildCache(cacheSizes[name]);
	const path = writeCache(home, 'nocae', text);
	// Read back, which also brings it into the page cache.
	const sizeBytes = readFileSync(path).length;
	const {homeAccountId, username, scopes, accessTokens} = accounts[Math.floor(accounts.length / 2)]!;
	return {
		name,
		label: sizeBytes < 1e6 ? `${Math.round(sizeBytes / 1000)} KB` : `${(sizeBytes / 1e6).toFixed(1)} MB`,
		home,
		path,
		username,
		scope: scopes[0]!,
		query: {
			environments: [builtEnvironment], clientId: builtClientId, nowSec: 0, homeAccountId,
		},
		tokenCount: accessTokens.length,
	};
}

/** A home directory with small caches of both kinds. */
export function prepareHomeOfBothKinds(directory: string): {home: string; scope: string} {
	const home = join(directory, 'both');
	const {text, accounts} = buildCache(cacheSizes.S);
	writeCache(home, 'nocae', text);
	writeCache(home, 'cae', text);
	return {home, scope: accounts[0]!.scopes[0]!};
}

/** @returns where it was written. */
function writeCache(home: string, kind: 'cae' | 'nocae', text: string): string {
	const directory = join(home, '.IdentityService');
	mkdirSync(directory, {recursive: true, mode: 0o700});
	const path = join(directory, `msal.cache.${kind}`);
	writeFileSync(path, text, {mode: 0o600});
	return path;
}
