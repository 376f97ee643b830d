/**
 * A process without free file descriptors: failures say so, in errors that chains understand, and everything works
 * again after files are closed.
 */

import {execFile} from 'node:child_process';
import {writeFileSync} from 'node:fs';
import {constants} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';
import {fileURLToPath} from 'node:url';
import test, {type ExecutionContext} from 'ava';
import type {SharedTokenCacheCredentialOptions} from '../../dist/types.js';
import {startEntraServer} from '../helpers/authority/entra-server.js';
import {environmentOfServer} from '../helpers/processes/fleet.js';
import {
	accessTokenRecord, accountRecord, ann, cacheOf, refreshTokenRecord, TestHome,
} from '../helpers/home.js';
import {lackOfAddon, testWhere} from '../helpers/peers/peers.js';

const run = promisify(execFile);
const {errno} = constants;
const program = fileURLToPath(new URL('../helpers/processes/open-files-program.mjs', import.meta.url));
const refreshToken = 'FAKE-refresh-ann';
const cachedScope = 'cached/.default';
const otherScope = 'other/.default';
const grantedScope = 'granted/.default';
const otherGrantedScope = 'other-granted/.default';

type Failure = {name: string; code: string; message: string; osCode?: number};
type Outcomes = Record<string, string | Failure>;
type Report = {
	before: Outcomes;
	meanwhile: {tokens: Outcomes; again: Outcomes; warm: Outcomes; accounts: string[] | Failure; wholeCache: number | Failure};
	after: {tokens: Outcomes; accounts: string[] | Failure; wholeCache: number | Failure};
	native: number | Failure;
};

/** Enough for Node itself. */
const limit = 80;

async function report(t: ExecutionContext, {options = {}, scopes, warmUp = []}: {options?: SharedTokenCacheCredentialOptions; scopes: string[]; warmUp?: string[]}) {
	const server = await startEntraServer({refreshTokens: {[refreshToken]: ann}});
	t.teardown(async () => server.close());
	const home = new TestHome(t);
	const environment = environmentOfServer(server);
	home.writeSettled(cacheOf({
		accounts: [accountRecord(ann, environment)],
		refreshTokens: [refreshTokenRecord(ann, refreshToken, environment)],
		accessTokens: [cachedScope, otherScope].map(scope => accessTokenRecord(ann, `FAKE-${scope}`, 3600, {...environment, target: scope})),
	}));
	const authority = join(home.path, 'authority.pem');
	writeFileSync(authority, server.ca);
	const job = JSON.stringify({options: {...options, authorityHost: server.origin, retryOptions: {maxRetries: 0}}, scopes, warmUp});
	const {stdout} = await run('sh', ['-c', `ulimit -n ${limit} && exec "$0" "$@"`, process.execPath, program, job], {
		env: {
			PATH: process.env['PATH'] ?? '', HOME: home.path, NODE_EXTRA_CA_CERTS: authority, DBUS_SESSION_BUS_ADDRESS: 'unix:path=/nonexistent',
		},
	});
	return {home, server, ...JSON.parse(stdout) as Report};
}

const lacks = [lackOfAddon(), process.platform === 'win32' ? 'Windows does not limit open files; run on Linux or macOS' : undefined];

function assertUnavailable(t: ExecutionContext, failure: string | string[] | Failure | undefined, what: string): void {
	const {name, code, message} = failure as Failure;
	t.deepEqual([name, code], ['CredentialUnavailableError', 'STC_IO'], `${what}: ${JSON.stringify(failure)}`);
	t.regex(message, /^SharedTokenCacheCredential: .*(?:EMFILE|Too many open files|No file descriptors available).*Too many files are open: close some, or raise the limit/, what);
}

for (const [title, options] of [['native', {useNativeAddon: true}], ['pure', {useNativeAddon: false}], ['by default', {}]] as const) {
	testWhere(test, lacks, `${title}: reports too many open files from the start, and recovers`, async t => {
		const {meanwhile, after, native} = await report(t, {options, scopes: [cachedScope]});
		assertUnavailable(t, meanwhile.tokens[cachedScope], 'token');
		assertUnavailable(t, meanwhile.again[cachedScope], 'token, again');
		assertUnavailable(t, meanwhile.accounts, 'accounts');
		t.deepEqual(after, {tokens: {[cachedScope]: `FAKE-${cachedScope}`}, accounts: [ann.username], wholeCache: 2});
		t.is(native, 1, 'the addon is still used');
	});

	testWhere(test, lacks, `${title}: reports too many open files for the first grant, and recovers`, async t => {
		const {server, home, before, meanwhile, after} = await report(t, {options, scopes: [grantedScope], warmUp: [cachedScope, otherScope]});
		t.deepEqual(meanwhile.warm, before, 'hits need none');
		assertUnavailable(t, meanwhile.tokens[grantedScope], 'token');
		assertUnavailable(t, meanwhile.again[grantedScope], 'token, again');
		t.is(server.grants.length, 1, 'no refresh token was sent in vain');
		t.is(after.tokens[grantedScope], server.grants[0]!.accessToken);
		t.true(Object.values(home.read()['AccessToken']!).some(({secret}) => secret === after.tokens[grantedScope]), 'written');
	});

	testWhere(test, lacks, `${title}: reports too many open files for a later grant, and recovers`, async t => {
		const {server, meanwhile, after} = await report(t, {options, scopes: [otherGrantedScope], warmUp: [grantedScope]});
		// A connection exists already. The refresh token is read when it is needed, and not kept in memory.
		assertUnavailable(t, meanwhile.tokens[otherGrantedScope], 'token');
		assertUnavailable(t, meanwhile.again[otherGrantedScope], 'token, again');
		t.is(server.grants.length, 2, 'no refresh token was sent in vain');
		t.is(after.tokens[otherGrantedScope], server.grants[1]!.accessToken);
		const {name, code, message, osCode} = meanwhile.wholeCache as Failure;
		t.deepEqual([name, code, osCode], ['StoreError', 'STC_IO', errno.EMFILE]);
		t.regex(message, /msal\.cache\.nocae: (?:EMFILE|Too many open files|No file descriptors available)\. Too many files are open: close some, or raise the limit/);
		t.is(after.wholeCache, 4);
	});
}
