/** Reads the options of the cache API, and chooses the caches that they mean. */

import {basename, isAbsolute} from 'node:path';
import {invalidArgument} from '../errors.js';
import {type CacheKind, type CacheSource, plaintextFile} from '../cache/cache-source.js';
import {sourcesOf} from '../cache/locations/index.js';
import {distinctSources} from '../lookup/overview.js';
import {isObject} from '../runtime/json.js';
import {readSettings, type Settings} from '../settings/settings.js';
import {faultOfWindowsPath} from '../settings/windows-names.js';
import type {SharedTokenCacheOptions} from '../types.js';

/** The caches that the options mean, and the settings to use them with. */
export type CacheChoice = {
	settings: Settings;
	/** The caches of each kind, best first. The same for both kinds if `cachePath` is set. */
	primary: Readonly<Record<CacheKind, readonly CacheSource[]>>;
	/** The kind for operations on a single cache. */
	kind: CacheKind;
	/** Caches that may contain accounts, and are only read. */
	extra: readonly CacheSource[];
};

const optionNames: ReadonlySet<string> = new Set<keyof SharedTokenCacheOptions>([
	'cachePath', 'tokenCachePersistenceOptions', 'enableCae', 'authorityHost', 'clientId', 'lockTimeoutInMs', 'keyringTimeoutInMs', 'disableKeychainPrompts', 'useNativeAddon',
]);

/** @throws `STC_INVALID_ARGUMENT`, naming the option. */
export function chooseCache(options: SharedTokenCacheOptions = {}): CacheChoice {
	if (!isObject(options)) {
		throw invalidArgument('options must be an object.');
	}

	const unknown = Object.keys(options).find(name => !optionNames.has(name));
	if (unknown !== undefined) {
		throw invalidArgument(`The option "${unknown}" does not exist here: use ${[...optionNames].join(', ')}.`);
	}

	const {cachePath, enableCae, ...rest} = options;
	if (enableCae !== undefined && typeof enableCae !== 'boolean') {
		throw invalidArgument('enableCae must be true or false.');
	}

	// Without the variables for the user and the tenant, which concern the credential only.
	const {
		XDG_CACHE_HOME, XDG_DATA_HOME, LOCALAPPDATA, AZURE_AUTHORITY_HOST,
	} = process.env;
	const settings = readSettings(rest, {
		XDG_CACHE_HOME, XDG_DATA_HOME, LOCALAPPDATA, AZURE_AUTHORITY_HOST,
	});
	const kind = enableCae ? 'cae' : 'nocae';
	if (cachePath !== undefined) {
		const source = namedFile(cachePath, settings);
		return {
			settings, kind, primary: {cae: [source], nocae: [source]}, extra: [],
		};
	}

	if (settings.homeProblem !== undefined) {
		// Thrown by each operation, and not by the constructor.
		return {
			settings,
			kind,
			get primary() {
				return sharedSources(settings).primary;
			},
			get extra() {
				return sharedSources(settings).extra;
			},
		};
	}

	return {settings, kind, ...sharedSources(settings)};
}

/** @throws {StoreError} `STC_CACHE_NOT_FOUND` if the home directory is not known. */
function sharedSources(settings: Settings): Pick<CacheChoice, 'primary' | 'extra'> {
	const cae = sourcesOf(settings, 'cae');
	const nocae = sourcesOf(settings, 'nocae');
	const own = new Set([...cae.primary, ...nocae.primary].map(({label}) => label));
	const extra = distinctSources([...nocae.extra, ...cae.extra]).filter(({label}) => !own.has(label));
	return {primary: {cae: cae.primary, nocae: nocae.primary}, extra};
}

function namedFile(path: unknown, {unsafeAllowUnencryptedStorage}: Settings): CacheSource {
	if (typeof path !== 'string' || !isAbsolute(path) || /[\u0000-\u001F]/.test(path) || basename(path) === '') {
		throw invalidArgument('cachePath must be the absolute path of a file.');
	}

	const lack = process.platform === 'win32' ? faultOfWindowsPath(path) : undefined;
	if (lack !== undefined) {
		throw invalidArgument(`cachePath must be the absolute path of a plain file: ${lack}.`);
	}

	if (!unsafeAllowUnencryptedStorage) {
		throw invalidArgument('cachePath names a plaintext file: set tokenCachePersistenceOptions.unsafeAllowUnencryptedStorage to true, or leave cachePath out to use the shared cache.');
	}

	return plaintextFile(path);
}
