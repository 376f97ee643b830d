/** What a grant changes in MSAL's cache, in the form in which MSAL writes it. No I/O, no clock. */

import type {
	AccountEntry, CacheChange, CommitGuard, RecordEdit, RefreshTokenEntry,
} from '../backend/backend.js';
import type {CacheSource} from '../cache/cache-source.js';
import {homeTenantOf} from '../settings/tenants.js';
import type {TokenResponse} from './token-response.js';

/** The sign-in that a grant continues. */
export type Session = {
	account: AccountEntry;
	/** The hosts whose records belong to the account. */
	environments: readonly string[];
	clientId: string;
	/** The cache from which the account was read. */
	source: CacheSource;
	/** Whether the cache had no record of the account, but only its refresh token. Default false. */
	isUnlisted?: boolean;
	/** The refresh tokens of this sign-in that are known here. */
	refreshTokens: ReadonlySet<string>;
	/** The mark of sign-outs from before the account was read. Renewed when the account has been found again. */
	guard: CommitGuard | undefined;
};

export type Grant = {
	response: TokenResponse;
	account: AccountEntry;
	/** Host of the authority. */
	environment: string;
	/** The host and its aliases. */
	environments: readonly string[];
	clientId: string;
	isAdfs: boolean;
	/** As requested. */
	scopes: readonly string[];
	/** The tenant that issued the token: never `organizations` or `common`. */
	realm: string;
	/** The cache record of the refresh token that was redeemed. */
	redeemed: RefreshTokenEntry;
	/** The secrets that a new refresh token may replace: the one that was redeemed, and those that it replaced. Default: any. */
	replaceable?: readonly string[];
	/** Whether the refresh token that was redeemed may be worthless now, so that the session ends if the new one is not written. Default false. */
	endsSession?: boolean;
	/** Whether that record and the account were read from the cache that is written to. */
	isOwnCache: boolean;
	/** The sign-in that the grant continues. Default: it is not checked whether that was ended by a sign-out. */
	session?: Session;
	/** When the grant was received, Unix seconds. */
	nowSec: number;
};

/**
 * @param isRepair Whether this only restores tokens that another program overwrote.
 * @param isLate Whether other programs may have written newer tokens since the grant. If not, the grant replaces any token, also one that
 * expires later: a challenge may have made that token worthless, or the clocks differ.
 */
export function editsOfGrant(grant: Grant, isRepair: boolean, isLate = isRepair): CacheChange {
	const edits = [accessTokenEdit(grant, isLate)];
	const {response, account, environments, isOwnCache} = grant;
	if (response.refreshToken) {
		edits.push(refreshTokenEdit(grant, response.refreshToken, isLate));
	}

	if (!isRepair) {
		edits.push(expiredTokensEdit(grant));
	}

	if (response.idToken) {
		edits.push(idTokenEdit(grant, response.idToken, isRepair));
	}

	const accountEdit = accountEditOf(grant);
	if (accountEdit && !isRepair) {
		edits.push(accountEdit);
	}

	if (response.familyId) {
		edits.push(appMetadataEdit(grant, response.familyId));
	}

	return {
		edits,
		// An account that is no longer in the cache was signed out, and must not come back.
		...(((isOwnCache && !grant.session?.isUnlisted) || isRepair) && {requiredAccount: {homeAccountId: account.homeAccountId, environments}}),
	};
}

/** Whether a grant replaces every token of an older one. */
export function isReplacedBy(grant: Grant, older: Grant): boolean {
	return grant.account.homeAccountId === older.account.homeAccountId
		&& grant.environment === older.environment
		&& grant.clientId === older.clientId
		&& grant.realm === older.realm
		&& grant.scopes.join(' ') === older.scopes.join(' ')
		&& (grant.response.refreshToken !== undefined || older.response.refreshToken === undefined);
}

/** Removes the tokens of a grant whose account is gone: they may have been written in the middle of another program's sign-out. */
export function editsOfUndoing({response, account}: Grant): CacheChange {
	const secrets = {AccessToken: response.accessToken, RefreshToken: response.refreshToken, IdToken: response.idToken};
	return {
		edits: Object.entries(secrets).flatMap(([section, secret]) => secret === undefined
			? []
			: [{
				section, action: 'remove', match: {home_account_id: [account.homeAccountId], secret: [secret]},
			}]),
	};
}

/** A refresh token that replaces others of the same sign-in. */
export type Rotation = {
	/** Those that it replaces. */
	replaceable: readonly string[];
	refreshToken: string;
	/** Unix seconds. */
	nowSec: number;
};

