/** Errors that explain why no account was found. Loaded when that happens: most processes find one. */

import type {AccountEntry, CacheSlice, RefreshTokenEntry} from '../backend/backend.js';
import {storeKind} from '../backend/stores.js';
import {defaultCacheName} from '../cache/cache-source.js';
import type {SourceReading} from '../cache/source-reading.js';
import {
	CredentialUnavailableError, detailsOf, type ErrorCode, type ErrorDetail, maxErrorTextLength, oneLine, shorten, type StoreError, withLogText,
} from '../errors.js';
import {foldAscii, isSame} from '../runtime/fold-case.js';
import {homeTenantOf} from '../settings/tenants.js';
import type {AccountReader} from './account-reader.js';
import {overviewQuery, readSources} from './overview.js';
import {leastContentBytes} from './read-sources.js';
import {
	type AccountCriteria, type Candidate, chooseRecord, findCandidates, recordsByAccount, selectAccount, type Selection,
} from './select-account.js';

/** What was searched for, and whether user names may be shown. */
export type AccountSearch = {
	criteria: AccountCriteria;
	showUserNames: boolean;
	/** The hosts of the authority, its own first. */
	environments?: readonly string[];
	/** Base name of the cache. */
	cacheName?: string | undefined;
	clientId?: string;
	/** The variables that criteria come from. */
	variables?: readonly string[];
	/** Labels of sources that are symbolic links without a target. */
	danglingLinks?: ReadonlySet<string> | undefined;
};

type Failed = Exclude<Selection, {kind: 'one'}>;

/**
 * Read errors that explain a missing account, most important first. Each is reported rather than "no accounts" of the other sources. A
 * missing keyring service or addon is not listed: it is normal next to a plaintext cache.
 */
const significantErrors: readonly ErrorCode[] = [
	'STC_CACHE_CORRUPT',
	'STC_CACHE_FORMAT',
	'STC_CACHE_CHANGED',
	'STC_STORE_DENIED',
	'STC_IO',
	'STC_STORE_LOCKED',
	'STC_STORE_TIMEOUT',
];

export function isSignificant({code}: {code: ErrorCode}): boolean {
	return significantErrors.includes(code);
}

const prefix = 'SharedTokenCacheCredential authentication unavailable.';
const unavailablePrefix = 'SharedTokenCacheCredential: Shared token cache unavailable:';

const programs = 'Azure PowerShell (Connect-AzAccount), Git Credential Manager, or an Azure SDK with a persistent cache; az login does not';

/** Looks again at the caches that have content, for accounts of every authority: the error says which option would take one. */
export async function explainNoAccount(reader: AccountReader, failed: Exclude<Selection, {kind: 'one'}>, readings: readonly SourceReading[]): Promise<CredentialUnavailableError> {
	const withContent = readings.filter(({slice}) => slice !== null && slice.sizeBytes > leastContentBytes).map(({source}) => source);
	const overview = await readSources(reader.cache, withContent, overviewQuery(reader.settings.clientId));
	return explainFailure(failed, readings, {...searchOf(reader), danglingLinks: await danglingLinks(readings)}, overview);
}

/** The cache has accounts that match, but none can be chosen. `place`: where they are. */
export function explainSeveral(reader: AccountReader, selection: Extract<Selection, {kind: 'several'}>, place: string): CredentialUnavailableError {
	const search = searchOf(reader);
	const details = describe(selection.candidates.map(({account}) => account), search, place);
	return accountError('STC_AMBIGUOUS_ACCOUNT', (shown, isForLog) => explainSelection(selection, search, {shown, isForLog}), search, details);
}

export function unsupportedPlatform(): CredentialUnavailableError {
	return new CredentialUnavailableError(
		'STC_UNSUPPORTED_PLATFORM',
		`SharedTokenCacheCredential: Shared token cache is not supported on this platform (${process.platform}). Use Linux, macOS or Windows, or another credential.`,
	);
}

function searchOf({criteria, settings}: AccountReader): AccountSearch {
	const {
		allowLoggingAccountIdentifiers, authority, cacheName, clientId, variables,
	} = settings;
	return {
		criteria, showUserNames: allowLoggingAccountIdentifiers, environments: authority.environments, cacheName, clientId, variables,
	};
}

