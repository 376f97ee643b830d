/**
 * Has V8 compile functions while it reads the file. Otherwise it skims each function first, to find its end, and reads it again when it is
 * called. That is right for most functions, but doubles the work for those that nearly every program calls before its first token.
 *
 * V8 takes the parenthesis before a function expression for a sign that it is called soon. Source: V8 11.3, `ParserBase::ParsePrimaryExpression`.
 */

import MagicString from 'magic-string';

/** Modules most of whose functions run before the first token. `test/unit/eager-functions.test.ts` counts them. */
export const eagerModules = [
	'backend/addon-loader',
	'backend/stores',
	'cache/cache-source',
	'cache/locations/index',
	'cache/locations/linux',
	'cache/stamps',
	'credential/access-token',
	'credential/acquired-token',
	'lookup/half-life',
	'lookup/select-account',
	'lookup/select-token',
	'runtime/fold-case',
	'settings/checks',
	'settings/settings',
];

/**
 * Makes a constant of each function that a module declares. Modules have no circles, so nobody uses one before its module has run.
 *
 * @param {string} code An ES module.
 * @param {{body: object[]}} program The code's ESTree, whose nodes have `start` and `end`.
 * @returns {{code: string, map: object}}
 */
export function makeEager(code, program) {
	const text = new MagicString(code);
	for (const statement of program.body) {
		const declared = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement;
		if (declared?.type === 'FunctionDeclaration') {
			text.appendLeft(declared.start, `const ${declared.id.name} = (`).appendRight(declared.end, ');');
		}
	}

	return {code: text.toString(), map: text.generateMap({hires: true})};
}