/** Replaces a refresh token in a cache that holds it, too. */
export function editsOfRotation(homeAccountId: string, {replaceable, refreshToken, nowSec}: Rotation): CacheChange {
	return {
		edits: [{
			section: 'RefreshToken',
			action: 'update',
			match: {home_account_id: [homeAccountId], secret: replaceable},
			set: jsonOf({secret: refreshToken, last_modification_time: String(nowSec)}),
		}],
	};
}

/** Removes a refresh token that the authority will never accept again. */
export function editsOfEviction({homeAccountId}: AccountEntry, refreshToken: string): CacheChange {
	return {edits: [{section: 'RefreshToken', action: 'remove', match: {home_account_id: [homeAccountId], secret: [refreshToken]}}]};
}

function accessTokenEdit({response, account, environment, environments, clientId, scopes, realm, nowSec}: Grant, isLate: boolean): RecordEdit {
	const target = targetOf(response.scope, scopes);
	const {accessToken, expiresOnSec, refreshOnSec, extendedExpiresOnSec = expiresOnSec} = response;
	const asked = isNamedBy(target, scopes) ? undefined : scopes.join(' ');
	// AD FS answers every request with "openid". Such tokens must not replace each other.
	const isAlone = asked !== undefined && namesNoResource(target);
	return {
		section: 'AccessToken',
		action: 'put',
		key: keyOf(account.homeAccountId, environment, 'accesstoken', clientId, realm, isAlone ? `${target} ${asked}` : target),
		...(!isAlone && {
			match: {
				home_account_id: [account.homeAccountId],
				environment: environments,
				client_id: [clientId],
				realm: [realm],
				target: [target],
				// Tokens that are bound to more than that are different tokens.
				token_type: ['Bearer', ''],
				key_id: [''],
				ext_cache_key: [''],
				requestedClaimsHash: [''],
				userAssertionHash: [''],
			},
		}),
		fill: jsonOf({
			credential_type: 'AccessToken', home_account_id: account.homeAccountId, environment, client_id: clientId, realm, target, token_type: 'Bearer',
		}),
		set: jsonOf({
			secret: accessToken,
			cached_at: String(nowSec),
			expires_on: String(expiresOnSec),
			extended_expires_on: String(extendedExpiresOnSec),
			...(refreshOnSec !== undefined && {refresh_on: String(refreshOnSec)}),
			...(asked !== undefined && {[requestedScopesField]: asked}),
		}),
		...(refreshOnSec === undefined && {unset: ['refresh_on']}),
		...(isLate && {unlessNewer: {field: 'cached_at', value: nowSec}}),
	};
}

/**
 * Removes expired access tokens of the account and client, which nobody can use: otherwise a cache grows with every tenant and scope that is
 * asked for once. Those of other accounts and clients are theirs to remove.
 */
function expiredTokensEdit({account, environments, clientId, nowSec}: Grant): RecordEdit {
	return {
		section: 'AccessToken',
		action: 'remove',
		match: {home_account_id: [account.homeAccountId], environment: environments, client_id: [clientId]},
		onlyIfOlder: {field: 'expires_on', value: nowSec + 1},
	};
}

/**
 * The scopes that were asked for, if the authority's answer does not name them: it may leave out the resource, or scopes that it does not
 * grant. Other programs ignore this field.
 */
const requestedScopesField = 'requested_scopes';

/** Scopes of Microsoft Graph are also written without it. */
const graphPrefix = 'https://graph.microsoft.com/';

const openIdScopes: ReadonlySet<string> = new Set(['openid', 'profile', 'email', 'offline_access']);

function isNamedBy(target: string, requested: readonly string[]): boolean {
	const granted = new Set(namesOf(target.split(' ')));
	return namesOf(requested).every(scope => granted.has(scope));
}

function namesNoResource(target: string): boolean {
	return namesOf(target.split(' ')).every(scope => openIdScopes.has(scope));
}

function namesOf(scopes: readonly string[]): string[] {
	return scopes.map(scope => scope.toLowerCase()).map(scope => scope.startsWith(graphPrefix) ? scope.slice(graphPrefix.length) : scope);
}

/** The granted scopes, and requested `.default` scopes, which an authority never names in its response. */
function targetOf(granted: string | undefined, requested: readonly string[]): string {
	const defaults = requested.filter(scope => scope.toLowerCase().endsWith('/.default'));
	return [...new Set(granted === undefined ? requested : [...granted.split(' ').filter(Boolean), ...defaults])].join(' ');
}

