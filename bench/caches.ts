/**
 * The measured caches, generated from a seed, each in its own home directory. All runs use the same bytes, except for
 * times. The default form is the one that JavaScript reads fastest, a single line of ASCII. Separate rows measure the
 * slower forms.
 */

import {
	closeSync, mkdirSync, openSync, readFileSync, statSync, writeFileSync, writeSync,
} from 'node:fs';
import {join} from 'node:path';
import type {CacheQuery} from '../dist/backend/backend.js';
import {
	buildCache, type BuiltAccount, builtClientId, builtEnvironment, type CacheOptions, cacheSizes,
} from '../test/helpers/caches/cache-builder.js';

export type SizeName = keyof typeof cacheSizes;

/** `unicode`: every second user has a non-ASCII name in UTF-8. `python`: the same names as escapes, and indented. */
export type Form = 'plain' | 'unicode' | 'python';

export type SizedCache = {
	/** The size as text. */
	label: string;
	sizeBytes: number;
	home: string;
	/** The cache for tokens without CAE. */
	path: string;
	username: string;
	tenantId: string;
	scopes: readonly string[];
	/** The first scope of the account. */
	scope: string;
	/** Queries the account in the middle of the file. */
	query: CacheQuery & {homeAccountId: string};
	/** Number of access tokens that the query finds. */
	tokenCount: number;
	/** Number of access tokens of all accounts. */
	totalTokens: number;
};

type Sections = Record<string, Record<string, Record<string, unknown>>>;

/**
 * Creates caches with 6, 500 and 10,000 tokens. @param directory An empty directory. Each cache gets a home directory
 * in it.
 */
export function prepareCaches(directory: string): Record<SizeName, SizedCache> {
	return {S: prepareCache(directory, 'S'), M: prepareCache(directory, 'M'), L: prepareCache(directory, 'L')};
}

export function prepareCache(directory: string, name: SizeName, form: Form = 'plain'): SizedCache {
	const home = join(directory, `${name}-${form}`);
	const options: CacheOptions = {...cacheSizes[name], unicodeNames: form !== 'plain', style: form === 'python' ? 'python' : 'node'};
	const {text, accounts} = buildCache(options);
	const path = cachePath(home, 'nocae');
	writeFileSync(path, form === 'python' ? text : JSON.stringify(withReadableIdTokens(JSON.parse(text) as Sections)), {mode: 0o600});
	return describe(home, path, accounts);
}

/**
 * Creates a cache with 100,000 tokens, 290 MB: ten caches of the largest other size combined. Their users share names,
 * so that only IDs distinguish accounts.
 */
export function prepareLargestCache(directory: string): SizedCache {
	const home = join(directory, 'XL');
	const path = cachePath(home, 'nocae');
	const parts = Array.from({length: 10}, (_, index) => {
		const {text, accounts} = buildCache({...cacheSizes.L, seed: index + 1});
		return {sections: JSON.parse(text) as Sections, accounts};
	});
	const file = openSync(path, 'w', 0o600);
	try {
		for (const [index, name] of Object.keys(parts[0]!.sections).entries()) {
			// The keys come from different seeds, except for the client's metadata.
			const bodies = parts.map(({sections}) => JSON.stringify(sections[name]).slice(1, -1)).slice(0, name === 'AppMetadata' ? 1 : undefined);
			writeWhole(file, `${index === 0 ? '{' : ','}${JSON.stringify(name)}:{`);
			for (const [part, body] of bodies.entries()) {
				writeWhole(file, part === 0 ? body : `,${body}`);
			}

			writeWhole(file, '}');
		}

		writeWhole(file, '}');
	} finally {
		closeSync(file);
	}

	return describe(home, path, parts.flatMap(({accounts}) => accounts));
}

/** Creates a cache with one account and no token: 300 bytes. */
export function prepareSmallestCache(directory: string): SizedCache {
	const home = join(directory, 'XS');
	const path = cachePath(home, 'nocae');
	const {text, accounts} = buildCache({accounts: 1, tokensPerAccount: 0});
	const [[key, {home_account_id, environment, realm, username}]] = Object.entries((JSON.parse(text) as Sections)['Account']!) as [[string, Record<string, unknown>]];
	writeFileSync(path, JSON.stringify({
		Account: {
			[key]: {
				home_account_id, environment, realm, username,
			},
		},
	}), {mode: 0o600});
	return {...describe(home, path, accounts), tokenCount: 0, totalTokens: 0};
}

/** Creates a home directory with small caches of both kinds. */
export function prepareHomeOfBothKinds(directory: string): {home: string; scope: string} {
	const home = join(directory, 'both');
	const {text, accounts} = buildCache(cacheSizes.S);
	writeFileSync(cachePath(home, 'nocae'), text, {mode: 0o600});
	writeFileSync(cachePath(home, 'cae'), text, {mode: 0o600});
	return {home, scope: accounts[0]!.scopes[0]!};
}

function describe(home: string, path: string, accounts: readonly BuiltAccount[]): SizedCache {
	// Also loads the file into the page cache.
	const sizeBytes = statSync(path).size > 1e8 ? statSync(path).size : readFileSync(path).length;
	const {homeAccountId, tenantId, username, scopes, accessTokens} = accounts[Math.floor(accounts.length / 2)]!;
	return {
		label: sizeLabel(sizeBytes),
		sizeBytes,
		home,
		path,
		username,
		tenantId,
		scopes,
		scope: scopes[0] ?? '',
		query: {
			environments: [builtEnvironment], clientId: builtClientId, nowSec: Math.floor(Date.now() / 1000), homeAccountId,
		},
		tokenCount: accessTokens.length,
		totalTokens: accounts.reduce((sum, account) => sum + account.accessTokens.length, 0),
	};
}

/** Formats a size with at most three digits. */
export function sizeLabel(sizeBytes: number): string {
	const [scale, unit] = sizeBytes < 1e3 ? [1, 'bytes'] : (sizeBytes < 1e6 ? [1e3, 'KB'] : [1e6, 'MB']);
	const value = sizeBytes / scale;
	return `${value < 10 && scale > 1 ? value.toFixed(1) : value.toFixed(0)} ${unit}`;
}

function cachePath(home: string, kind: 'cae' | 'nocae'): string {
	const directory = join(home, '.IdentityService');
	mkdirSync(directory, {recursive: true, mode: 0o700});
	return join(directory, `msal.cache.${kind}`);
}

/**
 * Replaces the ID tokens by valid ones of the same size: MSAL for Node parses them when it lists accounts, and fails on
 * invalid ones.
 */
function withReadableIdTokens(sections: Sections): Sections {
	const accounts = new Map(Object.values(sections['Account']!).map(account => [account['home_account_id'], account]));
	const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
	for (const record of Object.values(sections['IdToken']!)) {
		const account = accounts.get(record['home_account_id'])!;
		const token = `${encode({typ: 'JWT', alg: 'none'})}.${encode({
			oid: account['local_account_id'], tid: account['realm'], preferred_username: account['username'], name: 'Fake User', sub: 'FAKE', ver: '2.0',
		})}.FAKE`;
		record['secret'] = token.padEnd((record['secret'] as string).length, '_');
	}

	return sections;
}

function writeWhole(file: number, text: string): void {
	const bytes = Buffer.from(text);
	for (let done = 0; done < bytes.length;) {
		done += writeSync(file, bytes, done);
	}
}
