/** Shared code of the interoperability tests: a real library writes a cache, and the code under test reads it. */

import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import type {CacheSlice} from '../../../dist/backend/backend.js';
import {type EntraServer, startEntraServer} from '../authority/entra-server.js';
import {
	ann, clientId, homeAccountId, type TestHome,
} from '../home.js';
import {type ReaderJob, type ReaderReport, readInProcess} from '../processes/reader.js';
import {signIn, type Writer} from './sign-in.js';

/** What differs between the caches of the libraries. */
export type Customs = {
	writer: Writer;
	/** The authority host in the records. */
	environment: string;
	/** The tenant in the records if the sign-in did not name one. */
	realm: string;
	/** Number of refresh tokens in the cache after two sign-ins. */
	refreshTokenCount: number;
	keyringLabel: string;
};

export const customsOf: readonly Customs[] = [
	{
		writer: 'msal-node',
		environment: 'login.windows.net',
		realm: ann.utid,
		refreshTokenCount: 1,
		keyringLabel: 'keyring item of Node (keytar)',
	},
	{
		writer: 'msal-python',
		environment: 'login.microsoftonline.com',
		realm: 'organizations',
		refreshTokenCount: 2,
		keyringLabel: 'keyring item of Python (msal.cache.nocae)',
	},
];

export const storage = 'https://storage.azure.com/.default';
export const vault = 'https://vault.azure.net/.default';
const graph = 'https://graph.microsoft.com/.default';
export const query: ReaderJob['query'] = {environments: ['login.microsoftonline.com', 'login.windows.net', 'login.microsoft.com', 'sts.windows.net'], clientId, refreshTokenSecrets: true};

export type Environment = Readonly<Record<string, string | undefined>>;

/** An environment that takes only PATH from this process. */
export function environmentOf(home: TestHome, rest: Environment = {}): Environment {
	return {...rest, PATH: process.env['PATH'], HOME: home.path};
}

export async function startServer(t: ExecutionContext): Promise<EntraServer> {
	const entra = await startEntraServer({deviceCodeUser: ann});
	t.teardown(async () => entra.close());
	return entra;
}

/** Returns a function that names a token by its grant, so that a failing test does not print tokens. */
export function namer({grants}: EntraServer): (secret: string | undefined) => string {
	const names = new Map<string | undefined, string>();
	for (const [index, {accessToken, refreshToken}] of grants.entries()) {
		names.set(accessToken, `access token ${index + 1}`);
		names.set(refreshToken, `refresh token ${index + 1}`);
	}

	return secret => names.get(secret) ?? 'a token that was never given';
}

/** Returns the token's name or the error for each request to the credential. */
export function nameTokens({tokens}: ReaderReport, name: ReturnType<typeof namer>): string[] {
	return tokens.map(token => 'token' in token ? name(token.token) : `${token.name}: ${token.message}`);
}

/** Signs in twice with the library, then requests three tokens from the credential: two are cached, one is not. */
export async function writeAndRead(
	t: ExecutionContext,
	{customs, store, variant, home, environment}: {customs: Customs; store: 'plaintext' | 'keyring'; variant: 'native' | 'pure'; home: TestHome; environment: Environment},
): Promise<{slice: CacheSlice; cachePath: string}> {
	const entra = await startServer(t);
	const cachePath = join(home.path, '.IdentityService', 'msal.cache.nocae');
	const signedIn = await signIn(customs.writer, {
		store, cachePath, scopes: [[storage], [vault]], server: entra,
	}, environment);
	t.is(signedIn, homeAccountId(ann));
	const written = readFileSync(cachePath);
	t.is(entra.grants.length, 2);
	const requestsBefore = entra.requests.length;

	const report = await readInProcess({
		variant,
		query,
		server: {port: entra.port, ca: entra.ca},
		options: {tokenCachePersistenceOptions: {readOnly: true}},
		requests: [{scope: storage}, {scope: vault}, {scope: graph}],
	}, environment);

	const label = store === 'keyring' ? customs.keyringLabel : cachePath;
	const filled = report.sources.filter(({slice}) => slice && slice.accounts.length > 0);
	t.deepEqual(filled.map(source => source.label), [label]);
	const slice = filled[0]?.slice;
	if (!slice) {
		throw new Error('The cache was not found.');
	}

	t.is(slice.stamp, filled[0]?.stamp ?? '');
	const name = namer(entra);
	const numbers = [1, 2];
	t.deepEqual(slice.accessTokens.map(({secret}) => name(secret)).toSorted(), numbers.map(number => `access token ${number}`));
	const refreshTokens = numbers.slice(-customs.refreshTokenCount).map(number => `refresh token ${number}`);
	t.deepEqual(slice.refreshTokens.map(({secret}) => name(secret)).toSorted(), refreshTokens);

	t.deepEqual(nameTokens(report, name), ['access token 1', 'access token 2', 'access token 3']);
	t.is(entra.requests.length, requestsBefore + 1, 'the cached tokens needed no request');
	const redeemed = entra.grants[2];
	t.true(refreshTokens.includes(name(redeemed?.redeemed)), 'the redeemed refresh token is one that the library stored');
	t.is(redeemed?.request.serverName, 'login.microsoftonline.com');
	t.is(redeemed?.request.form.get('client_id'), clientId);
	t.deepEqual(report.accounts, [{
		homeAccountId: homeAccountId(ann),
		tenantId: ann.utid,
		localAccountId: ann.uid,
		username: ann.username,
		environment: customs.environment,
		usable: true,
		source: label,
	}]);
	t.true(readFileSync(cachePath).equals(written), 'reading does not change the file');
	return {slice, cachePath};
}

export function checkRecords(t: ExecutionContext, slice: CacheSlice, {environment, realm}: Customs): void {
	const common = {homeAccountId: homeAccountId(ann), environment};
	t.like(slice.accounts, [{
		...common, realm, localAccountId: ann.uid, username: ann.username, authorityType: 'MSSTS',
	}]);
	t.true(slice.refreshTokens.every(token => token.familyId === '1' && token.clientId === clientId && token.homeAccountId === common.homeAccountId && token.environment === environment));
	t.deepEqual(slice.appMetadata, [{environment, clientId, familyId: '1'}]);
	const nowSec = Date.now() / 1000;
	t.deepEqual(slice.accessTokens.map(({target}) => target).toSorted(), [
		`https://storage.azure.com/user_impersonation ${storage}`,
		`https://vault.azure.net/user_impersonation ${vault}`,
	]);
	for (const token of slice.accessTokens) {
		t.like(token, {...common, realm, clientId});
		t.true(token.expiresOn > nowSec + 3000 && token.expiresOn <= nowSec + 3600);
		t.true(token.cachedAt !== undefined && token.cachedAt > nowSec - 600 && token.cachedAt <= nowSec);
	}
}
