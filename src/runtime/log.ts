/**
 * Logging like the Azure SDK's: through the application's `@azure/logger` if it has one, otherwise to standard error according to
 * `AZURE_LOG_LEVEL`. A line is built only if it is written, and holds neither a secret nor a control character.
 */

import {oneLine} from '../errors.js';
import {requireLazily} from './lazy.js';

export type LogLevel = 'error' | 'warning' | 'info' | 'verbose';

type LogLine = () => string;

type AzureLogger = Record<LogLevel, {enabled: boolean; (...values: unknown[]): void}>;

const namespace = 'azure-shared-token-cache';

/** Most severe first. Source: `@azure/logger` 1.3, AZURE_LOG_LEVEL. */
const levels: readonly LogLevel[] = ['error', 'warning', 'info', 'verbose'];

let azureLogger: AzureLogger | undefined;
let waiting: Array<{level: LogLevel; line: LogLine}> = [];

/**
 * Finds the application's `@azure/logger`. Loading it blocks the main thread for milliseconds, so this does it only if the application has
 * loaded it already or sets AZURE_LOG_LEVEL.
 *
 * @returns `undefined` if there is none, or if nobody reads its lines.
 */
let findLoggerModule = async (): Promise<unknown> => {
	let isLoaded = false;
	for (const path of Object.keys(require.cache)) {
		// No pattern: compiling one takes longer (bench P3).
		isLoaded ||= path.includes('@azure/logger/') || path.includes('@azure\\logger\\');
	}

	if ((!isLoaded && !process.env['AZURE_LOG_LEVEL']) || !isOwnLogger()) {
		return undefined;
	}

	// In a `try` block, bundlers treat the module as optional.
	try {
		return require('@azure/logger') as unknown;
	} catch {
		return undefined;
	}
};

/**
 * Replaces the way to find the logger. `@azure/logger` keeps one state for `require` and another for `import`. An application that imports
 * this package most likely set its log level in the latter, and Node does not tell which ES modules are loaded.
 */
export function loadLoggerWith(load: () => Promise<unknown>): void {
	findLoggerModule = async () => isOwnLogger() ? load() : undefined;
	azureLogger = undefined;
}

function isOwnLogger(): boolean {
	const {isFromOwnFolder} = requireLazily(() => require('./own-folder.js') as typeof import('./own-folder.js'));
	return isFromOwnFolder('@azure/logger');
}

export const log: Record<LogLevel, (line: LogLine) => void> = {
	error(line) {
		write('error', line);
	},
	warning(line) {
		write('warning', line);
	},
	info(line) {
		write('info', line);
	},
	verbose(line) {
		write('verbose', line);
	},
};

function write(level: LogLevel, line: LogLine): void {
	if (azureLogger) {
		emit(level, line);
		return;
	}

	// In a later tick, so that the first token does not wait for the logger to load.
	if (waiting.length === 0) {
		setImmediate(() => {
			void flush();
		});
	}

	waiting.push({level, line});
}

async function flush(): Promise<void> {
	azureLogger ??= await findAzureLogger();
	const lines = waiting;
	waiting = [];
	for (const {level, line} of lines) {
		emit(level, line);
	}
}

async function findAzureLogger(): Promise<AzureLogger | undefined> {
	try {
		const found = await findLoggerModule() as {createClientLogger(name: string): AzureLogger} | undefined;
		return found?.createClientLogger(namespace);
	} catch {
		// `@azure/logger` is an optional peer dependency, and the application does not have it.
		return undefined;
	}
}

function emit(level: LogLevel, line: LogLine): void {
	try {
		if (azureLogger) {
			if (azureLogger[level].enabled) {
				azureLogger[level](oneLine(line()));
			}
		} else if (levels.indexOf(level) <= levels.indexOf(process.env['AZURE_LOG_LEVEL']?.toLowerCase() as LogLevel)) {
			process.stderr.write(`azure:${namespace}:${level} ${oneLine(line())}\n`);
		}
	} catch {
		// Neither a logger of the application that throws, nor a line whose code cannot be loaded because too many files are open, must fail
		// a token request.
	}
}

/** The text of an error for a line: see `log-text.ts`. Call this in the function that builds the line. */
export function logTextOf(error: unknown, showUserNames = false): string {
	return requireLazily(() => require('./log-text.js') as typeof import('./log-text.js')).logTextOf(error, showUserNames);
}
