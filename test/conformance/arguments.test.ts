/** Arguments that change while they are read or cannot be read, and machines on which nothing is known. */

import {execFile} from 'node:child_process';
import {
	chmodSync, mkdtempSync, rmSync, writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';
import test from 'ava';
import {SharedTokenCache, SharedTokenCacheCredential} from '../../dist/index.js';
import {loadLoggerWith} from '../../dist/runtime/log.js';
import type {GetTokenOptions} from '../../dist/types.js';
import {startEntraServer} from '../helpers/authority/entra-server.js';
import {
	accessTokenRecord, accountRecord, ann, bob, cacheOf, refreshTokenRecord, scope, TestHome,
} from '../helpers/home.js';
import {openCopy} from '../helpers/processes/open-copy.js';
import {until} from '../helpers/until.js';

const run = promisify(execFile);
const root = new URL('../../', import.meta.url);
const lines: string[] = [];

test.before(() => {
	const write = Object.assign((line: string) => {
		lines.push(line);
	}, {enabled: true});
	loadLoggerWith(async () => ({
		createClientLogger: () => ({
			error: write, warning: write, info: write, verbose: write,
		}),
	}));
});

function revoked<Target extends object>(target: Target): Target {
	const {proxy, revoke} = Proxy.revocable(target, {});
	revoke();
	return proxy;
}

test('G13: getToken rejects, and never throws, for arguments that cannot be read', async t => {
	const home = new TestHome(t);
	home.write(cacheOf({accounts: [accountRecord(ann)], refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh')], accessTokens: [accessTokenRecord(ann, 'FAKE-ann', 3600)]}));
	const credential = home.credential();
	const throwing = (name: string) => Object.defineProperty({}, name, {
		enumerable: true,
		get() {
			throw new Error('no');
		},
	}) as GetTokenOptions;
	const tracing = throwing('tracingOptions');
	const cases: Array<[unknown, unknown]> = [
		[revoked([scope]), undefined],
		[revoked({}), undefined],
		[scope, revoked({})],
		...['abortSignal', 'claims', 'enableCae', 'proofOfPossessionOptions', 'requestOptions', 'tenantId'].map((name): [unknown, unknown] => [scope, throwing(name)]),
		[scope, tracing],
		[scope, {requestOptions: throwing('timeout')}],
		[scope, {abortSignal: revoked({})}],
		[Object.defineProperty([scope], 0, {
			get() {
				throw new Error('no');
			},
		}), undefined],
	];
	// Also while the token is in memory.
	for (const round of ['cold', 'warm']) {
		for (const [index, [scopes, options]] of cases.entries()) {
			// A call that memory answers makes no span, and does not read this one.
			if (round === 'warm' && options === tracing) {
				continue;
			}

			let promise: Promise<unknown> | undefined;
			t.notThrows(() => {
				promise = credential.getToken(scopes as string, options as GetTokenOptions);
			}, `${round} ${index}`);
			await t.throwsAsync(promise!, {instanceOf: TypeError}, `${round} ${index}`);
		}

		t.is((await credential.getToken(scope)).token, 'FAKE-ann');
	}

	await t.throwsAsync(credential.getToken(scope, revoked({})), {code: 'STC_INVALID_ARGUMENT', message: /cannot be read: a getter threw, or a Proxy was revoked/});
	await until(() => lines.some(line => line.includes('getToken() => ERROR. Scopes: not valid. Error message: The arguments of getToken cannot be read')));
});

test('G13: scopes and options that change are read once, so that a token is filed under the scopes that it was requested for', async t => {
	const entra = await startEntraServer({refreshTokens: {'FAKE-refresh': ann}});
	t.teardown(async () => entra.close());
	const home = new TestHome(t);
	home.writeAccount(ann, 'FAKE-refresh');
	const credential = home.credential({}, entra);
	let reads = 0;
	const changing = new Proxy(['a/.default'], {
		get: (target, name, receiver) => name === '0' ? ['a/.default', 'b/.default', 'c/.default'][reads++ % 3] : Reflect.get(target, name, receiver) as unknown,
	});
	for (let call = 0; call < 6; call++) {
		const {token} = await credential.getToken(changing);
		const asked = entra.grants.find(grant => grant.accessToken === token)!.request.form.get('scope')!.split(' ')[0]!;
		t.is((await credential.getToken(asked)).token, token, `call ${call}: ${asked}`);
	}

	let tenants = 0;
	const options: {readonly tenantId: string | undefined} = {
		get tenantId() {
			return tenants++ === 0 ? undefined : '0d000000-0000-4000-8000-000000000004';
		},
	};
	const {token} = await credential.getToken(['a/.default'], options as GetTokenOptions);
	t.is((await credential.getToken('a/.default')).token, token);
});

for (const useNativeAddon of [true, false]) {
	const name = useNativeAddon ? 'native' : 'pure';

	test(`${name}: G13: claims that are nested too deeply are refused by name, in every kind of request`, async t => {
		const entra = await startEntraServer({refreshTokens: {'FAKE-refresh': ann}});
		t.teardown(async () => entra.close());
		const home = new TestHome(t);
		home.writeAccount(ann, 'FAKE-refresh');
		const credential = home.credential({useNativeAddon}, entra);
		const nested = (levels: number) => [
			`{"access_token":${'['.repeat(levels)}${']'.repeat(levels)}}`,
			`{"access_token":${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}}`,
			`{"x":1,"access_token":{"a":[1,${'[{"a":'.repeat(levels / 2)}{}${'}]'.repeat(levels / 2)}]}}`,
		];
		for (const claims of [...nested(200_000), ...nested(2000)]) {
			for (const enableCae of [false, true]) {
				const error = await t.throwsAsync(credential.getToken(scope, {claims, enableCae}), {instanceOf: TypeError, message: /^claims of getToken must be a JSON object as text, of at most 100 levels/});
				t.is((error as {code?: unknown}).code, 'STC_INVALID_ARGUMENT');
			}
		}

		t.is(entra.grants.length, 0);
		// Many values on few levels are no reason to refuse.
		for (const claims of [...nested(90), `{"access_token":{"a":${JSON.stringify(Array.from({length: 1000}, () => ({})))}}}`]) {
			await credential.getToken(scope, {claims});
			t.is(entra.grants.at(-1)!.request.form.get('claims'), claims);
		}
	});
}

test('G13: settings and requests have keys of their own although the program gave all objects a toJSON', async t => {
	const homes = [new TestHome(t), new TestHome(t)] as const;
	for (const [home, user] of [[homes[0], ann], [homes[1], bob]] as const) {
		home.write(cacheOf({
			accounts: [accountRecord(user)],
			refreshTokens: [refreshTokenRecord(user, 'FAKE-refresh')],
			accessTokens: [
				accessTokenRecord(user, `FAKE-${user.username}`, 3600),
				accessTokenRecord(user, `FAKE-other-${user.username}`, 3600, {target: 'other/.default'}),
			],
		}));
	}

	const program = `
		Object.prototype.toJSON = function () { return 'all the same'; };
		const {SharedTokenCacheCredential} = require('./dist/index.js');
		(async () => {
			const tokens = [];
			for (const home of process.argv.slice(1)) {
				process.env.HOME = home;
				const credential = new SharedTokenCacheCredential();
				const [one, two] = await Promise.all([credential.getToken(${JSON.stringify(scope)}), credential.getToken('other/.default')]);
				tokens.push(one.token, two.token);
			}
			console.log(tokens.join(' '));
		})();
	`;
	const {stdout} = await run(process.execPath, ['--eval', program, ...homes.map(({path}) => path)], {cwd: root});
	t.is(stdout.trim(), 'FAKE-ann@contoso.com FAKE-other-ann@contoso.com FAKE-bob@fabrikam.com FAKE-other-bob@fabrikam.com');
});

const machines: Array<[name: string, home: string | undefined, uid: number | undefined, problem: RegExp]> = [
	['HOME is empty', '', undefined, /the variable HOME is empty/],
	['HOME is relative', 'somewhere', undefined, /the variable HOME is not an absolute path/],
	['HOME is not set and the user is unknown', undefined, 54_321, /HOME is not set, and the system knows no home directory of this user/],
];

for (const [name, home, uid, problem] of machines) {
	const asRoot = process.getuid?.() === 0;
	(uid !== undefined && !asRoot ? test.skip : test)(`C9: a chain can be built although ${name}`, async t => {
		const folder = mkdtempSync(join(tmpdir(), 'stc-unknown-'));
		t.teardown(() => {
			rmSync(folder, {recursive: true});
		});
		// Another user reads there.
		chmodSync(folder, 0o755);
		const cachePath = join(folder, 'cache.json');
		writeFileSync(cachePath, JSON.stringify(cacheOf({accounts: [accountRecord(ann)], refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh')]})), {mode: 0o644});
		const program = `
			const {createCachePlugin, SharedTokenCache, SharedTokenCacheCredential} = require('./dist/index.js');
			new SharedTokenCacheCredential().getToken('a/.default').catch(() => {}).then(async () => {
				${uid === undefined ? '' : `process.setuid(${uid});`}
				${home === undefined ? 'delete process.env.HOME;' : `process.env.HOME = ${JSON.stringify(home)};`}
				const outcome = promise => promise.then(value => ({value}), ({name, code, message}) => ({name, code, message}));
				const unsafe = {unsafeAllowUnencryptedStorage: true};
				const credential = new SharedTokenCacheCredential({username: 'x'});
				const shared = new SharedTokenCache();
				const plugin = createCachePlugin();
				const context = {cacheHasChanged: false, tokenCache: {serialize: () => '{}', deserialize() {}}};
				console.log(JSON.stringify({
					token: await outcome(credential.getToken('a/.default')),
					accounts: await outcome(credential.listAccounts()),
					shared: await outcome(shared.listAccounts()),
					removed: await outcome(shared.removeAccount({homeAccountId: 'a.b'})),
					written: await outcome(shared.withCache(() => undefined)),
					plugin: await outcome(plugin.beforeCacheAccess(context)),
					named: await outcome(new SharedTokenCache({cachePath: process.argv[1], tokenCachePersistenceOptions: unsafe}).listAccounts()),
					closed: await outcome(credential.close()),
				}));
			});
		`;
		const {stdout} = await run(process.execPath, ['--eval', program, cachePath], {cwd: uid === undefined ? root : openCopy(), env: {...process.env, HOME: folder}});
		const {named, closed, ...others} = JSON.parse(stdout) as Record<string, {name?: string; code?: string; message?: string; value?: unknown[]}>;
		t.deepEqual(closed, {});
		t.is(named?.value?.length, 1, 'cachePath needs no home directory');
		for (const [operation, outcome] of Object.entries(others)) {
			t.is(outcome.code, 'STC_CACHE_NOT_FOUND', operation);
			t.regex(outcome.message ?? '', problem, operation);
			t.regex(outcome.message ?? '', /Set HOME to the home directory of the user who signed in\.$/, operation);
		}

		t.is(others['token']?.name, 'CredentialUnavailableError');
		t.is(others['accounts']?.name, 'CredentialUnavailableError');
		t.is(others['removed']?.name, 'StoreError');
	});
}

test('C5: unknown options are named in one warning', async t => {
	const options = {
		tlsOptions: {}, httpClient: {}, tenatId: 'x', retryOptions: {maxRetry: 1}, tokenCachePersistenceOptions: {Nam: 'x'},
	};
	t.notThrows(() => new SharedTokenCacheCredential(options as object));
	await until(() => lines.some(line => line.startsWith('Unknown options')));
	t.deepEqual(lines.filter(line => line.startsWith('Unknown options')), ['Unknown options of SharedTokenCacheCredential are ignored: "tlsOptions", "httpClient", "tenatId", "tokenCachePersistenceOptions.Nam", "retryOptions.maxRetry".']);
	t.throws(() => new SharedTokenCache({tlsOptions: {}} as object), {message: /"tlsOptions" does not exist here/});
});

test.serial('C5: an empty user name before the options switches the variable off, and overrides no option', async t => {
	const home = new TestHome(t);
	home.write(cacheOf({
		accounts: [accountRecord(ann), accountRecord(bob)],
		refreshTokens: [refreshTokenRecord(ann, 'FAKE-refresh'), refreshTokenRecord(bob, 'FAKE-refresh')],
		accessTokens: [accessTokenRecord(ann, 'FAKE-ann', 3600), accessTokenRecord(bob, 'FAKE-bob', 3600)],
	}));
	const before = {...process.env};
	Object.assign(process.env, {HOME: home.path, AZURE_USERNAME: ann.username, AZURE_TENANT_ID: ann.utid});
	t.teardown(() => {
		process.env = before;
	});
	t.is((await new SharedTokenCacheCredential().getToken(scope)).token, 'FAKE-ann');
	await t.throwsAsync(new SharedTokenCacheCredential('', {tenantId: ''}).getToken(scope), {code: 'STC_AMBIGUOUS_ACCOUNT'});
	t.is((await new SharedTokenCacheCredential('', {username: bob.username, tenantId: ''}).getToken(scope)).token, 'FAKE-bob');
	t.is((await new SharedTokenCacheCredential({username: '', tenantId: bob.utid}).getToken(scope)).token, 'FAKE-bob');
});
