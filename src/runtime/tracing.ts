/** Spans through the application's `@azure/core-tracing`, if it has that package and the caller passes a tracing context. */

import type {GetTokenOptions} from '../types.js';
import {requireLazily} from './lazy.js';
import type {TracingClient} from './tracing-client.js';

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
		return requireLazily(() => require('./tracing-client.js') as typeof import('./tracing-client.js')).loadTracingClient();
	} catch {
		// Too many files are open: look again the next time.
		return undefined;
	}
}
