/** Gives minified code a line for each statement and each member of a class. */

import {decode, encode} from '@jridgewell/sourcemap-codec';

/**
 * A line break between two statements or two members of a class never changes what a program does.
 *
 * @param {{code: string, map: string}} minified `map`: a source map as JSON.
 * @param {object} program The code's ESTree, whose nodes have `start` and `end`.
 * @returns {{code: string, map: string}}
 */
export function breakLines({code, map}, program) {
	const breaks = [...new Set(endsOfLines(program))].filter(at => code[at] !== '\n' && at < code.length).toSorted((a, b) => a - b);
	const pieces = [0, ...breaks].map((start, index) => code.slice(start, breaks[index]));
	return {code: pieces.join('\n'), map: withBreaks(code, map, breaks)};
}

/** @yields {number} Where a statement or a member of a class ends. */
function * endsOfLines(node) {
	const list = node.type === 'SwitchCase' ? node.consequent : node.body;
	if (Array.isArray(list)) {
		yield * list.map(({end}) => end);
	}

	for (const value of Object.values(node)) {
		for (const child of Array.isArray(value) ? value : [value]) {
			if (typeof child?.type === 'string') {
				yield * endsOfLines(child);
			}
		}
	}
}

/** Moves the map's positions to the lines in which they are after the breaks. */
function withBreaks(code, map, breaks) {
	const parsed = JSON.parse(map);
	const lines = [];
	let lineStart = 0;
	// The place in the new text of the current position, and the next break.
	let [line, start, next] = [0, 0, 0];
	for (const segments of decode(parsed.mappings)) {
		for (const [column, ...rest] of segments) {
			while (next < breaks.length && breaks[next] <= lineStart + column) {
				line++;
				start = breaks[next++];
			}

			(lines[line] ??= []).push([lineStart + column - start, ...rest]);
		}

		const lineEnd = code.indexOf('\n', lineStart);
		for (; next < breaks.length && breaks[next] < lineEnd; next++) {
			line++;
		}

		line++;
		lineStart = lineEnd + 1;
		start = lineStart;
	}

	return JSON.stringify({...parsed, mappings: encode(Array.from(lines, segments => segments ?? []))});
}
