/**
 * The intended differences from Python's class that this test can find. docs/differences.md lists them under the same
 * names, with others that a single case does not show.
 */

/** In the order in which they are tried: a difference counts under the last rule that is needed to explain it. */
export const ruleNames = [
	// Part of nearly every grant, so they come first, and the rest counts under the rule that explains it.
	'OpenID scopes',
	'written tenant',
	'replaced records',
	'account records',
	'expired tokens',
	// Existence of a cache.
	'missing cache',
	'corrupt cache',
	// Arguments and environment.
	'checked arguments',
	'environment defaults',
	'scopes in one string',
	'claims',
	'request tenant',
	// Selection of the account.
	'malformed records',
	'ignoring case: authority',
	'ignoring case: user name',
	'ignoring case: tenant',
	'own refresh tokens',
	'family of a refresh token',
	'records of one account',
	'tenant chooses account',
	// Selection of the cached token.
	'ignoring case: scopes',
	'fitting access token',
	'clocks ahead',
	'far expiry',
	'longest-lived token',
	// Contents of the request.
	'order of refresh tokens',
	'consumers tenant',
	// Handling of the response.
	'refusals',
	'next refresh token',
	'eviction',
	'refusals remembered',
	'account of the answer',
	'typed errors',
	'last resort',
	'memory',
] as const;

export type RuleName = (typeof ruleNames)[number];
