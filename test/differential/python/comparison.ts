/** Runs both credentials, each with the case's cache in its own home directory, and records the outcomes. */

import {type ChildProcessWithoutNullStreams, spawn} from 'node:child_process';
import {once} from 'node:events';
import {
	mkdirSync, mkdtempSync, rmSync, writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import process from 'node:process';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';
import type {Agent} from 'undici';
import {SharedTokenCacheCredential, type SharedTokenCacheCredentialOptions} from '../../../dist/index.js';
import {loopbackDispatcher} from '../../helpers/authority/dispatcher.js';
import {clientInfo} from '../../helpers/authority/entra-answers.js';
import {
	body, changedGrant, grantWithout, html, interactionRequired, invalidGrant, invalidJson, oauthError,
} from '../../helpers/authority/entra-faults.js';
import {
	type Behaviour, type EntraServer, type JsonObject, startEntraServer,
} from '../../helpers/authority/entra-server.js';
import {debianPython} from '../../helpers/peers/peers.js';
import {
	cacheText, chinaHosts, governmentHosts, publicHosts, unknownHost,
} from '../caches.js';
import type {Comparison, Outcomes} from '../comparison.js';
import type {Random} from '../random.js';
import {
	type AnswerKind, type Case, makeCase, smallerCases,
} from './cases.js';
import {
	cacheError, cacheUnavailable, describeRequest, grantedForSec, grantedToken, noAccounts, type Outcome, predict,
} from './model.js';
import {type RuleName, ruleNames} from './rules.js';

const variables = ['AZURE_USERNAME', 'AZURE_TENANT_ID', 'AZURE_AUTHORITY_HOST', 'AZURE_IDENTITY_DISABLE_MULTITENANTAUTH'] as const;

const noTenant = 'no-tenant';

type PythonAnswer = {kind: Outcome['kind']; type?: string; message?: string; token?: string; expiresOn?: number};

export class PythonComparison implements Comparison<Case, Outcome, RuleName> {
	static async start(): Promise<PythonComparison> {
		const server = await startEntraServer({rotation: 'off', extraNames: [...publicHosts, ...chinaHosts, ...governmentHosts, unknownHost]});
		const folder = mkdtempSync(join(tmpdir(), 'stc-differential-'));
		const ca = join(folder, 'ca.pem');
		writeFileSync(ca, server.ca);
		// No keyring: both credentials use plaintext files.
		process.env['DBUS_SESSION_BUS_ADDRESS'] = `unix:path=${join(folder, 'no-bus')}`;
		const python = spawn(debianPython, ['-B', fileURLToPath(new URL('peer.py', import.meta.url))], {
			stdio: ['pipe', 'pipe', 'inherit'],
			env: {PATH: process.env['PATH'], HOME: folder, DBUS_SESSION_BUS_ADDRESS: process.env['DBUS_SESSION_BUS_ADDRESS']},
		}) as unknown as ChildProcessWithoutNullStreams;
		const peers = new PythonComparison(server, folder, python);
		peers.#versions = await peers.#ask({port: server.port, ca});
		const identity = peers.#versions['azure-identity'] ?? '';
		if (!identity.startsWith('1.13.')) {
			await peers.close();
			throw new Error(`The rules are those of azure-identity 1.13 (Debian 12), and this is ${identity}. Run it on Debian 12.`);
		}

		return peers;
	}

	readonly peerName = 'Python';
	readonly rules = ruleNames;
	#versions: Readonly<Record<string, string>> = {};
	#serial = 0;
	readonly #server: EntraServer;
	readonly #folder: string;
	readonly #python: ChildProcessWithoutNullStreams;
	readonly #lines: AsyncIterator<string, undefined>;
	readonly #dispatcher: Agent;

	private constructor(server: EntraServer, folder: string, python: ChildProcessWithoutNullStreams) {
		this.#server = server;
		this.#folder = folder;
		this.#python = python;
		this.#lines = createInterface({input: python.stdout})[Symbol.asyncIterator]();
		this.#dispatcher = loopbackDispatcher(server);
	}

	versions(): Readonly<Record<string, string>> {
		return this.#versions;
	}

	makeCase(random: Random): Case {
		return makeCase(random);
	}

	predict(testCase: Case, isOn: (rule: RuleName) => boolean): Outcome {
		return predict(testCase, isOn);
	}

	describe({kind, requests}: Outcome): string {
		return `${kind}${requests.length > 0 ? ` after ${requests.length === 1 ? 'a request' : 'several requests'}` : ''}`;
	}

	smallerCases(testCase: Case): Iterable<Case> {
		return smallerCases(testCase);
	}

	cacheText({cache}: Case): string {
		return cache === null ? 'none' : cacheText(cache, 0);
	}

	/** Runs both with the same cache and server. */
	async ask(testCase: Case): Promise<Outcomes<Outcome>> {
		const nowSec = Math.floor(Date.now() / 1000);
		this.#server.refreshTokens.clear();
		for (const [secret, homeAccountId] of refreshTokensOf(testCase)) {
			const [uid = '', utid = noTenant] = homeAccountId.split('.');
			this.#server.refreshTokens.set(secret, {uid, utid, username: 'someone@contoso.com'});
		}

		this.#server.scriptAll(async exchange => answerFor(testCase)(exchange));
		const peer = await this.#inHome(testCase, nowSec, 'msal.cache', async home => this.#askPython(testCase, home, nowSec));
		const ours = await this.#inHome(testCase, nowSec, 'msal.cache.nocae', async home => this.#askOurs(testCase, home, nowSec));
		return {peer, ours};
	}

	async close(): Promise<void> {
		const exit = once(this.#python, 'exit');
		this.#python.stdin.end();
		await exit;
		await this.#dispatcher.close();
		await this.#server.close();
		rmSync(this.#folder, {recursive: true});
	}

	async #inHome(testCase: Case, nowSec: number, name: string, job: (home: string) => Promise<Omit<Outcome, 'requests'>>): Promise<Outcome> {
		const home = join(this.#folder, String(this.#serial++));
		mkdirSync(join(home, '.IdentityService'), {recursive: true, mode: 0o700});
		if (testCase.cache !== null) {
			writeFileSync(join(home, '.IdentityService', name), cacheText(testCase.cache, nowSec), {mode: 0o600});
		}

		this.#server.requests.length = 0;
		try {
			const outcome = await job(home);
			return {
				...outcome,
				requests: this.#server.requests.map(({headers, path, form}) => describeRequest({host: headers['host'] ?? '', path, form: Object.fromEntries(form)})),
			};
		} finally {
			rmSync(home, {recursive: true});
		}
	}

	async #askPython({options, environment, request}: Case, home: string, nowSec: number): Promise<Omit<Outcome, 'requests'>> {
		const {kind, message, token, expiresOn} = await this.#ask<PythonAnswer>({
			home,
			environment,
			options: definedOnly({
				username: options.username, tenant_id: options.tenantId, authority: options.authority, additionally_allowed_tenants: options.additionallyAllowedTenants,
			}),
			scopes: request.scopes,
			request: definedOnly({tenant_id: request.tenantId, claims: request.claims}),
		});
		if (kind === 'token') {
			return {kind, ...tokenOf(token!, expiresOn! - nowSec)};
		}

		return {kind, ...definedOnly({text: kind === 'raw' ? undefined : seedText(message!), oauthError: kind === 'auth' ? pythonOauthError(message!) : undefined})};
	}

	async #askOurs({options, environment, request}: Case, home: string, nowSec: number): Promise<Omit<Outcome, 'requests'>> {
		process.env['HOME'] = home;
		for (const name of variables) {
			delete process.env[name];
		}

		Object.assign(process.env, environment);
		let credential: SharedTokenCacheCredential | undefined;
		try {
			const {authority, ...rest} = options;
			const all: SharedTokenCacheCredentialOptions = {
				...rest,
				...(authority !== undefined && {authorityHost: authority}),
				// Python's class never checks whether a host is an authority.
				disableInstanceDiscovery: true,
				retryOptions: {maxRetries: 0},
				dispatcher: this.#dispatcher,
				// Both backends, alternately.
				...(this.#serial % 4 === 0 && {useNativeAddon: false}),
			};
			credential = new SharedTokenCacheCredential(all);
			const {token, expiresOnTimestamp} = await credential.getToken([...request.scopes], definedOnly({tenantId: request.tenantId, claims: request.claims}));
			return {kind: 'token', ...tokenOf(token, Math.floor(expiresOnTimestamp / 1000) - nowSec)};
		} catch (error) {
			const {name, code, message, errorResponse} = error as Error & {code?: string; errorResponse?: {error: string}};
			const kind = code === 'STC_INVALID_ARGUMENT' ? 'argument' : kinds[name];
			return {kind: kind ?? 'raw', ...definedOnly({text: seedText(message), oauthError: errorResponse?.error})};
		} finally {
			await credential?.close();
		}
	}

	async #ask<Answer>(line: unknown): Promise<Answer> {
		this.#python.stdin.write(`${JSON.stringify(line)}\n`);
		const next = await this.#lines.next();
		if (next.done) {
			throw new Error('The Python program ended. Its output is above.');
		}

		return JSON.parse(next.value) as Answer;
	}
}

