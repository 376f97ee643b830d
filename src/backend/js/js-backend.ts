/**
 * The {@link CacheBackend} in plain JavaScript, for plaintext caches: the fallback on platforms without a binary, and the baseline of the
 * benchmarks. `test/conformance` holds it to the same answers as the addon.
 */

import {
	type AccessTokenEntry,
	type AccountEntry,
	type AppMetadataEntry,
	type CacheBackend,
	type CacheChange,
	type CacheQuery,
	type CacheSlice,
	type CacheStore,
	type CacheText,
	type CommitRequest,
	type EditResult,
	maxLifetimeSec,
	maxListedAccounts,
	maxRecords,
	type RefreshTokenEntry,
	type StoreLocation,
} from '../backend.js';
import {foldAscii, isSame} from '../../runtime/fold-case.js';
import {StoreError} from '../../errors.js';
import {isObject} from '../../runtime/json.js';
import {requireLazily} from '../../runtime/lazy.js';
import {commitFile} from './commit.js';
import {editCache} from './edit.js';
import {membersOf, skipSpace} from './json-offsets.js';
import {
	type Json, parseCache, readCacheFile, statCacheFile,
} from './cache-file.js';
import {tryLockFiles} from './lock-file.js';
import {
	anyString, familyId, own, requiredString, time,
} from './record-fields.js';

const plaintextStore: CacheStore = {
	name: 'plaintext',
	kind: 'file',

	probe: () => undefined,

	async query({path = ''}: StoreLocation, query: CacheQuery): Promise<CacheSlice | null> {
		return readCacheFile(path, (bytes, {stamp, modifiedMs}) => ({...toSlice(bytes, query, `${path}:`), stamp, modifiedMs}));
	},

	async stamp({path = ''}: StoreLocation): Promise<string | null> {
		const state = await statCacheFile(path);
		return state === null ? null : state.stamp;
	},

	async read({path = ''}: StoreLocation): Promise<CacheText | null> {
		return readCacheFile(path, (bytes, {stamp, modifiedMs}) => ({text: parseCache(bytes, `${path}:`).text, stamp, modifiedMs}));
	},

	async commit({path = ''}: StoreLocation, request: CommitRequest) {
		return commitFile(path, request);
	},

	tryLock: tryLockFiles,

	lease({path = ''}: StoreLocation, name: string) {
		const {FileLease} = requireLazily(() => require('../file-lease.js') as typeof import('../file-lease.js'));
		return new FileLease(path, name, async paths => tryLockFiles(paths, 'own'));
	},
};

export const jsBackend: CacheBackend = {
	kind: 'pure',

	open: name => name === plaintextStore.name ? plaintextStore : undefined,

	tryLock: tryLockFiles,

	scan(bytes: Uint8Array, query: CacheQuery): CacheSlice {
		return toSlice(bytes, query, 'The cache is');
	},

	edit(bytes: Uint8Array, change: CacheChange): EditResult {
		return editCache(bytes, change, 'The cache is');
	},
};

