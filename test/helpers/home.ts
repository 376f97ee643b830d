/**
 * A temporary home directory for one test, with caches and credentials that use it. Removes the session bus from the
 * environment, so that tests on a desktop and without one use no keyring.
 */

import {
	mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import type {ExecutionContext} from 'ava';
import {SharedTokenCache, SharedTokenCacheCredential} from '../../dist/index.js';
import type {SharedTokenCacheCredentialOptions, SharedTokenCacheOptions} from '../../dist/types.js';
import {loopbackDispatcher} from './authority/dispatcher.js';
import type {EntraServer, EntraUser} from './authority/entra-server.js';
import {until} from './until.js';

for (const name of Object.keys(process.env)) {
	if (/^(?:AZURE_|XDG_|DBUS_|HTTPS?_PROXY|https?_proxy)/.test(name)) {
		delete process.env[name];
	}
}

export const clientId = '04b07795-8ddb-461a-bbee-02f9e1bf7b46';
export const publicCloud = 'login.microsoftonline.com';
export const scope = 'https://vault.azure.net/.default';

export const ann: EntraUser = {uid: '11111111-0000-4000-8000-00000000000a', utid: 'aaaaaaaa-0000-4000-8000-0000000000aa', username: 'ann@contoso.com'};
export const bob: EntraUser = {uid: '22222222-0000-4000-8000-00000000000b', utid: 'bbbbbbbb-0000-4000-8000-0000000000bb', username: 'bob@fabrikam.com'};

export type CachedRecord = Record<string, unknown>;
export type CacheSections = Record<string, Record<string, CachedRecord>>;

export const nowSec = () => Math.floor(Date.now() / 1000);
export const homeAccountId = ({uid, utid}: EntraUser) => `${uid}.${utid}`;

export function accountRecord(user: EntraUser, rest: CachedRecord = {}): CachedRecord {
	return {
		home_account_id: homeAccountId(user),
		environment: publicCloud,
		realm: user.utid,
		local_account_id: user.uid,
		username: user.username,
		authority_type: 'MSSTS',
		...rest,
	};
}

export function refreshTokenRecord(user: EntraUser, secret: string, rest: CachedRecord = {}): CachedRecord {
	return {
		credential_type: 'RefreshToken',
		home_account_id: homeAccountId(user),
		environment: publicCloud,
		client_id: clientId,
		secret,
		family_id: '1',
		...rest,
	};
}

/** @param lifeSec Seconds until the token expires. */
export function accessTokenRecord(user: EntraUser, secret: string, lifeSec: number, rest: CachedRecord = {}): CachedRecord {
	return {
		credential_type: 'AccessToken',
		home_account_id: homeAccountId(user),
		environment: publicCloud,
		client_id: clientId,
		realm: user.utid,
		target: `https://vault.azure.net/user_impersonation ${scope}`,
		secret,
		token_type: 'Bearer',
		cached_at: String(nowSec() - 10),
		expires_on: String(nowSec() + lifeSec),
		extended_expires_on: String(nowSec() + lifeSec),
		...rest,
	};
}

/** Numbers the records of each section. Readers ignore the keys. */
export function cacheOf(sections: {accounts?: CachedRecord[]; refreshTokens?: CachedRecord[]; accessTokens?: CachedRecord[]}): CacheSections {
	const keyed = (records: CachedRecord[] = []) => Object.fromEntries(records.map((record, index) => [`key-${index}`, record]));
	return {
		Account: keyed(sections.accounts),
		AccessToken: keyed(sections.accessTokens),
		RefreshToken: keyed(sections.refreshTokens),
	};
}

export class TestHome {
	readonly path = mkdtempSync(join(tmpdir(), 'stc-home-'));
	readonly #credentials: SharedTokenCacheCredential[] = [];
	readonly #dispatchers: Array<{close(): Promise<void>; destroy(): Promise<void>}> = [];

	constructor(t: ExecutionContext) {
		t.teardown(async () => {
			await Promise.all(this.#credentials.map(async credential => credential.close()));
			await Promise.all(this.#dispatchers.map(async dispatcher => dispatcher.destroy()));
			// A background write may still be finishing.
			rmSync(this.path, {
				recursive: true, force: true, maxRetries: 10, retryDelay: 20,
			});
		});
	}

	/** @param file Relative to the home directory. Default: the plaintext cache for requests without CAE. */
	write(cache: CacheSections | string | Uint8Array, file = '.IdentityService/msal.cache.nocae'): string {
		const path = join(this.path, file);
		mkdirSync(dirname(path), {recursive: true, mode: 0o700});
		writeFileSync(path, typeof cache === 'string' || cache instanceof Uint8Array ? cache : JSON.stringify(cache), {mode: 0o600});
		return path;
	}

	/** Reads the plaintext cache for requests without CAE. */
	read(): CacheSections {
		return JSON.parse(readFileSync(join(this.path, '.IdentityService', 'msal.cache.nocae'), 'utf8')) as CacheSections;
	}

	/** Waits until an access token is in that cache. On a busy machine, the caller of `getToken` gets it earlier. */
	async stored(accessToken: string): Promise<CachedRecord> {
		let record: CachedRecord | undefined;
		await until(() => {
			record = Object.values(this.read()['AccessToken'] ?? {}).find(({secret}) => secret === accessToken);
			return record !== undefined;
		});
		return record!;
	}

	/**
	 * Like {@link write}, with a modification time a minute ago, so that readers do not suspect a write in progress.
	 */
	writeSettled(cache: CacheSections | string | Uint8Array, file?: string): string {
		const path = this.write(cache, file);
		utimesSync(path, nowSec() - 60, nowSec() - 60);
		return path;
	}

	/** Writes a cache with one account and one refresh token. */
	writeAccount(user: EntraUser, refreshToken: string): string {
		return this.write(cacheOf({accounts: [accountRecord(user)], refreshTokens: [refreshTokenRecord(user, refreshToken)]}));
	}

	/**
	 * Creates a credential that uses this home directory. All its requests go to `server`, with verified TLS, whatever
	 * host they name.
	 */
	credential(options: SharedTokenCacheCredentialOptions = {}, server?: EntraServer): SharedTokenCacheCredential {
		const credential = this.#inHome(() => new SharedTokenCacheCredential({...(server && {dispatcher: this.dispatcher(server)}), ...options}));
		this.#credentials.push(credential);
		return credential;
	}

	/** Creates a cache that uses this home directory. */
	sharedCache(options: SharedTokenCacheOptions = {}): SharedTokenCache {
		return this.#inHome(() => new SharedTokenCache({tokenCachePersistenceOptions: {unsafeAllowUnencryptedStorage: true}, ...options}));
	}

	dispatcher(server: EntraServer) {
		const dispatcher = loopbackDispatcher(server);
		this.#dispatchers.push(dispatcher);
		return dispatcher;
	}

	#inHome<Result>(act: () => Result): Result {
		const before = process.env['HOME'];
		process.env['HOME'] = this.path;
		try {
			return act();
		} finally {
			process.env['HOME'] = before;
		}
	}
}