const kinds: Readonly<Record<string, Outcome['kind']>> = {
	CredentialUnavailableError: 'unavailable', AuthenticationRequiredError: 'required', AuthenticationError: 'auth',
};

/** The expiry of a grant is inexact by the duration of the request. */
function tokenOf(token: string, expiresIn: number): {token: string; expiresIn: number} {
	const isGranted = token.startsWith(grantedToken(''));
	return {token, expiresIn: isGranted && Math.abs(expiresIn - grantedForSec) < 60 ? grantedForSec : expiresIn};
}

/** The part of a message that comes from Python's class, without additions. */
function seedText(message: string): string | undefined {
	for (const text of [noAccounts, cacheUnavailable, cacheError]) {
		if (message.includes(text)) {
			return text;
		}
	}

	const patterns = [
		/^SharedTokenCacheCredential authentication unavailable\. Multiple accounts\swere found in the cache\. Use username and tenant id to disambiguate\./,
		/^SharedTokenCacheCredential authentication unavailable\. No account\smatching the specified.* was found in the cache\./,
		/^SharedTokenCacheCredential authentication unavailable\. Multiple accounts\smatching the specified.* were found in the cache\./,
		/^Token acquisition failed for user '.*'\./,
		/The current credential is not configured to acquire tokens for tenant .*?\.(?= To enable)/,
	];
	return patterns.map(pattern => pattern.exec(message)?.[0]).find(text => text !== undefined);
}