/** The labels of files that count as missing, because they are symbolic links without a target. */
async function danglingLinks(readings: readonly SourceReading[]): Promise<ReadonlySet<string>> {
	const {lstat} = require('node:fs/promises') as typeof import('node:fs/promises');
	const labels = await Promise.all(readings.map(async ({source: {at, label, store}, slice, error}) => {
		const path = slice === null && error === undefined && storeKind(store) === 'file' ? at.path : undefined;
		const info = path === undefined ? undefined : await lstat(path).catch(() => undefined);
		return info?.isSymbolicLink() ? label : undefined;
	}));
	return new Set(labels.filter(label => label !== undefined));
}

/**
 * No source has the account.
 *
 * @param failed The selection in the first source that has accounts.
 * @param overview Readings of the sources with content, for the accounts of every authority.
 */
export function explainFailure(failed: Failed, readings: readonly SourceReading[], search: AccountSearch, overview: readonly SourceReading[] = []): CredentialUnavailableError {
	const details = readings.map(reading => detailOf(reading, search.danglingLinks));
	const unusable = unusableAccounts(overview, search);
	const found = unusable.filter(({account, usernames}) => isWanted(account, usernames, search.criteria));
	const content = readings.filter(({slice}) => slice !== null && slice.sizeBytes > leastContentBytes);
	const [worst] = rankedErrors(readings);
	const isBroken = worst?.error !== undefined && isSignificant(worst.error);
	if (failed.kind !== 'empty' || (content.length > 0 && !isBroken)) {
		const unread = rankedErrors(readings).filter(({error}) => isSignificant(error!)).map(({source, error}) => `${source.label} (${error?.code ?? ''})`);
		const addition = unread.length > 0 ? ` Not readable: ${shorten(unread.join(', '), 160)}.` : '';
		const accounts = describe([...(failed.kind === 'empty' ? [] : failed.candidates.map(({account}) => account)), ...unusable.map(({account}) => account)], search, '', overview);
		const [unusableAccount] = found;
		if (unusableAccount) {
			return accountError('STC_NO_ACCOUNT', (shown, isForLog) => explainUnusable(unusableAccount, found.length - 1, shown, isForLog) + addition, search, [...accounts, ...details]);
		}

		const text = failed.kind === 'empty' ? () => `${prefix} No accounts were found in the cache. ${emptyText(content, overview)}${addition}` : (shown: Shown, isForLog: boolean) => explainSelection(failed, search, {shown, isForLog, addition});
		return accountError('STC_NO_ACCOUNT', text, search, [...accounts, ...details]);
	}

	const failure = failureOf(readings, search);
	if (failure) {
		return failure;
	}

	const empty = readings.find(({slice}) => slice !== null);
	if (empty) {
		return new CredentialUnavailableError(
			'STC_NO_ACCOUNT',
			`${prefix} No accounts were found in the cache. ${shorten(empty.source.label, 72)} is empty. Sign in with a program that fills it: ${programs}.${keyringClause(worst?.error)}`,
			{...(worst?.error && {cause: worst.error}), details: {details}},
		);
	}

	return cacheNotFound(details, search);
}

/**
 * The one ranking of what went wrong with the caches, for `getToken` and `listAccounts`.
 *
 * @returns the error to report if no account was found; `undefined` if the caches could be read.
 */
export function failureOf(readings: readonly SourceReading[], {cacheName, danglingLinks}: Pick<AccountSearch, 'cacheName' | 'danglingLinks'>): CredentialUnavailableError | undefined {
	const [worst] = rankedErrors(readings);
	if (!worst?.error) {
		return undefined;
	}

	const {error, source} = worst;
	const details = readings.map(reading => detailOf(reading, danglingLinks));
	if (!isSignificant(error)) {
		if (readings.some(({slice}) => slice !== null)) {
			return undefined;
		}

		// A machine without a keyring, where nobody has signed in: a container, a CI job, an SSH session.
		if (readings.some(reading => reading.error === undefined)) {
			return cacheNotFound(details, {error, cacheName, danglingLinks});
		}
	}

	// The message of a file error already names the file.
	const subject = error.message.startsWith(source.label) ? '' : `${source.label}: `;
	return new CredentialUnavailableError(error.code, `${unavailablePrefix} ${subject}${error.message}`, {cause: error, details: {...detailsOf(error), details: [...(error.details ?? []), ...details]}});
}

