/** The one list of stores, and the choice between the backends that make them. */

import {StoreError} from '../errors.js';
import {requireLazily} from '../runtime/lazy.js';
import {log, logTextOf} from '../runtime/log.js';
import {loadNativeBackend} from './native-backend.js';
import type {CacheBackend, CacheStore, StoreKind} from './backend.js';

type StoreEntry = {
	kind: StoreKind;
	/** Whether anybody who can read the file can read the tokens. Such a cache is created only if the user allows it. Default false. */
	isPlaintext?: boolean;
	/**
	 * Loads the store's module, whose `open` makes the store; `undefined` if it cannot be made with that backend. Loaded when the store is
	 * first used. Default: the backend makes the store itself, as the addon does for `native/stores`.
	 */
	load?: () => {open: (backend: CacheBackend) => CacheStore | undefined};
};

/** Every store by name. CONTRIBUTING.md, "Add a store", says what a new line needs. */
export const stores = {
	/** A file as MSAL writes it without encryption. */
	plaintext: {kind: 'file', isPlaintext: true},
	/** A file that DPAPI encrypts, on Windows. */
	dpapi: {kind: 'file'},
	/** A file that Go encrypts, on Linux. */
	jwe: {kind: 'file', load: () => require('./go-cache.js') as typeof import('./go-cache.js')},
	/** An item of the macOS Keychain. */
	keychain: {kind: 'keyring'},
	/** An item of the Secret Service, on Linux. */
	libsecret: {kind: 'keyring'},
} satisfies Record<string, StoreEntry>;

export type StoreName = keyof typeof stores;

const entries: Readonly<Record<StoreName, StoreEntry>> = stores;

export function storeKind(name: StoreName): StoreKind {
	return entries[name].kind;
}

export function isPlaintext(name: StoreName): boolean {
	return entries[name].isPlaintext ?? false;
}

/**
 * The store of that name, with the backend that the preference chooses.
 *
 * @param useNativeAddon The setting: `undefined` prefers the addon and falls back to JavaScript.
 * @throws {StoreError} `STC_ADDON_MISSING` if the store needs the addon and there is none; `STC_IO` if nothing can be loaded now.
 */
export function chooseStore(name: StoreName, useNativeAddon: boolean | undefined): CacheStore {
	const {backend, nativeError} = chooseBackend(useNativeAddon);
	const store = backend && openStore(name, backend);
	if (!store) {
		throw nativeError ?? needsAddon(name);
	}

	return store;
}

/**
 * The store of that name, made with that backend.
 *
 * @throws {StoreError} `STC_ADDON_MISSING` if it cannot be made with that backend.
 */
export function storeOf(backend: CacheBackend, name: StoreName): CacheStore {
	const store = openStore(name, backend);
	if (!store) {
		throw needsAddon(name);
	}

	return store;
}

/** The stores that can be made with that backend, in the order of {@link stores}. */
export function storesOf(backend: CacheBackend): StoreName[] {
	return (Object.keys(stores) as StoreName[]).filter(name => openStore(name, backend) !== undefined);
}

const opened = new Map<CacheBackend, Map<StoreName, CacheStore>>();

function openStore(name: StoreName, backend: CacheBackend): CacheStore | undefined {
	let ofBackend = opened.get(backend);
	if (!ofBackend) {
		ofBackend = new Map();
		opened.set(backend, ofBackend);
	}

	let store = ofBackend.get(name);
	if (!store) {
		const {kind, load} = entries[name];
		store = load ? requireLazily(load).open(backend) : backend.open(name, kind);
		if (store) {
			ofBackend.set(name, store);
		}
	}

	return store;
}

function needsAddon(name: StoreName): StoreError {
	return new StoreError(
		'STC_ADDON_MISSING',
		`Reading the store "${name}" needs the native addon, which the option useNativeAddon switches off. Leave it out.`,
		{store: name},
	);
}

type Backends = {backend?: CacheBackend; nativeError?: StoreError};

const chosenBackends = new Map<boolean | undefined, Backends>();

/** Chosen once per process and preference. A backend is loaded only when it is chosen, because that costs start-up time. */
function chooseBackend(useNativeAddon: boolean | undefined): Backends {
	let chosen = chosenBackends.get(useNativeAddon);
	if (!chosen) {
		chosen = loadBackend(useNativeAddon);
		chosenBackends.set(useNativeAddon, chosen);
	}

	return chosen;
}

function loadBackend(useNativeAddon: boolean | undefined): Backends {
	if (useNativeAddon === false) {
		return {backend: jsBackend()};
	}

	const {backend, error} = loadNativeBackend();
	if (backend) {
		return {backend};
	}

	const nativeError = error ? {nativeError: error} : {};
	if (useNativeAddon) {
		return nativeError;
	}

	log.warning(() => `The native addon could not be loaded; plaintext caches are read by the pure-JS variant, encrypted ones cannot be read. ${logTextOf(error)}`);
	return {backend: jsBackend(), ...nativeError};
}

function jsBackend(): CacheBackend {
	return requireLazily(() => require('./js/js-backend.js') as typeof import('./js/js-backend.js')).jsBackend;
}
