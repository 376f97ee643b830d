/**
 * The keyring items of each language: their attributes, as the library stores them, and their encoding. The .NET and
 * Java libraries do not run in these tests, so libsecret writes their items. The real libraries write Python's and
 * keytar's items in `test/interop`.
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
 * libsecret replaces every item whose attributes include those of the new item, and .NET's attributes include Java's.
 * In this order no item replaces another.
 */
export const itemKinds: readonly ItemKind[] = ['java', 'dotnet', 'python', 'keytar'];

/** Encodes a cache as the library of that kind stores it. */
export function encodeItem(kind: ItemKind, cache: string): string {
	return kind === 'dotnet' || kind === 'java' ? Buffer.from(cache).toString('base64') : cache;
}

/** Returns the location where this package looks for that item. */
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
