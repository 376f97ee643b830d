/** What a grant reads of the caches. */

import {requireLazily} from '../runtime/lazy.js';
import type {Resolution, ResolvedAccount} from './account-reader.js';
import type {AccountResolver} from './account-resolver.js';
import type {Candidate} from './select-account.js';
import type {TokenRequest} from './token-request.js';

/** The same account with the secrets of its refresh tokens. They are read when a grant is due, and not kept. */
export async function withSecrets({reader}: AccountResolver, known: ResolvedAccount): Promise<Resolution> {
	const {candidate, source} = known;
	if (candidate.refreshTokens.some(({secret}) => secret !== undefined)) {
		return known;
	}

	const {account, ...reading} = await reader.readAccount(source, candidate.account.homeAccountId, true);
	return account ?? explain().explainNoAccount(reader, {kind: 'empty'}, [reading]);
}

/**
 * What the caches hold now, read again although their stamps may be the same: a stamp cannot show two writes within its resolution. With
 * the secrets of refresh tokens, as in {@link withSecrets}.
 *
 * @param isNews Whether what is found for the account counts as a change, if the stamps are the same.
 */
export async function readAgain(resolver: AccountResolver, {kind, tenantId}: TokenRequest, isNews: (found: Candidate) => boolean): Promise<Resolution> {
	const latest = await resolver.latest(kind, tenantId);
	if (latest instanceof Error) {
		return latest;
	}

	const {source, candidate} = latest;
	const {account} = await resolver.reader.readAccount(source, candidate.account.homeAccountId, true);
	if (account && isNews(account.candidate)) {
		await resolver.refresh(kind, tenantId);
	}

	return account ?? latest;
}

function explain() {
	return requireLazily(() => require('./account-errors.js') as typeof import('./account-errors.js'));
}