/** The sources that could not be read, most important first. */
export function rankedErrors(readings: readonly SourceReading[]): SourceReading[] {
	const rank = ({error}: SourceReading) => {
		const index = significantErrors.indexOf(error!.code);
		return index === -1 ? significantErrors.length : index;
	};

	return readings.filter(({error}) => error !== undefined).toSorted((a, b) => rank(a) - rank(b));
}

function cacheNotFound(details: readonly ErrorDetail[], {error, cacheName = defaultCacheName, danglingLinks}: Pick<AccountSearch, 'cacheName' | 'danglingLinks'> & {error?: StoreError}): CredentialUnavailableError {
	const [link] = danglingLinks ?? [];
	const text = link === undefined
		? (cacheName === defaultCacheName
			? `no cache was found. Sign in with a program that fills it: ${programs}.`
			: `no cache named "${shorten(cacheName, 40)}" was found. Sign in with a program that fills the cache of this name, or leave tokenCachePersistenceOptions.name out.`)
		: `no cache was found: ${shorten(link, 100)} is a symbolic link whose target is missing. Delete the link, or make the target.`;
	return new CredentialUnavailableError(
		'STC_CACHE_NOT_FOUND',
		`${unavailablePrefix} ${text}${keyringClause(error)}`,
		{...(error && {cause: error}), details: {...(error && detailsOf(error)), details: [...details, ...(error?.details ?? [])]}},
	);
}

/** Why the keyring was not searched. */
function keyringClause(error: StoreError | undefined): string {
	if (!error) {
		return '';
	}

	const reason: Readonly<Record<string, string>> = {
		dlopen: 'libsecret is not installed',
		'g-io-error-quark': 'there is no session bus',
		'g-dbus-error-quark': 'no keyring service is on the session bus',
	};
	const withoutAddon = error.op === 'load' ? 'the native addon is missing' : 'the option useNativeAddon is false';
	const because = error.code === 'STC_ADDON_MISSING' ? withoutAddon : reason[error.osDomain ?? ''] ?? 'it is not available';
	return ` The keyring was not searched: ${because}.`;
}

function detailOf({source, slice, error}: SourceReading, danglingLinks?: ReadonlySet<string>): ErrorDetail {
	if (error) {
		return {place: source.label, text: error.message, code: error.code};
	}

	if (!slice) {
		const absence = storeKind(source.store) === 'keyring' ? 'no item' : 'no file';
		return {place: source.label, text: danglingLinks?.has(source.label) ? 'a symbolic link whose target is missing' : absence};
	}

	const unlisted = slice.accountsLeftOut;
	const count = recordsByAccount(slice.accounts).size + unlisted;
	const text = `${count} ${count === 1 ? 'account' : 'accounts'} of this authority${unlisted > 0 ? `, ${unlisted} of them not listed` : ''}`;
	return {place: source.label, text: slice.sizeBytes <= leastContentBytes ? 'empty' : text};
}

/** A cache with content and without an account that anybody could use. */
function emptyText(content: readonly SourceReading[], overview: readonly SourceReading[]): string {
	const place = shorten(content[0]?.source.label ?? '', 72);
	const hasRefreshToken = overview.some(({slice}) => slice !== null && slice.refreshTokens.length > 0);
	return hasRefreshToken
		? `${place} has a refresh token without an account. Sign in again, or set authenticationRecord.`
		: `${place} has access tokens at most, no account and no refresh token. Sign in with a program that fills it: ${programs}.`;
}

/** An account that is in a cache and that this credential cannot use. */
export type UnusableAccount = {
	account: AccountEntry;
	usernames: readonly string[];
	place: string;
	/** The client of its refresh token, if only that client may redeem it. */
	clientId?: string | undefined;
	/** The host of its authority, if that is not this credential's. */
	host?: string | undefined;
};

