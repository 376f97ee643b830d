/** Finds the members of an object in well-formed JSON text. Offsets are those of bytes. */

/** A member of an object. `begin` is the offset of its name's quotation mark; its value is from `value` to `end`. */
export type Member = {name: string; begin: number; value: number; end: number};

const quote = 0x22;
const comma = 0x2C;
const backslash = 0x5C;
const openBracket = 0x5B;
const closeBracket = 0x5D;
const openBrace = 0x7B;
const closeBrace = 0x7D;

/** @param brace The offset of the object's `{`. */
export function membersOf(json: Buffer, brace: number): Member[] {
	const members: Member[] = [];
	let begin = skipSpace(json, brace + 1);
	while (json[begin] === quote) {
		const nameEnd = skipString(json, begin);
		const value = skipSpace(json, skipSpace(json, nameEnd) + 1);
		const end = skipValue(json, value);
		members.push({
			name: JSON.parse(json.toString('utf8', begin, nameEnd)) as string, begin, value, end,
		});
		const next = skipSpace(json, end);
		begin = json[next] === comma ? skipSpace(json, next + 1) : next;
	}

	return members;
}

/** @returns the offset of the first byte that is not white space; the end of the text if there is none. */
export function skipSpace(json: Buffer, from: number): number {
	let position = from;
	while (isSpace(json[position])) {
		position++;
	}

	return position;
}

function isSpace(byte: number | undefined): boolean {
	return byte === 0x20 || byte === 0x0A || byte === 0x0D || byte === 0x09;
}

/** @param begin The offset of the quotation mark. */
function skipString(json: Buffer, begin: number): number {
	let position = begin;
	for (;;) {
		position = json.indexOf(quote, position + 1);
		let slashes = 0;
		while (json[position - 1 - slashes] === backslash) {
			slashes++;
		}

		if (slashes % 2 === 0) {
			return position + 1;
		}
	}
}

function skipValue(json: Buffer, begin: number): number {
	let depth = 0;
	let position = begin;
	do {
		const byte = json[position];
		if (byte === quote) {
			position = skipString(json, position);
			continue;
		}

		if (byte === openBrace || byte === openBracket) {
			depth++;
		} else if (byte === closeBrace || byte === closeBracket) {
			depth--;
		} else if (depth === 0) {
			return skipWord(json, position);
		}

		position++;
	} while (depth > 0);

	return position;
}

/** A number, `true`, `false` or `null`. */
function skipWord(json: Buffer, begin: number): number {
	let position = begin;
	for (;;) {
		const byte = json[position];
		if (byte === undefined || byte === comma || byte === closeBrace || byte === closeBracket || isSpace(byte)) {
			return position;
		}

		position++;
	}
}
