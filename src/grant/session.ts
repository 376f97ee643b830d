/** Whether the sign-in that a grant continues still lasts. */

import type {CacheChange, CacheSlice} from '../backend/backend.js';
import type {CacheSource} from '../cache/cache-source.js';
import type {SharedCache} from '../cache/shared-cache.js';
import {editsOfSignOut} from '../cache/sign-out-edits.js';
import type {StoreError} from '../errors.js';
import {isSame} from '../runtime/fold-case.js';
import {editsOfUndoing, type Grant, type Session} from './grant-edits.js';

/** `gone`: the account is not in its cache. `replaced`: the account is, but with refresh tokens that are not known here. */
export type SessionState = 'there' | 'replaced' | 'gone';

/** @returns the error if the cache cannot be read, so that nobody knows. */
export async function stateOfSession(cache: SharedCache, session: Session): Promise<SessionState | StoreError> {
	const {slice, error} = await readAccount(cache, session, session.source);
	if (error) {
		return error;
	}

	if (!slice || ![...slice.accounts, ...(session.isUnlisted ? slice.refreshTokens : [])].some(entry => isOf(session, entry))) {
		return 'gone';
	}

	if (session.refreshTokens.size === 0) {
		return 'there';
	}

	return slice.refreshTokens.some(entry => isOf(session, entry) && entry.secret !== undefined && session.refreshTokens.has(entry.secret)) ? 'there' : 'replaced';
}

/** Reads what a cache has of the session's account. */
export async function readAccount(cache: SharedCache, {account: {homeAccountId}, environments, clientId}: Session, source: CacheSource) {
	return cache.read(source, {
		environments, clientId, homeAccountId, nowSec: Math.floor(Date.now() / 1000), refreshTokenSecrets: true,
	});
}

/**
 * Removes tokens that were written to another cache than the account's, and the account, if it came there with them.
 *
 * @param slice What the other cache has.
 * @returns `undefined` if it has none of them.
 */
export function takingOut(slice: CacheSlice, grants: readonly Grant[], session: Session): CacheChange | undefined {
	const own = new Set(grants.map(({response}) => response.accessToken));
	const refreshTokens = slice.refreshTokens.filter(entry => isOf(session, entry)).map(({secret = ''}) => secret);
	const isOwn = (secret: string) => session.refreshTokens.has(secret);
	if (!slice.accessTokens.some(({secret}) => own.has(secret)) && !refreshTokens.some(secret => isOwn(secret))) {
		return undefined;
	}

	return {
		edits: [
			...grants.flatMap(grant => editsOfUndoing(grant).edits),
			// A user who signed in there meanwhile has another refresh token.
			...(refreshTokens.every(secret => isOwn(secret)) ? editsOfSignOut(session.account.homeAccountId, session.environments).edits : []),
		],
	};
}

function isOf({account}: Session, {homeAccountId}: {homeAccountId: string}): boolean {
	return isSame(homeAccountId, account.homeAccountId);
}
