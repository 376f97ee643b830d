/**
 * Keeps the names of private members, which esbuild shortens with those of local variables. Stacks show them: `at TokenMemory.#refresh`.
 *
 * While the code is minified, a private member is a public one whose name begins with `$` in place of `#`. Public names are kept, and
 * nothing moves, so source maps stay true.
 */

const mark = '$';

/**
 * @param {string} code
 * @param {object} program The code's ESTree, whose nodes have `start` and `end`.
 * @returns {string} The code with marked names.
 */
export function markPrivateNames(code, program) {
	const members = [...membersIn(program)];
	const taken = members.find(member => isMarked(member));
	if (taken) {
		throw new Error(`The name of a member begins with "${mark}", which the build needs for private members: ${taken.name}`);
	}

	return withSign(code, members.filter(({type}) => type === 'PrivateIdentifier'), mark);
}

/** Undoes {@link markPrivateNames}. Takes the same parameters, of the minified code. */
export function unmarkPrivateNames(code, program) {
	return withSign(code, [...membersIn(program)].filter(member => isMarked(member)), '#');
}

const isMarked = ({type, name}) => type === 'Identifier' && name.startsWith(mark);

function withSign(code, names, sign) {
	const pieces = [];
	let end = 0;
	for (const {start} of names.toSorted((a, b) => a.start - b.start)) {
		pieces.push(code.slice(end, start), sign);
		end = start + 1;
	}

	return [...pieces, code.slice(end)].join('');
}

/** @yields {{type: string, name: string, start: number}} Each name of a member, where it is declared or used. */
function * membersIn(node) {
	const name = node.type === 'MemberExpression' ? node.property : node.key;
	if (name && !node.computed) {
		yield name;
	}

	for (const value of Object.values(node)) {
		for (const child of Array.isArray(value) ? value : [value]) {
			if (typeof child?.type === 'string') {
				yield * membersIn(child);
			}
		}
	}
}
