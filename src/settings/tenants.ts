/** Rules for the tenant of a token. */

import {CredentialUnavailableError, invalidArgument} from '../errors.js';

/** Stands for the home tenant of any work or school account. */
export const organizationsTenant = 'organizations';

/** Home tenant of personal Microsoft accounts. Source: Microsoft identity platform, "ID token claims", `tid`. */
export const consumersTenant = '9188040d-6c67-4c5b-b112-36a304b66dad';

/**
 * Takes the place of a tenant for AD FS, which has no tenants. Source: MSAL for Python 1.39, `authority.py`: the first segment of the path is
 * the tenant.
 */
export const adfsTenant = 'adfs';

const tenantPattern = /^[A-Za-z\d.-]+$/;

/** @throws `STC_INVALID_ARGUMENT` unless `tenantId` is a tenant id or domain name. */
export function checkTenantId(tenantId: unknown, optionName: string): asserts tenantId is string {
	if (typeof tenantId !== 'string' || !tenantPattern.test(tenantId) || /^\.+$/.test(tenantId)) {
		throw invalidArgument(`${optionName} is not a tenant: use a tenant id or domain name, made of letters, digits, "." and "-".`);
	}
}

/** The tenant as an ID or domain; `undefined` for the words that mean the account's home tenant. */
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

/** Whether this is a tenant ID, and not a domain or a word such as `organizations`. */
export function isTenantGuid(tenant: string): boolean {
	return /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i.test(tenant);
}

/** The home tenant in a home account ID `<uid>.<utid>`, or `undefined` for IDs of any other shape. */
export function homeTenantOf(homeAccountId: string): string | undefined {
	const parts = homeAccountId.split('.');
	return parts.length === 2 ? parts[1] : undefined;
}

export type TenantRules = {
	/** The tenant of the options, if there is one. */
	configured: string | undefined;
	additionallyAllowed: readonly string[];
	/** For AD FS, and with `AZURE_IDENTITY_DISABLE_MULTITENANTAUTH`: the tenant of a request is ignored. */
	requestsIgnored: boolean;
};

/**
 * Checks the tenant of a request.
 *
 * @returns `undefined` if the request names none, or if it is ignored.
 * @throws {CredentialUnavailableError} `STC_TENANT_NOT_ALLOWED`: a chain tries its next credential.
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

/** The tenant of the options, or `undefined` for the account's home tenant. */
export function ownTenant({enableGuestTenantAuthentication, tenantId, record, authority}: {
	readonly enableGuestTenantAuthentication: boolean;
	readonly tenantId: string | undefined;
	readonly record: {readonly tenantId: string} | undefined;
	readonly authority: {readonly isAdfs: boolean};
}): string | undefined {
	return (enableGuestTenantAuthentication || record) && !authority.isAdfs ? tenantId ?? record?.tenantId : undefined;
}
