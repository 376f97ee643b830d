/**
 * Predicts what the two credentials do with a case, and what they leave in the caches: Python's class with all rules off, ours with all rules
 * on. Written from azure-identity for Python 1.27, MSAL for Python 1.39 and docs/differences.md. A run compares both ends with the real
 * credentials. The steps in between show which rule explains a difference.
 */

import {
	type CacheContent, type CacheRecord, chinaHosts, consumers, foreignKey, governmentHosts, inSeconds, type Json, openIdScopes, ourClient, publicHosts, secondsOf, type SectionName, type WrittenCache,
} from '../caches.js';
import {
	firstOf, grantedForSec, grantedToken, renewed,
} from '../authority.js';
import type {AnswerKind, Call, Case} from './cases.js';
import {pythonKey} from './plain-cases.js';
import type {RuleName} from './rules.js';

/**
 * - `unavailable`: a credential chain continues. `required`: it continues, and the error says that the user must act.
 * - `auth`: a chain stops. `argument`: an error of the caller. `raw`: an exception of an undocumented class.
 */
export type OutcomeKind = 'token' | 'unavailable' | 'required' | 'auth' | 'argument' | 'raw';

export type CallOutcome = {
	kind: OutcomeKind;
	token?: string;
	/** Seconds after the cache was written. */
	expiresIn?: number;
	/** Why the credential is unavailable. */
	reason?: string;
	/** The OAuth error code from the authority, if any. */
	oauthError?: string;
	/** Method, host, path and form, in the order in which they were sent. */
	requests: string[];
};

export type Outcome = {
	calls: CallOutcome[];
	/** The caches afterwards, without CAE and with: in a plain case all that they hold, otherwise {@link viewOf}. */
	files: unknown[];
};

export type SentRequest = {host: string; path: string; form: Readonly<Record<string, string>>};

/** The order of the fields does not matter, nor does the spacing of claims. */
export function describeRequest({host, path, form}: SentRequest): string {
	const fields = Object.entries(form).map(([name, value]) => `${name}=${name === 'claims' ? compact(value) : value}`);
	return `POST ${host.toLowerCase()}${path} ${fields.toSorted().join('&')}`;
}

function compact(json: string): string {
	try {
		return JSON.stringify(JSON.parse(json));
	} catch {
		return json;
	}
}

/** The name in the id tokens of an account that has none. */
export const someone = 'someone@contoso.com';

/**
 * What a cache holds, as far as the model predicts it: the accounts and tokens, without the fields that only their writer uses. A cache that
 * the model does not know, such as one that is no JSON, is returned as it is.
 */
export function viewOf(cache: WrittenCache): unknown {
	if (cache === null || typeof cache === 'string') {
		return cache;
	}

	const list = (section: SectionName, ...names: readonly string[]) => Object.values(cache[section] ?? {})
		.map(record => typeof record === 'object' && record !== null ? names.map(name => JSON.stringify((record as CacheRecord)[name] ?? null)).join(' ') : String(record))
		.toSorted();
	return {
		accounts: list('Account', 'home_account_id', 'environment', 'realm', 'username'),
		refreshTokens: list('RefreshToken', 'home_account_id', 'environment', 'client_id', 'family_id', 'secret'),
		accessTokens: list('AccessToken', 'home_account_id', 'environment', 'client_id', 'realm', 'target', 'secret', 'expires_on'),
	};
}

class Failure extends Error {
	constructor(readonly kind: OutcomeKind, readonly reason?: string, readonly oauthError?: string) {
		super(kind);
	}
}

export function predict(testCase: Case, isOn: (rule: RuleName) => boolean): Outcome {
	return new Model(testCase, isOn).outcome();
}

type Token = {token: string; expiresIn: number};

/** Records in the file's order. */
type Sections = Record<SectionName, Map<string, CacheRecord | string>>;

type Grant = {
	/** The refresh token that was redeemed. */
	record: CacheRecord;
	account: CacheRecord;
	sections: Sections;
	tenant: string;
	scopes: readonly string[];
	isRotated: boolean;
};

/** A text is a cache that cannot be used. */
type File = {sections: Sections | string | null};

const tenantPattern = /^[A-Za-z\d.-]+$/;
const minimumLifetimeSec = 300;
const toleratedSkewSec = 900;
const longestLifeSec = 10 * 365 * 86_400;

