/**
 * What a process that requested a token tells those who waited for it, if they will find nothing in the cache. Holds no secret. Read as
 * carefully as any file: another program may have written it.
 */

import {randomBytes} from 'node:crypto';
import {maxNoteSizeBytes} from '../backend/backend.js';
import {
	AuthenticationError, type ErrorCode, type ErrorResponse, oneLine,
} from '../errors.js';
import {isObject, type JsonObject, parseJsonObject} from '../runtime/json.js';
import {GrantRefusal, type RefusalReason} from './grant-refusal.js';

/** How the request ended. */
export type LeaseNote =
	/** It gave a token that others cannot find in the cache. */
	| {
		readonly kind: 'alone';
		/** Which token was wanted: the name of the lease for one token. */
		readonly token: string;
		/** Whether nothing of the grant is in the cache, so that nobody needs to wait for this process any more. */
		readonly isUnwritten: boolean;
	}
	/** No answer, or one that may be another soon. */
	| {readonly kind: 'failed'; readonly error: AuthenticationError}
	/** A definite answer, which a repetition would get again. `key` is that of `Refusals`. */
	| {readonly kind: 'refused'; readonly key: string; readonly answer: GrantRefusal | AuthenticationError};

/** Longest text that is taken over from a note. */
const maxTextLength = 500;

export function writeNote(note: LeaseNote): string {
	// Two equal notes must differ, so that those who wait see the second one.
	const head = {id: randomBytes(6).toString('hex'), kind: note.kind};
	if (note.kind === 'alone') {
		const {token, isUnwritten} = note;
		return JSON.stringify({...head, token, isUnwritten});
	}

	const answer = note.kind === 'failed' ? note.error : note.answer;
	const {message, errorResponse, correlationId} = answer;
	const fields = {
		...head,
		...(note.kind === 'refused' && {key: note.key}),
		message: message.slice(0, maxTextLength),
		correlationId,
		...(answer instanceof GrantRefusal
			? {reason: answer.reason, isTokenDead: answer.isTokenDead}
			: {code: answer.code, statusCode: answer.statusCode, retryAfterInMs: answer.retryAfterInMs}),
	};
	const {claims, errorDescription = '', ...rest} = errorResponse ?? {};
	const short = {...rest, errorDescription: errorDescription.slice(0, maxTextLength)};
	const texts = [{...short, claims}, short].map(each => JSON.stringify({...fields, ...(errorResponse && {errorResponse: each})}));
	return texts.find(text => Buffer.byteLength(text) <= maxNoteSizeBytes) ?? JSON.stringify(fields);
}

/** @returns `undefined` for anything but a note of this package. */
export function readNote(text: string): LeaseNote | undefined {
	const json = parseJsonObject(text);
	switch (json?.['kind']) {
		case 'alone': {
			return {kind: 'alone', token: readText(json, 'token') ?? '', isUnwritten: json['isUnwritten'] === true};
		}

		case 'failed': {
			return {kind: 'failed', error: readError(json)};
		}

		case 'refused': {
			const key = readText(json, 'key');
			return key === undefined ? undefined : {kind: 'refused', key, answer: readRefusal(json) ?? readError(json)};
		}

		default: {
			return undefined;
		}
	}
}

const reasons: ReadonlySet<unknown> = new Set<RefusalReason>(['sign-in', 'consent', 'policy', 'tenant', 'client']);

function readRefusal(json: JsonObject): GrantRefusal | undefined {
	const {reason} = json;
	const errorResponse = readResponse(json['errorResponse']);
	return reasons.has(reason) && errorResponse
		? new GrantRefusal(readText(json, 'message') ?? '', errorResponse, {
			isTokenDead: json['isTokenDead'] === true, reason: reason as RefusalReason, correlationId: readText(json, 'correlationId'),
		})
		: undefined;
}

const codes: ReadonlySet<unknown> = new Set<ErrorCode>(['STC_NETWORK', 'STC_TIMEOUT', 'STC_TOKEN_REQUEST_FAILED']);

function readError(json: JsonObject): AuthenticationError {
	const {code, statusCode, retryAfterInMs} = json;
	return new AuthenticationError(
		codes.has(code) ? code as ErrorCode : 'STC_TOKEN_REQUEST_FAILED',
		`${readText(json, 'message') ?? 'The token request of another process failed.'} (Another process on this machine asked.)`,
		{
			statusCode: Number.isInteger(statusCode) ? statusCode as number : 0,
			errorResponse: readResponse(json['errorResponse']),
			correlationId: readText(json, 'correlationId'),
			retryAfterInMs: typeof retryAfterInMs === 'number' && retryAfterInMs >= 0 ? retryAfterInMs : undefined,
		},
	);
}

function readResponse(value: unknown): ErrorResponse | undefined {
	if (!isObject(value) || typeof value['error'] !== 'string') {
		return undefined;
	}

	const errorCodes = Array.isArray(value['errorCodes']) ? value['errorCodes'].filter((code): code is number => Number.isSafeInteger(code)) : undefined;
	const texts = ['timestamp', 'traceId', 'correlationId', 'suberror', 'claims'].map(name => [name, readText(value, name, maxNoteSizeBytes)] as const);
	return {
		error: readText(value, 'error') ?? '',
		errorDescription: readText(value, 'errorDescription') ?? '',
		...(errorCodes && {errorCodes}),
		...Object.fromEntries(texts.filter(([, text]) => text !== undefined)),
	};
}

function readText(json: JsonObject, name: string, maxLength = maxTextLength + 200): string | undefined {
	const value = json[name];
	return typeof value === 'string' && value !== '' ? oneLine(value.slice(0, maxLength)) : undefined;
}
