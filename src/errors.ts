/**
 * Every error of this package. `code` is stable, `name` decides what a credential chain does, and the text is one line and may change. No
 * text, field or cause ever holds a token or a part of a cache.
 */

/** What went wrong, for programs. TROUBLESHOOTING.md says what to do about each code. */
export type ErrorCode =
	// A problem of this machine: a chain tries its next credential.
	| 'STC_ADDON_MISSING'
	| 'STC_STORE_UNAVAILABLE'
	| 'STC_STORE_LOCKED'
	| 'STC_STORE_DENIED'
	| 'STC_STORE_TIMEOUT'
	| 'STC_CACHE_NOT_FOUND'
	| 'STC_CACHE_CORRUPT'
	| 'STC_CACHE_FORMAT'
	| 'STC_CACHE_CHANGED'
	| 'STC_LOCK_TIMEOUT'
	| 'STC_IO'
	| 'STC_UNSUPPORTED_PLATFORM'
	| 'STC_NO_ACCOUNT'
	| 'STC_AMBIGUOUS_ACCOUNT'
	| 'STC_TENANT_NOT_ALLOWED'
	| 'STC_CLIENT_NOT_ALLOWED'
	// The user must act: a chain tries its next credential.
	| 'STC_INTERACTION_REQUIRED'
	// A problem of the authority or the network: a chain stops.
	| 'STC_TOKEN_REQUEST_FAILED'
	| 'STC_NETWORK'
	| 'STC_TIMEOUT'
	// A mistake of the caller: a chain stops.
	| 'STC_INVALID_ARGUMENT'
	| 'STC_CLOSED';

/** A place that was looked at, and what is there, or why nobody knows. Contains no secret. */
export type ErrorDetail = {
	/** The path of a file, or the name of a keyring item. */
	readonly place: string;
	/** One line. */
	readonly text: string;
	/** Why the place could not be read. */
	readonly code?: ErrorCode;
};

/** The store that failed, and the operating system's error. */
export type StoreErrorDetails = {
	/** The operation that failed, such as `open` or `secret_service_search_sync`. */
	op?: string;
	/** The store, such as `plaintext` or `libsecret`. */
	store?: string;
	/** The namespace of `osCode`: `errno`, `win32`, `OSStatus`, `dlopen` or a GError domain such as `g-io-error-quark`. */
	osDomain?: string;
	/** The operating system's own number. 0 can be an error: look at `osDomain`. */
	osCode?: number;
	/** All places that were looked at. The message has no room for them. */
	details?: readonly ErrorDetail[];
};

/** A store that could not be read or written. The credential wraps it in a {@link CredentialUnavailableError}. */
export class StoreError extends Error {
	override readonly name: string = 'StoreError';
	readonly code: ErrorCode;
	declare readonly op?: string;
	declare readonly store?: string;
	declare readonly osDomain?: string;
	declare readonly osCode?: number;
	declare readonly details?: readonly ErrorDetail[];

	constructor(code: ErrorCode, message: string, details: StoreErrorDetails = {}, options?: ErrorOptions) {
		super(errorText(message), causeOf(options));
		this.code = code;
		assignDetails(this, details);
	}
}

/**
 * This credential cannot give a token now: there is no cache or no account, the keyring is locked, or the user has to sign in again.
 * `ChainedTokenCredential` and `DefaultAzureCredential` of `@azure/identity` recognise the `name` and try their next credential.
 */
export class CredentialUnavailableError extends Error {
	override readonly name: string = 'CredentialUnavailableError';
	readonly code: ErrorCode;
	declare readonly op?: string;
	declare readonly store?: string;
	declare readonly osDomain?: string;
	declare readonly osCode?: number;
	/** The places that were looked at, best first, and what is there. */
	declare readonly details?: readonly ErrorDetail[];
	/** The authority's answer, if a request was sent. */
	declare readonly errorResponse?: ErrorResponse;
	/** What a policy asks for, as the authority sent it. A JSON object as text. */
	declare readonly claims?: string;
	/** For an interactive sign-in that satisfies the authority, as in `@azure/identity`. */
	declare readonly getTokenOptions?: InteractiveOptions['getTokenOptions'];

