/** Writes small files of this package that have to survive a power loss, such as the mark of a sign-out. */

import {randomBytes} from 'node:crypto';
import {constants as fileConstants} from 'node:fs';
import {
	open, rename, stat, unlink,
} from 'node:fs/promises';
import {dirname} from 'node:path';

/**
 * Makes `content` the whole content of a file, in one step: readers see the old file or the new one, also after a power loss, and the new one
 * if that comes after the call. For this user alone; what root writes belongs to the owner of the folder.
 *
 * @throws as the calls of `node:fs`. The old file is unchanged then, or replaced.
 */
export async function writeDurably(path: string, content: string): Promise<void> {
	const temporary = `${path}.${process.pid}.${randomBytes(6).toString('hex')}.tmp`;
	const file = await open(temporary, fileConstants.O_WRONLY | fileConstants.O_CREAT | fileConstants.O_EXCL | (fileConstants.O_NOFOLLOW ?? 0), 0o600);
	try {
		try {
			await file.writeFile(content);
			if (process.geteuid?.() === 0) {
				const {uid, gid} = await stat(dirname(path));
				await file.chown(uid, gid);
			}

			await flush(async () => file.datasync());
		} finally {
			await file.close();
		}

		await rename(temporary, path);
	} catch (error) {
		// A failure to delete the temporary file must not hide the first error.
		await unlink(temporary).catch(() => undefined);
		throw error;
	}

	await flushNames(path);
}

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
