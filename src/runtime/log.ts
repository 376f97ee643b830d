/**
 * Log lines in the Azure SDK's manner: through the application's `@azure/logger` where it has one, else to standard error as
 * `AZURE_LOG_LEVEL` says. Lines are made only when somebody listens, and never hold a secret.
 */

export type LogLevel = 'error' | 'warning' | 'info' | 'verbose';

type LogLine = () => string;

type AzureLogger = Record<LogLevel, {enabled: boolean; (...values: unknown[]): void}>;

const namespace = 'azure-shared-token-cache';

/** Least severe last. Source: `@azure/logger` 1.3, AZURE_LOG_LEVEL. */
const levels: readonly LogLevel[] = ['error', 'warning', 'info', 'verbose'];

let azureLogger: AzureLogger | undefined;
let waiting: Array<{level: LogLevel; line: LogLine}> = [];

/**
 * Finds the application's logger; `undefined` where there is none, or where nobody can be listening. Loading it costs milliseconds of
 * the main thread, so that is done only for an application that has loaded it already, or that asks for lines by the environment.
 */
let findLoggerModule = async (): Promise<unknown> => {
	const isLoaded = Object.keys(require.cache).some(path => /[/\\]@azure[/\\]logger[/\\]/.test(path));
	if (!isLoaded && !process.env['AZURE_LOG_LEVEL']) {
		return undefined;
	}

	// Within `try`, bundlers take it for what it is: optional.
	try {
		return require('@azure/logger') as unknown;
	} catch {
		return undefined;
	}
};

/**
 * `@azure/logger` has a copy of its state for `require` and another for `import`. The entry point for `import` says that the
 * application most likely set its log level in the second, where nobody can tell what is loaded.
 */
export function loadLoggerWith(load: () => Promise<unknown>): void {
	findLoggerModule = load;
	azureLogger = undefined;
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

	// After whatever is going on now: the first token should not wait for a logger to load.
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
		// An optional peer: the application has none.
		return undefined;
	}
}

function emit(level: LogLevel, line: LogLine): void {
	if (azureLogger) {
		try {
			if (azureLogger[level].enabled) {
				azureLogger[level](line());
			}
		} catch {
			// Where lines go is the application's affair, and no reason for a caller to go without a token.
		}
	} else if (levels.indexOf(level) <= levels.indexOf(process.env['AZURE_LOG_LEVEL']?.toLowerCase() as LogLevel)) {
		process.stderr.write(`azure:${namespace}:${level} ${line()}\n`);
	}
}
