/**
 * The TypeScript samples of README and docs/: all are compiled against dist/ and the real peers, and each is run in a process of its
 * own, in a home directory with seeded plaintext caches and no keyring. Every TLS connection of that process leads to the embedded
 * endpoint on loopback. Azure SDK clients are replaced by a module that asks the credential for one token.
 */

import {
	mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync,
} from 'node:fs';
import {createRequire} from 'node:module';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {pathToFileURL} from 'node:url';
import test from 'ava';
import ts from 'typescript';
import {type EntraServer, startEntraServer} from '../helpers/authority/entra-server.js';
import {
	codeBlocks, markdownFiles, readText, root,
} from '../helpers/docs/markdown.js';
import {
	accessTokenRecord, accountRecord, ann, cacheOf, homeAccountId, publicCloud, refreshTokenRecord, TestHome,
} from '../helpers/home.js';
import {lackOf, testWhere} from '../helpers/peers/peers.js';
import {runProgram} from '../helpers/processes/run-program.js';

const user = {...ann, username: 'someone@contoso.com'};
const refreshToken = 'FAKE-refresh-token-of-someone';

type Outcome = {
	prints: RegExp;
	/** The cache that contains the tokens of the grant afterwards. Default: there is no grant. */
	fills?: 'msal.cache.nocae' | 'msal.cache.cae';
};

