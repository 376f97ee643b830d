/** Which tenant a token comes from. */

import {CredentialUnavailableError, invalidArgument} from '../errors.js';

/** Any work or school account. */
export const organizationsTenant = 'organizations';

/** Home tenant of personal Microsoft accounts. Source: Microsoft identity platform, "ID token claims", `tid`. */
export const consumersTenant = '9188040d-6c67-4c5b-b112-36a304b66dad';

/**
 * What stands for a tenant where AD FS is meant, which has none. Source: MSAL for Python 1.39, `authority.py`: the path's first segment
 * stands for a tenant.
 */
export const adfsTenant = 'adfs';

const tenantPattern = /^[A-Za-z\d.-]+$/;

/** @throws `STC_INVALID_ARGUMENT` unless `tenantId` is a tenant id or domain name. */
export function checkTenantId(tenantId: unknown, optionName: string): asserts tenantId is string {
	if (typeof tenantId !== 'string' || !tenantPattern.test(tenantId) || /^\.+$/.test(tenantId)) {
		throw invalidArgument(`${optionName} is not a tenant: use a tenant id or domain name, made of letters, digits, "." and "-".`);
	}
}

/** The tenant that is meant, by id or domain; `undefined` for the words that mean an account's own. */
export function namedTenant(tenant: string): string | undefined {
	switch (tenant.toLowerCase()) {
		case organizationsTenant:
		case 'common': {
			return undefined;
		}

		case 'consumers': {
			return consumersTenant;
		}

		default: {
			return tenant;
		}
	}
}

/** Whether a tenant is named by its id: not by a domain, and not by a word such as `organizations`. */
export function isTenantGuid(tenant: string): boolean {
	return /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i.test(tenant);
}

/** Home tenant of a home account id `<uid>.<utid>`, or `undefined` for ids of any other shape. */
export function homeTenantOf(homeAccountId: string): string | undefined {
	const parts = homeAccountId.split('.');
	return parts.length === 2 ? parts[1] : undefined;
}

export type TenantRules = {
	/** The tenant that the options name, if any. */
	configured: string | undefined;
	additionallyAllowed: readonly string[];
	/** AD FS, or `AZURE_IDENTITY_DISABLE_MULTITENANTAUTH`: requests cannot choose. */
	requestsIgnored: boolean;
};

/**
 * The tenant that a request names, where it may.
 *
 * @returns `undefined` when the request leaves the choice to the options.
 * @throws `STC_TENANT_NOT_ALLOWED`, so that a chain tries its next credential.
 */
export function allowedRequestTenant(requested: string | undefined, rules: TenantRules): string | undefined {
	if (!requested || rules.requestsIgnored) {
		return undefined;
	}

	const {configured, additionallyAllowed} = rules;
	const isAllowed = configured === undefined
		|| additionallyAllowed.includes('*')
		|| [configured, ...additionallyAllowed].some(tenant => tenant.toLowerCase() === requested.toLowerCase());
	if (!isAllowed) {
		throw new CredentialUnavailableError(
			'STC_TENANT_NOT_ALLOWED',
			`SharedTokenCacheCredential: The current credential is not configured to acquire tokens for tenant ${requested}. To enable acquiring tokens for this tenant add it to the additionallyAllowedTenants option, or add "*" to allow any tenant.`,
		);
	}

	return requested;
}

/** The tenant that the options ask tokens of, where they do; otherwise the account's own is meant. */
export function ownTenant({enableGuestTenantAuthentication, tenantId, record, authority}: {
	readonly enableGuestTenantAuthentication: boolean;
	readonly tenantId: string | undefined;
	readonly record: {readonly tenantId: string} | undefined;
	readonly authority: {readonly isAdfs: boolean};
}): string | undefined {
	return (enableGuestTenantAuthentication || record) && !authority.isAdfs ? tenantId ?? record?.tenantId : undefined;
}
