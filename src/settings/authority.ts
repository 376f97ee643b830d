/**
 * Authorities: which host is asked, and under which names its entries stand in a cache. Loaded where one is named: most programs leave it
 * at {@link publicCloud}.
 */

import {invalidArgument} from '../errors.js';
import {defaultAuthorityHost, publicCloud} from './public-cloud.js';

export type Authority = {
	/** Scheme, host and port, no trailing slash: `https://login.microsoftonline.com`. */
	origin: string;
	/** Host with port where it is not 443, lower case. */
	host: string;
	/** Lower-case hosts under which this authority's entries may be cached; the authority's own first. */
	environments: readonly string[];
	/** AD FS has no tenants and no `/v2.0`. */
	isAdfs: boolean;
	/** One of Microsoft's own hosts: needs no instance discovery. */
	isWellKnown: boolean;
	isLoopback: boolean;
};

/** Hosts that answer for one another. Source: azure-identity for Python 1.26, `shared_token_cache.py`, KNOWN_ALIASES. */
const aliasGroups: ReadonlyArray<readonly string[]> = [
	publicCloud.environments,
	['login.partner.microsoftonline.cn', 'login.chinacloudapi.cn'],
	['login.microsoftonline.us', 'login.usgovcloudapi.net'],
];

/** Authorities without listed aliases. Source: MSAL for Python 1.39, `authority.py`, WELL_KNOWN_AUTHORITY_HOSTS. */
const otherWellKnownHosts: ReadonlySet<string> = new Set([
	'login.microsoftonline.de',
	'login-us.microsoftonline.com',
	'login.sovcloud-identity.fr',
	'login.sovcloud-identity.de',
	'login.sovcloud-identity.sg',
]);

/**
 * @param text Host or URL; `https://` is added where there is no scheme.
 * @param optionName Where it comes from, for the error text.
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

	const path = url.pathname.replace(/\/+$/, '').toLowerCase();
	if (url.username || url.password || url.search || url.hash || (path !== '' && path !== '/adfs')) {
		throw invalidArgument(`${optionName} must not hold a user, path, query or fragment ("/adfs" is the one path allowed). ${example}`);
	}

	const {host, hostname} = url;
	const group = aliasGroups.find(hosts => hosts.includes(host));
	return {
		origin: url.origin,
		host,
		// MSAL libraries differ in whether they store the port of an authority that has one.
		environments: group ? [host, ...group.filter(alias => alias !== host)] : [...new Set([host, hostname])],
		isAdfs: path === '/adfs',
		isWellKnown: group !== undefined || otherWellKnownHosts.has(host),
		isLoopback,
	};
}

function isLoopbackHost(hostname: string): boolean {
	return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(hostname);
}
