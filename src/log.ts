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

/** `null`: looked for, not there. `undefined`: not looked for yet. */
let azureLogger: AzureLogger | null | undefined;
let waiting: Array<{level: LogLevel; line: LogLine}> = [];
let load: () => unknown = () => require('@azure/logger');

/**
 * `@azure/logger` has a copy of its state for `require` and another for `import`. The entry point for `import` says that the
 * application most likely set its log level in the second.
 */
export function loadLoggerWith(loader: () => Promise<unknown>): void {
	load = loader;
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
	if (azureLogger !== undefined) {
		emit(level, line);
		return;
	}

	// Looking for @azure/logger costs milliseconds, which the first token should not wait for.
	if (waiting.length === 0) {
		setImmediate(() => {
			void flush();
		});
	}

	waiting.push({level, line});
}

async function flush(): Promise<void> {
	azureLogger = await findAzureLogger();
	const lines = waiting;
	waiting = [];
	for (const {level, line} of lines) {
		emit(level, line);
	}
}

async function findAzureLogger(): Promise<AzureLogger | null> {
	try {
		const {createClientLogger} = await load() as {createClientLogger(name: string): AzureLogger};
		return createClientLogger(namespace);
	} catch {
		// An optional peer: the application has none.
		return null;
	}
}

function emit(level: LogLevel, line: LogLine): void {
	if (azureLogger) {
		if (azureLogger[level].enabled) {
			azureLogger[level](line());
		}
	} else if (levels.indexOf(level) <= levels.indexOf(process.env['AZURE_LOG_LEVEL']?.toLowerCase() as LogLevel)) {
		process.stderr.write(`azure:${namespace}:${level} ${line()}\n`);
	}
}
