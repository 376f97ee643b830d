/**
 * Mistakes in the rules that select the account and the token. The tests have to find each of them. `from` occurs exactly once in the
 * file (`test/unit/mutants.test.ts`), so that a change of the file shows up.
 *
 * @typedef {{rule: string, what: string, file: string, from: string, to: string}} Mutant
 */

const accounts = {rule: 'account selection', file: 'src/lookup/select-account.ts'};
const aliases = {rule: 'alias matching', file: 'src/settings/other-authorities.ts'};
const tokens = {rule: 'token matching', file: 'src/lookup/select-token.ts'};
const scopes = {rule: 'scope matching', file: 'src/lookup/select-token.ts'};
const expiry = {rule: 'expiry', file: 'src/lookup/select-token.ts'};
const tenants = {rule: 'request tenants', file: 'src/settings/tenant-checks.ts'};
const refusals = {rule: 'refusals', file: 'src/grant/refusals.ts'};
const grants = {rule: 'grants', file: 'src/grant/token-response.ts'};

/** @type {Mutant[]} */
export const mutants = [
	{
		...accounts, what: 'a blank record hides a named one', from: 'return username ? (', to: 'return username !== null ? (',
	},
	{
		...accounts, what: 'the first record of an account counts', from: 'if (rankOf(records[index]!) >= rankOf(best)) {', to: 'if (rankOf(records[index]!) > rankOf(best)) {',
	},
	{
		...accounts, what: 'the record of a guest is shown', from: '? 2 : 1) : 0;', to: '? 1 : 2) : 0;',
	},
	{
		...accounts, what: 'only the shown record has a name', from: 'usernames: records.map(({username = \'\'}) => username), refreshTokens}', to: 'usernames: [chooseRecord(records).username ?? \'\'], refreshTokens}',
	},
	{
		...accounts, what: 'a refresh token of any client and family counts', from: 'if (token.familyId) {', to: 'if (token.familyId !== null) {',
	},
	{
		...accounts, what: 'refresh tokens outside the family count whoever got them', from: '} else if (isSame(token.clientId ?? \'\', clientId)) {', to: '} else {',
	},
	{
		...accounts, what: 'the client\'s own refresh tokens do not count', from: '} else if (isSame(token.clientId ?? \'\', clientId)) {', to: '} else if (clientId === null) {',
	},
	{
		...accounts, what: 'an account needs no refresh token', from: 'if (!first) {', to: 'if (first === null) {',
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
		...accounts, what: 'user names compare exactly', from: 'isSame(each, username)', to: 'each === username',
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
		...accounts, what: 'tenants compare exactly', from: 'isSame(homeTenantOf(account.homeAccountId) ?? \'\', tenantId)', to: 'homeTenantOf(account.homeAccountId) === tenantId',
	},
	{
		...accounts, what: 'an authentication record matches any account', from: 'isSame(account.homeAccountId, homeAccountId)', to: 'true',
	},
	{
		...accounts, what: 'the first of several accounts is taken', from: 'return left.length === 1 ?', to: 'return left.length >= 1 ?',
	},
	{
		...aliases, what: 'a host of the public cloud is missing', file: 'src/settings/authority.ts', from: '[defaultAuthorityHost, \'login.windows.net\', ', to: '[defaultAuthorityHost, ',
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
		...aliases, what: 'hosts in a cache compare exactly (pure-JS variant)', file: 'src/backend/js/js-backend.ts', from: ' || environments.has(foldAscii(environment))', to: '',
	},
	{
		...tokens, what: 'another tenant\'s token is served', from: '&& (realms.includes(entry.realm ?? \'\') || realms.some(realm => isSame(realm, entry.realm ?? \'\')))', to: '',
	},
	{
		...tokens, what: 'another cloud\'s token is served', from: '&& (environments.includes(entry.environment) || environments.includes(foldAscii(entry.environment)))', to: '',
	},
	{
		...tokens, what: 'another client\'s token is served', from: '&& isSame(entry.clientId, criteria.clientId)', to: '',
	},
	{
		...tokens, what: 'another account\'s token is served', from: '&& isSame(entry.homeAccountId, account.homeAccountId)', to: '',
	},
	{
		...tokens, what: 'what Python writes under "organizations" is not found', from: 'account.realm ?? \'\', organizationsTenant, \'common\'', to: 'account.realm ?? \'\', \'common\'',
	},
	{
		...tokens, what: 'a requested tenant is not looked at', from: 'return tenant\n', to: 'return tenant === null\n',
	},
	{
		...tokens, what: 'the shortest-lived token is served', from: 'clockSkewSec(entry, nowSec) > best.expiresOn', to: 'clockSkewSec(entry, nowSec) < best.expiresOn',
	},
	{
		...tokens, what: 'tokens bound to claims are served (pure-JS variant)', file: 'src/backend/js/js-backend.ts', from: '|| isBound(record)', to: '',
	},
	{
		...scopes, what: 'one scope of several is enough', from: 'wanted.every(scope => scopes.includes(scope))', to: 'wanted.some(scope => scopes.includes(scope))',
	},
	{
		...scopes, what: 'scopes are not looked at', from: 'wanted.every(scope => scopes.includes(scope))', to: 'true',
	},
	{
		...scopes, what: 'scopes compare exactly', from: 'const folded = foldAscii(scope);', to: 'const folded = scope;',
	},
	{
		...scopes, what: 'a token is not found by the scopes that were asked for', from: 'return requested.length === wanted.length && containsAll(requested, wanted);', to: 'return false;',
	},
	{
		...scopes, what: 'a part of a scope is a scope', from: 'wanted.every(scope => scopes.includes(scope))', to: 'wanted.every(scope => scopes.some(other => other.includes(scope)))',
	},
	{
		...scopes, what: 'a part of what was asked for is enough', from: 'requested.length === wanted.length && ', to: '',
	},
	{
		...scopes, what: 'a scope of Microsoft Graph has one spelling', from: 'isGraphDefault && folded.startsWith(graphResource) ?', to: 'folded === \'\' ?',
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
		...grants, what: 'a token for another account is taken', from: 'isConfirmed && !equalIgnoringCase(response.homeAccountId, homeAccountId)', to: 'isConfirmed && response.homeAccountId === \'\'',
	},
	{
		...grants, what: 'no second refresh token is tried', file: 'src/grant/refresh-grant.ts', from: 'for (const entry of account.candidate.refreshTokens) {', to: 'for (const entry of account.candidate.refreshTokens.slice(0, 1)) {',
	},
	{
		...grants, what: 'refused refresh tokens are sent again', file: 'src/grant/refresh-grant.ts', from: 'if (known) {', to: 'if (known === null) {',
	},
	{
		...tenants, what: 'an empty list allows no tenant', from: 'additionallyAllowed.length === 0', to: 'false',
	},
	{
		...tenants, what: 'a list is not enforced without a tenant', from: 'return additionallyAllowed.length === 0', to: 'return own === undefined || additionallyAllowed.length === 0',
	},
	{
		...tenants, what: 'the home tenant must be listed', from: '{...rules, own: rules.own ?? home}, home)', to: 'rules, home)',
	},
	{
		...tenants, what: '"common" is a tenant', file: 'src/settings/tenants.ts', from: 'case \'common\': {', to: 'case \'\': {',
	},
	{
		...tenants, what: 'tenants of a list compare exactly', from: 'each?.toLowerCase() === tenant?.toLowerCase()', to: 'each === tenant',
	},
	{
		...refusals, what: 'refusals are forgotten at once', from: 'performance.now() + lifeMs(answer)', to: 'performance.now()',
	},
	{
		...refusals, what: 'errors that a repetition gets again are forgotten', from: 'statusCode >= 400 && statusCode < 500 &&', to: 'statusCode < 0 &&',
	},
	{
		...refusals, what: 'throttling is a refusal', from: 'new Set([407, 408, 425, 429])', to: 'new Set([407, 408, 425])',
	},
	{
		...refusals, what: 'a client that is not accepted ends the chain', file: 'src/grant/token-response.ts', from: 'new Set([\'unauthorized_client\', \'invalid_client\'])', to: 'new Set([\'unauthorized_client\'])',
	},
	{
		...refusals, what: 'a cached token is served although the authority refused', file: 'src/credential/token-granter.ts', from: 'error.statusCode >= 500', to: 'error.statusCode >= 400',
	},
	{
		...refusals, what: 'no cached token is served while the authority is down', file: 'src/credential/token-granter.ts', from: 'error.code === \'STC_NETWORK\' || error.code === \'STC_TIMEOUT\' || ', to: '',
	},
];