/** @param subject The beginning of an error text. */
function toSlice(bytes: Uint8Array, query: CacheQuery, subject: string): CacheSlice {
	const json = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const {root} = parseCache(json, subject);
	const environments = new Set(query.environments.map(environment => foldAscii(environment)));
	const of = <Entry>(section: string, read: (record: Json) => Entry | undefined) => entriesOf(recordsOf(json, root, section), environments, read);
	const limited = <Entry>(entries: Entry[], what: string): Entry[] => {
		if (entries.length > maxRecords) {
			throw new StoreError('STC_CACHE_CORRUPT', `${subject} too full: more than ${maxRecords} ${what}, which no token cache has. Move it away and sign in again.`, {op: 'scan', store: 'plaintext'});
		}

		return entries;
	};

	const accounts = limited(of('Account', readAccount), 'accounts');
	const secrets = new Map<RefreshTokenEntry, string>();
	const refreshTokens = of('RefreshToken', record => readRefreshToken(record, secrets));
	const {chosen, listed, leftOut} = select(accounts, refreshTokens, query);
	const isChosen = ({homeAccountId}: {homeAccountId: string}) => chosen !== undefined && isSame(homeAccountId, chosen);
	const listedTokens = refreshTokens.filter(({homeAccountId}) => listed.get(foldAscii(homeAccountId)) ?? true);
	if (query.refreshTokenSecrets) {
		for (const token of listedTokens.filter(each => isChosen(each))) {
			token.secret = secrets.get(token)!;
		}
	}

	return {
		stamp: '',
		modifiedMs: 0,
		sizeBytes: bytes.length,
		...(chosen !== undefined && {chosenAccount: chosen}),
		accounts: accounts.filter(({homeAccountId}) => listed.get(foldAscii(homeAccountId))),
		accountsLeftOut: leftOut,
		refreshTokens: limited(listedTokens, 'refresh tokens'),
		accessTokens: limited(chosen === undefined ? [] : of('AccessToken', record => readAccessToken(record, query, chosen)), 'access tokens of one account'),
		appMetadata: limited(of('AppMetadata', record => readAppMetadata(record, query)), 'records of one client'),
	};
}

/** The records of a section in the order of the file. JavaScript moves names like `1` to the front. */
function recordsOf(json: Buffer, root: Json, section: string): unknown[] {
	const found = own(root, section);
	if (!isObject(found)) {
		return [];
	}

	const [first] = Object.keys(found);
	if (first === undefined || !/^\d+$/.test(first)) {
		return Object.values(found);
	}

	const member = membersOf(json, skipSpace(json, 0)).findLast(({name}) => name === section)!;
	return [...new Set(membersOf(json, member.value).map(({name}) => name))].map(name => own(found, name));
}

function entriesOf<Entry>(records: readonly unknown[], environments: ReadonlySet<string>, read: (record: Json) => Entry | undefined): Entry[] {
	const entries: Entry[] = [];
	for (const record of records) {
		if (isObject(record) && isIn(environments, requiredString(record, 'environment'))) {
			const entry = read(record);
			if (entry !== undefined) {
				entries.push(entry);
			}
		}
	}

	return entries;
}

function isIn(environments: ReadonlySet<string>, environment: string | undefined): boolean {
	return environment !== undefined && (environments.size === 0 || environments.has(environment) || environments.has(foldAscii(environment)));
}

function readAccount(record: Json): AccountEntry | undefined {
	const homeAccountId = requiredString(record, 'home_account_id');
	return homeAccountId === undefined
		? undefined
		: defined<AccountEntry>({
			homeAccountId,
			environment: own(record, 'environment') as string,
			realm: anyString(record, 'realm'),
			localAccountId: anyString(record, 'local_account_id'),
			username: anyString(record, 'username'),
			authorityType: anyString(record, 'authority_type'),
		});
}

/** @param secrets Keeps the secret of each entry, until the account is chosen. */
function readRefreshToken(record: Json, secrets: Map<RefreshTokenEntry, string>): RefreshTokenEntry | undefined {
	const homeAccountId = requiredString(record, 'home_account_id');
	const secret = requiredString(record, 'secret');
	if (homeAccountId === undefined || secret === undefined) {
		return undefined;
	}

	const entry = defined<RefreshTokenEntry>({
		homeAccountId,
		environment: own(record, 'environment') as string,
		clientId: anyString(record, 'client_id'),
		familyId: familyId(record),
		target: anyString(record, 'target'),
		lastModificationTime: time(record, 'last_modification_time'),
		secret: undefined,
	});
	secrets.set(entry, secret);
	return entry;
}

/**
 * Fields that bind a token to something that the caller does not have: an assertion, a key, further parameters, claims. In the spellings of
 * all libraries.
 */
const bonds = ['userAssertionHash', 'user_assertion_hash', 'key_id', 'kid', 'keyid', 'ext_cache_key', 'ext', 'requestedClaims', 'requestedClaimsHash'];

function isBound(record: Json): boolean {
	return bonds.some(bond => {
		const value = own(record, bond);
		return value !== undefined && value !== null && value !== false && value !== '';
	});
}

