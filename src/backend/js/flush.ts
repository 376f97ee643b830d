/** Makes files survive a power loss. The addon has the same (`native/io/flush_posix.cc`). */

import {constants as fileConstants} from 'node:fs';
import {open} from 'node:fs/promises';
import {dirname} from 'node:path';

/**
 * Writes the names of the files in the folder of a path to the disk, so that a rename before the call survives a power loss. Windows cannot,
 * and has no need to: it writes them in their order.
 *
 * @throws as the calls of `node:fs`.
 */
export async function flushNames(path: string): Promise<void> {
	if (process.platform === 'win32') {
		return;
	}

	const folder = await open(dirname(path), fileConstants.O_RDONLY | fileConstants.O_DIRECTORY);
	try {
		await flush(async () => folder.sync());
	} finally {
		await folder.close();
	}
}

/** A file system that cannot flush is no failure. Source of the codes: fsync(2). */
export async function flush(call: () => Promise<void>): Promise<void> {
	try {
		await call();
	} catch (error) {
		if (!unsupportedCodes.has((error as NodeJS.ErrnoException).code)) {
			throw error;
		}
	}
}

const unsupportedCodes: ReadonlySet<string | undefined> = new Set(['EINVAL', 'ENOSYS', 'ENOTSUP', 'ENOTTY']);
