/** Compares IDs and names as the directory does: ignoring the case of A to Z alone. */

function isPureAscii(text: string): boolean {
	return /^[\u0000-\u007F]*$/.test(text);
}

/** Converts A-Z to lower case. `toLowerCase` would also change other letters: it makes a `k` of the Kelvin sign. */
export function foldAscii(text: string): string {
	return isPureAscii(text) ? text.toLowerCase() : text.replaceAll(/[A-Z]/g, letter => letter.toLowerCase());
}

/** Compares two strings, ignoring the case of A-Z. */
export function isSame(a: string, b: string): boolean {
	// Nearly all strings are either equal or differ in length.
	return a === b || (a.length === b.length && foldAscii(a) === foldAscii(b));
}
