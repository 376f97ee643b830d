import {mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';

/** Writes a plaintext cache with one account and one access token for `scope/.default` into a home directory. */
export function writeMinimalCache(home: string, accessToken: string): void {
	const directory = join(home, '.IdentityService');
	mkdirSync(directory, {recursive: true});
	const environment = 'login.microsoftonline.com';
	writeFileSync(join(directory, 'msal.cache.nocae'), JSON.stringify({
		Account: {a: {home_account_id: 'a.home', environment, realm: 'home'}},
		RefreshToken: {
			r: {
				home_account_id: 'a.home', environment, secret: 'FAKE-refresh', family_id: '1',
			},
		},
		AccessToken: {
			t: {
				home_account_id: 'a.home', environment, client_id: '04b07795-8ddb-461a-bbee-02f9e1bf7b46', realm: 'home', target: 'scope/.default', secret: accessToken, expires_on: String(Math.floor(Date.now() / 1000) + (365 * 24 * 3600)),
			},
		},
	}));
}