class Model {
	readonly #case: Case;
	readonly #isOn: (rule: RuleName) => boolean;
	readonly #files: {nocae: File; cae: File};
	/** Our tokens in memory, by request. */
	readonly #hot = new Map<string, Token>();
	/** What we remember of the authority's refusals, by refresh token or by request. */
	readonly #refused = new Map<string, Failure>();
	/** Set for each call. */
	#call!: Call;
	#file!: File;
	#requests: string[] = [];
	#username: string | undefined;
	#tenantId: string | undefined;
	#host = '';
	#aliases: readonly string[] = [];
	#scopes: readonly string[] = [];
	#claims: string | undefined;
	#requestTenant: string | undefined;

	constructor(testCase: Case, isOn: (rule: RuleName) => boolean) {
		this.#case = testCase;
		this.#isOn = isOn;
		const keyOf = testCase.hasPythonKeys ? pythonKey : foreignKey;
		this.#files = {nocae: fileOf(testCase.cache, keyOf), cae: fileOf(testCase.caeCache, keyOf)};
	}

	outcome(): Outcome {
		const calls = this.#case.calls.map((call): CallOutcome => {
			this.#requests = [];
			try {
				return {kind: 'token', ...this.#getToken(call), requests: this.#requests};
			} catch (error) {
				if (!(error instanceof Failure)) {
					throw error;
				}

				const {kind, reason, oauthError} = error;
				return {
					kind, ...(kind === 'unavailable' && reason !== undefined && {reason}), ...(oauthError !== undefined && {oauthError}), requests: this.#requests,
				};
			}
		});
		return {calls, files: [this.#files.nocae, this.#files.cae].map(({sections}) => viewOf(writtenOf(sections)))};
	}

	#getToken(call: Call): Token {
		this.#call = call;
		this.#file = this.#files[call.enableCae ? 'cae' : 'nocae'];
		this.#readOptions();
		const {tenantId = '', enableCae = false} = call;
		const hotKey = [enableCae, tenantId, ...call.scopes].join(' ');
		const hot = this.#claims === undefined && this.#isOn('memory') ? this.#hot.get(hotKey) : undefined;
		if (hot) {
			return hot;
		}

		const token = this.#acquire();
		this.#hot.set(hotKey, token);
		return token;
	}

	#readOptions(): void {
		const {options, environment} = this.#case;
		const request = this.#call;
		const hasDefaults = this.#isOn('environment defaults');
		this.#username = options.username ?? (hasDefaults ? environment.AZURE_USERNAME : undefined);
		this.#tenantId = options.tenantId ?? (hasDefaults ? environment.AZURE_TENANT_ID : undefined);
		const authority = options.authority ?? environment.AZURE_AUTHORITY_HOST ?? publicHosts[0];
		if (authority.startsWith('http:')) {
			throw new Failure('argument');
		}

		const host = authority.replace('https://', '').replace(/\/$/, '');
		this.#host = this.#isOn('ignoring case: authority') ? host.toLowerCase() : host;
		this.#aliases = [publicHosts, chinaHosts, governmentHosts].find(hosts => (hosts as readonly string[]).includes(this.#host)) ?? [this.#host];
		const checksArguments = this.#isOn('checked arguments');
		if (checksArguments && this.#tenantId !== undefined && !tenantPattern.test(this.#tenantId)) {
			throw new Failure('argument');
		}

		this.#scopes = this.#isOn('scopes in one string') ? request.scopes.flatMap(scope => scope.split(' ')) : request.scopes;
		if (this.#scopes.length === 0 || (checksArguments && this.#scopes.some(scope => scope.includes('"')))) {
			throw new Failure('argument');
		}

		if (checksArguments && request.tenantId !== undefined && !tenantPattern.test(request.tenantId)) {
			throw new Failure('argument');
		}

		this.#claims = request.claims;
		if (this.#isOn('claims') && this.#claims !== undefined && !this.#claims.startsWith('{')) {
			throw new Failure('argument');
		}

