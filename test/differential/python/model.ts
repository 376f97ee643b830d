/**
 * Predicts what the two credentials do with a case: Python's class with all rules off, ours with all rules on. Written
 * from azure-identity for Python 1.13, MSAL for Python 1.21 and docs/differences.md. A run compares both ends with the real
 * credentials. The steps in between show which rule explains a difference.
 */

import {
	type CacheContent, type CacheRecord, chinaHosts, consumers, governmentHosts, type Json, ourClient, publicHosts, secondsOf, type SectionName,
} from '../caches.js';
import type {AnswerKind, Case} from './cases.js';
import type {RuleName} from './rules.js';

/**
 * - `unavailable`: a credential chain continues. `required`: it continues, and the error says that the user must act.
 * - `auth`: a chain stops. `argument`: an error of the caller. `raw`: an exception of an undocumented class.
 */
export type OutcomeKind = 'token' | 'unavailable' | 'required' | 'auth' | 'argument' | 'raw';

export type Outcome = {
	kind: OutcomeKind;
	token?: string;
	/** Seconds after the cache was written. */
	expiresIn?: number;
	/** The message of Python's class, as far as it has one. */
	text?: string;
	/** The OAuth error code from the authority, if any. */
	oauthError?: string;
	/** Method, host, path and form, in the order in which they were sent. */
	requests: string[];
};

export type SentRequest = {host: string; path: string; form: Readonly<Record<string, string>>};

/** The order of the fields does not matter. */
export function describeRequest({host, path, form}: SentRequest): string {
	return `POST ${host.toLowerCase()}${path} ${Object.entries(form).map(([name, value]) => `${name}=${value}`).toSorted().join('&')}`;
}

/** The access token that this refresh token gives. */
export function grantedToken(refreshToken: string): string {
	return `FAKE-granted-for-${refreshToken}`;
}

export const grantedForSec = 3600;
export const noAccounts = 'SharedTokenCacheCredential authentication unavailable. No accounts were found in the cache.';
export const cacheUnavailable = 'Shared token cache unavailable';
export const cacheError = 'Error accessing cached data';

class Failure extends Error {
	constructor(readonly kind: OutcomeKind, readonly text?: string, readonly oauthError?: string) {
		super(kind);
	}
}

export function predict(testCase: Case, isOn: (rule: RuleName) => boolean): Outcome {
	const requests: string[] = [];
	try {
		return {kind: 'token', ...new Model(testCase, isOn, requests).getToken(), requests};
	} catch (error) {
		if (!(error instanceof Failure)) {
			throw error;
		}

		const {kind, text, oauthError} = error;
		return {
			kind, ...(text !== undefined && {text}), ...(oauthError !== undefined && {oauthError}), requests,
		};
	}
}

type Token = {token: string; expiresIn: number};

const tenantPattern = /^[A-Za-z\d.-]+$/;
const minimumLifetimeSec = 300;
const toleratedSkewSec = 900;

class Model {
	readonly #case: Case;
	readonly #isOn: (rule: RuleName) => boolean;
	readonly #requests: string[];
	readonly #username: string | undefined;
	readonly #tenantId: string | undefined;
	readonly #host: string;
	readonly #aliases: readonly string[];
	readonly #scopes: readonly string[];
	readonly #claims: string | undefined;
	readonly #requestTenant: string | undefined;

	constructor(testCase: Case, isOn: (rule: RuleName) => boolean, requests: string[]) {
		const {options, environment, request} = testCase;
		this.#case = testCase;
		this.#isOn = isOn;
		this.#requests = requests;
		const hasDefaults = isOn('environment defaults');
		this.#username = options.username ?? (hasDefaults ? environment.AZURE_USERNAME : undefined);
		this.#tenantId = options.tenantId ?? (hasDefaults ? environment.AZURE_TENANT_ID : undefined);
		const authority = options.authority ?? environment.AZURE_AUTHORITY_HOST ?? publicHosts[0];
		if (authority.startsWith('http:')) {
			throw new Failure('argument');
		}

		const host = authority.replace('https://', '').replace(/\/$/, '');
		this.#host = isOn('ignoring case: authority') ? host.toLowerCase() : host;
		this.#aliases = [publicHosts, chinaHosts, governmentHosts].find(hosts => (hosts as readonly string[]).includes(this.#host)) ?? [this.#host];
		const checksArguments = isOn('checked arguments');
		if (checksArguments && this.#tenantId !== undefined && !tenantPattern.test(this.#tenantId)) {
			throw new Failure('argument');
		}

		this.#scopes = isOn('scopes in one string') ? request.scopes.flatMap(scope => scope.split(' ')) : request.scopes;
		if (this.#scopes.length === 0 || (checksArguments && this.#scopes.some(scope => scope.includes('"')))) {
			throw new Failure('argument');
		}

		if (checksArguments && request.tenantId !== undefined && !tenantPattern.test(request.tenantId)) {
			throw new Failure('argument');
		}

		this.#requestTenant = isOn('request tenant') ? this.#allowedTenant() : undefined;
		this.#claims = isOn('claims') ? request.claims : undefined;
		if (this.#claims !== undefined && !this.#claims.startsWith('{')) {
			throw new Failure('argument');
		}
	}

