/** The intended differences from MSAL for Node in this comparison. docs/differences.md lists them under the same names. */

/** In the order in which they are tried: a difference counts under the last rule that is needed to explain it. */
export const ruleNames = [
	'refresh token in the cache',
	'ignoring case: environment',
	'records under any key',
	'OpenID scopes',
	'bound access tokens',
	'several access tokens',
	'clocks ahead',
	'family refresh tokens',
	'newest refresh token',
] as const;

export type RuleName = (typeof ruleNames)[number];
