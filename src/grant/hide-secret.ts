/** Removes a secret from a text of the authority, in whatever encoding the text repeats it. */

/** Takes the place of a secret. */
export const hidden = '[hidden]';

/** As much of a secret as must not be shown, characters. A shorter secret counts as a whole. */
const shownAtMost = 16;

/** Longest part of a secret that is looked for. Refresh tokens have up to two thousand characters. */
const maxSecretLength = 8192;

/** Encodings may be nested, such as a URL in a URL. */
const maxPasses = 4;

/** A text with its escapes decoded, and where each character came from. */
type Decoded = {
	text: string;
	/** Positions in the original text: `[starts[i], ends[i])` stands for character `i`. */
	starts: number[];
	ends: number[];
};

const escapes = /%([\da-f]{2})|\\u([\da-f]{4})|\\x([\da-f]{2})|&#x([\da-f]{1,6});|&#(\d{1,7});|&(amp|lt|gt|quot|apos);|\\([/"\\])/gi;

const maxCodePoint = 0x10_FF_FF;

const entities: Readonly<Record<string, string>> = {
	amp: '&', lt: '<', gt: '>', quot: '"', apos: '\'',
};

/**
 * Replaces each occurrence of the secret, whole or in parts of 16 characters and more: as it is, in other case, and encoded for URLs, forms,
 * HTML, JSON, in base64 or in hexadecimal digits.
 */
export function hideSecret(text: string, secret: string): string {
	if (secret === '') {
		return text;
	}

	const decoded = decode(text);
	const folded = fold(decoded.text);
	const parts = partsOf(secret.slice(0, maxSecretLength));
	let result = '';
	let position = 0;
	for (const [first, last] of occurrences(folded, parts)) {
		const start = decoded.starts[first]!;
		if (start > position || result === '') {
			result += text.slice(position, start) + hidden;
		}

		position = Math.max(position, decoded.ends[last]!);
	}

	return result + text.slice(position);
}

/** The ranges of the text that consist of parts of the secret, in order, first and last character. Ranges that touch are one. */
function occurrences(text: string, parts: ReadonlyMap<number, ReadonlySet<string>>): Array<[number, number]> {
	const ranges: Array<[number, number]> = [];
	for (let index = 0; index < text.length; index++) {
		for (const [length, words] of parts) {
			if (words.has(text.slice(index, index + length))) {
				const last = ranges.at(-1);
				if (last && index <= last[1] + 1) {
					last[1] = Math.max(last[1], index + length - 1);
				} else {
					ranges.push([index, index + length - 1]);
				}
			}
		}
	}

	return ranges;
}

/** The parts of the secret that are looked for, by their length. */
function partsOf(secret: string): Map<number, Set<string>> {
	const parts = new Map<number, Set<string>>();
	for (const form of formsOf(secret)) {
		const length = Math.min(shownAtMost, form.length);
		const words = parts.get(length) ?? new Set();
		parts.set(length, words);
		for (let start = 0; start + length <= form.length; start++) {
			words.add(form.slice(start, start + length));
		}
	}

	return parts;
}

/** The secret as a text may contain it once its escapes are decoded. */
function formsOf(secret: string): string[] {
	const bytes = Buffer.from(secret);
	const forms = [secret, bytes.toString('hex')];
	// In base64, a character depends on what stands before the secret: there are three forms. Their ends depend on their neighbours.
	for (const before of [0, 1, 2]) {
		const encoded = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64').replace(/=+$/, '');
		forms.push(encoded.slice(before === 0 ? 0 : before + 1, -1));
	}

	// A few characters of base64 would be found in any text.
	return [...new Set(forms.filter((form, index) => index < 2 || form.length >= shownAtMost / 2).map(form => fold(form)))];
}

/** Makes texts comparable that differ in case, or in the alphabet of base64. */
function fold(text: string): string {
	return text.toLowerCase().replaceAll('-', '+').replaceAll('_', '/');
}

function decode(text: string): Decoded {
	const starts = Array.from({length: text.length}, (_, index) => index);
	let decoded: Decoded = {text, starts, ends: starts.map(start => start + 1)};
	for (let pass = 0; pass < maxPasses; pass++) {
		const next = decodeOnce(decoded);
		if (next.text.length === decoded.text.length) {
			return next;
		}

		decoded = next;
	}

	return decoded;
}

function decodeOnce({text, starts, ends}: Decoded): Decoded {
	const next: Decoded = {text: '', starts: [], ends: []};
	let position = 0;
	const copy = (end: number) => {
		next.text += text.slice(position, end);
		next.starts.push(...starts.slice(position, end));
		next.ends.push(...ends.slice(position, end));
	};

	for (const match of text.matchAll(escapes)) {
		const [whole, percent, unicode, hex, entityHex, entityDecimal, entity, escaped] = match;
		const code = entityDecimal === undefined ? Number.parseInt(percent ?? unicode ?? hex ?? entityHex ?? '', 16) : Number(entityDecimal);
		const character = escaped ?? (entity === undefined ? String.fromCodePoint(Math.min(code, maxCodePoint)) : entities[entity.toLowerCase()]!);
		copy(match.index);
		position = match.index + whole.length;
		next.text += character;
		next.starts.push(starts[match.index]!);
		next.ends.push(ends[position - 1]!);
	}

	copy(text.length);
	return next;
}
