/** The authority of the public cloud: the one that is meant where none is named. */

import type {Authority} from './authority.js';

export const defaultAuthorityHost = 'login.microsoftonline.com';

/** What `parseAuthority` would make of the default, without the 0.4 ms that the first URL of a process costs. */
export const publicCloud: Authority = Object.freeze({
	origin: `https://${defaultAuthorityHost}`,
	host: defaultAuthorityHost,
	// Hosts that answer for one another. Source: azure-identity for Python 1.26, `shared_token_cache.py`, KNOWN_ALIASES.
	environments: [defaultAuthorityHost, 'login.windows.net', 'login.microsoft.com', 'sts.windows.net'],
	isAdfs: false,
	isWellKnown: true,
	isLoopback: false,
});
