/**
 * The best plain JavaScript found for the reader's job: latin1 text, whole strings skipped with indexOf, and JSON.parse of the records of
 * one account only. It believes that the rest is well formed, which the real readers do not, so it is an opponent and no more.
 */

export function skipScan(text: string, homeAccountId: string): Array<Record<string, unknown>> {
	const records: Array<Record<string, unknown>> = [];
	const needle = `"${homeAccountId}"`;
	for (let at = text.indexOf(needle); at !== -1; at = text.indexOf(needle, at + 1)) {
		const start = text.lastIndexOf('{', at);
		let end = start + 1;
		for (let depth = 1; depth > 0; end++) {
			const character = text[end];
			switch (character) {
				case '"': {
					end = text.indexOf('"', end + 1);
					while (text[end - 1] === '\\') {
						end = text.indexOf('"', end + 1);
					}

					break;
				}

				case '{':
				case '[': {
					depth++;

					break;
				}

				case '}':
				case ']': {
					depth--;

					break;
				}
			// No default
			}
		}

		records.push(JSON.parse(text.slice(start, end)) as Record<string, unknown>);
		at = end;
	}

	return records;
}
