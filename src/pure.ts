/**
 * The pure-JS variant of the {@link CacheBackend}, for plaintext caches: the fallback where no binary loads, and the opponent in
 * the benchmark. Its rules are the addon's; `test/conformance` holds both to the same answers.
 */

import {constants as bufferConstants, isAscii, isUtf8} from 'node:buffer';
import {constants as fileConstants} from 'node:fs';
import {type FileHandle, open, stat} from 'node:fs/promises';
import {constants as osConstants} from 'node:os';
import {
	type AccessTokenEntry,
	type AccountEntry,
	type AppMetadataEntry,
	type CacheBackend,
	type CacheQuery,
	type CacheSlice,
	maxAccountsWithSecrets,
	maxCacheSizeBytes,
	type RefreshTokenEntry,
	type StoreLocation,
	type StoreName,
} from './backend.js';
import {StoreError} from './errors.js';

type BigStats = {dev: bigint; ino: bigint; size: bigint; mtimeNs: bigint; ctimeNs: bigint};

type Json = Readonly<Record<string, unknown>>;

export const pureBackend: CacheBackend = {
	kind: 'pure',
	stores: ['plaintext'],

	async query(store: StoreName, at: StoreLocation, query: CacheQuery): Promise<CacheSlice | null> {
		const path = pathOf(store, at);
		let file: FileHandle;
		try {
			// O_NONBLOCK: a FIFO without a writer would wait for one. It means nothing to a file.
			// eslint-disable-next-line no-bitwise
			file = await open(path, fileConstants.O_RDONLY | fileConstants.O_NONBLOCK | fileConstants.O_NOCTTY);
		} catch (error) {
			return nullOrThrow(error, 'open', path);
		}

		try {
			return await readSlice(file, path, query);
		} finally {
			await orStoreError('close', path, file.close());
		}
	},

	async stamp(store: StoreName, at: StoreLocation): Promise<string | null> {
		const path = pathOf(store, at);
		try {
			return stampOf(await stat(path, {bigint: true}));
		} catch (error) {
			return nullOrThrow(error, 'stat', path);
		}
	},

	scan(bytes: Uint8Array, query: CacheQuery): CacheSlice {
		return toSlice(bytes, query, 'The cache is');
	},
};

async function readSlice(file: FileHandle, path: string, query: CacheQuery): Promise<CacheSlice> {
	const before = await orStoreError('fstat', path, file.stat({bigint: true}));
	if (before.isDirectory()) {
		throw ioError('open', path, osConstants.errno.EISDIR, 'it is a directory');
	}

	if (!before.isFile()) {
		throw ioError('open', path, osConstants.errno.EINVAL, 'it is not a regular file');
	}

	if (before.size > maxSizeBytes) {
		throw tooLarge(`${path}:`);
	}

	const size = Number(before.size);
	// One byte more, to see a file that has grown. Of its own, because Node's pool would keep what a wipe forgets.
	const buffer = Buffer.allocUnsafeSlow(size + 1);
	try {
		const bytes = buffer.subarray(0, await orStoreError('read', path, readInto(file, buffer, size)));
		const after = await orStoreError('fstat', path, file.stat({bigint: true}));
		// Not the ctime: a rename over the path changes it, and what was read of the old file is whole.
		if (after.size !== before.size || after.mtimeNs !== before.mtimeNs || bytes.length !== size) {
			throw new StoreError('STC_CACHE_CHANGED', `${path}: written to while it was read. Read it again.`, {op: 'fstat', store: 'plaintext'});
		}

		return {...toSlice(bytes, query, `${path}:`), stamp: stampOf(before), modifiedMs: Number(before.mtimeNs) / 1e6};
	} finally {
		buffer.fill(0);
	}
}

