/**
 * Lazy `require` for modules that most processes never use. A service may first need one days after its start, when it is out of file
 * descriptors.
 */

import {cureOfTooManyFiles, isOutOfFiles, StoreError} from '../errors.js';

/**
 * @param load Calls `require` with a literal, so that bundlers find the module.
 * @throws {StoreError} `STC_IO` if the module's file cannot be opened. Node does not cache a failed `require`, so the next call retries.
 */
export function requireLazily<Exports>(load: () => Exports): Exports {
	try {
		return load();
	} catch (error) {
		const {code, syscall, errno = 0} = error as NodeJS.ErrnoException;
		// Anything else is a bug in the module, or a StoreError of a module that it requires itself.
		if (code === undefined || (syscall === undefined && code !== 'MODULE_NOT_FOUND')) {
			throw error;
		}

		throw new StoreError(
			'STC_IO',
			`A part of this package could not be loaded: ${code}. ${isOutOfFiles(code) ? cureOfTooManyFiles : 'Reinstall the package and restart the program.'}`,
			{op: 'load', ...(errno !== 0 && {osDomain: 'errno', osCode: Math.abs(errno)})},
			{cause: error},
		);
	}
}
