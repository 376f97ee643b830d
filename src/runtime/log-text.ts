/** The texts of errors for log lines. Loaded when such a line is written. */

import {type ErrorDetail, givenLogText} from '../errors.js';

/**
 * The text of an error for log lines, with its details. Masks user names, also those in the authority's words.
 *
 * @param showUserNames The setting `allowLoggingAccountIdentifiers`.
 */
export function logTextOf(error: unknown, showUserNames = false): string {
	if (!(error instanceof Error)) {
		return String(error);
	}

	const {details = []} = error as {details?: readonly ErrorDetail[]};
	const found = Array.isArray(details) ? (details as readonly ErrorDetail[]).map(({place, text}) => `${place}: ${text}`).join('; ') : '';
	const text = `${givenLogText(error) ?? error.message}${found && ` Details: ${found}`}`;
	return showUserNames ? text : maskUserNamesIn(text);
}

/** Masks what looks like a user name in a text that others wrote. Names that are masked already stay. */
export function maskUserNamesIn(text: string): string {
	return text.replaceAll(/([^\s'"`<>()[\]{},;:/@])([^\s'"`<>()[\]{},;:/@]*)@(?=[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)+)/gu, (all, first: string, rest: string) => rest.endsWith('***') ? all : `${first}***@`);
}