	/** As in `@azure/identity`, for tests and wrappers. The code is `STC_NO_ACCOUNT`. */
	constructor(message?: string, options?: ErrorOptions);
	constructor(code: ErrorCode, message: string, options?: UnavailableErrorOptions);
	constructor(codeOrMessage?: string, messageOrOptions?: string | ErrorOptions, further?: UnavailableErrorOptions) {
		const hasCode = typeof messageOrOptions === 'string';
		const options: UnavailableErrorOptions = (hasCode ? further : messageOrOptions) ?? {};
		super(errorText(hasCode ? messageOrOptions : codeOrMessage), causeOf(options));
		this.code = hasCode ? codeOrMessage as ErrorCode : 'STC_NO_ACCOUNT';
		assignDetails(this, options.details);
		const {errorResponse, claims, getTokenOptions} = options;
		Object.assign(this, errorResponse && {errorResponse}, claims !== undefined && {claims}, getTokenOptions && {getTokenOptions});
	}
}

/** What an interactive sign-in needs to satisfy the authority. */
export type InteractiveOptions = {
	claims?: string;
	getTokenOptions?: {claims?: string; tenantId?: string; enableCae?: boolean};
};

export type UnavailableErrorOptions = ErrorOptions & InteractiveOptions & {details?: StoreErrorDetails; errorResponse?: ErrorResponse};

/** Only the cause: `Error` would take a missing one as `undefined`, too. */
function causeOf(options: unknown): ErrorOptions | undefined {
	return typeof options === 'object' && options !== null && 'cause' in options ? {cause: options.cause} : undefined;
}

export function detailsOf({op, store, osDomain, osCode, details}: StoreError): StoreErrorDetails {
	return {
		...(op && {op}), ...(store && {store}), ...(osDomain && {osDomain}), ...(osCode !== undefined && {osCode}), ...(details && {details}),
	};
}

/** Places and names in `details` come from the machine and from caches: they pass the same filter as messages. */
function assignDetails(error: {-readonly [Field in keyof StoreErrorDetails]: StoreErrorDetails[Field]}, given: StoreErrorDetails | undefined): void {
	for (const name in given) {
		if (name !== 'details') {
			error[name as 'op'] = given[name as 'op']!;
		}
	}

	if (given?.details) {
		error.details = Object.freeze(given.details.map(({place, text, code}) => Object.freeze({place: oneLine(place), text: oneLine(text), ...(code && {code})})));
	}
}

/** Wraps a {@link StoreError}, so that a chain tries its next credential. Returns other errors as they are. */
export function toUnavailable(error: unknown): unknown {
	return error instanceof StoreError
		? new CredentialUnavailableError(error.code, `SharedTokenCacheCredential: Shared token cache unavailable: ${error.message}`, {cause: error, details: detailsOf(error)})
		: error;
}

/**
 * The user must act before the authority issues this token: no cached sign-in satisfies the `claims` of the request. A chain tries its next
 * credential; an application can sign the user in for `scopes`.
 */
export class AuthenticationRequiredError extends CredentialUnavailableError {
	override readonly name: string = 'AuthenticationRequiredError';
	/** The scopes of the request. */
	readonly scopes: readonly string[];
	/** The authority's reason, such as `basic_action` or `consent_required`. */
	declare readonly suberror?: string;

	constructor(message: string, options: RequiredErrorOptions);
	/** As in `@azure/identity`, for tests and wrappers. */
	constructor(options: RequiredErrorOptions & {message?: string});
	constructor(messageOrOptions: string | (RequiredErrorOptions & {message?: string}), further?: RequiredErrorOptions) {
		const options: Partial<RequiredErrorOptions> & {message?: string} = (typeof messageOrOptions === 'string' ? further : messageOrOptions) ?? {};
		super('STC_INTERACTION_REQUIRED', typeof messageOrOptions === 'string' ? messageOrOptions : options.message ?? 'The user must sign in.', options);
		this.scopes = Array.isArray(options.scopes) ? options.scopes : [];
		if (options.suberror) {
			this.suberror = options.suberror;
		}
	}
}

export type RequiredErrorOptions = ErrorOptions & InteractiveOptions & {scopes: readonly string[]; suberror?: string; errorResponse?: ErrorResponse};

/** The authority's OAuth error, with the field names of `@azure/identity`. */
export type ErrorResponse = {
	/** Such as `invalid_grant`. */
	error: string;
	errorDescription: string;
	/** AADSTS numbers, such as 700082. */
	errorCodes?: number[];
	timestamp?: string;
	traceId?: string;
	correlationId?: string;
	suberror?: string;
	/** What a new sign-in has to satisfy, such as a policy of conditional access: JSON, to be passed on as the `claims` of an interactive request. */
	claims?: string;
};

export type AuthenticationErrorOptions = ErrorOptions & {
	statusCode?: number;
	errorResponse?: ErrorResponse | undefined;
	correlationId?: string | undefined;
	retryAfterInMs?: number | undefined;
};

