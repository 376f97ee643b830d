/** The demo's cache: one account, with the keys, fields and layout of MSAL for Python. All secrets are invented. */

import type {EntraUser} from '../../test/helpers/authority/entra-server.js';

export const demoUser: EntraUser = {
	uid: '00000000-0000-4000-8000-0000000d0e10',
	utid: '00000000-0000-4000-8000-0000000d0e20',
	username: 'demo@contoso.example',
};

/** The length of a real token. */
export const demoRefreshToken = `1.FAKE-refresh-token-of-the-demo-${'x'.repeat(1100)}`;

/** Azure CLI's client ID, which developer tools share. */
const clientId = '04b07795-8ddb-461a-bbee-02f9e1bf7b46';

/** @param environment The host of the account's authority. */
export function demoCache(environment: string): string {
	const nowSec = Math.floor(Date.now() / 1000);
	const home = `${demoUser.uid}.${demoUser.utid}`;
	const target = 'https://vault.azure.net/.default https://vault.azure.net/user_impersonation';
	const cache = {
		AccessToken: {
			[`${home}-${environment}-accesstoken-${clientId}-${demoUser.utid}-${target}`]: {
				credential_type: 'AccessToken',
				secret: `FAKE-access-token-of-the-demo-${'x'.repeat(1800)}`,
				home_account_id: home,
				environment,
				client_id: clientId,
				target,
				realm: demoUser.utid,
				token_type: 'Bearer',
				cached_at: String(nowSec - 600),
				expires_on: String(nowSec + 3000),
				extended_expires_on: String(nowSec + 3000),
			},
		},
		Account: {
			[`${home}-${environment}-${demoUser.utid}`]: {
				home_account_id: home,
				environment,
				realm: demoUser.utid,
				local_account_id: demoUser.uid,
				username: demoUser.username,
				authority_type: 'MSSTS',
				account_source: 'device_code',
			},
		},
		RefreshToken: {
			[`${home}-${environment}-refreshtoken-${clientId}--${target}`]: {
				credential_type: 'RefreshToken',
				secret: demoRefreshToken,
				home_account_id: home,
				environment,
				client_id: clientId,
				target,
				last_modification_time: String(nowSec - 600),
				family_id: '1',
			},
		},
		AppMetadata: {
			[`appmetadata-${environment}-${clientId}`]: {client_id: clientId, environment, family_id: '1'},
		},
	};
	return JSON.stringify(cache, undefined, 4);
}
