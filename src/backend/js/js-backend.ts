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
	maxAccountsWithSecrets,
	type RefreshTokenEntry,
	type StoreLocation,
} from '../backend.js';
import {foldAscii, isPureAscii, isSame} from '../../runtime/fold-case.js';
import {isObject} from '../../runtime/json.js';
import {requireLazily} from '../../runtime/lazy.js';
import {commitFile} from './commit.js';
import {editCache} from './edit.js';
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
	const {root} = parseCache(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), subject);
	const environments = new Set(query.environments.map(environment => foldAscii(environment)));
	const accounts = records(root, 'Account', environments, readAccount);
	const isNarrowed = narrow(accounts, query);
	const refreshTokens = records(root, 'RefreshToken', environments, record => readRefreshToken(record, isNarrowed));
	const accessTokens = records(root, 'AccessToken', environments, record => readAccessToken(record, query, isNarrowed));
	const appMetadata = records(root, 'AppMetadata', environments, record => readAppMetadata(record, query));
	return {
		stamp: '', modifiedMs: 0, sizeBytes: bytes.length, accounts, refreshTokens, accessTokens, appMetadata,
	};
}

function records<Entry>(root: Json, section: string, environments: ReadonlySet<string>, read: (record: Json) => Entry | undefined): Entry[] {
	const entries: Entry[] = [];
	const found = own(root, section);
	if (isObject(found)) {
		for (const record of Object.values(found)) {
			if (isObject(record) && isIn(environments, requiredString(record, 'environment'))) {
				const entry = read(record);
				if (entry !== undefined) {
					entries.push(entry);
				}
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

function readRefreshToken(record: Json, isNarrowed: (homeAccountId: string) => boolean): RefreshTokenEntry | undefined {
	const homeAccountId = requiredString(record, 'home_account_id');
	const secret = requiredString(record, 'secret');
	return homeAccountId === undefined || secret === undefined
		? undefined
		: defined<RefreshTokenEntry>({
			homeAccountId,
			environment: own(record, 'environment') as string,
			clientId: anyString(record, 'client_id'),
			familyId: familyId(record),
			target: anyString(record, 'target'),
			lastModificationTime: time(record, 'last_modification_time'),
			secret: isNarrowed(homeAccountId) ? secret : undefined,
		});
}

/** Fields that bind a token to something that the caller does not have: an assertion, a key, further parameters, claims. */
const bonds = ['userAssertionHash', 'key_id', 'ext_cache_key', 'requestedClaims', 'requestedClaimsHash'];

function readAccessToken(record: Json, query: CacheQuery, isNarrowed: (homeAccountId: string) => boolean): AccessTokenEntry | undefined {
	const homeAccountId = requiredString(record, 'home_account_id');
	if (homeAccountId === undefined || !isNarrowed(homeAccountId)) {
		// First, because most tokens belong to other accounts.
		return undefined;
	}

	const clientId = requiredString(record, 'client_id');
	const secret = requiredString(record, 'secret');
	const target = anyString(record, 'target');
	const expiresOn = time(record, 'expires_on');
	const tokenType = anyString(record, 'token_type');
	if (
		clientId === undefined || secret === undefined || target === undefined || expiresOn === undefined
		|| expiresOn <= query.nowSec
		|| !isSame(clientId, query.clientId)
		|| (tokenType !== undefined && !isSame(tokenType, 'bearer'))
		|| bonds.some(bond => requiredString(record, bond) !== undefined)
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

/** The accounts whose secrets the slice carries. See {@link CacheQuery}. */
function narrow(accounts: readonly AccountEntry[], query: CacheQuery): (homeAccountId: string) => boolean {
	const {homeAccountId: wanted, username, homeTenantId} = query;
	if (wanted !== undefined) {
		return homeAccountId => isSame(homeAccountId, wanted);
	}

	const passing = new Set(accounts.filter(account =>
		(username === undefined || passesUserName(account.username, username))
		&& (homeTenantId === undefined || passesHomeTenant(account.homeAccountId, homeTenantId))).map(account => foldAscii(account.homeAccountId)));
	return homeAccountId => passing.size <= maxAccountsWithSecrets && passing.has(foldAscii(homeAccountId));
}

function passesUserName(username: string | undefined, hint: string): boolean {
	if (username === undefined) {
		return false;
	}

	const areAscii = isPureAscii(username) && isPureAscii(hint);
	return !areAscii || isSame(username, hint);
}

function passesHomeTenant(homeAccountId: string, hint: string): boolean {
	const parts = homeAccountId.split('.');
	return parts.length === 2 && isSame(parts[1] ?? '', hint);
}

/** Leaves out absent fields, as the addon does. */
function defined<Entry extends object>(fields: {[Name in keyof Entry]: Entry[Name] | undefined}): Entry {
	return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Entry;
}