/** The accounts of readings for every authority that this credential cannot use, those first that an option would take. */
function unusableAccounts(overview: readonly SourceReading[], {clientId = '', environments = []}: AccountSearch): UnusableAccount[] {
	const found = new Map<string, UnusableAccount>();
	for (const {slice, source} of overview) {
		for (const unusable of slice ? unusableIn(slice, clientId, environments, source.label) : []) {
			const key = `${foldAscii(unusable.account.homeAccountId)} ${unusable.host ?? ''}`;
			if (!found.has(key) || (found.get(key)!.clientId === undefined && unusable.clientId !== undefined)) {
				found.set(key, unusable);
			}
		}
	}

	const rank = ({clientId: client, host}: UnusableAccount) => host === undefined ? (client === undefined ? 2 : 0) : (client === undefined ? 3 : 1);
	return [...found.values()].toSorted((a, b) => rank(a) - rank(b));
}

/** @param slice A reading for every authority. */
export function unusableIn(slice: CacheSlice, clientId: string, environments: readonly string[], place: string): UnusableAccount[] {
	const hostOf = ({environment}: {environment: string}) => {
		const host = foldAscii(environment);
		return environments.includes(host) ? undefined : host;
	};

	const usable = new Set(findCandidates(ofEnvironments(slice, environments), clientId).map(({account}) => foldAscii(account.homeAccountId)));
	const tokensOf = new Map<string, RefreshTokenEntry[]>();
	for (const token of slice.refreshTokens) {
		const key = `${foldAscii(token.homeAccountId)} ${hostOf(token) ?? ''}`;
		const known = tokensOf.get(key);
		if (known) {
			known.push(token);
		} else {
			tokensOf.set(key, [token]);
		}
	}

	const unusable: UnusableAccount[] = [];
	for (const [id, all] of recordsByAccount(slice.accounts)) {
		for (const host of new Set(all.map(each => hostOf(each)))) {
			if (host === undefined && usable.has(id)) {
				continue;
			}

			const records = all.filter(each => hostOf(each) === host);
			const tokens = tokensOf.get(`${id} ${host ?? ''}`) ?? [];
			const canRedeem = tokens.some(token => token.familyId || isSame(token.clientId ?? '', clientId));
			const client = canRedeem ? undefined : tokens.find(token => token.clientId)?.clientId;
			unusable.push({
				account: chooseRecord(records),
				usernames: records.map(({username = ''}) => username),
				place,
				...(host !== undefined && {host}),
				...(client !== undefined && {clientId: client}),
			});
		}
	}

	return unusable;
}

/** The part of a reading that belongs to these hosts. */
export function ofEnvironments(slice: CacheSlice, environments: readonly string[]): CacheSlice {
	const isOwn = ({environment}: {environment: string}) => environments.includes(foldAscii(environment));
	return {
		...slice, accounts: slice.accounts.filter(each => isOwn(each)), refreshTokens: slice.refreshTokens.filter(each => isOwn(each)), appMetadata: slice.appMetadata.filter(each => isOwn(each)),
	};
}

/** Why an account cannot be used, and the option that would take it. */
export function reasonOf({clientId, host}: UnusableAccount): string {
	if (host !== undefined) {
		return `It is an account of ${shorten(host)}: set authorityHost to this host${clientId === undefined ? '' : `, and clientId to ${shorten(clientId)}`}.`;
	}

	return clientId === undefined
		? 'The cache has no refresh token of it: sign in again.'
		: `Its refresh token belongs to the client ${shorten(clientId)}: set clientId to that.`;
}

