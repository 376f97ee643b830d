/** Reading a plaintext cache with what Node has: the part of the pure-JS variant that scanning and committing share. */

import {constants as bufferConstants, isAscii, isUtf8} from 'node:buffer';
import {constants as fileConstants} from 'node:fs';
import {type FileHandle, open, stat} from 'node:fs/promises';
import {constants as osConstants} from 'node:os';
import {maxCacheSizeBytes} from '../backend.js';
import {cureOfTooManyFiles, StoreError} from '../../errors.js';
import {isObject} from '../../runtime/json.js';

export type BigStats = {dev: bigint; ino: bigint; size: bigint; mtimeNs: bigint; ctimeNs: bigint; uid: bigint; gid: bigint};

export type Json = Readonly<Record<string, unknown>>;

/** What is known of a cache's file besides its bytes. */
export type FileState = {stamp: string; modifiedMs: number; stats: BigStats};

/**
 * Reads a cache as a whole and hands its bytes to `use`; they are wiped afterwards.
 *
 * @returns `null` if there is no such file.
 * @throws {StoreError} as `CacheBackend.query`.
 */
export async function readCacheFile<Result>(path: string, use: (bytes: Buffer, state: FileState) => Result): Promise<Result | null> {
	let file: FileHandle;
	try {
		// O_NONBLOCK: a FIFO without a writer would wait for one. It means nothing to a file.
		file = await open(path, fileConstants.O_RDONLY | fileConstants.O_NONBLOCK | fileConstants.O_NOCTTY);
	} catch (error) {
		const {code, errno = 0} = error as NodeJS.ErrnoException;
		// Windows alone says so: who replaces or writes it just now, most likely, and the next look tells.
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

/** @returns the stamp and what it was made of, `null` if there is no such file. */
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

		return use(bytes, stateOf(before));
	} finally {
		buffer.fill(0);
	}
}

/** All in one call where the system gives it at once: `readFile` would make a round trip for each 512 KB. */
async function readInto(file: FileHandle, buffer: Buffer, size: number): Promise<number> {
	let done = 0;
	let bytesRead: number;
	do {
		({bytesRead} = await file.read(buffer, done, buffer.length - done, done));
		done += bytesRead;
	} while (bytesRead > 0 && done < size);

	return done;
}

function stateOf(stats: BigStats): FileState {
	return {stamp: stampOf(stats), modifiedMs: Number(stats.mtimeNs) / 1e6, stats};
}

/**
 * The volume of two stats of one file need not be the same on Windows: libuv 1.49 and 1.50, of Node 22 and 23, give 64 bits of its number
 * by a file's path and 32 by its handle. Source: https://github.com/libuv/libuv/pull/4698.
 */
export const isVolumeKnown = process.platform !== 'win32';

/** The addon makes the same of its own stat. */
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

function nullOrThrow(error: unknown, op: string, path: string): null {
	const {code} = error as NodeJS.ErrnoException;
	if (code === 'ENOENT' || code === 'ENOTDIR') {
		return null;
	}

	throw toStoreError(error, op, path);
}

export function toStoreError(error: unknown, op: string, path: string): Error {
	if (error instanceof StoreError || error instanceof TypeError) {
		// The latter: a path that is no path, a bug of the caller.
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

const cures: Readonly<Record<string, string>> = {
	ENOSPC: 'Free some disk space.',
	EDQUOT: 'Free some disk space.',
	EMFILE: cureOfTooManyFiles,
	ENFILE: cureOfTooManyFiles,
	EROFS: 'Mount the file system for writing, or set tokenCachePersistenceOptions.readOnly.',
};

export function ioError(op: string, path: string, osCode: number, what: string): StoreError {
	return new StoreError('STC_IO', `${path}: ${what}. ${cures[what] ?? 'Check the file and its file system.'}`, {
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

/**
 * Decodes and parses a cache, and refuses what is none.
 *
 * @param subject What an error text begins with.
 * @returns `text` is empty where there is nothing but white space.
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

	// Caches are ASCII but for names, and latin1 text is made and parsed in a fraction of the time that UTF-8 takes.
	const text = isAscii(bytes) ? bytes.toString('latin1') : (isUtf8(bytes) ? bytes.toString('utf8') : undefined);
	let root: unknown;
	if (text !== undefined) {
		if (!/[^ \t\n\r]/.test(text)) {
			return {text: '', root: {}};
		}

		try {
			root = JSON.parse(text);
		} catch {
			// Its message quotes the text. What is wrong is said below.
		}
	}

	if (text === undefined || !isObject(root)) {
		throw new StoreError('STC_CACHE_CORRUPT', `${subject} not well-formed JSON. If no program is writing it, sign in again or move it away.`, {op: 'parse', store: 'plaintext'});
	}

	return {text, root};
}
