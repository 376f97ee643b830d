/**
 * The caches that are measured, from a seed: each in a home directory of its own, the same bytes in every run but for times. What JavaScript
 * reads fastest, one line of ASCII, is the rule; the forms that cost it more have rows of their own.
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

/** `unicode`: every other user has a name that is not ASCII, as UTF-8. `python`: these as escapes, and indented. */
export type Form = 'plain' | 'unicode' | 'python';

export type SizedCache = {
	/** Its size, for people. */
	label: string;
	sizeBytes: number;
	home: string;
	/** Of the cache of tokens without CAE. */
	path: string;
	username: string;
	tenantId: string;
	scopes: readonly string[];
	/** The first of them. */
	scope: string;
	/** Asks for the account in the middle of the file. */
	query: CacheQuery & {homeAccountId: string};
	/** Access tokens that the query finds. */
	tokenCount: number;
	/** Access tokens of all accounts. */
	totalTokens: number;
};

type Sections = Record<string, Record<string, Record<string, unknown>>>;

/** 6, 500 and 10,000 tokens. @param directory Empty; gets one home directory a size. */
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

/** 100,000 tokens, 290 MB: ten caches of the largest other size in one. Their users share names, so that accounts are told apart by id alone. */
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
			// Keys come from other seeds, but for the one client's metadata.
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

/** One account and no token: 300 bytes. */
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

/** A home directory with small caches of both kinds. */
export function prepareHomeOfBothKinds(directory: string): {home: string; scope: string} {
	const home = join(directory, 'both');
	const {text, accounts} = buildCache(cacheSizes.S);
	writeFileSync(cachePath(home, 'nocae'), text, {mode: 0o600});
	writeFileSync(cachePath(home, 'cae'), text, {mode: 0o600});
	return {home, scope: accounts[0]!.scopes[0]!};
}

function describe(home: string, path: string, accounts: readonly BuiltAccount[]): SizedCache {
	// Also brings it into the page cache.
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
			environments: [builtEnvironment], clientId: builtClientId, nowSec: 0, homeAccountId,
		},
		tokenCount: accessTokens.length,
		totalTokens: accounts.reduce((sum, account) => sum + account.accessTokens.length, 0),
	};
}

/** Three digits at the most, in the unit that fits. */
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

/** MSAL for Node reads id tokens when it lists accounts, and fails where one is none. The size of each stays. */
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
