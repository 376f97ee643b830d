/** The state of a small file that another process replaces to stop a commit. The addon has the same (`native/io/guard_stamp.cc`). */

import {constants as fileConstants} from 'node:fs';
import {type FileHandle, open} from 'node:fs/promises';
import {isMissing, readSome, statCacheFile} from './js/cache-file.js';

/** Source: the same as in `native/io/guard_stamp.cc`. */
const guardBytes = 128;

/**
 * The stamp of a {@link CommitGuard}. Differs if the first 128 bytes differ: not every file system stores times that are exact enough. Of
 * a file that cannot be read, or is empty, differs after each write.
 *
 * @returns `null` if there is no file.
 * @throws {StoreError} `STC_STORE_DENIED`, `STC_IO`.
 */
export async function guardStamp(path: string): Promise<string | null> {
	try {
		const bytes = await readStart(path);
		if (bytes.length > 0) {
			return bytes.toString('hex');
		}
	} catch (error) {
		if (isMissing(error)) {
			return null;
		}
	}

	const state = await statCacheFile(path);
	return state?.stamp ?? null;
}

async function readStart(path: string): Promise<Buffer> {
	// O_NONBLOCK: opening a FIFO would wait for a writer. The flag has no effect on a file.
	const file: FileHandle = await open(path, fileConstants.O_RDONLY | fileConstants.O_NONBLOCK | fileConstants.O_NOCTTY);
	try {
		const stats = await file.stat();
		const bytes = Buffer.alloc(stats.isFile() ? guardBytes : 0);
		return bytes.subarray(0, await readSome(file, bytes, 0, 0));
	} finally {
		await file.close();
	}
}
