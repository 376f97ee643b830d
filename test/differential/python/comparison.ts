/** Runs both credentials, each with the case's cache in its own home directory, and records the outcomes. */

import {type ChildProcessWithoutNullStreams, spawn} from 'node:child_process';
import {once} from 'node:events';
import {
	existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync,
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
	body, grantWithout, html, interactionRequired, invalidGrant, invalidJson, oauthError,
} from '../../helpers/authority/entra-faults.js';
import {type Behaviour, type EntraServer, startEntraServer} from '../../helpers/authority/entra-server.js';
import {
	acceptTokens, firstOf, granted, grantedForSec, grantedToken, rotated,
} from '../authority.js';
import {
	cacheText, chinaHosts, governmentHosts, publicHosts, unknownHost, writtenCache,
} from '../caches.js';
import type {Comparison, Outcomes} from '../comparison.js';
import type {Random} from '../random.js';
import {
	type AnswerKind, type Call, type Case, makeCase, smallerCases,
} from './cases.js';
import {
	type CallOutcome, describeRequest, type Outcome, predict, someone, viewOf,
} from './model.js';
import {makePlainCase, pythonKey} from './plain-cases.js';
import {type RuleName, ruleNames} from './rules.js';

const variables = ['AZURE_USERNAME', 'AZURE_TENANT_ID', 'AZURE_AUTHORITY_HOST', 'AZURE_IDENTITY_DISABLE_MULTITENANTAUTH'] as const;

type PythonAnswer = {kind: CallOutcome['kind']; type?: string; message?: string; token?: string; expiresOn?: number; sent: number};

/** Where scripts/test-differential.mjs installs azure-identity. */
export const pythonFolder = fileURLToPath(new URL('../../../.cache/differential-python/', import.meta.url));

