/** Reads a plaintext cache in plain JavaScript. Scanning and committing share this file. */

import {constants as bufferConstants, isAscii, isUtf8} from 'node:buffer';
import {constants as fileConstants} from 'node:fs';
import {type FileHandle, open, stat} from 'node:fs/promises';
import {constants as osConstants} from 'node:os';
import {maxCacheSizeBytes} from '../backend.js';
import {cureOfTooManyFiles, StoreError} from '../../errors.js';
import {isObject} from '../../runtime/json.js';

export type BigStats = {dev: bigint; ino: bigint; size: bigint; mtimeNs: bigint; ctimeNs: bigint; uid: bigint; gid: bigint};

export type Json = Readonly<Record<string, unknown>>;

/** The state of a cache file. */
export type FileState = {stamp: string; modifiedMs: number; stats: BigStats};

/**
 * Reads a whole cache and passes its bytes to `use`. Wipes them afterwards.
 *
 * @returns `null` if there is no such file.
 * @throws {StoreError} as `CacheStore.query`.
 */
export async function readCacheFile<Result>(path: string, use: (bytes: Buffer, state: FileState) => Result): Promise<Result | null> {
	let file: FileHandle;
	try {
		// O_NONBLOCK: opening a FIFO would wait for a writer. The flag has no effect on a file.
		file = await open(path, fileConstants.O_RDONLY | fileConstants.O_NONBLOCK | fileConstants.O_NOCTTY);
	} catch (error) {
		const {code, errno = 0} = error as NodeJS.ErrnoException;
		// Only on Windows: most likely another program is replacing or writing the file, so the caller reads again.
		if (code === 'EBUSY') {
			throw new StoreError('STC_CACHE_CHANGED', `${path}: EBUSY. Close the program that has it open.`, {
				op: 'open', store: 'plaintext', osDomain: 'errno', osCode: Math.abs(errno),
			});
		}

		return nullOrThrow(error, 'open', path);
	}

	try {
		return await readWhole(file, path, use);
	} finally {
		await orStoreError('close', path, file.close());
	}
}

/** @returns `null` if there is no such file. */
export async function statCacheFile(path: string): Promise<FileState | null> {
	try {
		return stateOf(await stat(path, {bigint: true}));
	} catch (error) {
		return nullOrThrow(error, 'stat', path);
	}
}

async function readWhole<Result>(file: FileHandle, path: string, use: (bytes: Buffer, state: FileState) => Result): Promise<Result> {
	const before = await orStoreError('fstat', path, file.stat({bigint: true}));
	if (before.isDirectory()) {
		throw ioError('open', path, osConstants.errno.EISDIR, 'EISDIR');
	}

	if (!before.isFile()) {
		throw ioError('open', path, osConstants.errno.EINVAL, 'EINVAL');
	}

	if (before.size > maxSizeBytes) {
		throw tooLarge(`${path}:`);
	}

	const size = Number(before.size);
	// One more byte shows that the file has grown. Not from Node's buffer pool: other buffers share its memory, so it cannot be wiped.
	const buffer = Buffer.allocUnsafeSlow(size + 1);
	try {
		const bytes = buffer.subarray(0, await orStoreError('read', path, readInto(file, buffer, size)));
		const after = await orStoreError('fstat', path, file.stat({bigint: true}));
		// Not the ctime: a rename over the path changes it, although the old file was read completely.
		if (after.size !== before.size || after.mtimeNs !== before.mtimeNs || bytes.length !== size) {
			throw new StoreError('STC_CACHE_CHANGED', `${path}: written to while it was read. Stop the program that keeps writing it.`, {op: 'fstat', store: 'plaintext'});
		}

		return use(bytes, stateOf(before));
	} finally {
		buffer.fill(0);
	}
}

/** Needs one call if the system returns all bytes at once. `readFile` would need one call for each 512 KB. */
async function readInto(file: FileHandle, buffer: Buffer, size: number): Promise<number> {
	let done = 0;
	let bytesRead: number;
	do {
		bytesRead = await readSome(file, buffer, done, done);
		done += bytesRead;
	} while (bytesRead > 0 && done < size);

	return done;
}

/**
 * Reads into the rest of a buffer. Repeats the call while a signal interrupts it, as Node does with all others.
 *
 * @returns the number of bytes, which may be smaller than the rest.
 */
export async function readSome(file: FileHandle, buffer: Buffer, offset: number, position: number): Promise<number> {
	for (;;) {
		try {
			const {bytesRead} = await file.read(buffer, offset, buffer.length - offset, position);
			return bytesRead;
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== 'EINTR') {
				throw error;
			}
		}
	}
}