/** All in one call where the system gives it at once: `readFile` would make a round trip for each 512 KB. */
async function readInto(file: FileHandle, buffer: Buffer, size: number): Promise<number> {
	let done = 0;
	let bytesRead: number;
	do {
		// eslint-disable-next-line no-await-in-loop -- what is missing is known when the read before has ended.
		({bytesRead} = await file.read(buffer, done, buffer.length - done, done));
		done += bytesRead;
	} while (bytesRead > 0 && done < size);

	return done;
}

function pathOf(store: StoreName, {path}: StoreLocation): string {
	if (store !== 'plaintext') {
		throw new StoreError('STC_ADDON_MISSING', `The store "${store}" needs the native addon, which is not loaded. Leave out the option useNativeAddon, or install a binary for this platform.`, {op: 'open', store});
	}

	return path ?? '';
}

/** The addon makes the same of its own stat. */
function stampOf({dev, ino, size, mtimeNs, ctimeNs}: BigStats): string {
	return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`;
}

async function orStoreError<Result>(op: string, path: string, call: Promise<Result>): Promise<Result> {
	try {
		return await call;
	} catch (error) {
		throw toStoreError(error, op, path);
	}
}

function nullOrThrow(error: unknown, op: string, path: string): null {
	const {code} = error as NodeJS.ErrnoException;
	if (code === 'ENOENT' || code === 'ENOTDIR') {
		return null;
	}

	throw toStoreError(error, op, path);
}

function toStoreError(error: unknown, op: string, path: string): Error {
	if (error instanceof TypeError) {
		// A path that is no path: a bug of the caller.
		return error;
	}

	const {code, errno = 0} = error as NodeJS.ErrnoException;
	const osCode = Math.abs(errno);
	return code === 'EACCES' || code === 'EPERM'
		? new StoreError('STC_STORE_DENIED', `${path}: ${code}. Run as the user who signed in, or correct the file's owner and mode.`, {
			op, store: 'plaintext', osDomain: 'errno', osCode,
		})
		: ioError(op, path, osCode, code ?? 'failed');
}

function ioError(op: string, path: string, osCode: number, what: string): StoreError {
	return new StoreError('STC_IO', `${path}: ${what}. Check the file and its file system.`, {
		op, store: 'plaintext', osDomain: 'errno', osCode,
	});
}

/** V8 holds no text longer than this; each byte becomes one character at most. */
const maxSizeBytes = Math.min(maxCacheSizeBytes, bufferConstants.MAX_STRING_LENGTH);

function tooLarge(subject: string): StoreError {
	const sizeMib = Math.floor(maxSizeBytes / 1024 / 1024);
	return new StoreError('STC_CACHE_CORRUPT', `${subject} larger than ${sizeMib} MiB, which no token cache is. Move it away.`, {op: 'read', store: 'plaintext'});
}

/** A DPAPI blob begins with version 1 and the provider's GUID. */
const dpapiHeader = Buffer.from([0x01, 0x00, 0x00, 0x00, 0xD0, 0x8C, 0x9D, 0xDF]);

/** @param subject What an error text begins with. */
function toSlice(bytes: Uint8Array, query: CacheQuery, subject: string): CacheSlice {
	const root = parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), subject);
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

function parse(bytes: Buffer, subject: string): Json {
	if (bytes.subarray(0, dpapiHeader.length).equals(dpapiHeader)) {
		throw new StoreError('STC_CACHE_FORMAT', `${subject} encrypted with DPAPI on Windows, and readable only there. Sign in on this machine.`, {op: 'sniff', store: 'plaintext'});
	}

	// Every compact JWE begins with the base64url of `{"`. Source: RFC 7516, 7.1.
	if (bytes.toString('latin1', 0, 3) === 'eyJ') {
		throw new StoreError('STC_CACHE_FORMAT', `${subject} encrypted as a JWE, as the Azure SDK for Go does, and not readable here. Sign in with another tool.`, {op: 'sniff', store: 'plaintext'});
	}

	if (bytes.length > maxSizeBytes) {
		throw tooLarge(subject);
	}

	// Caches are ASCII but for names, and latin1 text is made and parsed in a fraction of the time that UTF-8 takes.
	const text = isAscii(bytes) ? bytes.toString('latin1') : (isUtf8(bytes) ? bytes.toString('utf8') : undefined);
	let root: unknown;
	if (text !== undefined) {
		if (!/[^ \t\n\r]/.test(text)) {
			return {};
		}

		try {
			root = JSON.parse(text);
		} catch {
			// Its message quotes the text. What is wrong is said below.
		}
	}

	if (!isObject(root)) {
		throw new StoreError('STC_CACHE_CORRUPT', `${subject} not well-formed JSON. If no program is writing it, sign in again or move it away.`, {op: 'parse', store: 'plaintext'});
	}

	return root;
}