function explainUnusable(unusable: UnusableAccount, others: number, shown: Shown, isForLog: boolean): string {
	const {account, place, clientId, host} = unusable;
	const name = shown(account, isForLog);
	const where = `in ${shorten(place, 100)}`;
	const more = others > 0 ? ` listAccounts() lists ${others} more.` : '';
	const beginning = `${prefix} No usable account was found in the cache:`;
	if (host !== undefined) {
		const client = clientId === undefined ? '' : `, and clientId to ${shorten(clientId)}`;
		return `${beginning} ${name} ${where} is an account of ${shorten(host)}. Set authorityHost (or AZURE_AUTHORITY_HOST) to "${shorten(host)}"${client}.${more}`;
	}

	return clientId === undefined
		? `${beginning} ${name} ${where} has no refresh token. Sign in again with a program that fills the shared token cache, such as Azure PowerShell.${more}`
		: `${beginning} the refresh token of ${name} ${where} belongs to the client ${shorten(clientId)}. Set clientId to that, or sign in with a program that shares its tokens, such as Azure PowerShell.${more}`;
}

function isWanted(account: AccountEntry, usernames: readonly string[], criteria: AccountCriteria): boolean {
	return selectAccount([{account, usernames, refreshTokens: []}], criteria).kind === 'one';
}

/** The name of an account in a text. */
type Shown = (account: AccountEntry, isForLog: boolean) => string;

/** @param text Makes the text with names as an error may show them, or as a log line may. */
function accountError(code: ErrorCode, text: (shown: Shown, isForLog: boolean) => string, search: AccountSearch, details: readonly ErrorDetail[]): CredentialUnavailableError {
	const shown: Shown = (account, isForLog) => nameOf(account.username ?? '', search, isForLog);
	const error = new CredentialUnavailableError(code, text(shown, false), {details: {details}});
	return search.criteria.username === undefined || search.showUserNames ? error : withLogText(error, text(shown, true));
}

/** An error may show a name that the caller configured. A log is read by others. */
function nameOf(username: string, {criteria, showUserNames}: AccountSearch, isForLog: boolean): string {
	const isConfigured = !isForLog && username !== '' && isSame(username, criteria.username ?? '');
	return showUserNames || isConfigured ? username : maskUserName(username);
}

/** The error text for a selection without a result: azure-identity for Python's wording, what to do, and the accounts that fit in. */
export function explainSelection(selection: Failed, search: AccountSearch, {shown, isForLog = false, addition = ''}: {shown?: Shown; isForLog?: boolean; addition?: string} = {}): string {
	if (selection.kind === 'empty') {
		return `${prefix} No accounts were found in the cache. Sign in with a program that fills it: ${programs}.`;
	}

	const {criteria, showUserNames, variables = []} = search;
	const {candidates} = selection;
	const accounts = candidates.map(({account}) => account);
	const complete = (text: string) => withList(text, listed(accounts, search, shown, isForLog), addition);
	if (criteria.homeAccountId) {
		return complete(`${prefix} The cache contains no account matching the given AuthenticationRecord. Sign in again, or leave authenticationRecord out.`);
	}

	const name = criteria.username && (isForLog && !showUserNames ? maskUserName(criteria.username) : criteria.username);
	const username = name ? ` username: ${shorten(oneLine(name), 48)}` : '';
	const tenant = criteria.tenantId ? ` tenantId: ${shorten(criteria.tenantId, 40)}` : '';
	if (selection.kind === 'no-match') {
		const origin = variables.map(variable => ` ${variable === 'AZURE_USERNAME' ? 'username' : 'tenantId'} comes from ${variable}.`).join('');
		return complete(`${prefix} No account matching the specified${username}${tenant} was found in the cache.${origin} ${cureOfNoMatch(candidates, criteria)}`);
	}

	const which = username || tenant
		? `Multiple accounts matching the specified${username}${tenant} were found in the cache.`
		: 'Multiple accounts were found in the cache. Use username and tenant id to disambiguate.';
	return complete(`${prefix} ${which} ${cureOfSeveral(accounts)}`);
}

function cureOfNoMatch(candidates: readonly Candidate[], {username, tenantId}: AccountCriteria): string {
	const isTenantAlone = tenantId !== undefined && (username === undefined || candidates.some(({usernames}) => usernames.some(each => isSame(each, username))));
	return isTenantAlone
		? 'If the user is a guest there, set enableGuestTenantAuthentication; otherwise correct tenantId.'
		: 'Sign in as that user, or set username to one that listAccounts() returns.';
}

