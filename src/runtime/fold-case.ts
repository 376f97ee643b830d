/** Compares IDs and names as the directory does: ignoring the case of A to Z alone. */

/** Converts A-Z to lower case. `toLowerCase` would also change other letters: it makes a `k` of the Kelvin sign. */
export function foldAscii(text: string): string {
	const lower = text.toLowerCase();
	// Most IDs are in lower case. No loop over the characters: V8 would compile it where there are many accounts, which takes memory (bench P6).
	return lower === text || /^[\u0000-\u007F]*$/.test(text) ? lower : text.replaceAll(/[A-Z]/g, letter => letter.toLowerCase());
}

/** Compares two strings, ignoring the case of A-Z. */
export function isSame(a: string, b: string): boolean {
	// Nearly all strings are either equal or differ in length.
	return a === b || (a.length === b.length && foldAscii(a) === foldAscii(b));
}