	getToken(): Token {
		const sections = this.#sections();
		const account = this.#account(sections);
		const cached = this.#cached(account, sections, minimumLifetimeSec);
		if (cached) {
			return cached;
		}

		try {
			return this.#redeem(account, sections);
		} catch (error) {
			const isDown = error instanceof Failure && error.kind === 'auth';
			const lastResort = isDown && this.#isOn('last resort') ? this.#cached(account, sections, 0) : undefined;
			if (lastResort) {
				return lastResort;
			}

			throw error;
		}
	}

	#sections(): CacheContent {
		const {cache} = this.#case;
		if (cache === null) {
			throw new Failure('unavailable', this.#isOn('missing cache') ? cacheUnavailable : noAccounts);
		}

		if (typeof cache === 'string') {
			throw this.#isOn('corrupt cache') ? new Failure('unavailable', cacheUnavailable) : new Failure('auth');
		}

		return cache;
	}

	/** The well-formed records of a section. */
	#records(sections: CacheContent, section: SectionName): CacheRecord[] {
		if (!this.#isOn('malformed records')) {
			if (sections[section].some(record => typeof record === 'string')) {
				throw section === 'AccessToken' ? new Failure('unavailable', cacheError) : new Failure('auth');
			}

			return sections[section] as CacheRecord[];
		}