function isObject(value: unknown): value is Json {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function own(record: Json, name: string): unknown {
	return Object.hasOwn(record, name) ? record[name] : undefined;
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
	return environment !== undefined && (environments.has(environment) || environments.has(foldAscii(environment)));
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

/** Bonds to something that the caller does not have: an assertion, a key, further parameters, claims. */
const bonds = ['userAssertionHash', 'key_id', 'ext_cache_key', 'requestedClaims', 'requestedClaimsHash'];

function readAccessToken(record: Json, query: CacheQuery, isNarrowed: (homeAccountId: string) => boolean): AccessTokenEntry | undefined {
	const homeAccountId = requiredString(record, 'home_account_id');
	if (homeAccountId === undefined || !isNarrowed(homeAccountId)) {
		// Most are other accounts'.
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

/** Whose secrets to hand out. See {@link CacheQuery}. */
function narrow(accounts: readonly AccountEntry[], query: CacheQuery): (homeAccountId: string) => boolean {
	const {homeAccountId: wanted, username, homeTenantId} = query;
	if (wanted !== undefined) {
		return homeAccountId => isSame(homeAccountId, wanted);
	}

	const passing = new Set(accounts.filter(account =>
		(username === undefined || passesUserName(account.username, username))
		&& (homeTenantId === undefined || passesHomeTenant(account.homeAccountId, homeTenantId))).map(account => account.homeAccountId));
	return homeAccountId => passing.size <= maxAccountsWithSecrets && passing.has(homeAccountId);
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

function isPureAscii(text: string): boolean {
	// eslint-disable-next-line no-control-regex
	return /^[\u0000-\u007F]*$/.test(text);
}

/** Equal but for the case of A-Z. */
function isSame(a: string, b: string): boolean {
	// Nearly always the case is the same, too, or nothing is.
	return a === b || (a.length === b.length && foldAscii(a) === foldAscii(b));
}

/** Lower case for A-Z alone: toLowerCase would also change letters that no library folds. */
function foldAscii(text: string): string {
	return isPureAscii(text) ? text.toLowerCase() : text.replaceAll(/[A-Z]/g, letter => letter.toLowerCase());
}

function anyString(record: Json, name: string): string | undefined {
	const value = own(record, name);
	return typeof value === 'string' ? value : undefined;
}

function requiredString(record: Json, name: string): string | undefined {
	return anyString(record, name) || undefined;
}

/** Times and family ids beyond this are nonsense. */
const maxInteger = 1e15;

function isInteger(value: unknown): value is number {
	return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= maxInteger;
}

function time(record: Json, name: string): number | undefined {
	const value = own(record, name);
	if (typeof value === 'string') {
		return /^\d{1,15}$/.test(value) ? Number(value) : undefined;
	}

	// Adding zero makes 0 of -0.
	return isInteger(value) ? value + 0 : undefined;
}

function familyId(record: Json): string | undefined {
	const value = own(record, 'family_id');
	return isInteger(value) ? String(value) : requiredString(record, 'family_id');
}

/** Absent fields are left out, as the addon does. */
function defined<Entry extends object>(fields: {[Name in keyof Entry]: Entry[Name] | undefined}): Entry {
	return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Entry;
}