		this.#requestTenant = environment.AZURE_IDENTITY_DISABLE_MULTITENANTAUTH ? undefined : request.tenantId;
	}

	#isNamed(tenant: string): boolean {
		return !['organizations', 'common'].includes(tenant.toLowerCase());
	}

	/** Whether the list of allowed tenants, which is not empty, lacks a tenant. Our rule. */
	#isForbidden(tenant: string, home: string | undefined): boolean {
		const {additionallyAllowedTenants: allowed = []} = this.#case.options;
		if (allowed.length === 0 || allowed.includes('*')) {
			return false;
		}

		const named = this.#isNamed(tenant) ? tenant : home;
		return [home, ...allowed].every(each => each?.toLowerCase() !== named?.toLowerCase());
	}

	#acquire(): Token {
		const sections = this.#sections();
		let account: CacheRecord;
		try {
			account = this.#account(sections);
		} catch (error) {
			// Without an account, no tenant is its home.
			if (this.#isOn('request tenant') && this.#requestTenant !== undefined && this.#isNamed(this.#requestTenant) && error instanceof Failure && ['no account', 'no cache'].includes(error.reason ?? '') && this.#isForbidden(this.#requestTenant, undefined)) {
				throw new Failure('unavailable', 'tenant');
			}

			throw error;
		}

		if (this.#isOn('request tenant') && this.#requestTenant !== undefined && this.#isForbidden(this.#requestTenant, homeTenantOf(account))) {
			throw new Failure('unavailable', 'tenant');
		}

		const cached = this.#cached(account, sections, minimumLifetimeSec);
		if (cached) {
			return cached;
		}

		try {
			return this.#redeem(account, sections);
		} catch (error) {
			const isDown = error instanceof Failure && (error.reason === 'outage');
			const lastResort = isDown && this.#isOn('last resort') ? this.#cached(account, sections, 0) : undefined;
			if (lastResort) {
				return lastResort;
			}

			throw error;
		}
	}

	#sections(): Sections {
		const {sections} = this.#file;
		if (sections === null) {
			const isRefused = this.#isOn('request tenant') && this.#requestTenant !== undefined && this.#isNamed(this.#requestTenant) && this.#isForbidden(this.#requestTenant, undefined);
			throw isRefused ? new Failure('unavailable', 'tenant') : new Failure('unavailable', this.#isOn('missing cache') ? 'no cache' : 'no account');
		}

		if (typeof sections === 'string') {
			throw this.#isOn('corrupt cache') ? new Failure('unavailable', 'no cache') : new Failure('auth');
		}

		return sections;
	}

	/** The well-formed records of a section. */
	#records(sections: Sections, section: SectionName): CacheRecord[] {
		const records = [...sections[section].values()];
		if (!this.#isOn('malformed records')) {
			if (records.some(record => typeof record === 'string')) {
				throw new Failure('auth');
			}

			return records as CacheRecord[];
		}

		const needed: Record<SectionName, readonly string[]> = {
			Account: ['home_account_id', 'environment'],
			RefreshToken: ['home_account_id', 'environment', 'secret'],
			AccessToken: ['home_account_id', 'environment', 'secret', 'client_id', 'target'],
			AppMetadata: ['client_id', 'environment'],
		};
		return records.filter((record): record is CacheRecord =>
			typeof record !== 'string'
			&& needed[section].every(name => typeof record[name] === 'string' && record[name] !== '')
			&& (section !== 'AccessToken' || secondsOf(record['expires_on']) !== undefined));
	}

	#isOfAuthority({environment}: CacheRecord): boolean {
		return typeof environment === 'string' && this.#aliases.includes(this.#isOn('ignoring case: authority') ? environment.toLowerCase() : environment);
	}

	#isOfFamily(token: CacheRecord): boolean {
		return this.#isOn('family of a refresh token') ? Boolean(token['family_id']) : 'family_id' in token;
	}

	#isUsable(token: CacheRecord): boolean {
		return this.#isOfFamily(token) || (this.#isOn('own refresh tokens') && token['client_id'] === ourClient);
	}

	#account(sections: Sections): CacheRecord {
		const tokens = this.#records(sections, 'RefreshToken').filter(token => this.#isOfAuthority(token) && this.#isUsable(token));
		const accounts = new Map<Json, CacheRecord[]>();
		for (const account of this.#records(sections, 'Account').filter(each => this.#isOfAuthority(each))) {
			const id = account['home_account_id'];
			if (id && tokens.some(token => token['home_account_id'] === id)) {
				accounts.set(id, [...accounts.get(id) ?? [], account]);
			}
		}

		const candidates = [...accounts.values()].map(records => ({records, shown: this.#shown(records)}));
		if (candidates.length === 0) {
			throw new Failure('unavailable', 'no account');
		}

		const matching = candidates.filter(candidate => this.#isMeant(candidate));
		if (matching.length === 1) {
			return matching[0]!.shown;
		}

		const ofTenant = matching.filter(({shown}) => homeTenantOf(shown)?.toLowerCase() === this.#requestTenant?.toLowerCase());
		if (this.#isOn('tenant chooses account') && this.#requestTenant !== undefined && ofTenant.length === 1) {
			return ofTenant[0]!.shown;
		}

		throw new Failure('unavailable', matching.length === 0 ? 'no account' : 'several accounts');
	}

	/** The record that counts: Python's class takes the last. */
	#shown(records: readonly CacheRecord[]): CacheRecord {
		const rank = (record: CacheRecord) => {
			if (!this.#isOn('records of one account')) {
				return 0;
			}

			return record['username'] ? (record['realm'] === homeTenantOf(record) ? 2 : 1) : 0;
		};

		let [best] = records;
		for (const record of records) {
			best = rank(record) >= rank(best!) ? record : best;
		}

		return best!;
	}

	#isMeant({records, shown}: {records: readonly CacheRecord[]; shown: CacheRecord}): boolean {
		const isSame = (rule: RuleName, a: unknown, b: string) => a === b || (this.#isOn(rule) && typeof a === 'string' && foldAscii(a) === foldAscii(b));
		const named = this.#isOn('records of one account') ? records : [shown];
		return (this.#username === undefined || named.some(({username}) => isSame('ignoring case: user name', username, this.#username!)))
			&& (this.#tenantId === undefined || isSame('ignoring case: tenant', homeTenantOf(shown), this.#tenantId));
	}

	#cached(account: CacheRecord, sections: Sections, lifetimeSec: number): Token | undefined {
		if (this.#claims !== undefined) {
			return undefined;
		}

		return this.#isOn('malformed records') ? this.#bestCached(account, sections, lifetimeSec) : this.#firstCached(account, sections);
	}

	/** As MSAL for Python searches: it reads the records in order, and deletes expired ones if none fits. */
	#firstCached(account: CacheRecord, sections: Sections): Token | undefined {
		const expired: string[] = [];
		for (const token of sections.AccessToken.values()) {
			const expiresIn = typeof token === 'string' ? undefined : secondsOf(token['expires_on']);
			if (typeof token === 'string' || expiresIn === undefined) {
				throw new Failure('unavailable', 'cache error');
			}

			if (expiresIn < 0) {
				expired.push(pythonKey('AccessToken', token, 0));
				continue;
			}

			if (token['home_account_id'] !== account['home_account_id']) {
				continue;
			}

			if (token['target'] === null) {
				throw new Failure('unavailable', 'cache error');
			}

			if (this.#hasScopes(token) && this.#fits(token, account) && expiresIn > minimumLifetimeSec) {
				return {token: token['secret'] as string, expiresIn};
			}
		}

		if (!this.#isOn('expired tokens')) {
			for (const key of expired) {
				sections.AccessToken.delete(key);
			}
		}

		return undefined;
	}

	#bestCached(account: CacheRecord, sections: Sections, lifetimeSec: number): Token | undefined {
		let best: Token | undefined;
		for (const token of this.#records(sections, 'AccessToken').filter(record => record['home_account_id'] === account['home_account_id'] && this.#hasScopes(record) && this.#fits(record, account))) {
			const expiresIn = secondsOf(token['expires_on'])!;
			const skewSec = this.#isOn('clocks ahead') ? Math.max(0, secondsOf(token['cached_at']) ?? 0) : 0;
			const found = {token: token['secret'] as string, expiresIn: expiresIn - skewSec};
			const isPlausible = skewSec <= toleratedSkewSec && (!this.#isOn('far expiry') || expiresIn <= longestLifeSec);
			if (found.expiresIn > lifetimeSec && isPlausible && (!best || (this.#isOn('longest-lived token') && found.expiresIn > best.expiresIn))) {
				best = found;
			}
		}

		return best;
	}

	#hasScopes({target}: CacheRecord): boolean {
		const fold = (text: string) => this.#isOn('ignoring case: scopes') ? foldAscii(text) : text;
		const words = new Set(fold(typeof target === 'string' ? target : '').split(' '));
		return this.#scopes.every(scope => words.has(fold(scope)));
	}

	#fits(token: CacheRecord, account: CacheRecord): boolean {
		if (!this.#isOn('fitting access token')) {
			return true;
		}

		const realms = this.#requestTenant === undefined || !this.#isNamed(this.#requestTenant) ? [homeTenantOf(account) ?? account['realm'], 'organizations', 'common'] : [this.#requestTenant];
		const type = token['token_type'] ?? 'bearer';
		return this.#isOfAuthority(token)
			&& token['client_id'] === ourClient
			&& realms.some(realm => lower(realm) === lower(token['realm']))
			&& typeof type === 'string' && type.toLowerCase() === 'bearer'
			&& !token['requestedClaimsHash'] && !token['key_id'];
	}

	#redeem(account: CacheRecord, sections: Sections): Token {
		const tokens = this.#refreshTokens(account, sections);
		if (tokens.length === 0) {
			throw new Failure('unavailable', 'no token');
		}

		let refusal: Failure | undefined;
		for (const record of tokens) {
			try {
				return this.#send(record, account, sections);
			} catch (error) {
				if (!(error instanceof Failure) || !isRefusal(error) || !this.#isOn('next refresh token')) {
					throw error;
				}

				// What the user can do about one token tells more than that another does not fit.
				refusal = refusal && clientErrors.has(error.oauthError!) ? refusal : error;
			}
		}

		throw refusal!;
	}

	#refreshTokens(account: CacheRecord, sections: Sections): CacheRecord[] {
		const own = this.#records(sections, 'RefreshToken').filter(({home_account_id: id, secret}) => id === account['home_account_id'] && typeof secret === 'string');
		if (!this.#isOn('order of refresh tokens')) {
			return own;
		}

		const age = (record: CacheRecord) => secondsOf(record['last_modification_time']) ?? Number.NEGATIVE_INFINITY;
		const usable = own.filter(token => this.#isOfAuthority(token) && this.#isUsable(token)).toSorted((a, b) => age(b) - age(a) || 0);
		const metadata = this.#records(sections, 'AppMetadata').filter(each => this.#isOfAuthority(each) && each['client_id'] === ourClient);
		const isOutside = metadata.length > 0 && metadata.every(({family_id: family}) => !family);
		const family = usable.filter(token => this.#isOfFamily(token));
		const others = usable.filter(token => !this.#isOfFamily(token));
		return isOutside ? [...others, ...family] : [...family, ...others];
	}

	#tokenTenant(account: CacheRecord): string {
		const standard = this.#isOn('consumers tenant') && homeTenantOf(account) === consumers ? consumers : 'organizations';
		if (this.#requestTenant === undefined || this.#requestTenant === 'organizations') {
			return standard;
		}

		if (this.#isOn('request tenant')) {
			return this.#isNamed(this.#requestTenant) ? this.#requestTenant : standard;
		}

		const {additionallyAllowedTenants = []} = this.#case.options;
		if (additionallyAllowedTenants.length === 0 || additionallyAllowedTenants.includes('*') || additionallyAllowedTenants.includes(this.#requestTenant)) {
			return this.#requestTenant;
		}

		throw new Failure('auth');
	}

	#claimsToSend(): string | undefined {
		if (!this.#call.enableCae) {
			return this.#claims;
		}

		const claims = JSON.parse(this.#claims ?? '{}') as {access_token?: object};
		if (Array.isArray(claims)) {
			throw new Failure('raw');
		}

		return JSON.stringify({...claims, access_token: {...claims.access_token, xms_cc: {values: ['CP1']}}});
	}

	#send(record: CacheRecord, account: CacheRecord, sections: Sections): Token {
		const secret = record['secret'] as string;
		let claims: string | undefined;
		try {
			claims = this.#claimsToSend();
		} catch {
			throw new Failure('raw');
		}

		const tenant = this.#tokenTenant(account);
		const remembered = this.#isOn('refusals remembered');
		const requestKey = [secret, tenant, this.#call.enableCae, this.#claims, ...this.#scopes].join(' ');
		const known = remembered ? this.#refused.get(secret) ?? this.#refused.get(requestKey) : undefined;
		if (known) {
			throw known;
		}

		const scopes = this.#isOn('OpenID scopes') ? [...new Set([...this.#scopes, ...openIdScopes])] : this.#scopes;
		this.#requests.push(describeRequest({
			host: this.#host,
			path: new URL(`https://host/${tenant}/oauth2/v2.0/token`).pathname,
			form: {
				grant_type: 'refresh_token', refresh_token: secret, client_id: ourClient, client_info: '1', scope: scopes.join(' '), ...(claims !== undefined && {claims}),
			},
		}));
		const answer = this.#case.answers[firstOf(secret)] ?? 'granted';
		switch (answer) {
			case 'granted':
			case 'rotated': {
				this.#write({
					record, account, sections, tenant, scopes, isRotated: answer === 'rotated',
				});
				return {token: grantedToken(secret), expiresIn: grantedForSec};
			}

			case 'other-account': {
				if (this.#isOn('account of the answer')) {
					throw new Failure('auth');
				}

				this.#write({
					record, account: {...account, home_account_id: 'somebody.else'}, sections, tenant, scopes, isRotated: false,
				});
				return {token: grantedToken(secret), expiresIn: grantedForSec};
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
				throw this.#refuse(answer, {secret, requestKey, sections});
			}
		}
	}

	#refuse(answer: keyof typeof oauthErrors, {secret, requestKey, sections}: {secret: string; requestKey: string; sections: Sections}): Failure {
		const oauthError = oauthErrors[answer];
		if (answer === 'invalid_grant' && !this.#isOn('eviction')) {
			const evicted = [...sections.RefreshToken.values()].filter(token => typeof token !== 'string' && token['secret'] === secret);
			for (const token of evicted) {
				sections.RefreshToken.delete(pythonKey('RefreshToken', token, 0));
			}
		}

		if (answer === 'unavailable-503') {
			return new Failure('auth', 'outage', oauthError);
		}

		const needsUser = refusals.has(oauthError) && this.#isOn('refusals');
		const failure = new Failure(needsUser ? (this.#claims === undefined || clientErrors.has(oauthError) ? 'unavailable' : 'required') : 'auth', undefined, oauthError);
		this.#refused.set(answer === 'invalid_grant' ? secret : requestKey, failure);
		return failure;
	}

	#write({record, account, sections, tenant, scopes, isRotated}: Grant): void {
		const secret = record['secret'] as string;
		const home = account['home_account_id'] as string;
		const homeTenant = homeTenantOf(account);
		const issuer = ['organizations', 'common', 'consumers'].includes(tenant) ? homeTenant ?? account['realm'] : tenant;
		const realm = (this.#isOn('written tenant') ? issuer : tenant.split('/')[0]) as string;
		const target = scopes.flatMap(scope => scope.split(' ')).toSorted().join(' ');
		// The authority names an account without a tenant in no client_info; MSAL for Python takes the subject of an id token.
		const subject = scopes.includes('openid') ? `FAKE-${home}` : null;
		const fresh: CacheRecord = {
			home_account_id: homeTenant === undefined && !this.#isOn('account records') ? subject : home, environment: this.#host.toLowerCase(), client_id: ourClient, realm, target, secret: grantedToken(secret), expires_on: inSeconds(grantedForSec), cached_at: inSeconds(0), token_type: 'Bearer',
		};
		const [key, old] = (this.#isOn('replaced records') ? [...sections.AccessToken].find(([, each]) => typeof each !== 'string' && this.#isReplaced(each, fresh)) : undefined) ?? [pythonKey('AccessToken', fresh, 0)];
		sections.AccessToken.set(key, typeof old === 'object'
			? {
				...old, secret: fresh['secret']!, expires_on: fresh['expires_on']!, cached_at: fresh['cached_at']!,
			}
			: fresh);
		if (isRotated) {
			this.#rotate(record, sections);
		}

		if (this.#isOn('expired tokens')) {
			const expired = [...sections.AccessToken].filter(([, each]) => typeof each !== 'string' && each['home_account_id'] === home && each['client_id'] === ourClient && this.#isOfAuthority(each) && (secondsOf(each['expires_on']) ?? 0) < 0);
			for (const [name] of expired) {
				sections.AccessToken.delete(name);
			}
		}

		this.#writeAccount({
			account, sections, realm, homeTenant, subject,
		});
	}

	#isReplaced(token: CacheRecord, fresh: CacheRecord): boolean {
		const words = (record: CacheRecord) => lower(record['target']).split(' ').toSorted().join(' ');
		return token['home_account_id'] === fresh['home_account_id'] && this.#isOfAuthority(token) && token['client_id'] === ourClient
			&& lower(token['realm']) === lower(fresh['realm']) && words(token) === words(fresh)
			&& ['bearer', ''].includes(lower(token['token_type'])) && !token['key_id'] && !token['requestedClaimsHash'];
	}

	#rotate(record: CacheRecord, sections: Sections): void {
		const next = {...record, secret: renewed(record['secret'] as string), last_modification_time: inSeconds(0)};
		const [key] = [...sections.RefreshToken].find(([, each]) => each === record)!;
		sections.RefreshToken.set(this.#isOn('replaced records') ? key : pythonKey('RefreshToken', record, 0), next);
	}

	#writeAccount({account, sections, realm, homeTenant, subject}: {account: CacheRecord; sections: Sections; realm: string; homeTenant: string | undefined; subject: string | null}): void {
		const home = account['home_account_id'] as string;
		const hasName = this.#isOn('OpenID scopes') || (this.#scopes.includes('openid') && this.#scopes.includes('profile'));
		const written = {
			home_account_id: home, environment: this.#host.toLowerCase(), realm, username: hasName ? this.#case.names[home] ?? someone : '',
		};
		if (!this.#isOn('account records')) {
			const id = homeTenant === undefined ? subject : home;
			if (id !== null) {
				const record = {...written, home_account_id: id};
				sections.Account.set(pythonKey('Account', record, 0), record);
			}

			return;
		}

		const isGuest = homeTenant !== undefined && homeTenant.toLowerCase() !== realm.toLowerCase();
		const realms = isGuest ? [lower(realm)] : [lower(realm), 'organizations', 'common', 'consumers', ''];
		const isThere = [...sections.Account.values()].some(each => typeof each !== 'string' && each['home_account_id'] === home && this.#isOfAuthority(each)
			&& (homeTenant === undefined || realms.includes(lower(each['realm']))));
		if (!isThere) {
			const username = isGuest ? account['username'] || written.username : written.username;
			sections.Account.set(pythonKey('Account', written, 0), {...written, username});
		}
	}
}

