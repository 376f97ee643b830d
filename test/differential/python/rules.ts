/**
 * The intended differences from Python's class that this test can find. docs/differences.md lists them under the same
 * names, with others that a single call does not show.
 */

/** In the order in which they are tried: a difference counts under the last rule that is needed to explain it. */
export const ruleNames = [
	// Part of nearly every difference, so it comes first, and the rest counts under the rule that explains it.
	'one-line messages',
	'OpenID scopes',
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
	'blank account records',
	// Selection of the cached token.
	'ignoring case: scopes',
	'fitting access token',
	'clocks ahead',
	'longest-lived token',
	// Contents of the request.
	'order of refresh tokens',
	'consumers tenant',
	// Handling of the response.
	'refusals',
	'next refresh token',
	'account of the answer',
	'typed errors',
	'last resort',
] as const;

export type RuleName = (typeof ruleNames)[number];
