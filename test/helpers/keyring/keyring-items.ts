/**
 * The keyring items of each language: their attributes, as the library stores them, and their encoding. The writers of .NET and Java
 * do not run here, so these items are written with libsecret's own tool; Python's and keytar's are written by the real ones in
 * `test/interop`.
 */

import type {StoreLocation} from '../../../dist/backend/backend.js';
import {cacheSources} from '../../../dist/cache/locations/index.js';
import type {ItemAttributes} from './keyring.js';

export type ItemKind = 'dotnet' | 'java' | 'python' | 'keytar';

const service = 'Microsoft.Developer.IdentityService';

export const itemAttributes: Readonly<Record<ItemKind, ItemAttributes>> = {
	dotnet: {'xdg:schema': 'msal.cache', MsalClientID: service, [service]: '1.0.0.0'},
	java: {'xdg:schema': 'msal.cache', MsalClientID: service},
	python: {'xdg:schema': 'msal.cache.nocae', MsalClientID: service},
	keytar: {'xdg:schema': 'org.freedesktop.Secret.Generic', service, account: 'MSALCache'},
};

/**
 * In this order none replaces another: libsecret replaces every item whose attributes include the new one's, and Java's are a
 * part of .NET's.
 */
export const itemKinds: readonly ItemKind[] = ['java', 'dotnet', 'python', 'keytar'];

/** The secret as that library stores a cache. */
export function encodeItem(kind: ItemKind, cache: string): string {
	return kind === 'dotnet' || kind === 'java' ? Buffer.from(cache).toString('base64') : cache;
}

/** Where the package itself looks for that item. */
export function locationOf(kind: ItemKind): StoreLocation {
	const {primary, extra} = cacheSources('nocae', {
		platform: 'linux', home: '/h', dataHome: '/d', cacheHome: '/c', cacheName: 'msal.cache',
	});
	const labels: Record<ItemKind, string> = {
		dotnet: 'keyring item of .NET',
		java: 'keyring item of Java',
		python: 'keyring item of Python (msal.cache.nocae)',
		keytar: 'keyring item of Node (keytar)',
	};
	return [...primary, ...extra].find(({label}) => label === labels[kind])!.at;
}
