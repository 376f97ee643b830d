/**
 * Mistakes in the rules that select the account and the token. The tests have to find each of them. `from` occurs exactly once in the
 * file (`test/unit/mutants.test.ts`), so that a change of the file shows up.
 *
 * @typedef {{rule: string, what: string, file: string, from: string, to: string}} Mutant
 */

const accounts = {rule: 'account selection', file: 'src/lookup/select-account.ts'};
const aliases = {rule: 'alias matching', file: 'src/settings/authority.ts'};
const tokens = {rule: 'token matching', file: 'src/lookup/select-token.ts'};
const scopes = {rule: 'scope matching', file: 'src/lookup/select-token.ts'};
const expiry = {rule: 'expiry', file: 'src/lookup/select-token.ts'};
const grants = {rule: 'grants', file: 'src/grant/token-response.ts'};

/** @type {Mutant[]} */
export const mutants = [
	{
		...accounts, what: 'a blank record hides a named one', from: 'if (!known || account.username || !known.username) {', to: 'if (true) {',
	},
	{
		...accounts, what: 'the first record of an account counts', from: 'if (!known || account.username || !known.username) {', to: 'if (!known) {',
	},
	{
		...accounts, what: 'a refresh token of any client and family counts', from: 'own.filter(token => token.familyId)', to: 'own',
	},
	{
		...accounts, what: 'refresh tokens outside the family count whoever got them', from: '!token.familyId && equalIgnoringCase(token.clientId, clientId)', to: '!token.familyId',
	},
	{
		...accounts, what: 'the client\'s own refresh tokens do not count', from: '!token.familyId && equalIgnoringCase(token.clientId, clientId)', to: 'false',
	},
	{
		...accounts, what: 'an account needs no refresh token', from: 'if (refreshTokens.length > 0) {', to: 'if (refreshTokens.length >= 0) {',
	},
	{
		...accounts, what: 'refresh tokens of another account count', from: 'const own = tokensOf.get(id);', to: 'const own = tokensOf.get(id) && slice.refreshTokens;',
	},
	{
		...accounts, what: 'the family goes first for a client outside of it', from: 'isOutsideFamily ? [', to: '!isOutsideFamily ? [',
	},
	{
		...accounts, what: 'oldest refresh token first', from: '(b.lastModificationTime ?? 0) - (a.lastModificationTime ?? 0)', to: '(a.lastModificationTime ?? 0) - (b.lastModificationTime ?? 0)',
	},
	{
		...accounts, what: 'user names compare exactly', from: 'equalIgnoringCase(account.username, username)', to: 'account.username === username',
	},
	{
		...accounts, what: 'user names are not looked at', from: 'if (username) {', to: 'if (username === null) {',
	},
	{
		...accounts, what: 'tenants are not looked at', from: 'if (tenantId && (!criteria.tenantOnlyDisambiguates || left.length > 1)) {', to: 'if (tenantId === null) {',
	},
	{
		...accounts, what: 'a guest tenant narrows a single account', from: '(!criteria.tenantOnlyDisambiguates || left.length > 1)', to: 'true',
	},
	{
		...accounts, what: 'tenants compare exactly', from: 'equalIgnoringCase(homeTenantOf(account.homeAccountId), tenantId)', to: 'homeTenantOf(account.homeAccountId) === tenantId',
	},
	{
		...accounts, what: 'an authentication record matches any account', from: 'equalIgnoringCase(account.homeAccountId, homeAccountId)', to: 'true',
	},
	{
		...accounts, what: 'the first of several accounts is taken', from: 'return left.length === 1 ?', to: 'return left.length >= 1 ?',
	},
	{
		...aliases, what: 'a host of the public cloud is missing', from: '[defaultAuthorityHost, \'login.windows.net\', ', to: '[defaultAuthorityHost, ',
	},
	{
		...aliases, what: 'a host of the US government cloud is missing', from: '[\'login.microsoftonline.us\', \'login.usgovcloudapi.net\']', to: '[\'login.microsoftonline.us\']',
	},
	{
		...aliases, what: 'two clouds are one', from: '[\'login.partner.microsoftonline.cn\', \'login.chinacloudapi.cn\']', to: '[\'login.partner.microsoftonline.cn\', \'login.chinacloudapi.cn\', \'login.microsoftonline.us\']',
	},
	{
		...aliases, what: 'an authority has no aliases', from: 'group ? [host, ...group.filter(alias => alias !== host)] :', to: 'group ? [host] :',
	},
	{
		...aliases, what: 'an unknown host has aliases', from: '...new Set([host, hostname])', to: '...new Set([host, hostname, ...aliasGroups[0]!])',
	},
	{
		...aliases, what: 'every host is trusted with refresh tokens', from: 'isWellKnown: group !== undefined || otherWellKnownHosts.has(host),', to: 'isWellKnown: true,',
	},
	{
		...aliases, what: 'hosts in a cache compare exactly (pure-JS variant)', file: 'src/backend/js/js-backend.ts', from: '(environments.has(environment) || environments.has(foldAscii(environment)))', to: 'environments.has(environment)',
	},
	{
		...tokens, what: 'another tenant\'s token is served', from: '&& realms.has((entry.realm ?? \'\').toLowerCase())', to: '',
	},
	{
		...tokens, what: 'another cloud\'s token is served', from: '&& criteria.environments.includes(entry.environment.toLowerCase())', to: '',
	},
	{
		...tokens, what: 'another client\'s token is served', from: '&& entry.clientId.toLowerCase() === criteria.clientId.toLowerCase()', to: '',
	},
	{
		...tokens, what: 'another account\'s token is served', from: '&& entry.homeAccountId.toLowerCase() === account.homeAccountId.toLowerCase()', to: '',
	},
	{
		...tokens, what: 'what Python writes under "organizations" is not found', from: 'account.realm ?? \'\', organizationsTenant, \'common\'', to: 'account.realm ?? \'\', \'common\'',
	},
	{
		...tokens, what: 'a requested tenant is not looked at', from: 'const realms = tenant\n', to: 'const realms = tenant === null\n',
	},
	{
		...tokens, what: 'the shortest-lived token is served', from: 'clockSkewSec(entry, nowSec) > best.expiresOn', to: 'clockSkewSec(entry, nowSec) < best.expiresOn',
	},
	{
		...tokens, what: 'tokens bound to claims are served (pure-JS variant)', file: 'src/backend/js/js-backend.ts', from: '|| bonds.some(bond => requiredString(record, bond) !== undefined)', to: '',
	},
	{
		...scopes, what: 'one scope of several is enough', from: 'scopes.every(scope => cached.has(scope))', to: 'scopes.some(scope => cached.has(scope))',
	},
	{
		...scopes, what: 'scopes are not looked at', from: 'scopes.every(scope => cached.has(scope))', to: 'true',
	},
	{
		...scopes, what: 'wanted scopes compare exactly', from: 'criteria.scopes.map(scope => scope.toLowerCase())', to: 'criteria.scopes',
	},
	{
		...scopes, what: 'cached scopes compare exactly', from: 'new Set(target.toLowerCase().split(\' \'))', to: 'new Set(target.split(\' \'))',
	},
	{
		...scopes, what: 'a part of a scope is a scope', from: 'scopes.every(scope => cached.has(scope))', to: 'scopes.every(scope => target.toLowerCase().includes(scope) && cached.size > 0)',
	},
	{
		...expiry, what: 'expired tokens are served', from: 'entry.expiresOn - clockSkewSec(entry, nowSec) - criteria.lifetimeSec > nowSec', to: 'entry.expiresOn > 0',
	},
	{
		...expiry, what: 'the five minutes are not left', from: '- criteria.lifetimeSec > nowSec', to: '> nowSec',
	},
	{
		...expiry, what: 'four minutes are enough', from: 'minimumLifetimeSec = 300', to: 'minimumLifetimeSec = 240',
	},
	{
		...expiry, what: 'a token of exactly five minutes is served', from: '- criteria.lifetimeSec > nowSec', to: '- criteria.lifetimeSec >= nowSec',
	},
	{
		...expiry, what: 'a clock that is ahead is not taken off', from: 'return Math.max(0, cachedAt - nowSec);', to: 'return cachedAt === -1 ? 1 : 0;',
	},
	{
		...expiry, what: 'a clock may be ahead by any time', from: '&& clockSkewSec(entry, nowSec) <= toleratedClockSkewSec', to: '',
	},
	{
		...grants, what: 'the life of a granted token counts from now', from: 'expiresIn === undefined ? readSeconds(json[\'expires_on\']) : sentSec + expiresIn', to: 'expiresIn === undefined ? readSeconds(json[\'expires_on\']) : Math.floor(Date.now() / 1000) + 60 + expiresIn',
	},
	{
		...grants, what: 'tokens of another type are taken', from: 'typeof tokenType !== \'string\' || tokenType.toLowerCase() !== \'bearer\'', to: 'false',
	},
	{
		...grants, what: 'invalid_grant is no refusal', from: 'new Set([\'invalid_grant\', \'interaction_required\'', to: 'new Set([\'interaction_required\'',
	},
	{
		...grants, what: 'every invalid_grant kills the refresh token', from: '&& (deadSuberrors.has(suberror ?? \'\') || (errorCodes ?? []).some(code => deadErrorCodes.has(code)))', to: '',
	},
	{
		...grants, what: 'a token for another account is taken', file: 'src/grant/token-endpoint.ts', from: 'response.homeAccountId.toLowerCase() !== request.homeAccountId.toLowerCase()', to: 'response.homeAccountId === \'\'',
	},
	{
		...grants, what: 'no second refresh token is tried', file: 'src/grant/refresh-grant.ts', from: 'for (const entry of account.candidate.refreshTokens) {', to: 'for (const entry of account.candidate.refreshTokens.slice(0, 1)) {',
	},
	{
		...grants, what: 'refused refresh tokens are sent again', file: 'src/grant/refresh-grant.ts', from: 'if (known) {', to: 'if (known === null) {',
	},
];
