/** The errors of requests that the authority refused, or that another process holds up. Loaded when there is something to explain. */

import type {AccountEntry} from '../backend/backend.js';
import {AuthenticationRequiredError, CredentialUnavailableError, type InteractiveOptions} from '../errors.js';
import {maskUserName} from '../lookup/account-errors.js';
import {maskUserNamesIn} from '../runtime/log-text.js';
import type {TokenRequest} from '../lookup/token-request.js';
import {organizationsTenant} from '../settings/tenants.js';
import type {GrantRefusal, RefusalReason} from './grant-refusal.js';
import type {LeaseTimeout} from './machine-lease.js';

/** What an error text names. */
export type Refused = {
	account: AccountEntry;
	/** The label of the cache in which the account was found. */
	cache: string;
	clientId: string;
	/** Host of the authority. */
	host: string;
	/** The tenant that the token was requested from. */
	tenant: string;
	request: TokenRequest;
	showUserNames: boolean;
};

const prefix = 'SharedTokenCacheCredential: ';

/**
 * The authority's own words come last, where a long message is cut. They are in `errorResponse`, too.
 *
 * @param refusal `undefined`: the account has no refresh token that could be sent.
 */
export function explainRefusal(refusal: GrantRefusal | undefined, refused: Refused): CredentialUnavailableError {
	const {request, clientId, cache, tenant} = refused;
	const details = {details: [{place: cache, text: `${nameOf(refused)}, client ${clientId}`}]};
	if (!refusal) {
		return new CredentialUnavailableError(
			'STC_INTERACTION_REQUIRED',
			`${prefix}There is no refresh token for ${nameOf(refused)} that can be sent. The user has to sign in again with a program that fills this cache.${placeOf(refused, 0)}`,
			{details},
		);
	}

	const {errorResponse, reason, correlationId} = refusal;
	const {what, todo} = texts(refused)[reason];
	// The code comes before the colon.
	const [, code = '', sentence = ''] = /^(.*?)(?:: (.*))?$/.exec(refusal.message) ?? [];
	const text = `${prefix}${what} ${todo} ${code} (correlation id ${errorResponse.correlationId ?? correlationId ?? 'unknown'}).`;
	const message = `${text}${placeOf(refused, text.length)}${sentence && ` ${refused.host} says: ${refused.showUserNames ? sentence : maskUserNamesIn(sentence)}`}`;
	const interactive: InteractiveOptions = {
		getTokenOptions: {
			...((errorResponse.claims ?? request.claims) !== undefined && {claims: errorResponse.claims ?? request.claims!}),
			...(tenant !== organizationsTenant && {tenantId: tenant}),
			enableCae: request.kind === 'cae',
		},
		...(errorResponse.claims !== undefined && {claims: errorResponse.claims}),
	};
	const options = {
		errorResponse, cause: refusal, details, ...interactive,
	};
	if (reason === 'client') {
		return new CredentialUnavailableError('STC_CLIENT_NOT_ALLOWED', message, options);
	}

	return request.claims === undefined
		? new CredentialUnavailableError('STC_INTERACTION_REQUIRED', message, options)
		: new AuthenticationRequiredError(message, {scopes: request.scopes, ...options, ...(errorResponse.suberror && {suberror: errorResponse.suberror})});
}

/** Longest message of an error (`errors.ts`). */
const maxMessageLength = 400;

/** Where the account is, and whose refresh token was sent. Of a long path, the end is shown: `details` has all of it. */
function placeOf({cache, clientId}: Refused, usedLength: number): string {
	const [start, end] = [' Account in ', `; client ${clientId}.`];
	const room = Math.max(20, maxMessageLength - 1 - usedLength - start.length - end.length);
	return `${start}${cache.length <= room ? cache : `...${cache.slice(3 - room)}`}${end}`;
}

/** Another process uses the account's refresh token, and shows no sign of life. */
export function explainTimeout({holder, quietMs}: LeaseTimeout, refused: Refused): CredentialUnavailableError {
	const pid = holder === undefined ? Number.NaN : Number.parseInt(holder, 10);
	const who = pid > 0 ? `Process ${pid}` : 'Another process';
	const state = quietMs > 10_000 ? `and has shown no sign of life for ${Math.round(quietMs / 1000)} s` : 'and does not finish';
	return new CredentialUnavailableError(
		'STC_LOCK_TIMEOUT',
		`${prefix}${who} requests a token with the refresh token of ${nameOf(refused)}, ${state}. Let it go on, or end it: ${refused.host} may accept that refresh token only once. Account in ${refused.cache}.`,
	);
}

function texts(refused: Refused): Record<RefusalReason, {what: string; todo: string}> {
	const name = nameOf(refused);
	const {tenant, request: {scopes}} = refused;
	return {
		'sign-in': {
			what: `The sign-in of ${name} has ended.`,
			todo: 'The user has to sign in again with a program that fills this cache.',
		},
		consent: {
			what: `Nobody has consented that the client uses ${cut(scopes.join(' '), 60)} for ${name}.`,
			todo: 'Sign in with this client and consent, or ask an administrator.',
		},
		policy: {
			what: `A policy requires more of ${name} than the cached sign-in.`,
			todo: 'Sign in interactively, with getTokenOptions of this error.',
		},
		access: {
			what: `${name} is not assigned to the application that the token is for.`,
			todo: 'Ask an administrator of the tenant for access, or set username to another account.',
		},
		tenant: {
			what: `The tenant ${cut(tenant, 40)} does not know ${name}, or not what was asked for.`,
			todo: 'Set tenantId to a tenant that does, or username to another account.',
		},
		client: {
			what: `The client cannot be used with ${name}.`,
			todo: 'Set clientId to a client that may redeem its refresh token, or username to another account.',
		},
	};
}

function nameOf({account: {username = ''}, showUserNames}: Refused): string {
	return username === '' ? 'the account' : cut(showUserNames ? username : maskUserName(username), 60);
}

function cut(text: string, length: number): string {
	return text.length <= length ? text : `${text.slice(0, Math.max(0, length - 3))}...`;
}
