/**
 * A copy of the package that every user may read. The repository may be below a folder that only its owner may enter,
 * such as /root, and programs that switch to another user load files afterwards.
 */

import {
	chmodSync, cpSync, mkdtempSync, readdirSync, rmSync, statSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join, relative} from 'node:path';
import process from 'node:process';
import {fileURLToPath} from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** What programs of the tests load. */
const parts = [
	'package.json',
	'dist',
	join('build', 'Release', 'azure_shared_token_cache.node'),
	join('node_modules', 'undici'),
	join('test', 'package.json'),
	join('test', 'helpers', 'processes'),
	join('test', 'helpers', 'locks'),
];

let folder: string | undefined;

/** @returns The copy's top folder. It is removed when this process ends. */
export function openCopy(): string {
	if (folder === undefined) {
		const made = mkdtempSync(join(tmpdir(), 'stc-open-copy-'));
		process.once('exit', () => {
			rmSync(made, {recursive: true, force: true});
		});
		for (const part of parts) {
			// The addon is missing if it was not built.
			if (statSync(join(root, part), {throwIfNoEntry: false})) {
				cpSync(join(root, part), join(made, part), {recursive: true, dereference: true});
			}
		}

		for (const name of ['.', ...readdirSync(made, {recursive: true, encoding: 'utf8'})]) {
			chmodSync(join(made, name), statSync(join(made, name)).isDirectory() ? 0o755 : 0o644);
		}

		folder = made;
	}

	return folder;
}

/** @param path A program in the repository. @param uid The user that it switches to, if it does. @returns The path of a file that this user can load. */
export function loadableBy(uid: number | undefined, path: string): string {
	return uid === undefined ? path : join(openCopy(), relative(root, path));
}
