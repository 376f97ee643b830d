/**
 * The expected result of a query: a third, simple implementation of the rules of `CacheQuery`, with fatal UTF-8
 * decoding and `JSON.parse`. It shares no code with the two readers, so tests can compare them with it.
 */

import type {CacheQuery} from '../../../dist/backend/backend.js';

/** A slice without its stamp, or the error code. Entries are sorted, because `JSON.parse` changes the order of names like `1`. */
export type OracleAnswer = {code: string} | {
	sizeBytes: number; chosenAccount: string | undefined; accountsLeftOut: number; accounts: unknown[]; refreshTokens: unknown[]; accessTokens: unknown[]; appMetadata: unknown[];
};

type Fields = Record<string, unknown>;

export function askOracle(bytes: Uint8Array, query: CacheQuery): OracleAnswer {
	if ([1, 0, 0, 0, 0xD0, 0x8C, 0x9D, 0xDF].every((byte, index) => bytes[index] === byte)) {
		return {code: 'STC_CACHE_FORMAT'};
	}

	if (Buffer.from(bytes).toString('latin1').startsWith('eyJ')) {
		return {code: 'STC_CACHE_FORMAT'};
	}

	let root: unknown;
	try {
		const text = new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(bytes);
		root = /^[ \t\r\n]*$/.test(text) ? {} : JSON.parse(text);
	} catch {
		return {code: 'STC_CACHE_CORRUPT'};
	}

	if (typeof root !== 'object' || root === null || Array.isArray(root)) {
		return {code: 'STC_CACHE_CORRUPT'};
	}

	const inEnvironment = (section: string) => objectsIn(root as Fields, section).filter(record =>
		nonEmpty(record['environment']) && (query.environments.length === 0 || query.environments.some(environment => same(record['environment'], environment))));
	const idOf = (record: Fields) => lower(record['home_account_id'] as string);
	const accounts = inEnvironment('Account').filter(record => nonEmpty(record['home_account_id']));
	const refreshTokens = inEnvironment('RefreshToken').filter(record => nonEmpty(record['home_account_id']) && nonEmpty(record['secret']));
	const canRedeem = (id: string) => refreshTokens.some(token => idOf(token) === id && (family(token['family_id']) !== undefined || same(token['client_id'], query.clientId)));
	const ids = [...new Set(accounts.map(account => idOf(account)))];
	const passing = ids.filter(id => accounts.some(account => idOf(account) === id && passes(account, query)));
	const candidates = passing.filter(id => canRedeem(id));
	const chosen = query.homeAccountId ?? (candidates.length === 1 ? accounts.find(account => idOf(account) === candidates[0])!['home_account_id'] as string : undefined);
	const isChosen = (record: Fields) => chosen !== undefined && same(record['home_account_id'], chosen);
	const listed = new Set(query.allAccounts ? ids : [...new Set([...candidates, ...passing, ...ids])].slice(0, 200));
	const tokensOfListed = refreshTokens.filter(token => listed.has(idOf(token)) || !ids.includes(idOf(token)));
	const accessTokens = inEnvironment('AccessToken').filter(record =>
		nonEmpty(record['home_account_id'])
		&& nonEmpty(record['client_id'])
		&& nonEmpty(record['secret'])
		&& typeof record['target'] === 'string'
		&& same(record['client_id'], query.clientId)
		&& (seconds(record['expires_on']) ?? 0) > query.nowSec
		&& seconds(record['expires_on'])! <= query.nowSec + (10 * 365 * 24 * 3600)
		&& (typeof record['token_type'] !== 'string' || same(record['token_type'], 'bearer'))
		&& (!nonEmpty(record['credential_type']) || same(record['credential_type'], 'accesstoken'))
		&& ['userAssertionHash', 'user_assertion_hash', 'key_id', 'kid', 'keyid', 'ext_cache_key', 'ext', 'requestedClaims', 'requestedClaimsHash']
			.every(bond => [undefined, null, false, ''].includes(record[bond] as undefined))
			&& isChosen(record));
	const appMetadata = inEnvironment('AppMetadata').filter(record => nonEmpty(record['client_id']) && same(record['client_id'], query.clientId));
	if ([accounts, tokensOfListed, accessTokens, appMetadata].some(({length}) => length > 10_000)) {
		return {code: 'STC_CACHE_CORRUPT'};
	}

	return {
		sizeBytes: bytes.length,
		chosenAccount: chosen,
		accountsLeftOut: ids.length - listed.size,
		accounts: sorted(accounts.filter(record => listed.has(idOf(record))).map(record => without({
			homeAccountId: record['home_account_id'],
			environment: record['environment'],
			realm: text(record['realm']),
			localAccountId: text(record['local_account_id']),
			username: text(record['username']),
			authorityType: text(record['authority_type']),
		}))),
		refreshTokens: sorted(tokensOfListed.map(record => without({
			homeAccountId: record['home_account_id'],
			environment: record['environment'],
			clientId: text(record['client_id']),
			familyId: family(record['family_id']),
			target: text(record['target']),
			lastModificationTime: seconds(record['last_modification_time']),
			secret: query.refreshTokenSecrets && isChosen(record) ? record['secret'] : undefined,
		}))),
		accessTokens: sorted(accessTokens.map(record => without({
			homeAccountId: record['home_account_id'],
			environment: record['environment'],
			clientId: record['client_id'],
			realm: text(record['realm']),
			target: record['target'],
			secret: record['secret'],
			cachedAt: seconds(record['cached_at']),
			expiresOn: seconds(record['expires_on']),
			refreshOn: seconds(record['refresh_on']),
			requestedScopes: text(record['requested_scopes']) || undefined,
		}))),
		appMetadata: sorted(appMetadata.map(record => without({
			environment: record['environment'],
			clientId: record['client_id'],
			familyId: family(record['family_id']),
		}))),
	};
}

