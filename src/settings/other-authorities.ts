/** The hosts of other clouds, and authorities that a program names. */

import {invalidArgument} from '../errors.js';
import {
	type Authority, defaultAuthorityHost, isLoopbackHost, publicCloud,
} from './authority.js';

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

/** A host of the public cloud among them. */
const publicHost = 'login-us.microsoftonline.com';

export function areNational(environments: readonly string[]): boolean {
	return environments.some(host => host !== publicHost && (otherWellKnownHosts.has(host) || aliasGroups.slice(1).some(hosts => hosts.includes(host))));
}

/** As `parseAuthority` of `read-authority.ts`. */
export function parseOtherAuthority(text: string, optionName: string): Authority {
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
