/** Stamps of a source: its store's own, and that of the file which signals that a keyring item changed. */

import {stat} from 'node:fs';
import type {CacheSource} from './cache-source.js';

/** In place of the own stamp where there is no cache. */
export const absent = 'absent';

export async function signalStamp({signalPath}: CacheSource): Promise<string> {
	if (signalPath === undefined) {
		return '';
	}

	// By hand: `node:fs/promises` would add most of a millisecond to the first token, and `promisify` 0.07 ms.
	return new Promise(resolve => {
		// eslint-disable-next-line n/prefer-promises/fs
		stat(signalPath, {bigint: true}, (error, stats) => {
			// The signal only makes the item's own stamp finer; without the file that stamp stands alone.
			resolve(error ? '' : [stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join(':'));
		});
	});
}

/** As the rest of the package compares them. */
export function joinStamps(own: string | null | undefined, signal: string): string {
	return `${own ?? absent}|${signal}`;
}