/** The expected result of each sample. A sample without an entry fails the first test. */
const outcomes: Readonly<Record<string, Outcome>> = {
	'README.md 2': {prints: /^https:\/\/<account>\.blob\.core\.windows\.net: ey\S+\n$/, fills: 'msal.cache.cae'},
	'README.md 3': {prints: /^Nobody has to enter this code: .*\n$/, fills: 'msal.cache.nocae'},
	'README.md 4': {prints: new RegExp(`^(?:someone@contoso\\.com ${user.utid} true \\S+\\.IdentityService/msal\\.cache\\.(?:no)?cae\n){2}$`)},
	'README.md 5': {prints: /^$/},
	'docs/configuration.md 1': {prints: /^$/},
	'docs/identity-and-msal.md 1': {prints: /^\d{2,}\n$/, fills: 'msal.cache.nocae'},
	'docs/identity-and-msal.md 2': {prints: /^Nobody has to enter this code: .*\nSigned in as someone@contoso\.com\.\n$/, fills: 'msal.cache.cae'},
	'docs/identity-and-msal.md 3': {prints: /^$/},
	'docs/identity-and-msal.md 4': {prints: new RegExp(`^${homeAccountId(user)}\n$`)},
	'docs/cache-api.md 1': {prints: /^\{\s+removedFrom: \[\s+'\S+nocae',\s+'\S+\.cae'\s+\],\s+remainsIn: \[\],\s+notRead: \[(?:\s+\{\s*source: 'keyring item[^']+',\s+code: 'STC_STORE_UNAVAILABLE'\s*\},?){2,}\s+\]\s+\}\n$/},
	'docs/cache-api.md 2': {prints: /^0\n$/},
};

const samples = markdownFiles().filter(file => file === 'README.md' || file.startsWith('docs/')).flatMap(file => codeBlocks(file)).filter(({language}) => /^(?:[cm]?[jt]s|javascript|typescript)$/.test(language));
const folder = mkdtempSync(path.join(tmpdir(), 'stc-samples-'));

test.before(() => {
	const modules = path.join(folder, 'node_modules');
	const peers = path.join(root, 'test', 'peers', 'node_modules');
	mkdirSync(path.join(modules, '@azure', 'storage-blob'), {recursive: true});
	symlinkSync(root, path.join(modules, 'azure-shared-token-cache'));
	symlinkSync(path.join(peers, '@azure', 'identity'), path.join(modules, '@azure', 'identity'));
	symlinkSync(path.join(peers, '@azure', 'msal-node'), path.join(modules, '@azure', 'msal-node'));
	symlinkSync(path.join(root, 'node_modules', '@azure', 'core-auth'), path.join(modules, '@azure', 'core-auth'));
	symlinkSync(path.join(root, 'node_modules', '@types'), path.join(modules, '@types'));
	writeFileSync(path.join(modules, '@azure', 'storage-blob', 'package.json'), JSON.stringify({type: 'module', exports: {types: './index.d.ts', default: './index.js'}}));
	writeFileSync(path.join(modules, '@azure', 'storage-blob', 'index.d.ts'), `
		import type {TokenCredential} from '@azure/core-auth';
		export declare class BlobServiceClient {
			constructor(url: string, credential: TokenCredential);
		}
	`);
	writeFileSync(path.join(modules, '@azure', 'storage-blob', 'index.js'), `
		export class BlobServiceClient {
			constructor(url, credential) {
				credential.getToken('https://storage.azure.com/.default', {enableCae: true}).then(({token}) => console.log(url + ': ' + token));
			}
		}
	`);
	for (const {name, code} of samples) {
		writeFileSync(fileOf(name), code);
	}
});

test.after.always(() => {
	rmSync(folder, {recursive: true, force: true});
});

function fileOf(name: string): string {
	return path.join(folder, `${name.replaceAll(/\W+/g, '-')}.mts`);
}

test('each sample has an expected result', t => {
	t.deepEqual(samples.map(({name}) => name).toSorted(), Object.keys(outcomes).toSorted());
});

testWhere(test, [lackOf('identity')], 'the samples compile', t => {
	const program = ts.createProgram(samples.map(({name}) => fileOf(name)), {
		module: ts.ModuleKind.NodeNext,
		moduleResolution: ts.ModuleResolutionKind.NodeNext,
		target: ts.ScriptTarget.ES2022,
		lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
		types: ['node'],
		strict: true,
		skipLibCheck: true,
		noEmit: true,
	});
	t.deepEqual(ts.getPreEmitDiagnostics(program).map(({file, messageText}) => `${path.basename(file?.fileName ?? '')}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`), []);
});

/** @returns its standard output. @throws with its standard error, if it fails. */
async function runSample(file: string, home: TestHome, entra: EntraServer): Promise<string> {
	const authority = path.join(home.path, 'authority.pem');
	writeFileSync(authority, entra.ca);
	const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
	const redirect = new URL('../helpers/authority/redirect-tls.mjs', import.meta.url).href;
	return runProgram(process.execPath, ['--import', redirect, '--import', tsx, file], {
		environment: {
			PATH: process.env['PATH'],
			HOME: home.path,
			DBUS_SESSION_BUS_ADDRESS: 'unix:path=/nonexistent',
			NODE_EXTRA_CA_CERTS: authority,
			STC_LOOPBACK_PORT: String(entra.port),
		},
	});
}

for (const {name} of samples) {
	testWhere(test, [lackOf('identity')], `runs: ${name}`, async t => {
		const entra = await startEntraServer({refreshTokens: {[refreshToken]: user}, deviceCodeUser: user});
		t.teardown(async () => entra.close());
		const home = new TestHome(t);
		const cache = {
			...cacheOf({refreshTokens: [refreshTokenRecord(user, refreshToken)], accessTokens: [accessTokenRecord(user, 'FAKE-access-token', 3000)]}),
			// Under MSAL's key: MSAL for Node looks accounts up by their keys.
			Account: {[`${homeAccountId(user)}-${publicCloud}-${user.utid}`]: accountRecord(user)},
		};
		home.writeSettled(cache);
		home.writeSettled(cache, '.IdentityService/msal.cache.cae');
		const output = await runSample(fileOf(name), home, entra);
		const {prints, fills} = outcomes[name]!;
		t.regex(output, prints);
		t.is(entra.grants.length, fills ? 1 : 0);
		if (fills) {
			t.true(readFileSync(path.join(home.path, '.IdentityService', fills), 'utf8').includes(entra.grants[0]!.refreshToken!));
		}
	});
}

const signIn = 'README.md 3';

testWhere(test, [lackOf('identity')], 'README\'s sign-in script fails before it shows a code if there is no place for the cache', async t => {
	const entra = await startEntraServer({deviceCodeUser: user});
	t.teardown(async () => entra.close());
	const error = await t.throwsAsync(async () => runSample(fileOf(signIn), new TestHome(t), entra));
	t.regex(error.message, /STC_STORE_UNAVAILABLE/);
	t.is(entra.requests.length, 0);
});

testWhere(test, [lackOf('identity')], 'README\'s sign-in script fills an empty home, with the option that README names', async t => {
	const entra = await startEntraServer({deviceCodeUser: user});
	t.teardown(async () => entra.close());
	const home = new TestHome(t);
	const option = '{tokenCachePersistenceOptions: {unsafeAllowUnencryptedStorage: true}}';
	t.true(readText('README.md').includes(`pass \`${option}\` to`));
	const {code} = samples.find(({name}) => name === signIn)!;
	t.true(code.includes('createCachePlugin()'));
	const file = path.join(folder, 'sign-in-unencrypted.mts');
	writeFileSync(file, code.replace('createCachePlugin()', `createCachePlugin(${option})`));
	await runSample(file, home, entra);

	// A later program finds the account and gets a token for another resource.
	const credential = home.credential({}, entra);
	t.deepEqual((await credential.listAccounts()).map(({username, usable}) => ({username, usable})), [{username: user.username, usable: true}]);
	await credential.getToken('https://storage.azure.com/.default', {enableCae: true});
	t.is(entra.grants.length, 2);
});
