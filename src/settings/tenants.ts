/** Rules for the tenant of a token. */

import {invalidArgument} from '../errors.js';

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
	/** The tenant that tokens come from, if the options tell; `undefined`: the account's home tenant. */
	own: string | undefined;
	/** Empty: every tenant is allowed. */
	additionallyAllowed: readonly string[];
	/** For AD FS, and with `AZURE_IDENTITY_DISABLE_MULTITENANTAUTH`: the tenant of a request is ignored. */
	requestsIgnored: boolean;
};

/** The tenant of the options, or `undefined` for the account's home tenant. */
export function ownTenant({enableGuestTenantAuthentication, tenantId, record, authority}: {
	readonly enableGuestTenantAuthentication: boolean;
	readonly tenantId: string | undefined;
	readonly record: {readonly tenantId: string} | undefined;
	readonly authority: {readonly isAdfs: boolean};
}): string | undefined {
	return (enableGuestTenantAuthentication || record) && !authority.isAdfs ? tenantId ?? record?.tenantId : undefined;
}