function refreshTokenEdit({response, account, environment, environments, clientId, redeemed, replaceable, isOwnCache, nowSec}: Grant, refreshToken: string, isLate: boolean): RecordEdit {
	const familyId = response.familyId ?? redeemed.familyId;
	const ownerId = redeemed.familyId && !response.familyId ? redeemed.clientId ?? clientId : clientId;
	return {
		section: 'RefreshToken',
		action: 'put',
		key: keyOf(account.homeAccountId, environment, 'refreshtoken', familyId ?? clientId, '', ''),
		match: isOwnCache
			// The record that was redeemed, whatever its key. Records of other libraries stay.
			? {
				home_account_id: [redeemed.homeAccountId],
				environment: [redeemed.environment],
				client_id: [redeemed.clientId ?? ''],
				family_id: [redeemed.familyId ?? ''],
				target: [redeemed.target ?? ''],
			}
			: {
				home_account_id: [account.homeAccountId],
				environment: environments,
				...(familyId ? {family_id: [familyId]} : {client_id: [clientId], family_id: ['']}),
			},
		fill: jsonOf({
			credential_type: 'RefreshToken', home_account_id: account.homeAccountId, environment, client_id: ownerId, ...(familyId && {family_id: familyId}),
		}),
		set: jsonOf({secret: refreshToken, last_modification_time: String(nowSec)}),
		// Another program may have redeemed the same token, or signed in. In a cache that had no such account, there is nothing to lose at first.
		...(replaceable
			? (isOwnCache || isLate) && {onlyIfSecret: replaceable}
			: isLate && {unlessNewer: {field: 'last_modification_time', value: nowSec}}),
	};
}

function idTokenEdit({account, environment, environments, clientId, realm}: Grant, idToken: string, isRepair: boolean): RecordEdit {
	return {
		section: 'IdToken',
		action: isRepair ? 'add' : 'put',
		key: keyOf(account.homeAccountId, environment, 'idtoken', clientId, realm, ''),
		match: {
			home_account_id: [account.homeAccountId], environment: environments, client_id: [clientId], realm: [realm],
		},
		fill: jsonOf({
			credential_type: 'IdToken', home_account_id: account.homeAccountId, environment, client_id: clientId, realm,
		}),
		set: jsonOf({secret: idToken}),
	};
}

/** Libraries store an account of a request without a tenant under these names, or without a tenant. */
const homeNames = ['organizations', 'common', 'consumers', ''];

/**
 * Adds the account's record for the tenant of the token if the cache has none. Fields that other programs wrote are not overwritten.
 *
 * A guest has another object ID in that tenant, and Entra may give another name there. The name by which the user is known here is kept:
 * other libraries find the account by the name of any of its records.
 */
function accountEditOf({response, account, environment, environments, isAdfs, realm}: Grant): RecordEdit | undefined {
	const homeTenant = homeTenantOf(account.homeAccountId);
	const isGuest = !isAdfs && homeTenant !== undefined && homeTenant.toLowerCase() !== realm.toLowerCase();
	const username = isGuest ? account.username || response.username : response.username ?? account.username;
	const localAccountId = response.localAccountId ?? (isGuest ? undefined : account.localAccountId);
	if (!username || !localAccountId) {
		return undefined;
	}

	return {
		section: 'Account',
		action: 'add',
		key: [account.homeAccountId, environment, realm].join('-').toLowerCase(),
		match: {
			home_account_id: [account.homeAccountId],
			environment: environments,
			...(homeTenant !== undefined && !isAdfs && {realm: isGuest ? [realm] : [realm, ...homeNames]}),
		},
		set: jsonOf({
			home_account_id: account.homeAccountId,
			environment,
			realm,
			local_account_id: localAccountId,
			username,
			authority_type: account.authorityType ?? (isAdfs ? 'ADFS' : 'MSSTS'),
			...(response.clientInfo && {client_info: response.clientInfo}),
		}),
	};
}

function appMetadataEdit({environment, environments, clientId}: Grant, familyId: string): RecordEdit {
	return {
		section: 'AppMetadata',
		action: 'put',
		key: `appmetadata-${environment}-${clientId}`.toLowerCase(),
		match: {client_id: [clientId], environment: environments},
		fill: jsonOf({client_id: clientId, environment}),
		set: jsonOf({family_id: familyId}),
	};
}

/** Source: MSAL's unified cache schema, as MSAL for Node and Python build it. */
function keyOf(...parts: string[]): string {
	return parts.join('-').toLowerCase();
}

function jsonOf(fields: Readonly<Record<string, string>>): Record<string, string> {
	return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, JSON.stringify(value)]));
}