function readAccessToken(record: Json, query: CacheQuery, chosen: string): AccessTokenEntry | undefined {
	const homeAccountId = requiredString(record, 'home_account_id');
	if (homeAccountId === undefined || !isSame(homeAccountId, chosen)) {
		// First, because most tokens belong to other accounts.
		return undefined;
	}

	const clientId = requiredString(record, 'client_id');
	const secret = requiredString(record, 'secret');
	const target = anyString(record, 'target');
	const expiresOn = time(record, 'expires_on');
	const tokenType = anyString(record, 'token_type');
	const credentialType = requiredString(record, 'credential_type');
	if (
		clientId === undefined || secret === undefined || target === undefined || expiresOn === undefined
		|| expiresOn <= query.nowSec
		|| expiresOn > query.nowSec + maxLifetimeSec
		|| !isSame(clientId, query.clientId)
		|| (tokenType !== undefined && !isSame(tokenType, 'bearer'))
		|| (credentialType !== undefined && !isSame(credentialType, 'AccessToken'))
		|| isBound(record)
	) {
		return undefined;
	}

	return defined<AccessTokenEntry>({
		homeAccountId,
		environment: own(record, 'environment') as string,
		clientId,
		realm: anyString(record, 'realm'),
		target,
		secret,
		cachedAt: time(record, 'cached_at'),
		expiresOn,
		refreshOn: time(record, 'refresh_on'),
		requestedScopes: requiredString(record, 'requested_scopes'),
	});
}

function readAppMetadata(record: Json, query: CacheQuery): AppMetadataEntry | undefined {
	const clientId = requiredString(record, 'client_id');
	return clientId === undefined || !isSame(clientId, query.clientId)
		? undefined
		: defined<AppMetadataEntry>({
			environment: own(record, 'environment') as string,
			clientId,
			familyId: familyId(record),
		});
}

/** The account whose secrets the slice has, and whether each account is listed, by its ID in lower case. See {@link CacheQuery}. */
function select(accounts: readonly AccountEntry[], refreshTokens: readonly RefreshTokenEntry[], query: CacheQuery): {chosen: string | undefined; listed: Map<string, boolean>; leftOut: number} {
	const redeemable = new Set(refreshTokens.filter(({familyId: family, clientId}) => family !== undefined || isSame(clientId ?? '', query.clientId)).map(({homeAccountId}) => foldAscii(homeAccountId)));
	const passing = new Set<string>();
	const firstIds = new Map<string, string>();
	for (const account of accounts) {
		const id = foldAscii(account.homeAccountId);
		if (!firstIds.has(id)) {
			firstIds.set(id, account.homeAccountId);
		}

		if (passes(account, query)) {
			passing.add(id);
		}
	}

	const ids = [...firstIds.keys()];
	const candidates = ids.filter(id => passing.has(id) && redeemable.has(id));
	const excerpt = query.allAccounts ? ids : [...new Set([...candidates, ...ids.filter(id => passing.has(id)), ...ids])].slice(0, maxListedAccounts);
	const listed = new Map(ids.map(id => [id, false]));
	for (const id of excerpt) {
		listed.set(id, true);
	}

	return {
		chosen: query.homeAccountId ?? (candidates.length === 1 ? firstIds.get(candidates[0]!) : undefined),
		listed,
		leftOut: ids.length - excerpt.length,
	};
}

function passes({homeAccountId, username}: AccountEntry, query: CacheQuery): boolean {
	if (query.homeAccountId !== undefined) {
		return isSame(homeAccountId, query.homeAccountId);
	}

	const parts = homeAccountId.split('.');
	return (query.username === undefined || (username !== undefined && isSame(username, query.username)))
		&& (query.homeTenantId === undefined || (parts.length === 2 && isSame(parts[1] ?? '', query.homeTenantId)));
}

/** Leaves out absent fields, as the addon does. */
function defined<Entry extends object>(fields: {[Name in keyof Entry]: Entry[Name] | undefined}): Entry {
	return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Entry;
}