function stateOf(stats: BigStats): FileState {
	return {stamp: stampOf(stats), modifiedMs: Number(stats.mtimeNs) / 1e6, stats};
}

/**
 * On Windows, two stats of one file may have different volume numbers: libuv 1.49 and 1.50 (Node 22 and 23) return 64 bits for a path and
 * 32 bits for a handle. Source: https://github.com/libuv/libuv/pull/4698.
 */
export const isVolumeKnown = process.platform !== 'win32';

/** The addon makes the same stamp for the same file. */
export function stampOf({dev, ino, size, mtimeNs, ctimeNs}: BigStats): string {
	return `${isVolumeKnown ? `${dev}:` : ''}${ino}:${size}:${mtimeNs}:${ctimeNs}`;
}

export async function orStoreError<Result>(op: string, path: string, call: Promise<Result>): Promise<Result> {
	try {
		return await call;
	} catch (error) {
		throw toStoreError(error, op, path);
	}
}

/** Whether there is no such file. */
export function isMissing(error: unknown): boolean {
	const {code} = error as NodeJS.ErrnoException;
	return code === 'ENOENT' || code === 'ENOTDIR';
}

function nullOrThrow(error: unknown, op: string, path: string): null {
	if (isMissing(error)) {
		return null;
	}

	throw toStoreError(error, op, path);
}

export function toStoreError(error: unknown, op: string, path: string): Error {
	if (error instanceof StoreError || error instanceof TypeError) {
		// A TypeError means an invalid path, which is a bug of the caller.
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

/** What is at a path, where the name of the error does not tell. The addon says the same. */
const whatIsThere: Readonly<Record<string, string>> = {
	EISDIR: 'a directory, where a file is needed. Move it away.',
	ELOOP: 'a symbolic link that leads in a circle, or that must not be followed. Delete the link.',
	'open EINVAL': 'not a regular file, but a FIFO, a socket or a device. Move it away.',
	// Only a link is resolved.
	'realpath ENOENT': 'a symbolic link whose target is missing. Delete the link, or make the target.',
};

const cures: Readonly<Record<string, string>> = {
	ENOSPC: 'Free some disk space.',
	EDQUOT: 'Free some disk space.',
	EMFILE: cureOfTooManyFiles,
	ENFILE: cureOfTooManyFiles,
	EROFS: 'Mount the file system for writing, or set tokenCachePersistenceOptions.readOnly.',
};

export function ioError(op: string, path: string, osCode: number, what: string): StoreError {
	const text = whatIsThere[`${op} ${what}`] ?? whatIsThere[what] ?? `${what}. ${cures[what] ?? 'Check the file and its file system.'}`;
	return new StoreError('STC_IO', `${path}: ${text}`, {
		op, store: 'plaintext', osDomain: 'errno', osCode,
	});
}

/** V8 cannot hold a longer string. Each byte becomes at most one character. */
const maxSizeBytes = Math.min(maxCacheSizeBytes, bufferConstants.MAX_STRING_LENGTH);

function tooLarge(subject: string): StoreError {
	const sizeMib = Math.floor(maxSizeBytes / 1024 / 1024);
	return new StoreError('STC_CACHE_CORRUPT', `${subject} larger than ${sizeMib} MiB, which no token cache is. Move it away.`, {op: 'read', store: 'plaintext'});
}

/** A DPAPI blob begins with version 1 and the provider's GUID. */
const dpapiHeader = Buffer.from([0x01, 0x00, 0x00, 0x00, 0xD0, 0x8C, 0x9D, 0xDF]);

/**
 * Decodes and parses a cache.
 *
 * @param subject The beginning of an error text.
 * @returns `text` is empty if the cache holds only white space.
 * @throws {StoreError} `STC_CACHE_FORMAT`, `STC_CACHE_CORRUPT`.
 */
export function parseCache(bytes: Buffer, subject: string): {text: string; root: Json} {
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

	// Most caches are pure ASCII, and V8 decodes and parses latin1 several times faster than UTF-8.
	const text = isAscii(bytes) ? bytes.toString('latin1') : (isUtf8(bytes) ? bytes.toString('utf8') : undefined);
	let root: unknown;
	if (text !== undefined) {
		if (!/[^ \t\n\r]/.test(text)) {
			return {text: '', root: {}};
		}

		try {
			root = JSON.parse(text);
		} catch {
			// The parser's message would quote the cache. The error below replaces it.
		}
	}

	if (text === undefined || !isObject(root)) {
		throw new StoreError('STC_CACHE_CORRUPT', `${subject} not well-formed JSON. If no program is writing it, sign in again or move it away.`, {op: 'parse', store: 'plaintext'});
	}

	return {text, root};
}