function fileOf(cache: CacheContent | string | null, keyOf: typeof pythonKey): File {
	return {
		sections: cache === null || typeof cache === 'string'
			? cache
			: Object.fromEntries(Object.entries(cache).map(([name, records]) => [name, new Map(records.map((record, index) => [keyOf(name as SectionName, record, index), record]))])) as Sections,
	};
}

/** As the files are read in the comparison. */
function writtenOf(sections: Sections | string | null): WrittenCache {
	return sections === null || typeof sections === 'string'
		? sections
		: JSON.parse(JSON.stringify(Object.fromEntries(Object.entries(sections).map(([name, records]) => [name, Object.fromEntries(records)])), (name, value: Json) => {
			const seconds = name === 'expires_on' ? secondsOf(value) : undefined;
			return seconds === undefined ? value : inSeconds(Math.round(seconds / 60) * 60);
		})) as WrittenCache;
}

/** The OAuth error code in each response that has one. */
export const oauthErrors: Readonly<Record<Exclude<AnswerKind, 'granted' | 'rotated' | 'other-account' | 'html' | 'broken-json' | 'empty-object' | 'no-access-token' | 'no-expiry'>, string>> = {
	invalid_grant: 'invalid_grant',
	interaction_required: 'interaction_required',
	invalid_client: 'invalid_client',
	unauthorized_client: 'unauthorized_client',
	'undescribed-error': 'server_error',
	'unavailable-503': 'temporarily_unavailable',
};

/** This client cannot be used for the account. */
const clientErrors: ReadonlySet<string> = new Set(['invalid_client', 'unauthorized_client']);

/** The next refresh token may be accepted. In the others, the user has to act. */
const refusals: ReadonlySet<string> = new Set(['invalid_grant', 'interaction_required', ...clientErrors]);

function isRefusal({oauthError}: Failure): boolean {
	return oauthError !== undefined && refusals.has(oauthError);
}

function homeTenantOf({home_account_id: id}: CacheRecord): string | undefined {
	const parts = typeof id === 'string' ? id.split('.') : [];
	return parts.length === 2 ? parts[1] : undefined;
}

function lower(value: Json | undefined): string {
	return typeof value === 'string' ? value.toLowerCase() : '';
}

function foldAscii(text: string): string {
	return text.replaceAll(/[A-Z]+/g, letters => letters.toLowerCase());
}
