/** Stamps of a source: its store's own, and that of the file which signals that a keyring item changed. */

import {stat as statWithCallback} from 'node:fs';
import {promisify} from 'node:util';
import type {CacheSource} from './locations.js';

// Loading `node:fs/promises` would add most of a millisecond to the first token.
export const stat = promisify(statWithCallback);

/** In place of the own stamp where there is no cache. */
export const absent = 'absent';

export async function signalStamp({signalPath}: CacheSource): Promise<string> {
	if (signalPath === undefined) {
		return '';
	}

	try {
		const {ino, size, mtimeNs, ctimeNs} = await stat(signalPath, {bigint: true});
		return [ino, size, mtimeNs, ctimeNs].join(':');
	} catch {
		// The signal only makes the item's own stamp finer; without the file that stamp stands alone.
		return '';
	}
}

/** As the rest of the package compares them. */
export function joinStamps(own: string | null | undefined, signal: string): string {
	return `${own ?? absent}|${signal}`;
}