function pythonOauthError(message: string): string | undefined {
	return /^Azure Active Directory error '(?:\((\w+)\)|\{'error': '(\w+)')/.exec(message)?.slice(1).find(Boolean);
}

function refreshTokensOf({cache}: Case): Array<[string, string]> {
	return cache === null || typeof cache === 'string'
		? []
		: cache.RefreshToken.flatMap(record => typeof record === 'string' || typeof record['secret'] !== 'string' ? [] : [[record['secret'], (record['home_account_id'] ?? '') as string]]);
}

/** The response of the case for the redeemed refresh token. */
function answerFor({answers}: Case): Behaviour {
	return async exchange => {
		const sent = exchange.request.form.get('refresh_token') ?? '';
		await behaviourOf(answers[sent] ?? 'granted', sent)(exchange);
	};
}

function behaviourOf(kind: AnswerKind, refreshToken: string): Behaviour {
	const granted = (further: JsonObject = {}) => changedGrant(({client_info: info, ...json}) => ({
		...json,
		// The authority never returns an account ID without a tenant.
		...(info !== undefined && !isOfNoTenant(info as string) && {client_info: info}),
		access_token: grantedToken(refreshToken),
		...further,
	}));
	switch (kind) {
		case 'granted': {
			return granted();
		}

		case 'rotated': {
			return granted({refresh_token: `${refreshToken}-renewed`, foci: '1'});
		}

		case 'other-account': {
			return granted({client_info: clientInfo({uid: 'somebody', utid: 'else'})});
		}

		case 'invalid_grant': {
			return invalidGrant();
		}

		case 'interaction_required': {
			return interactionRequired();
		}

		case 'invalid_client': {
			return oauthError({error: 'invalid_client', code: 7_000_218, text: 'The request body must contain a client secret.'}, 401);
		}

		case 'undescribed-error': {
			return body('{"error":"server_error"}', {status: 400});
		}

		case 'unavailable-503': {
			return oauthError({error: 'temporarily_unavailable', code: 90_033, text: 'A transient error has occurred.'}, 503);
		}

		case 'html': {
			return html();
		}

		case 'broken-json': {
			return invalidJson();
		}

		case 'empty-object': {
			return body('{}');
		}

		case 'no-access-token': {
			return grantWithout('access_token');
		}

		case 'no-expiry': {
			return grantWithout('expires_in', 'expires_on');
		}
	}
}

function isOfNoTenant(info: string): boolean {
	return (JSON.parse(Buffer.from(info, 'base64url').toString()) as {utid: string}).utid === noTenant;
}

type Definite<Fields> = {[Name in keyof Fields]: Exclude<Fields[Name], undefined>};

function definedOnly<Fields extends object>(fields: Fields): Partial<Definite<Fields>> {
	return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<Definite<Fields>>;
}
