/** The edits that sign an account out of a cache. */

import type {CacheChange} from '../backend/backend.js';

/**
 * Removes an account and its tokens, as MSAL's `removeAccount` does.
 *
 * @param environments The hosts whose records to remove. Default: all.
 */
export function editsOfSignOut(homeAccountId: string, environments?: readonly string[]): CacheChange {
	return {
		edits: ['Account', 'AccessToken', 'RefreshToken', 'IdToken'].map(section => ({
			section, action: 'remove', match: {home_account_id: [homeAccountId], ...(environments && {environment: environments})},
		})),
	};
}
