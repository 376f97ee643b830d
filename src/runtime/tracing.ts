/** Spans through the application's `@azure/core-tracing`, if it has that package and the caller passes a tracing context. */

import {isOutOfFiles} from '../errors.js';
import type {GetTokenOptions} from '../types.js';
import {packageName, packageVersion} from './version.js';

type TracingClient = {
	withSpan<Result>(name: string, options: object, callback: () => Promise<Result>): Promise<Result>;
};

/** `null` if the package was looked for and is not there, `undefined` if it was not looked for yet. */
let tracingClient: TracingClient | null | undefined;

/** Runs `callback`, in a span named `name` if there is a tracing context. */
export async function withSpan<Result>(name: string, options: GetTokenOptions, callback: () => Promise<Result>): Promise<Result> {
	if (!options.tracingOptions?.tracingContext) {
		return callback();
	}

	if (tracingClient === undefined) {
		tracingClient = findTracingClient();
	}

	return tracingClient ? tracingClient.withSpan(name, {tracingOptions: options.tracingOptions}, callback) : callback();
}

function findTracingClient(): TracingClient | null | undefined {
	try {
		const {isFromOwnFolder} = require('./own-folder.js') as typeof import('./own-folder.js');
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
