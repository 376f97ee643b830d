/** Log lines go to the application's own `@azure/logger`, which has separate instances for `require` and `import`. */

import {execFile} from 'node:child_process';
import {promisify} from 'node:util';
import test from 'ava';

const run = promisify(execFile);
const root = new URL('../../', import.meta.url);

async function output(type: 'module' | 'commonjs', code: string, environment: Record<string, string> = {}): Promise<string> {
	const {stderr} = await run(process.execPath, [`--input-type=${type}`, '--eval', code], {
		cwd: root,
		env: {PATH: process.env['PATH'] ?? '', HOME: '/nonexistent', ...environment},
	});
	return stderr;
}

const call = 'new SharedTokenCacheCredential({useNativeAddon: false}).getToken("scope/.default").catch(() => undefined);';
const line = /azure:azure-shared-token-cache:info SharedTokenCacheCredential => getToken\(\) => ERROR\. Scopes: scope\/\.default\. Error message: .*unavailable/;

test('logs in an application with ES modules', async t => {
	t.regex(await output('module', `import {setLogLevel} from '@azure/logger'; import {SharedTokenCacheCredential} from './dist/index.mjs'; setLogLevel('info'); ${call}`), line);
});

test('logs in an application with CommonJS', async t => {
	t.regex(await output('commonjs', `const {setLogLevel} = require('@azure/logger'); const {SharedTokenCacheCredential} = require('./dist/index.js'); setLogLevel('info'); ${call}`), line);
});

test('AZURE_LOG_LEVEL', async t => {
	const code = `const {SharedTokenCacheCredential} = require('./dist/index.js'); ${call}`;
	t.regex(await output('commonjs', code, {AZURE_LOG_LEVEL: 'info'}), line);
	t.is(await output('commonjs', code, {AZURE_LOG_LEVEL: 'warning'}), '');
	t.is(await output('commonjs', code), '');
});

/** Statements after which `@azure/logger` is not there. */
const withoutLogger = 'const {Module} = require("node:module"); const resolve = Module._resolveFilename; Module._resolveFilename = function (name, ...rest) { if (name === "@azure/logger") { throw new Error("absent"); } return resolve.call(this, name, ...rest); };';

test('AZURE_LOG_LEVEL works in an application without @azure/logger', async t => {
	const code = `${withoutLogger} const {SharedTokenCacheCredential} = require('./dist/index.js'); ${call}`;
	t.regex(await output('commonjs', code, {AZURE_LOG_LEVEL: 'INFO'}), line);
	t.is(await output('commonjs', code, {AZURE_LOG_LEVEL: 'error'}), '');
	t.is(await output('commonjs', code), '');
});

test('without @azure/logger, a line that cannot be built is left out and ends no process', async t => {
	const stderr = await output('commonjs', `${withoutLogger} const {log} = require('./dist/runtime/log.js'); log.info(() => { throw new Error('FAKE failure'); }); log.info(() => 'the next line');`, {AZURE_LOG_LEVEL: 'info'});
	t.is(stderr, 'azure:azure-shared-token-cache:info the next line\n');
});

test('a logger that throws fails no call and ends no process', async t => {
	const throwing = 'const logger = require("@azure/logger"); logger.setLogLevel("verbose"); logger.AzureLogger.log = () => { console.error("logger called"); throw new Error("FAKE logger"); };';
	// The lines of the first call wait until the logger is loaded. Those of the second call are logged at once.
	const stderr = await output('commonjs', `${throwing} const {SharedTokenCacheCredential} = require('./dist/index.js'); (async () => {
		const credential = new SharedTokenCacheCredential({useNativeAddon: false, cacheCheckIntervalInMs: 0});
		for (let call = 0; call < 2; call++) {
			await credential.getToken('scope/.default').catch(error => console.error('rejected with', error.code));
			await new Promise(resolve => setTimeout(resolve, 100));
		}

		console.error('still here');
	})();`);
	t.regex(stderr, /logger called[^]*still here/);
	t.is([...stderr.matchAll(/rejected with STC_/g)].length, 2);
	t.notRegex(stderr, /FAKE logger/);
});
