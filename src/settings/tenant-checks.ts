/** Whether the options allow the tenant of a request. Loaded when a request names one. */

import {CredentialUnavailableError, shorten} from '../errors.js';
import {namedTenant, type TenantRules} from './tenants.js';

/**
 * Checks the tenant of a request, as far as the options tell. The rule is that of azure-identity for Python 1.25 and later: an empty list
 * allows every tenant; a list that is not empty is enforced, besides the tenant that tokens come from.
 *
 * @returns the tenant, or `undefined` if the request names none or if it is ignored; and whether {@link checkTenantOfAccount} must decide,
 * because the home tenant of the account is not known yet.
 * @throws {CredentialUnavailableError} `STC_TENANT_NOT_ALLOWED`: a chain tries its next credential.
 */
export function allowedRequestTenant(requested: string | undefined, rules: TenantRules): {tenantId: string | undefined; isOpen: boolean} {
	if (!requested || rules.requestsIgnored) {
		return {tenantId: undefined, isOpen: false};
	}

	const named = namedTenant(requested);
	if (isAllowed(named, rules)) {
		return {tenantId: requested, isOpen: false};
	}

	// The home tenant may be the one that tokens come from, or stand in the list as a word.
	if (rules.own === undefined || named === undefined || rules.additionallyAllowed.some(each => namedTenant(each) === undefined)) {
		return {tenantId: requested, isOpen: true};
	}

	throw notAllowed(requested);
}

/**
 * Checks the tenant of a request for an account.
 *
 * @param home The account's home tenant. `undefined`: there is no account, or its ID does not tell.
 * @throws {CredentialUnavailableError} As {@link allowedRequestTenant}.
 */
export function checkTenantOfAccount(requested: string, home: string | undefined, rules: TenantRules): void {
	if (!isAllowed(namedTenant(requested) ?? home, {...rules, own: rules.own ?? home}, home)) {
		throw notAllowed(requested);
	}
}

/** @param tenant `undefined`: the home tenant, whichever that is. */
function isAllowed(tenant: string | undefined, {own, additionallyAllowed}: TenantRules, home?: string): boolean {
	return additionallyAllowed.length === 0
		|| additionallyAllowed.includes('*')
		|| [own, ...additionallyAllowed.map(each => namedTenant(each) ?? home)].some(each => each?.toLowerCase() === tenant?.toLowerCase());
}

function notAllowed(requested: string): CredentialUnavailableError {
	return new CredentialUnavailableError(
		'STC_TENANT_NOT_ALLOWED',
		`SharedTokenCacheCredential: The current credential is not configured to acquire tokens for tenant ${shorten(requested)}. Add this tenant to the additionallyAllowedTenants option, or add "*" to allow any tenant.`,
	);
}
