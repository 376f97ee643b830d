/**
 * The store of Go's azidentity on Linux: a file that holds a JSON Web Encryption object in compact form, with its key in the kernel. This
 * package only reads it.
 *
 * Source: azidentity/cache 0.3 for Go, `internal/jwe.go` and `storage.go`; RFC 7518, 5.2.3 (A128CBC-HS256), but for the additional
 * authenticated data, which Go leaves empty.
 */

import {createDecipheriv, createHmac, timingSafeEqual} from 'node:crypto';
import {basename} from 'node:path';
import {StoreError} from '../errors.js';
import type {
	CacheBackend, CacheQuery, CacheSlice, CacheStore, CacheText, HeldLock, StoreLocation,
} from './backend.js';
import {readCacheFile, statCacheFile} from './js/cache-file.js';

/** 16 bytes for the tag and 16 for the cipher. */
const keyBytes = 32;
const tagBytes = 16;
/** The length of the additional authenticated data in bits, as a 64-bit number: there is none. */
const noDataLength = Buffer.alloc(8);

/** @returns `undefined` if the backend cannot read the kernel's keys. */
export function open(backend: CacheBackend): CacheStore | undefined {
	return backend.readKey && new GoCacheStore(backend, backend.readKey);
}

type ReadKey = NonNullable<CacheBackend['readKey']>;

class GoCacheStore implements CacheStore {
	readonly name = 'jwe';
	readonly kind = 'file';
	readonly #backend: CacheBackend;
	readonly #readKey: ReadKey;

	constructor(backend: CacheBackend, readKey: ReadKey) {
		this.#backend = backend;
		this.#readKey = readKey;
	}

	probe(): undefined {
		return undefined;
	}

	/** `null` also if the key is gone, as after a restart of the machine: Go makes a new cache then. */
	async query({path = ''}: StoreLocation, query: CacheQuery): Promise<CacheSlice | null> {
		return readCacheFile(path, (bytes, {stamp, modifiedMs}) => (
			withPlaintext(bytes, path, this.#readKey, plaintext => ({...this.#backend.scan(plaintext, query), stamp, modifiedMs}))));
	}

	async stamp({path = ''}: StoreLocation): Promise<string | null> {
		const state = await statCacheFile(path);
		return state?.stamp ?? null;
	}

	async read({path = ''}: StoreLocation): Promise<CacheText | null> {
		return readCacheFile(path, (bytes, {stamp, modifiedMs}) => (
			withPlaintext(bytes, path, this.#readKey, plaintext => ({text: plaintext.toString('utf8'), stamp, modifiedMs}))));
	}

	async tryLock(paths: readonly string[]): Promise<HeldLock | null> {
		return this.#backend.tryLock(paths);
	}
}

function withPlaintext<Result>(bytes: Buffer, path: string, readKey: ReadKey, use: (plaintext: Buffer) => Result): Result | null {
	if (bytes.length === 0) {
		return null;
	}

	// The key has the name of the cache file. A zero byte may follow its payload.
	const key = readKey(basename(path));
	if (!key) {
		return null;
	}

	let plaintext: Buffer | undefined;
	try {
		plaintext = decrypt(bytes.toString('latin1'), Buffer.from(key.buffer, key.byteOffset, key.byteLength), path);
		return use(plaintext);
	} finally {
		plaintext?.fill(0);
		key.fill(0);
	}
}

/** @throws {StoreError} `STC_CACHE_FORMAT` for anything but such an object, `STC_CACHE_CORRUPT` for one that was truncated or changed. */
export function decrypt(text: string, key: Buffer, path: string): Buffer {
	const [header = '', encryptedKey, iv = '', ciphertext = '', tag = '', ...more] = text.trim().split('.');
	if (encryptedKey !== '' || more.length > 0 || !isExpectedHeader(header)) {
		throw new StoreError('STC_CACHE_FORMAT', `${path}: not a cache as Go's azidentity writes it. Sign in again with the tool that made it, or move it away.`, {op: 'sniff', store: 'jwe'});
	}

	const corrupt = new StoreError('STC_CACHE_CORRUPT', `${path}: cannot be decrypted: it is cut, or was encrypted with another key. Sign in again with the tool that made it, or move it away.`, {op: 'decrypt', store: 'jwe'});
	const [ivBytes, cipherBytes, sentTag] = [iv, ciphertext, tag].map(part => Buffer.from(part, 'base64url')) as [Buffer, Buffer, Buffer];
	if (key.length < keyBytes || ivBytes.length !== 16 || sentTag.length !== tagBytes) {
		throw corrupt;
	}

	const wantedTag = createHmac('sha256', key.subarray(0, 16)).update(ivBytes).update(cipherBytes).update(noDataLength).digest().subarray(0, tagBytes);
	if (!timingSafeEqual(sentTag, wantedTag)) {
		throw corrupt;
	}

	const decipher = createDecipheriv('aes-128-cbc', key.subarray(16, keyBytes), ivBytes);
	const parts = [decipher.update(cipherBytes)];
	try {
		parts.push(decipher.final());
		return Buffer.concat(parts);
	} catch {
		// The tag is right and the padding is wrong. OpenSSL's message would not help.
		throw corrupt;
	} finally {
		for (const part of parts) {
			part.fill(0);
		}
	}
}

function isExpectedHeader(text: string): boolean {
	try {
		const {alg, enc} = JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as {alg?: unknown; enc?: unknown};
		return alg === 'dir' && enc === 'A128CBC-HS256';
	} catch {
		// The parser's message would quote the cache.
		return false;
	}
}
