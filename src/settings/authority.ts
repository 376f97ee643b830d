/** Authorities: the host that issues tokens, and the host names under which its records are cached. */

export type Authority = {
	/** Scheme, host and port, no trailing slash: `https://login.microsoftonline.com`. */
	origin: string;
	/** Lower-case host, with the port unless it is 443. */
	host: string;
	/** Lower-case hosts under which this authority's records may be cached; the authority's own first. */
	environments: readonly string[];
	/** AD FS has no tenants and no `/v2.0`. */
	isAdfs: boolean;
	/** One of Microsoft's own hosts, which needs no instance discovery. */
	isWellKnown: boolean;
	isLoopback: boolean;
};

export const defaultAuthorityHost = 'login.microsoftonline.com';

/** The authority of the public cloud, which is the default. A literal, so that the default needs no URL parser: that costs start-up time. */
export const publicCloud: Authority = Object.freeze({
	origin: `https://${defaultAuthorityHost}`,
	host: defaultAuthorityHost,
	// Source: azure-identity for Python 1.26, `shared_token_cache.py`, KNOWN_ALIASES.
	environments: [defaultAuthorityHost, 'login.windows.net', 'login.microsoft.com', 'sts.windows.net'],
	isAdfs: false,
	isWellKnown: true,
	isLoopback: false,
});

/** @param hostname As in a URL: in lower case, an IPv6 address in brackets. */
export function isLoopbackHost(hostname: string): boolean {
	return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(hostname);
}
