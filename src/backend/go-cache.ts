/**
 * The cache of Go's azidentity on Linux: a file that holds a JSON Web Encryption object in compact form, its key in the kernel. Only
 * read.
 *
 * Source: azidentity/cache 0.3 for Go, `internal/jwe.go` and `storage.go`; RFC 7518, 5.2.3 (A128CBC-HS256), but for the additional
 * authenticated data, which Go leaves empty.
 */

import {createDecipheriv, createHmac, timingSafeEqual} from 'node:crypto';
import {basename} from 'node:path';
import type {
	CacheBackend, CacheQuery, CacheSlice, CacheText, StoreLocation,
} from './backend.js';
import {StoreError} from '../errors.js';
import {readCacheFile, statCacheFile} from './js/cache-file.js';

/** Of the key, 16 bytes for the tag and 16 for the cipher. */
const keyBytes = 32;
const tagBytes = 16;
/** The length of no additional data, in bits, as 64 bits. */
const noDataLength = Buffer.alloc(8);

/** Gives the payload of a key of the kernel, `null` where there is none. */
export type ReadKey = (description: string) => Uint8Array | null;

/** @returns `null` where there is no such cache, or its key is gone, as after a restart of the machine: Go begins anew then, too. */
export async function queryGoCache({path = ''}: StoreLocation, query: CacheQuery, scan: CacheBackend['scan'], readKey: ReadKey): Promise<CacheSlice | null> {
	return readCacheFile(path, (bytes, {stamp, modifiedMs}) => withPlaintext(bytes, path, readKey, plaintext => ({...scan(plaintext, query), stamp, modifiedMs})));
}

export async function stampGoCache({path = ''}: StoreLocation): Promise<string | null> {
	const state = await statCacheFile(path);
	return state?.stamp ?? null;
}

/** As {@link queryGoCache}, the whole text. */
export async function readGoCache({path = ''}: StoreLocation, readKey: ReadKey): Promise<CacheText | null> {
	return readCacheFile(path, (bytes, {stamp, modifiedMs}) => withPlaintext(bytes, path, readKey, plaintext => ({text: plaintext.toString('utf8'), stamp, modifiedMs})));
}

function withPlaintext<Result>(bytes: Buffer, path: string, readKey: ReadKey, use: (plaintext: Buffer) => Result): Result | null {
	if (bytes.length === 0) {
		return null;
	}

	// The key is named after the cache, and may be followed by a zero.
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

/** @throws {StoreError} `STC_CACHE_FORMAT` for what is no such object, `STC_CACHE_CORRUPT` for one that is cut or was changed. */
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
		// Wrong padding under a right tag. What OpenSSL says of it helps nobody.
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
		// The parser would quote it.
		return false;
	}
}