		const needed: Record<SectionName, readonly string[]> = {
			Account: ['home_account_id', 'environment'],
			RefreshToken: ['home_account_id', 'environment', 'secret'],
			AccessToken: ['home_account_id', 'environment', 'secret', 'client_id', 'target'],
			AppMetadata: ['client_id', 'environment'],
		};
		return sections[section].filter((record): record is CacheRecord =>
			typeof record !== 'string'
			&& needed[section].every(name => typeof record[name] === 'string' && record[name] !== '')
			&& (section !== 'AccessToken' || secondsOf(record['expires_on']) !== undefined));
	}

	#ofAuthority(records: readonly CacheRecord[]): CacheRecord[] {
		return records.filter(({environment}) =>
			typeof environment === 'string' && this.#aliases.includes(this.#isOn('ignoring case: authority') ? environment.toLowerCase() : environment));
	}

	#isOfFamily(token: CacheRecord): boolean {
		return this.#isOn('family of a refresh token') ? Boolean(token['family_id']) : 'family_id' in token;
	}

	#isUsable(token: CacheRecord): boolean {
		return this.#isOfFamily(token) || (this.#isOn('own refresh tokens') && token['client_id'] === ourClient);
	}

	#account(sections: CacheContent): CacheRecord {
		const tokens = this.#ofAuthority(this.#records(sections, 'RefreshToken')).filter(token => this.#isUsable(token));
		const accounts = new Map<Json, CacheRecord>();
		for (const account of this.#ofAuthority(this.#records(sections, 'Account'))) {
			const id = account['home_account_id'];
			const known = accounts.get(id!);
			const hidesNamed = this.#isOn('blank account records') && known?.['username'] && !account['username'];
			if (id && !hidesNamed && tokens.some(token => token['home_account_id'] === id)) {
				accounts.set(id, account);
			}
		}

		const candidates = [...accounts.values()];
		if (candidates.length === 0) {
			throw new Failure('unavailable', noAccounts);
		}

		const matching = candidates.filter(account => this.#isMeant(account));
		if (matching.length === 1) {
			return matching[0]!;
		}

		throw new Failure('unavailable', this.#selectionText(matching.length));
	}

	#isMeant(account: CacheRecord): boolean {
		const isSame = (rule: RuleName, a: unknown, b: string) => a === b || (this.#isOn(rule) && typeof a === 'string' && a.toLowerCase() === b.toLowerCase());
		return (this.#username === undefined || isSame('ignoring case: user name', account['username'], this.#username))
			&& (this.#tenantId === undefined || isSame('ignoring case: tenant', homeTenantOf(account), this.#tenantId));
	}

	#selectionText(matching: number): string {
		const prefix = 'SharedTokenCacheCredential authentication unavailable.';
		const [gap, tenantWord] = this.#isOn('one-line messages') ? [' ', 'tenantId'] : ['\n', 'tenant'];
		const asked = `${this.#username === undefined ? '' : ` username: ${this.#username}`}${this.#tenantId === undefined ? '' : ` ${tenantWord}: ${this.#tenantId}`}`;
		if (asked === '') {
			return `${prefix} Multiple accounts${gap}were found in the cache. Use username and tenant id to disambiguate.`;
		}

		return matching === 0
			? `${prefix} No account${gap}matching the specified${asked} was found in the cache.`
			: `${prefix} Multiple accounts${gap}matching the specified${asked} were found in the cache.`;
	}

	#cached(account: CacheRecord, sections: CacheContent, lifetimeSec: number): Token | undefined {
		if (this.#claims !== undefined) {
			return undefined;
		}

		const records = this.#records(sections, 'AccessToken').filter(({home_account_id: id}) => id === account['home_account_id']);
		if (records.some(({target}) => target === null)) {
			throw new Failure('unavailable', cacheError);
		}

		let best: Token | undefined;
		for (const token of records.filter(record => this.#hasScopes(record) && this.#fits(record, account))) {
			const expiresIn = secondsOf(token['expires_on']);
			if (expiresIn === undefined) {
				throw new Failure('unavailable', cacheError);
			}

			const skewSec = this.#isOn('clocks ahead') ? Math.max(0, secondsOf(token['cached_at']) ?? 0) : 0;
			const found = {token: token['secret'] as string, expiresIn: expiresIn - skewSec};
			if (found.expiresIn > lifetimeSec && skewSec <= toleratedSkewSec && (!best || (this.#isOn('longest-lived token') && found.expiresIn > best.expiresIn))) {
				best = found;
				if (!this.#isOn('longest-lived token')) {
					// The records after it are not read.
					break;
				}
			}
		}

		return best;
	}

	#hasScopes({target}: CacheRecord): boolean {
		const fold = (text: string) => this.#isOn('ignoring case: scopes') ? text.toLowerCase() : text;
		const words = new Set(fold(typeof target === 'string' ? target : '').split(' '));
		return this.#scopes.every(scope => words.has(fold(scope)));
	}

	#fits(token: CacheRecord, account: CacheRecord): boolean {
		if (!this.#isOn('fitting access token')) {
			return true;
		}

		// "organizations" means the account's own tenant.
		const realms = this.#requestTenant === undefined || this.#requestTenant === 'organizations' ? [homeTenantOf(account) ?? account['realm'], 'organizations', 'common'] : [this.#requestTenant.toLowerCase()];
		const type = token['token_type'] ?? 'bearer';
		return this.#ofAuthority([token]).length > 0
			&& token['client_id'] === ourClient
			&& realms.includes(token['realm'])
			&& typeof type === 'string' && type.toLowerCase() === 'bearer'
			&& !token['requestedClaimsHash'] && !token['key_id'];
	}

	#redeem(account: CacheRecord, sections: CacheContent): Token {
		const tokens = this.#refreshTokens(account, sections);
		if (tokens.length === 0) {
			throw new Failure('unavailable', `Token acquisition failed for user '${account['username'] as string | undefined ?? 'None'}'.`);
		}

		const tenant = this.#tokenTenant(account);
		let refusal: Failure | undefined;
		for (const secret of tokens) {
			try {
				return this.#send(secret, tenant);
			} catch (error) {
				if (!(error instanceof Failure) || !isRefusal(error) || !this.#isOn('next refresh token')) {
					throw error;
				}

				refusal = error;
			}
		}

		throw refusal!;
	}

	#refreshTokens(account: CacheRecord, sections: CacheContent): string[] {
		const own = this.#records(sections, 'RefreshToken').filter(({home_account_id: id}) => id === account['home_account_id']);
		const secrets = (tokens: readonly CacheRecord[]) => tokens.map(({secret}) => secret).filter(secret => typeof secret === 'string');
		if (!this.#isOn('order of refresh tokens')) {
			return secrets(own);
		}

		const usable = this.#ofAuthority(own).filter(token => this.#isUsable(token))
			.toSorted((a, b) => (secondsOf(b['last_modification_time']) ?? Number.NEGATIVE_INFINITY) - (secondsOf(a['last_modification_time']) ?? Number.NEGATIVE_INFINITY) || 0);
		const metadata = this.#ofAuthority(this.#records(sections, 'AppMetadata')).filter(({client_id: client}) => client === ourClient);
		const isOutside = metadata.length > 0 && metadata.every(({family_id: family}) => !family);
		const family = usable.filter(token => this.#isOfFamily(token));
		const others = usable.filter(token => !this.#isOfFamily(token));
		return secrets(isOutside ? [...others, ...family] : [...family, ...others]);
	}

	/** The tenant of the request, if allowed: our rule. */
	#allowedTenant(): string | undefined {
		const {request: {tenantId}, environment, options} = this.#case;
		if (tenantId === undefined || environment.AZURE_IDENTITY_DISABLE_MULTITENANTAUTH) {
			return undefined;
		}

		const allowed = new Set([this.#tenantId, ...options.additionallyAllowedTenants ?? []].map(each => each?.toLowerCase()));
		if (this.#tenantId === undefined || allowed.has('*') || allowed.has(tenantId.toLowerCase())) {
			return tenantId;
		}

		throw tenantRefused(tenantId);
	}

	#tokenTenant(account: CacheRecord): string {
		const standard = this.#isOn('consumers tenant') && homeTenantOf(account) === consumers ? consumers : 'organizations';
		if (this.#isOn('request tenant')) {
			return this.#requestTenant ?? standard;
		}

		const {request: {tenantId}, environment, options: {additionallyAllowedTenants = []}} = this.#case;
		if (tenantId === undefined || tenantId === 'organizations' || environment.AZURE_IDENTITY_DISABLE_MULTITENANTAUTH) {
			return standard;
		}

		if (additionallyAllowedTenants.includes('*') || additionallyAllowedTenants.includes(tenantId)) {
			return tenantId;
		}

		throw tenantRefused(tenantId, 'auth');
	}

	#send(secret: string, tenant: string): Token {
		this.#requests.push(describeRequest({
			host: this.#host,
			path: new URL(`https://host/${tenant}/oauth2/v2.0/token`).pathname,
			form: {
				grant_type: 'refresh_token',
				refresh_token: secret,
				client_id: ourClient,
				client_info: '1',
				scope: (this.#isOn('OpenID scopes') ? [...new Set([...this.#scopes, 'offline_access', 'openid', 'profile'])] : this.#scopes).join(' '),
				...(this.#claims !== undefined && {claims: this.#claims}),
			},
		}));
		const granted = {token: grantedToken(secret), expiresIn: grantedForSec};
		const answer = this.#case.answers[secret] ?? 'granted';
		switch (answer) {
			case 'granted':
			case 'rotated': {
				return granted;
			}

			case 'other-account': {
				if (this.#isOn('account of the answer')) {
					throw new Failure('auth');
				}

				return granted;
			}

			case 'html':
			case 'broken-json':
			case 'no-access-token': {
				throw new Failure(this.#isOn('typed errors') ? 'auth' : 'raw');
			}

			case 'empty-object':
			case 'no-expiry': {
				throw new Failure('auth');
			}

			default: {
				const oauthError = oauthErrors[answer];
				const needsUser = userErrors.has(oauthError) && this.#isOn('refusals');
				throw new Failure(needsUser ? (this.#claims === undefined ? 'unavailable' : 'required') : 'auth', undefined, oauthError);
			}
		}
	}
}

/** The OAuth error code in each response that has one. */
export const oauthErrors: Readonly<Record<Exclude<AnswerKind, 'granted' | 'rotated' | 'other-account' | 'html' | 'broken-json' | 'empty-object' | 'no-access-token' | 'no-expiry'>, string>> = {
	invalid_grant: 'invalid_grant',
	interaction_required: 'interaction_required',
	invalid_client: 'invalid_client',
	'undescribed-error': 'server_error',
	'unavailable-503': 'temporarily_unavailable',
};

const userErrors: ReadonlySet<string> = new Set(['invalid_grant', 'interaction_required']);

function isRefusal({oauthError}: Failure): boolean {
	return oauthError !== undefined && userErrors.has(oauthError);
}

function tenantRefused(tenantId: string, kind: OutcomeKind = 'unavailable'): Failure {
	return new Failure(kind, `The current credential is not configured to acquire tokens for tenant ${tenantId}.`);
}

function homeTenantOf({home_account_id: id}: CacheRecord): string | undefined {
	const parts = typeof id === 'string' ? id.split('.') : [];
	return parts.length === 2 ? parts[1] : undefined;
}
