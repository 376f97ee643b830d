/**
 * The expected result of a query: a third, simple implementation of the rules of `CacheQuery`, with fatal UTF-8
 * decoding and `JSON.parse`. It shares no code with the two readers, so tests can compare them with it.
 */

import type {CacheQuery} from '../../../dist/backend/backend.js';

/** A slice without its stamp, or the error code. Entries are sorted because their order is not specified. */
export type OracleAnswer = {code: string} | {sizeBytes: number; accounts: unknown[]; refreshTokens: unknown[]; accessTokens: unknown[]; appMetadata: unknown[]};

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
	const accounts = inEnvironment('Account').filter(record => nonEmpty(record['home_account_id']));
	const wanted = wantedAccounts(accounts, query);
	const isWanted = (record: Fields) => query.homeAccountId === undefined
		? wanted.has(lower(record['home_account_id'] as string))
		: same(record['home_account_id'], query.homeAccountId);
	return {
		sizeBytes: bytes.length,
		accounts: sorted(accounts.map(record => without({
			homeAccountId: record['home_account_id'],
			environment: record['environment'],
			realm: text(record['realm']),
			localAccountId: text(record['local_account_id']),
			username: text(record['username']),
			authorityType: text(record['authority_type']),
		}))),
		refreshTokens: sorted(inEnvironment('RefreshToken').filter(record => nonEmpty(record['home_account_id']) && nonEmpty(record['secret'])).map(record => without({
			homeAccountId: record['home_account_id'],
			environment: record['environment'],
			clientId: text(record['client_id']),
			familyId: family(record['family_id']),
			target: text(record['target']),
			lastModificationTime: seconds(record['last_modification_time']),
			secret: isWanted(record) ? record['secret'] : undefined,
		}))),
		accessTokens: sorted(inEnvironment('AccessToken').filter(record =>
			nonEmpty(record['home_account_id'])
			&& nonEmpty(record['client_id'])
			&& nonEmpty(record['secret'])
			&& typeof record['target'] === 'string'
			&& same(record['client_id'], query.clientId)
			&& seconds(record['expires_on']) !== undefined
			&& seconds(record['expires_on'])! > query.nowSec
			&& (typeof record['token_type'] !== 'string' || same(record['token_type'], 'bearer'))
			&& !nonEmpty(record['userAssertionHash'])
			&& !nonEmpty(record['key_id'])
			&& !nonEmpty(record['ext_cache_key'])
			&& !nonEmpty(record['requestedClaims'])
			&& !nonEmpty(record['requestedClaimsHash'])
			&& isWanted(record)).map(record => without({
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
		appMetadata: sorted(inEnvironment('AppMetadata').filter(record => nonEmpty(record['client_id']) && same(record['client_id'], query.clientId)).map(record => without({
			environment: record['environment'],
			clientId: record['client_id'],
			familyId: family(record['family_id']),
		}))),
	};
}

function wantedAccounts(accounts: Fields[], {username, homeTenantId}: CacheQuery): Set<string> {
	const ids = new Set<string>();
	for (const account of accounts) {
		const name = account['username'];
		const id = account['home_account_id'] as string;
		const passesName = username === undefined || (typeof name === 'string' && (same(name, username) || !ascii(name) || !ascii(username)));
		const parts = id.split('.');
		const passesTenant = homeTenantId === undefined || (parts.length === 2 && same(parts[1], homeTenantId));
		if (passesName && passesTenant) {
			ids.add(lower(id));
		}
	}

	return ids.size > 8 ? new Set() : ids;
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

/** Sorts entries whose order is not specified. Also used for the readers' results. */
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

	if (answer.sizeBytes !== expected.sizeBytes) {
		return `sizeBytes is ${answer.sizeBytes} instead of ${expected.sizeBytes}`;
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
const ascii = (value: string) => [...value].every(character => character.codePointAt(0)! < 128);

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
