// The types of errors: codes are a union to switch over. These files are compiled and never run.

import {
	type AbortError,
	AuthenticationError,
	AuthenticationRequiredError,
	CredentialUnavailableError,
	type ErrorCode,
	type ErrorDetail,
	type StoreError,
} from '../../dist/index.mjs';

declare const unavailable: CredentialUnavailableError;
declare const required: AuthenticationRequiredError;
declare const refused: AuthenticationError;
declare const store: StoreError;
declare const aborted: AbortError;

// Codes are a union of strings.
unavailable.code satisfies ErrorCode;
refused.code satisfies ErrorCode;
store.code satisfies ErrorCode;
'STC_NO_ACCOUNT' satisfies ErrorCode;
// @ts-expect-error There is no such code.
'STC_NO_SUCH_CODE' satisfies ErrorCode;
declare const text: string;
// @ts-expect-error A string is not a code.
text satisfies ErrorCode;
// @ts-expect-error A comparison that can never be true.
export const isMisspelt = unavailable.code === 'STC_NO_ACOUNT';

// One class covers both kinds of unavailable credentials.
required satisfies CredentialUnavailableError;
required.scopes satisfies readonly string[];

refused.statusCode satisfies number;
refused.errorResponse?.errorCodes?.map(code => code satisfies number);
aborted satisfies Error;

// Places that were looked at.
unavailable.details satisfies readonly ErrorDetail[] | undefined;
store.details?.map(({place, text, code}) => [place satisfies string, text satisfies string, code satisfies ErrorCode | undefined]);
// @ts-expect-error Read only.
store.details = [];

// As in @azure/identity.
new CredentialUnavailableError('no luck', {cause: unavailable}).code satisfies ErrorCode;
new AuthenticationError(400, 'refused').statusCode satisfies number;
new AuthenticationRequiredError({scopes: ['a'], message: 'sign in'}) satisfies CredentialUnavailableError;

declare const caught: unknown;
if (caught instanceof CredentialUnavailableError) {
	caught.code satisfies ErrorCode;
	caught.osCode satisfies number | undefined;
	// @ts-expect-error Read only.
	caught.code = 'STC_IO';
}
