/** Stamps of a source: the stamp of its store, and the stamp of its signal file. */

import {stat} from 'node:fs';
import type {CacheSource} from './cache-source.js';

/** Stands for the store's stamp if there is no cache. */
export const absent = 'absent';

export async function signalStamp({signalPath}: CacheSource): Promise<string> {
	if (signalPath === undefined) {
		return '';
	}

	// The callback form: `node:fs/promises` and `promisify` cost start-up time (bench P3).
	return new Promise(resolve => {
		// eslint-disable-next-line n/prefer-promises/fs
		stat(signalPath, {bigint: true}, (error, stats) => {
			// The signal file only adds precision. Without it, the item's stamp is enough.
			resolve(error ? '' : [stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join(':'));
		});
	});
}

/** The stamp of a source as the rest of the package compares it. */
export function joinStamps(own: string | null | undefined, signal: string): string {
	return `${own ?? absent}|${signal}`;
}
