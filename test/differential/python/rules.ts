/**
 * The intended differences from Python's class that this test can meet. docs/differences.md lists them under the same names, with
 * others that a single call does not show.
 */

/** In the order in which they are tried: a difference counts under the last rule that it takes to explain it. */
export const ruleNames = [
	// What nearly every difference has, first, so that the rest of it counts under what explains that.
	'one-line messages',
	'OpenID scopes',
	// Whether there is a cache.
	'missing cache',
	'corrupt cache',
	// What is taken from the caller and the environment.
	'checked arguments',
	'environment defaults',
	'scopes in one string',
	'claims',
	'request tenant',
	// Which account.
	'malformed records',
	'ignoring case: authority',
	'ignoring case: user name',
	'ignoring case: tenant',
	'own refresh tokens',
	'family of a refresh token',
	'blank account records',
	// Which cached token.
	'ignoring case: scopes',
	'fitting access token',
	'clocks ahead',
	'longest-lived token',
	// What is sent.
	'order of refresh tokens',
	'consumers tenant',
	// What becomes of the answer.
	'refusals',
	'next refresh token',
	'account of the answer',
	'typed errors',
	'last resort',
] as const;

export type RuleName = (typeof ruleNames)[number];
