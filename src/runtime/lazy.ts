/** Parts of this package that are loaded when they are needed, which may be in the middle of a night. */

import {cureOfTooManyFiles, isOutOfFiles, StoreError} from '../errors.js';

/**
 * @param load Requires the part. Written out at the caller's, so that bundlers find it.
 * @throws {StoreError} `STC_IO` where its file cannot be opened. Node forgets that it failed, so whoever needs the part next tries again.
 */
export function part<Exports>(load: () => Exports): Exports {
	try {
		return load();
	} catch (error) {
		const {code, syscall, errno = 0} = error as NodeJS.ErrnoException;
		// Anything else is a fault of the part's own, or told by a part that it needs itself.
		if (code === undefined || (syscall === undefined && code !== 'MODULE_NOT_FOUND')) {
			throw error;
		}

		throw new StoreError(
			'STC_IO',
			`A part of this package could not be loaded: ${code}. ${isOutOfFiles(code) ? cureOfTooManyFiles : 'Reinstall the package, and start the program anew.'}`,
			{op: 'load', ...(errno !== 0 && {osDomain: 'errno', osCode: Math.abs(errno)})},
			{cause: error},
		);
	}
}