function passes({username, home_account_id: id}: Fields, query: CacheQuery): boolean {
	const parts = (id as string).split('.');
	return query.homeAccountId === undefined
		? (query.username === undefined || same(username, query.username)) && (query.homeTenantId === undefined || (parts.length === 2 && same(parts[1], query.homeTenantId)))
		: same(id, query.homeAccountId);
}

function objectsIn(root: Fields, section: string): Fields[] {
	const found = Object.hasOwn(root, section) ? root[section] : undefined;
	if (typeof found !== 'object' || found === null || Array.isArray(found)) {
		return [];
	}

	return (Object.values(found) as unknown[])
		.filter(record => typeof record === 'object' && record !== null && !Array.isArray(record))
		// Without a prototype, so that `__proto__` is an ordinary field.
		.map(record => Object.assign(Object.create(null) as Fields, record));
}

/** Sorts entries, to compare them without their order. Also used for the readers' results. */
export function sorted(entries: readonly unknown[]): unknown[] {
	const text = (entry: unknown) => JSON.stringify(Object.entries(entry as object).toSorted(([a], [b]) => a < b ? -1 : 1));
	return entries.toSorted((a, b) => text(a) < text(b) ? -1 : 1);
}

/**
 * Describes the first difference of two results by names of sections and fields only. Values are tokens, which test
 * output must not contain.
 *
 * @returns `undefined` if they are equal.
 */
export function differenceOf(answer: OracleAnswer, expected: OracleAnswer): string | undefined {
	const kind = (one: OracleAnswer) => 'code' in one ? one.code : 'a slice';
	if ('code' in answer || 'code' in expected) {
		return kind(answer) === kind(expected) ? undefined : `${kind(answer)} instead of ${kind(expected)}`;
	}

	for (const field of ['sizeBytes', 'accountsLeftOut'] as const) {
		if (answer[field] !== expected[field]) {
			return `${field} is ${answer[field]} instead of ${expected[field]}`;
		}
	}

	if (answer.chosenAccount !== expected.chosenAccount) {
		return 'chosenAccount differs';
	}

	for (const section of ['accounts', 'refreshTokens', 'accessTokens', 'appMetadata'] as const) {
		if (answer[section].length !== expected[section].length) {
			return `${answer[section].length} ${section} instead of ${expected[section].length}`;
		}

		for (const [index, entry] of (answer[section] as Fields[]).entries()) {
			const other = expected[section][index] as Fields;
			for (const name of new Set([...Object.keys(entry), ...Object.keys(other)])) {
				// A present field with the value undefined differs from an absent one.
				if (!Object.is(entry[name], other[name]) || Object.hasOwn(entry, name) !== Object.hasOwn(other, name)) {
					return `${section}[${index}].${name} differs`;
				}
			}
		}
	}

	return undefined;
}

const nonEmpty = (value: unknown) => typeof value === 'string' && value !== '';
const text = (value: unknown) => typeof value === 'string' ? value : undefined;

function lower(value: string): string {
	let lowered = '';
	for (const element of value) {
		const unit = element;
		lowered += unit >= 'A' && unit <= 'Z' ? String.fromCharCode(unit.charCodeAt(0) + 32) : unit;
	}

	return lowered;
}

const same = (a: unknown, b: string) => typeof a === 'string' && lower(a) === lower(b);

function seconds(value: unknown): number | undefined {
	if (typeof value === 'string') {
		return value.length > 0 && value.length <= 15 && [...value].every(digit => digit >= '0' && digit <= '9') ? Number.parseInt(value, 10) : undefined;
	}

	return typeof value === 'number' && Math.floor(value) === value && value >= 0 && value <= 1e15 ? Math.abs(value) : undefined;
}

function family(value: unknown): string | undefined {
	if (typeof value === 'number') {
		const number = seconds(value);
		return number === undefined ? undefined : BigInt(number).toString();
	}

	return nonEmpty(value) ? value as string : undefined;
}

function without(fields: Fields): Fields {
	return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
