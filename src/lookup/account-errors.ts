/** Errors that explain why no account was found. Loaded when that happens: most processes find one. */

import type {AccountEntry} from '../backend/backend.js';
import type {SourceReading} from '../cache/source-reading.js';
import {CredentialUnavailableError, detailsOf, type ErrorCode} from '../errors.js';
import {homeTenantOf} from '../settings/tenants.js';
import type {AccountCriteria, Selection} from './select-account.js';

/** What was searched for, and whether user names may be shown. */
export type AccountSearch = {criteria: AccountCriteria; showUserNames: boolean};

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

/** The cache has accounts, but none can be chosen. */
export function unavailable(code: ErrorCode, selection: Exclude<Selection, {kind: 'one'}>, {criteria, showUserNames}: AccountSearch, addition = ''): CredentialUnavailableError {
	return new CredentialUnavailableError(code, explainSelection(selection, criteria, showUserNames) + addition);
}

/**
 * No source has the account.
 *
 * @param failed The selection in the first source that has accounts.
 */
export function explainFailure(failed: Exclude<Selection, {kind: 'one'}>, readings: readonly SourceReading[], search: AccountSearch): CredentialUnavailableError {
	const broken = readings.filter(({error}) => error !== undefined);
	const rank = ({error}: SourceReading) => {
		const index = error ? significantErrors.indexOf(error.code) : -1;
		return index === -1 ? significantErrors.length : index;
	};

	const [worst] = broken.toSorted((a, b) => rank(a) - rank(b));
	// Other libraries write an empty file or `{}` beside a keyring item to signal a change.
	const hasContent = readings.some(({slice}) => slice !== null && slice.sizeBytes > 2);
	if (failed.kind !== 'empty' || (hasContent && (!worst || rank(worst) === significantErrors.length))) {
		const unread = broken.filter(reading => rank(reading) < significantErrors.length).map(({source, error}) => `${source.label} (${error?.code ?? ''})`);
		return unavailable('STC_NO_ACCOUNT', failed, search, unread.length > 0 ? ` Not readable: ${unread.join(', ')}.` : '');
	}

	if (worst?.error) {
		const {code, message} = worst.error;
		// The message of a file error already names the file.
		const subject = message.startsWith(worst.source.label) ? '' : `${worst.source.label}: `;
		const absent = readings.filter(({slice, error}) => slice === null && error === undefined).map(({source}) => source.label);
		// If the keyring is only missing, the user also needs to know which files were looked for.
		const elsewhere = absent.length > 0 && rank(worst) === significantErrors.length ? ` There is no cache at ${absent.join(', ')}.` : '';
		return new CredentialUnavailableError(
			code,
			`SharedTokenCacheCredential: Shared token cache unavailable: ${subject}${message}${elsewhere}`,
			{cause: worst.error, details: detailsOf(worst.error)},
		);
	}

	if (readings.some(({slice}) => slice !== null)) {
		return unavailable('STC_NO_ACCOUNT', failed, search);
	}

	return new CredentialUnavailableError(
		'STC_CACHE_NOT_FOUND',
		`SharedTokenCacheCredential: Shared token cache unavailable: no cache was found. Looked at ${readings.map(({source}) => source.label).join(', ')}. Sign in with a tool that fills it, or set tokenCachePersistenceOptions.name.`,
	);
}

/** The error text for a selection without a result: azure-identity for Python's wording, and what to do. */
export function explainSelection(
	selection: Exclude<Selection, {kind: 'one'}>,
	criteria: AccountCriteria,
	showUserNames: boolean,
): string {
	const prefix = 'SharedTokenCacheCredential authentication unavailable.';
	if (selection.kind === 'empty') {
		return `${prefix} No accounts were found in the cache. Sign in with a developer tool that fills the shared token cache.`;
	}

	const {candidates} = selection;
	const listed = candidates.slice(0, maxListedAccounts).map(({account}) => describeAccount(account, showUserNames)).join(', ');
	const unlisted = candidates.length > maxListedAccounts ? `, and ${candidates.length - maxListedAccounts} more` : '';
	const found = `Found: ${listed}${unlisted}.`;
	if (criteria.homeAccountId) {
		return `${prefix} The cache contains no account matching the given AuthenticationRecord. ${found} Sign in again, or leave authenticationRecord out.`;
	}

	const username = criteria.username ? ` username: ${criteria.username}` : '';
	const tenant = criteria.tenantId ? ` tenantId: ${criteria.tenantId}` : '';
	if (selection.kind === 'no-match') {
		return `${prefix} No account matching the specified${username}${tenant} was found in the cache. ${found} Set username (or AZURE_USERNAME) and tenantId (or AZURE_TENANT_ID) to one of them.`;
	}

	const which = username || tenant
		? `Multiple accounts matching the specified${username}${tenant} were found in the cache.`
		: 'Multiple accounts were found in the cache. Use username and tenant id to disambiguate.';
	return `${prefix} ${which} ${found} Set username (or AZURE_USERNAME), or tenantId (or AZURE_TENANT_ID), or authenticationRecord.`;
}

/** Most accounts that an error text lists. */
const maxListedAccounts = 5;

export function describeAccount(account: AccountEntry, showUserNames: boolean): string {
	return `${showUserNames ? account.username ?? '' : maskUserName(account.username ?? '')} (home tenant ${homeTenantOf(account.homeAccountId) ?? 'unknown'})`;
}

/** Turns `someone@contoso.com` into `s***@contoso.com`, which users recognise as their own account in a log. */
export function maskUserName(username: string): string {
	const at = username.lastIndexOf('@');
	return `${username.slice(0, 1)}***${at > 0 ? username.slice(at) : ''}`;
}
