/**
 * The fastest plain JavaScript that we found for the reader's job: it never converts the file to a string, finds the
 * account's name with Buffer.indexOf, and parses only the records around it. It assumes well-formed JSON and flat
 * fields at the start of each record, which the real readers do not, and it blocks the event loop. Only for comparison.
 */

import {Buffer} from 'node:buffer';
import {open} from 'node:fs/promises';

const quote = 0x22;
const backslash = 0x5C;
const openBrace = 0x7B;
const closeBrace = 0x7D;
const openBracket = 0x5B;
const closeBracket = 0x5D;

/**
 * @param {string} path
 * @param {string} homeAccountId
 * @returns {Promise<Array<Record<string, unknown>>>} All records of the account.
 */
export async function readAndSkip(path, homeAccountId) {
	const file = await open(path);
	try {
		const {size} = await file.stat();
		const bytes = Buffer.allocUnsafeSlow(size);
		for (let done = 0; done < size;) {
			const {bytesRead} = await file.read(bytes, done, size - done, done);
			if (bytesRead === 0) {
				throw new Error('the file has become shorter');
			}

			done += bytesRead;
		}

		return skipScan(bytes, homeAccountId);
	} finally {
		await file.close();
	}
}

function skipScan(bytes, homeAccountId) {
	const records = [];
	const needle = Buffer.from(`"${homeAccountId}"`);
	for (let at = bytes.indexOf(needle); at !== -1; at = bytes.indexOf(needle, at)) {
		const start = bytes.lastIndexOf(openBrace, at);
		at = endOfRecord(bytes, start);
		records.push(JSON.parse(bytes.latin1Slice(start, at)));
	}

	return records;
}

function endOfRecord(bytes, start) {
	let end = start + 1;
	for (let depth = 1; depth > 0; end++) {
		switch (bytes[end]) {
			case quote: {
				do {
					end = bytes.indexOf(quote, end + 1);
				} while (isEscaped(bytes, end));

				break;
			}

			case openBrace:
			case openBracket: {
				depth++;
				break;
			}

			case closeBrace:
			case closeBracket: {
				depth--;
				break;
			}
		// No default
		}
	}

	return end;
}

function isEscaped(bytes, at) {
	let backslashes = 0;
	while (bytes[at - 1 - backslashes] === backslash) {
		backslashes++;
	}

	return backslashes % 2 === 1;
}
