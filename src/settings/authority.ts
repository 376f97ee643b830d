/** Authorities: the host that issues tokens, and the host names under which its records are cached. */

import {invalidArgument} from '../errors.js';

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

/** Groups of hosts that are aliases of one authority. Source: azure-identity for Python 1.26, `shared_token_cache.py`, KNOWN_ALIASES. */
const aliasGroups: ReadonlyArray<readonly string[]> = [
	publicCloud.environments,
	['login.partner.microsoftonline.cn', 'login.chinacloudapi.cn'],
	['login.microsoftonline.us', 'login.usgovcloudapi.net'],
];

/** Well-known authorities without listed aliases. Source: MSAL for Python 1.39, `authority.py`, WELL_KNOWN_AUTHORITY_HOSTS. */
const otherWellKnownHosts: ReadonlySet<string> = new Set([
	'login.microsoftonline.de',
	'login-us.microsoftonline.com',
	'login.sovcloud-identity.fr',
	'login.sovcloud-identity.de',
	'login.sovcloud-identity.sg',
]);

const nationalHosts: ReadonlySet<string> = new Set([...aliasGroups.slice(1).flat(), ...otherWellKnownHosts].filter(host => host !== 'login-us.microsoftonline.com'));

/** Whether these are hosts of a cloud of Microsoft other than the public one. Such a cloud has resources of its own. */
export function isNationalCloud(environments: readonly string[]): boolean {
	return environments.some(environment => nationalHosts.has(environment));
}

/**
 * @param text A host or URL; `https://` is added if there is no scheme.
 * @param optionName Names the option or variable in the error text.
 * @throws `STC_INVALID_ARGUMENT` for anything but an https authority (http for a loopback address).
 */
export function parseAuthority(text: string, optionName: string): Authority {
	if (text === defaultAuthorityHost) {
		return publicCloud;
	}

	const example = `Use a host such as "${defaultAuthorityHost}" or its https URL.`;
	let url: URL;
	try {
		url = new URL(/^[a-z][a-z\d+.-]*:\/\//i.test(text) ? text.trim() : `https://${text.trim()}`);
	} catch {
		throw invalidArgument(`${optionName} is not a host or URL. ${example}`);
	}

	const isLoopback = isLoopbackHost(url.hostname);
	if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback)) {
		throw invalidArgument(`${optionName} must be a TLS protected (https) URL; plain http is taken for loopback only. ${example}`);
	}

	const path = withoutTrailingSlashes(url.pathname).toLowerCase();
	if (url.username || url.password || url.search || url.hash || (path !== '' && path !== '/adfs')) {
		throw invalidArgument(`${optionName} must not hold a user, path, query or fragment ("/adfs" is the one path allowed). ${example}`);
	}

	const {host, hostname} = url;
	const group = aliasGroups.find(hosts => hosts.includes(host));
	return {
		origin: url.origin,
		host,
		// Some MSAL libraries store an authority with its port, others without.
		environments: group ? [host, ...group.filter(alias => alias !== host)] : [...new Set([host, hostname])],
		isAdfs: path === '/adfs',
		isWellKnown: group !== undefined || otherWellKnownHosts.has(host),
		isLoopback,
	};
}

/** A pattern for this would look at each slash of a long row as often as the row is long. */
function withoutTrailingSlashes(path: string): string {
	let end = path.length;
	while (path[end - 1] === '/') {
		end--;
	}

	return path.slice(0, end);
}

/** @param hostname As in a URL: in lower case, an IPv6 address in brackets. */
export function isLoopbackHost(hostname: string): boolean {
	return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(hostname);
}
