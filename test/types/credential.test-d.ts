// The types of the credential, as applications use them. These files are compiled and never run.

import type {
	AccessToken as AzureAccessToken,
	GetTokenOptions as AzureGetTokenOptions,
	TokenCredential,
} from '@azure/core-auth';
import {
	type AccessToken,
	type GetTokenOptions,
	SharedTokenCacheCredential,
	type SharedTokenCacheAccount,
} from '../../dist/index.mjs';

const credential = new SharedTokenCacheCredential();

// Azure SDK clients accept it.
credential satisfies TokenCredential;
declare function azureClient(credential: TokenCredential): void;
azureClient(credential);

// The credential accepts the options that clients pass, and clients accept its tokens.
declare const azureOptions: AzureGetTokenOptions;
azureOptions satisfies GetTokenOptions;
declare const token: AccessToken;
token satisfies AzureAccessToken;
// In the other direction, except for the option that this credential refuses.
declare const options: Omit<GetTokenOptions, 'proofOfPossessionOptions'>;
options satisfies AzureGetTokenOptions;

// A platform AbortSignal is accepted.
void credential.getToken('scope', {
	abortSignal: new AbortController().signal, requestOptions: {timeout: 1000}, claims: '{}', enableCae: true, tenantId: 'x',
});
void credential.getToken(['scope', 'scope']);

// Unlike in the interface, a token is never null.
const text: string = (await credential.getToken('scope')).token;
text satisfies string;
const {tokenType} = await credential.getToken('scope');
tokenType satisfies 'Bearer';

// @ts-expect-error A token is shared between callers.
token.token = '';
// @ts-expect-error A scope is required.
void credential.getToken();
// @ts-expect-error A misspelt option.
void credential.getToken('scope', {tenantID: 'x'});

const accounts: SharedTokenCacheAccount[] = await credential.listAccounts();
accounts.map(account => account.username satisfies string);
accounts.map(({usable, reason}) => [usable satisfies boolean, reason satisfies string | undefined]);
// @ts-expect-error An account carries no secret.
accounts[0]?.secret satisfies unknown;

SharedTokenCacheCredential.supported() satisfies boolean;
await credential.close() satisfies void;
await credential[Symbol.asyncDispose]() satisfies void;
{
	await using disposed = new SharedTokenCacheCredential();
	disposed satisfies TokenCredential;
}
