/** The log names the account in use and its cache. It contains the full user name only if the options allow that. */

import {createRequire} from 'node:module';
import test, {type ExecutionContext} from 'ava';
import type {CredentialUnavailableError} from '../../dist/errors.js';
import {
	accessTokenRecord, accountRecord, ann, cacheOf, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {until} from '../helpers/until.js';

// The CommonJS instance, which is the one that dist/ loads.
const {AzureLogger, setLogLevel} = createRequire(import.meta.url)('@azure/logger') as typeof import('@azure/logger');
const lines: string[] = [];
AzureLogger.log = (...values: unknown[]) => {
	lines.push(values.join(' '));
};

setLogLevel('info');

const cache = cacheOf({
	accounts: [accountRecord(ann)], refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh-ann')], accessTokens: [accessTokenRecord(ann, 'FAKE-cached', 3000)],
});

async function linesOf(t: ExecutionContext, allowLoggingAccountIdentifiers: boolean): Promise<{found: string | undefined; path: string}> {
	const home = new TestHome(t);
	const path = home.write(cache, '.local/share/.IdentityService/msal.cache.nocae');
	lines.length = 0;
	await home.credential({loggingOptions: {allowLoggingAccountIdentifiers}}).getToken(scope);
	await until(() => lines.some(line => line.includes('SUCCESS')));
	t.notRegex(lines.join(' '), /FAKE/);
	return {found: lines.find(line => line.includes(path)), path};
}

test.serial('the log names the account and its source with a masked user name', async t => {
	const {found, path} = await linesOf(t, false);
	t.true(found?.endsWith(`The account a***@contoso.com (home tenant ${ann.utid}) was found in ${path}.`), found);
	t.notRegex(lines.join(' '), /ann@contoso/);
});

test.serial('the log contains the full user name if account identifiers may be logged', async t => {
	const {found} = await linesOf(t, true);
	t.true(found?.includes('The account ann@contoso.com (home tenant '), found);
});

test.serial('error messages follow the same logging option', async t => {
	const home = new TestHome(t);
	home.write(cache);
	const messageWith = async (allowLoggingAccountIdentifiers: boolean) => {
		const credential = home.credential({username: 'eve', loggingOptions: {allowLoggingAccountIdentifiers}});
		return (await t.throwsAsync<CredentialUnavailableError>(credential.getToken(scope), {code: 'STC_NO_ACCOUNT'})).message;
	};

	t.true((await messageWith(true)).includes('Found: ann@contoso.com '));
	t.true((await messageWith(false)).includes('Found: a***@contoso.com '));
});
