/**
 * Builds caches of any size in the layout of each MSAL. The same seed gives the same bytes. Secrets contain "FAKE" and
 * have the length of real ones.
 *
 * Sources for keys and fields: MSAL for Node 7, `CacheHelpers`; MSAL for Python 1.39, `token_cache.py`; MSAL for .NET
 * 4.86, `MsalAccessTokenCacheItem`.
 */

export type CacheStyle = 'node' | 'python' | 'dotnet';

export type CacheOptions = {
	accounts: number;
	tokensPerAccount: number;
	style?: CacheStyle;
	seed?: number;
	/** Unix seconds. Default: now. */
	nowSec?: number;
	/** Gives every second account a user name with non-ASCII characters. Default false. */
	unicodeNames?: boolean;
};

export type BuiltAccount = {homeAccountId: string; tenantId: string; username: string; refreshToken: string; scopes: string[]; accessTokens: string[]};

export type BuiltCache = {text: string; accounts: BuiltAccount[]};

export const builtClientId = '04b07795-8ddb-461a-bbee-02f9e1bf7b46';
export const builtEnvironment = 'login.microsoftonline.com';

/**
 * S: 1 account with 6 tokens, 20 KB. M: 10 accounts with 50 tokens each, 1.4 MB. L: 100 accounts with 100 tokens each,
 * 27 MB.
 */
export const cacheSizes = {
	S: {accounts: 1, tokensPerAccount: 6},
	M: {accounts: 10, tokensPerAccount: 50},
	L: {accounts: 100, tokensPerAccount: 100},
} as const;

/** Mulberry32, a small seeded pseudo-random generator. */
export function randomNumbers(seed: number): () => number {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6D_2B_79_F5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
	};
}

const base64Url = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

export function buildCache(options: CacheOptions): BuiltCache {
	const {accounts: accountCount, tokensPerAccount, style = 'node', seed = 1, nowSec = Math.floor(Date.now() / 1000), unicodeNames = false} = options;
	const random = randomNumbers(seed);
	const text = (length: number) => {
		// Appending single characters to a string is about ten times slower, which matters at 27 MB.
		const made = Buffer.allocUnsafe(length);
		for (let index = 0; index < length; index++) {
			made[index] = base64Url.codePointAt(Math.floor(random() * 64))!;
		}

		return made.toString('latin1');
	};

	const hex = (length: number) => Array.from({length}, () => Math.floor(random() * 16).toString(16)).join('');
	const guid = () => `${hex(8)}-${hex(4)}-4${hex(3)}-8${hex(3)}-${hex(12)}`;
	const sections: Record<'Account' | 'IdToken' | 'AccessToken' | 'RefreshToken' | 'AppMetadata', Record<string, object>> = {
		Account: {}, IdToken: {}, AccessToken: {}, RefreshToken: {}, AppMetadata: {},
	};
	const key = (...parts: string[]) => parts.join('-').toLowerCase();
	const built: BuiltAccount[] = [];
	for (let index = 0; index < accountCount; index++) {
		const uid = guid();
		const tenantId = guid();
		const homeAccountId = `${uid}.${tenantId}`;
		const username = unicodeNames && index % 2 === 1 ? `benutzer-ü-名前-${index}@contoso.com` : `user${index}@contoso.com`;
		const common = {home_account_id: homeAccountId, environment: builtEnvironment};
		const refreshToken = `1.FAKE${text(1150)}`;
		const account: BuiltAccount = {
			homeAccountId, tenantId, username, refreshToken, scopes: [], accessTokens: [],
		};
		sections.Account[key(homeAccountId, builtEnvironment, tenantId)] = {
			...common,
			realm: tenantId,
			local_account_id: uid,
			username,
			authority_type: 'MSSTS',
			...(style === 'node' && {
				client_info: text(120),
				// An array of JSON texts: nested values with many escapes.
				tenantProfiles: [JSON.stringify({
					tenantId, localAccountId: uid, name: `Name "${username}"`, username, isHomeTenant: true,
				})],
			}),
		};
		sections.IdToken[`${key(homeAccountId, builtEnvironment, 'idtoken', builtClientId, tenantId)}-${style === 'python' ? '' : '--'}`] = {
			credential_type: 'IdToken', ...common, client_id: builtClientId, realm: tenantId, secret: `eyFAKE.${text(1100)}.${text(340)}`,
		};
		sections.RefreshToken[key(homeAccountId, builtEnvironment, 'refreshtoken', style === 'python' ? builtClientId : '1', '', '')] = {
			credential_type: 'RefreshToken', ...common, client_id: builtClientId, secret: refreshToken, family_id: '1', last_modification_time: String(nowSec - index),
		};
		for (let token = 0; token < tokensPerAccount; token++) {
			const scope = `https://resource-${token}.example.net/.default`;
			const target = `https://resource-${token}.example.net/user_impersonation ${scope}`;
			const secret = `eyFAKE${text(100)}.${text(1300 + Math.floor(random() * 900))}.${text(342)}`;
			const cachedAtSec = nowSec - Math.floor(random() * 1000);
			account.scopes.push(scope);
			account.accessTokens.push(secret);
			sections.AccessToken[key(homeAccountId, builtEnvironment, 'accesstoken', builtClientId, tenantId, target)] = {
				credential_type: 'AccessToken',
				...common,
				client_id: builtClientId,
				secret,
				realm: tenantId,
				target,
				cached_at: String(cachedAtSec),
				expires_on: String(nowSec + 3600 + Math.floor(random() * 1000)),
				extended_expires_on: String(nowSec + 7200),
				token_type: 'Bearer',
			};
		}

		built.push(account);
	}

	sections.AppMetadata[`appmetadata-${builtEnvironment}-${builtClientId}`] = {client_id: builtClientId, environment: builtEnvironment, family_id: '1'};
	return {text: serialize(sections, style), accounts: built};
}

function serialize(sections: Record<string, object>, style: CacheStyle): string {
	switch (style) {
		case 'node': {
			return JSON.stringify(sections);
		}

		case 'python': {
			// Like json.dumps(indent=4): ASCII only, sections in the order in which MSAL for Python fills them.
			const {AccessToken, Account, IdToken, RefreshToken, AppMetadata} = sections;
			return JSON.stringify({
				AccessToken, Account, IdToken, RefreshToken, AppMetadata,
			}, undefined, 4)
				.replaceAll(/[\u007F-\uFFFF]/g, character => String.raw`\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
		}

		case 'dotnet': {
			const {AccessToken, RefreshToken, IdToken, Account, AppMetadata} = sections;
			return JSON.stringify({
				AccessToken, RefreshToken, IdToken, Account, AppMetadata, unknown_section: {kept: [1, {a: null}]},
			});
		}
	}
}
