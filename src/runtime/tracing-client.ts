/** Loads the application's `@azure/core-tracing`. Loaded with the first tracing context. */

import {isOutOfFiles} from '../errors.js';
import {isFromOwnFolder} from './own-folder.js';
import {packageName, packageVersion} from './version.js';

export type TracingClient = {
	withSpan<Result>(name: string, options: object, callback: () => Promise<Result>): Promise<Result>;
};

/** @returns `null` if the application does not have the package, `undefined` if nobody can tell now. */
export function loadTracingClient(): TracingClient | null | undefined {
	// In a `try` block, bundlers treat the module as optional.
	try {
		if (!isFromOwnFolder('@azure/core-tracing')) {
			return null;
		}

		const {createTracingClient} = require('@azure/core-tracing') as {createTracingClient(options: object): TracingClient};
		return createTracingClient({namespace: 'Microsoft.AAD', packageName, packageVersion});
	} catch (error) {
		// An optional peer dependency. Out of file descriptors, it may exist: look again the next time.
		return isOutOfFiles((error as NodeJS.ErrnoException).code) ? undefined : null;
	}
}
