/**
 * How the conformance tests make a cache in each store of `src/backend/stores.ts`. A store of kind `file` that can commit needs nothing
 * here: its caches are files in a temporary directory.
 */

import {randomBytes} from 'node:crypto';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {basename, join} from 'node:path';
import type {StoreLocation} from '../../../dist/backend/backend.js';
import type {StoreName} from '../../../dist/backend/stores.js';
import {missingKeyring, startKeyring} from '../keyring/keyring.js';
import type {Lack} from '../peers/peers.js';
import {encrypt, kernelKey, lackOfKernelKeys} from './go-cache-file.js';

type Cleanup = () => void | Promise<void>;

/** A place without a cache. */
export type TestPlace = {at: StoreLocation; lockPaths: readonly string[]; remove: Cleanup};

export type StoreFixture = {
	/** Why the store cannot be tested on this machine. */
	lack?: () => Lack;
	/** Starts the service that the store needs. Called once in a test file. */
	start?: () => Promise<Cleanup>;
	/** Default: a file in a temporary directory. */
	makePlace?: () => TestPlace;
	/** Writes a cache. Required for a store that is only read. */
	write?: (at: StoreLocation, text: string) => void | Promise<void>;
};

export const storeFixtures: Readonly<Partial<Record<StoreName, StoreFixture>>> = {
	jwe: {
		lack: lackOfKernelKeys,
		write({path = ''}, text) {
			const key = randomBytes(32);
			// The cleanup of the place removes the key.
			const failure = kernelKey('add', basename(path), key.toString('hex'));
			if (failure !== undefined) {
				throw new Error(failure);
			}

			writeFileSync(path, encrypt(text, key));
		},
		makePlace() {
			const place = makeFilePlace();
			return {
				...place,
				async remove() {
					kernelKey('remove', basename(place.at.path));
					return place.remove();
				},
			};
		},
	},
	libsecret: {
		lack: missingKeyring,
		async start() {
			const keyring = await startKeyring();
			// The addon connects to the bus of this environment at the first call.
			Object.assign(process.env, keyring.environment);
			return async () => keyring.close();
		},
		makePlace() {
			const {lockPaths, remove} = makeFilePlace();
			return {at: {schema: `stc-${randomBytes(8).toString('hex')}`, attributes: {MsalClientID: 'stc-test'}}, lockPaths, remove};
		},
	},
};

export function makeFilePlace(): TestPlace & {at: {path: string}} {
	const directory = mkdtempSync(join(tmpdir(), 'stc-store-'));
	const path = join(directory, `cache-${basename(directory)}`);
	return {
		at: {path},
		lockPaths: [`${path}.lockfile`],
		remove() {
			rmSync(directory, {recursive: true, force: true});
		},
	};
}