/** The authority refused or failed the token request, or could not be reached. A credential chain stops here. */
export class AuthenticationError extends Error {
	override readonly name: string = 'AuthenticationError';
	readonly code: ErrorCode;
	/** HTTP status; 0 if no answer came. */
	readonly statusCode: number;
	declare readonly errorResponse?: ErrorResponse;
	/** The `client-request-id` of the request, as in Entra's logs. */
	declare readonly correlationId?: string;
	/** The time that the authority asked to wait, milliseconds. */
	declare readonly retryAfterInMs?: number;

	constructor(code: ErrorCode, message: string, options?: AuthenticationErrorOptions);
	/** Like that of `@azure/identity`, for tests and wrappers: the HTTP status, and a text. The code is `STC_TOKEN_REQUEST_FAILED`. */
	constructor(statusCode: number, message?: string, options?: AuthenticationErrorOptions);
	constructor(codeOrStatus: ErrorCode | number, message?: string, given?: AuthenticationErrorOptions) {
		const options = given ?? {};
		const hasStatus = typeof codeOrStatus === 'number';
		super(errorText(message), causeOf(options));
		this.code = hasStatus ? 'STC_TOKEN_REQUEST_FAILED' : codeOrStatus;
		this.statusCode = (hasStatus ? codeOrStatus : options.statusCode) ?? 0;
		if (options.errorResponse) {
			this.errorResponse = options.errorResponse;
		}

		if (options.correlationId) {
			this.correlationId = options.correlationId;
		}

		if (options.retryAfterInMs !== undefined) {
			this.retryAfterInMs = options.retryAfterInMs;
		}
	}
}

/** The caller's `abortSignal` fired. The `cause` is the signal's reason. */
export class AbortError extends Error {
	override readonly name: string = 'AbortError';
	constructor(message = 'The operation was aborted.', options?: ErrorOptions) {
		super(errorText(message), options);
	}
}

/** For a wrong option, argument or environment variable: the text names it and a valid value. */
export function invalidArgument(message: string): TypeError & {code: ErrorCode} {
	return Object.assign(new TypeError(errorText(message)), {code: 'STC_INVALID_ARGUMENT' as const});
}

/** Whether this error code means that the process, or the system, can open no more files. */
export function isOutOfFiles(code: string | undefined): boolean {
	return code === 'EMFILE' || code === 'ENFILE';
}

export const cureOfTooManyFiles = 'Too many files are open: close some, or raise the limit (ulimit -n).';

/**
 * Replaces what a terminal or a log reader obeys instead of showing it: control characters (C0 and C1), line and paragraph separators, and
 * controls of the text's direction. Chains join messages by newlines, and names in a cache are chosen by other programs. Every error text and
 * every line of the log passes this filter; so must every text in a field of an error.
 */
export function oneLine(text: string): string {
	// Nearly every text is plain, and compiling the pattern takes longer than a look at it (bench P3).
	return isPrintableAscii(text) ? text.trim() : text.replaceAll(/[\u0000-\u001F\u007F-\u009F\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069]+/g, ' ').trim();
}

/** Whether all characters are between the blank and the tilde. */
function isPrintableAscii(text: string): boolean {
	for (let index = 0; index < text.length; index++) {
		const code = text.codePointAt(index)!;
		if (code < 0x20 || code > 0x7E) {
			return false;
		}
	}

	return true;
}

/** Longest error text, in characters: what is longer is not read. Details are in fields of the error. */
export const maxErrorTextLength = 400;

/** Makes the message of an error: one line of at most {@link maxErrorTextLength} characters. What comes first stays. */
export function errorText(text: unknown): string {
	// Cut before it is filtered: the authority, a proxy or a cache may give a megabyte.
	const line = typeof text === 'string' ? oneLine(text.slice(0, 4 * maxErrorTextLength)) : '';
	return line.length <= maxErrorTextLength ? line : `${line.slice(0, maxErrorTextLength - 1).replace(/[\uD800-\uDBFF]$/, '').trimEnd()}…`;
}

/** A name or a path for an error text: what is longer loses its middle, so that it leaves room for what to do. */
export function shorten(name: string, length = 60): string {
	const kept = Math.floor((length - 1) / 2);
	return name.length <= length ? name : `${name.slice(0, kept)}…${name.slice(-kept)}`;
}

const logTexts = new WeakMap<object, string>();

/**
 * Gives an error another text for log lines. A message may show what the caller configured, such as his user name; a log is read by others.
 *
 * @returns the error.
 */
export function withLogText<Thrown extends Error>(error: Thrown, text: string): Thrown {
	logTexts.set(error, errorText(text));
	return error;
}

/** The text that {@link withLogText} gave. */
export function givenLogText(error: object): string | undefined {
	return logTexts.get(error);
}
