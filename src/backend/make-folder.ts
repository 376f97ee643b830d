/** Makes the folders of caches. */

import {lchown, mkdir, stat} from 'node:fs/promises';
import {dirname, resolve} from 'node:path';

/**
 * Makes a folder, and those above it that are missing, for this user alone. Folders that root makes belong to the owner of the folder in
 * which they are: root may run in the home directory of a user, who could not enter them otherwise.
 *
 * @throws as `mkdir`.
 */
export async function makeFolder(path: string): Promise<void> {
	const made = await mkdir(path, {recursive: true, mode: 0o700});
	if (made === undefined || process.geteuid?.() !== 0) {
		return;
	}

	const first = resolve(made);
	const {uid, gid} = await stat(dirname(first));
	if (uid === 0) {
		return;
	}

	// `lchown`: the user may already have replaced one by a link.
	for (let folder = resolve(path); folder.length >= first.length; folder = dirname(folder)) {
		await lchown(folder, uid, gid);
	}
}