export class PythonComparison implements Comparison<Case, Outcome, RuleName> {
	static async start(): Promise<PythonComparison> {
		const server = await startEntraServer({rotation: 'off', extraNames: [...publicHosts, ...chinaHosts, ...governmentHosts, unknownHost]});
		const folder = mkdtempSync(join(tmpdir(), 'stc-differential-'));
		const ca = join(folder, 'ca.pem');
		writeFileSync(ca, server.ca);
		// No keyring: both credentials use plaintext files.
		process.env['DBUS_SESSION_BUS_ADDRESS'] = `unix:path=${join(folder, 'no-bus')}`;
		const python = spawn(join(pythonFolder, 'bin', 'python'), ['-B', fileURLToPath(new URL('peer.py', import.meta.url))], {
			stdio: ['pipe', 'pipe', 'inherit'],
			env: {PATH: process.env['PATH'], HOME: folder, DBUS_SESSION_BUS_ADDRESS: process.env['DBUS_SESSION_BUS_ADDRESS']},
		}) as unknown as ChildProcessWithoutNullStreams;
		const peers = new PythonComparison(server, folder, python);
		peers.#versions = await peers.#ask({port: server.port, ca});
		const [, pinned] = /^azure-identity==(.+)$/m.exec(readFileSync(new URL('requirements.txt', import.meta.url), 'utf8')) ?? [];
		if (peers.#versions['azure-identity'] !== pinned) {
			await peers.close();
			throw new Error(`The rules are those of azure-identity ${pinned}, and this is ${peers.#versions['azure-identity']}.`);
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

	makeCase(random: Random, isPlain: boolean): Case {
		return isPlain ? makePlainCase(random) : makeCase(random);
	}

	predict(testCase: Case, isOn: (rule: RuleName) => boolean): Outcome {
		return predict(testCase, isOn);
	}

	isPlain({isPlain}: Case): boolean {
		return isPlain;
	}

	describe({calls}: Outcome): string {
		return calls.map(({kind, requests}) => `${kind}${requests.length > 0 ? `, ${requests.length === 1 ? 'a request' : 'several requests'}` : ''}`).join('; ');
	}

	smallerCases(testCase: Case): Iterable<Case> {
		return smallerCases(testCase);
	}

	cacheText({cache, caeCache, hasPythonKeys}: Case): string {
		return [cache, caeCache].map(each => each === null ? 'none' : cacheText(each, 0, hasPythonKeys ? pythonKey : undefined)).join('\nCAE: ');
	}

	/** Runs both with the same caches and server. */
	async ask(testCase: Case): Promise<Outcomes<Outcome>> {
		const peer = await this.#inHome(testCase, async (home, nowSec) => this.#askPython(testCase, home, nowSec));
		const ours = await this.#inHome(testCase, async (home, nowSec) => this.#askOurs(testCase, home, nowSec));
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

	async #inHome(testCase: Case, job: (home: string, nowSec: number) => Promise<Answer[]>): Promise<Outcome> {
		const nowSec = Math.floor(Date.now() / 1000);
		const home = join(this.#folder, String(this.#serial++));
		const files = [['msal.cache.nocae', testCase.cache], ['msal.cache.cae', testCase.caeCache]] as const;
		mkdirSync(join(home, '.IdentityService'), {recursive: true, mode: 0o700});
		for (const [name, cache] of files) {
			if (cache !== null) {
				writeFileSync(join(home, '.IdentityService', name), cacheText(cache, nowSec, testCase.hasPythonKeys ? pythonKey : undefined), {mode: 0o600});
			}
		}

		acceptTokens(this.#server, refreshTokensOf(testCase), sent => behaviourOf(testCase.answers[firstOf(sent)] ?? 'granted', sent));
		try {
			const answers = await job(home, nowSec);
			const requests = this.#server.requests.map(({headers, path, form}) => describeRequest({host: headers['host'] ?? '', path, form: Object.fromEntries(form)}));
			const ends = answers.map(({sent}) => sent);
			const written = files.map(([name]) => {
				const path = join(home, '.IdentityService', name);
				return writtenCache(existsSync(path) ? readFileSync(path, 'utf8') : null, nowSec);
			});
			return {
				calls: answers.map(({sent, ...answer}, index) => ({...answer, requests: requests.slice(ends[index - 1] ?? 0, sent)})),
				files: testCase.isPlain ? written : written.map(each => viewOf(each)),
			};
		} finally {
			rmSync(home, {recursive: true});
		}
	}

	async #askPython({options, environment, calls}: Case, home: string, nowSec: number): Promise<Answer[]> {
		const answers = await this.#ask<PythonAnswer[]>({
			home,
			environment,
			options: definedOnly({
				username: options.username, tenant_id: options.tenantId, authority: options.authority, additionally_allowed_tenants: options.additionallyAllowedTenants,
			}),
			calls: calls.map(({scopes, tenantId, claims, enableCae}) => ({scopes, request: definedOnly({tenant_id: tenantId, claims, enable_cae: enableCae})})),
		});
		return answers.map(({kind, message = '', token, expiresOn, sent}) => ({
			kind, sent, ...(kind === 'token' ? tokenOf(token!, expiresOn! - nowSec) : definedOnly({reason: kind === 'unavailable' ? pythonReason(message) : undefined, oauthError: kind === 'auth' ? pythonOauthError(message) : undefined})),
		}));
	}

	async #askOurs({options, environment, calls}: Case, home: string, nowSec: number): Promise<Answer[]> {
		process.env['HOME'] = home;
		for (const name of variables) {
			delete process.env[name];
		}

		Object.assign(process.env, environment);
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
		let credential: SharedTokenCacheCredential;
		try {
			credential = new SharedTokenCacheCredential(all);
		} catch (error) {
			return calls.map(() => ({...this.#failed(error), sent: 0}));
		}

		const answers: Answer[] = [];
		try {
			for (const {scopes, ...request} of calls) {
				answers.push(await this.#outcomeOf(credential, scopes, request, nowSec));
			}
		} finally {
			await credential.close();
		}

		return answers;
	}

	async #outcomeOf(credential: SharedTokenCacheCredential, scopes: readonly string[], request: Omit<Call, 'scopes'>, nowSec: number): Promise<Answer> {
		try {
			const {token, expiresOnTimestamp} = await credential.getToken([...scopes], request);
			return {kind: 'token', ...tokenOf(token, Math.floor(expiresOnTimestamp / 1000) - nowSec), sent: this.#server.requests.length};
		} catch (error) {
			return {...this.#failed(error), sent: this.#server.requests.length};
		}
	}

	#failed(error: unknown): Omit<Answer, 'sent'> {
		const {name, code, errorResponse} = error as Error & {code?: string; errorResponse?: {error: string}};
		const kind = (code === 'STC_INVALID_ARGUMENT' ? 'argument' : kinds[name]) ?? 'raw';
		return {kind, ...definedOnly({reason: kind === 'unavailable' ? reasons[code ?? ''] : undefined, oauthError: errorResponse?.error})};
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

/** @property sent How many requests had been sent when the call ended. */
type Answer = Omit<CallOutcome, 'requests'> & {sent: number};

/** What is wrong, by our error code. */
const reasons: Readonly<Record<string, string>> = {
	STC_NO_ACCOUNT: 'no account', STC_AMBIGUOUS_ACCOUNT: 'several accounts', STC_CACHE_NOT_FOUND: 'no cache', STC_CACHE_CORRUPT: 'no cache', STC_TENANT_NOT_ALLOWED: 'tenant',
};

/** The same, by the message of Python's class. */
function pythonReason(message: string): string | undefined {
	const patterns = {
		'no account': /No accounts? ?\s*(?:were found|matching)/, 'several accounts': /Multiple accounts/, 'no cache': /^Shared token cache unavailable/, 'cache error': /^Error accessing cached data/, 'no token': /^Token acquisition failed/, tenant: /not configured to acquire tokens for tenant/,
	};
	return Object.entries(patterns).find(([, pattern]) => pattern.test(message))?.[0];
}

const kinds: Readonly<Record<string, CallOutcome['kind']>> = {
	CredentialUnavailableError: 'unavailable', AuthenticationRequiredError: 'required', AuthenticationError: 'auth',
};

/** The expiry of a grant is inexact by the duration of the request. */
function tokenOf(token: string, expiresIn: number): {token: string; expiresIn: number} {
	const isGranted = token.startsWith(grantedToken(''));
	return {token, expiresIn: isGranted && Math.abs(expiresIn - grantedForSec) < 60 ? grantedForSec : expiresIn};
}

function pythonOauthError(message: string): string | undefined {
	return /^Microsoft Entra ID error '(?:\((\w+)\)|\{'error': '(\w+)')/.exec(message)?.slice(1).find(Boolean);
}

function refreshTokensOf({cache, caeCache, names}: Case): Array<{secret: string; homeAccountId: string; username: string}> {
	return [cache, caeCache].flatMap(each => each === null || typeof each === 'string' ? [] : each.RefreshToken).flatMap(record => {
		if (typeof record === 'string' || typeof record['secret'] !== 'string') {
			return [];
		}

		const {secret, home_account_id: homeAccountId = ''} = record as {secret: string; home_account_id?: string};
		return [{secret, homeAccountId, username: names[homeAccountId] ?? someone}];
	});
}

function behaviourOf(kind: AnswerKind, refreshToken: string): Behaviour {
	switch (kind) {
		case 'granted': {
			return granted(refreshToken);
		}

		case 'rotated': {
			return rotated(refreshToken);
		}

		case 'other-account': {
			return granted(refreshToken, {client_info: clientInfo({uid: 'somebody', utid: 'else'})});
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

		case 'unauthorized_client': {
			return oauthError({error: 'unauthorized_client', code: 700_016, text: 'The application was not found in the directory.'});
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

type Definite<Fields> = {[Name in keyof Fields]: Exclude<Fields[Name], undefined>};

function definedOnly<Fields extends object>(fields: Fields): Partial<Definite<Fields>> {
	return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<Definite<Fields>>;
}