/** Names the option that tells the accounts apart. */
function cureOfSeveral(accounts: readonly AccountEntry[]): string {
	const names = new Set(accounts.map(({username = ''}) => foldAscii(username)));
	if (names.size === accounts.length && !names.has('')) {
		return 'Set username (or AZURE_USERNAME) to one that listAccounts() returns.';
	}

	const tenants = new Set(accounts.map(({homeAccountId}) => foldAscii(homeTenantOf(homeAccountId) ?? '')));
	return tenants.size === accounts.length
		? 'Set tenantId (or AZURE_TENANT_ID) to the home tenant of one.'
		: 'Set username and tenantId, or authenticationRecord, to one that listAccounts() returns.';
}

/** Adds as many accounts as an error text can hold. */
function withList(text: string, accounts: readonly string[], addition: string): string {
	const room = maxErrorTextLength - text.length - addition.length - ' Found: , and 1000 more.'.length;
	let fitting = 0;
	for (let length = 0; fitting < accounts.length && length + accounts[fitting]!.length <= room; fitting++) {
		length += accounts[fitting]!.length + 2;
	}

	const unlisted = accounts.length - fitting;
	const found = fitting === 0 ? '' : ` Found: ${accounts.slice(0, fitting).join(', ')}${unlisted > 0 ? `, and ${unlisted} more` : ''}.`;
	return `${text}${found}${addition}`;
}

/** Most accounts that are compared and described. */
const maxListedAccounts = 20;

function listed(accounts: readonly AccountEntry[], search: AccountSearch, shown: Shown | undefined, isForLog: boolean): string[] {
	const some = accounts.slice(0, maxListedAccounts);
	const masked = maskUserNames(some.map(({username = ''}) => username));
	const names = some.map((account, index) => {
		const name = (shown ?? ((each: AccountEntry) => nameOf(each.username ?? '', search, isForLog)))(account, isForLog);
		return name === account.username ? name : masked[index]!;
	});
	return [
		...some.map((account, index) => `${shorten(oneLine(names[index]!), 48)} (home tenant ${shorten(homeTenantOf(account.homeAccountId) ?? 'unknown', 40)})`),
		...Array.from({length: accounts.length - some.length}, () => '…'),
	];
}

function describe(accounts: readonly AccountEntry[], search: AccountSearch, place: string, overview: readonly SourceReading[] = []): ErrorDetail[] {
	const texts = listed(accounts, search, (account, isForLog) => nameOf(account.username ?? '', search, isForLog), true).slice(0, maxListedAccounts);
	return texts.map((text, index) => {
		const {homeAccountId} = accounts[index]!;
		const where = place || overview.find(({slice}) => slice?.accounts.some(each => isSame(each.homeAccountId, homeAccountId)))?.source.label;
		return {place: where ?? '', text: `account ${text}`};
	});
}

export function describeAccount(account: AccountEntry, showUserNames: boolean): string {
	return `${showUserNames ? account.username ?? '' : maskUserName(account.username ?? '')} (home tenant ${homeTenantOf(account.homeAccountId) ?? 'unknown'})`;
}

/** Turns `someone@contoso.com` into `s***@contoso.com`, which users recognise as their own account in a log. */
export function maskUserName(username: string): string {
	return maskAfter(username, 1);
}

/** As {@link maskUserName}, with as many letters as tell the names of a list apart. */
export function maskUserNames(usernames: readonly string[]): string[] {
	return usernames.map(username => {
		const folded = foldAscii(username);
		const shared = usernames.map(each => foldAscii(each)).filter(each => each !== folded && domainOf(each) === domainOf(folded)).map(each => sharedLength(each, folded));
		return maskAfter(username, Math.max(0, ...shared) + 1);
	});
}

function maskAfter(username: string, letters: number): string {
	const at = username.lastIndexOf('@');
	const local = at > 0 ? username.slice(0, at) : username;
	return `${local.slice(0, letters)}***${at > 0 ? username.slice(at) : ''}`;
}

function domainOf(username: string): string {
	return username.slice(username.lastIndexOf('@'));
}

function sharedLength(a: string, b: string): number {
	let length = 0;
	while (length < a.length && a[length] === b[length]) {
		length++;
	}

	return length;
}
