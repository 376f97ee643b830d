// XO's type-aware rules, and the exceptions with their reasons. Warnings count as errors (scripts/lint.mjs).

import path from 'node:path';

/** @type {import('xo').FlatXoConfig} */
const config = [
	{
		files: ['**/*.{ts,mts,cts}'],
		languageOptions: {
			parserOptions: {
				// Listed, because the tsconfig.json nearest to scripts/ and bench/ covers only src/.
				projectService: false,
				project: ['./tsconfig.json', './test/tsconfig.json'],
				tsconfigRootDir: import.meta.dirname,
			},
		},
		rules: {
			// `null` means "looked up and absent", `object` is the type of an unchecked option, and Node's API takes `Buffer`.
			'@typescript-eslint/no-restricted-types': 'off',
			// Fields of caches and of OAuth are snake_case, headers and AADSTS names have other forms. Types and functions are checked.
			'@typescript-eslint/naming-convention': [
				'error',
				{selector: 'typeLike', format: ['StrictPascalCase']},
				{
					selector: ['function', 'classMethod', 'typeMethod', 'parameter'], format: ['strictCamelCase'], leadingUnderscore: 'allow', trailingUnderscore: 'allow',
				},
			],
			// An empty string means "not given", as in environment variables, so `||` is intended.
			'@typescript-eslint/prefer-nullish-coalescing': ['error', {ignorePrimitives: {string: true}}],
			// Parsed JSON is `unknown`. The compiler cannot follow the code that checks it.
			'@typescript-eslint/no-unsafe-type-assertion': 'off',
			// Only `typeof import('x')` gives the type of a module that is loaded lazily.
			'@typescript-eslint/consistent-type-imports': ['error', {disallowTypeAnnotations: false, fixStyle: 'inline-type-imports'}],
			// A getter is not an own property, so spreading and JSON lose it.
			'@typescript-eslint/class-literal-property-style': 'off',
			// Classes implement interfaces. The shape of data is a type.
			'@typescript-eslint/consistent-type-definitions': 'off',
			// A `default` branch covers the other platforms and states.
			'@typescript-eslint/switch-exhaustiveness-check': ['error', {considerDefaultExhaustiveForUnions: true}],
		},
	},
	{
		rules: {
			// See no-restricted-types above.
			'unicorn/no-null': 'off',
			// `process` and `Buffer` are globals in each supported Node.
			'n/prefer-global/process': 'off',
			'n/prefer-global/buffer': 'off',
			// The patterns are ASCII, so the flag would change nothing.
			'require-unicode-regexp': 'off',
			// It counts each `??` and `?.` as a branch, so simple readers of options exceed it. max-depth limits nesting.
			complexity: 'off',
			// A check takes a value, its name, a default and two bounds.
			'max-params': ['error', {max: 5}],
			// See naming-convention above. npm's variables are snake_case, too.
			camelcase: 'off',
			// `(await read()).code` is readable.
			'unicorn/no-await-expression-member': 'off',
			// Character ranges are written as in their specification.
			'unicorn/better-regex': 'off',
			// A comment may begin with an identifier.
			'capitalized-comments': 'off',
			// Messages, patterns and expected values stay on one line, so that searches find them.
			'@stylistic/max-len': [
				'error', {
					code: 200, ignoreStrings: true, ignoreTemplateLiterals: true, ignoreRegExpLiterals: true, ignoreComments: true,
				},
			],
			// Locks are taken in order, retries wait, and caches are read one after the other.
			'no-await-in-loop': 'off',
			// File modes, flags, hashes and random numbers need bit operations.
			'no-bitwise': 'off',
			// Control characters are removed from log lines and refused in settings.
			'no-control-regex': 'off',
			// Unions of many members begin on the line after the `=`.
			'@stylistic/operator-linebreak': ['error', 'before', {overrides: {'=': 'after'}}],
		},
	},
	{
		// These files are CommonJS. `require` loads modules lazily without waiting for a tick, and bundlers see the path.
		files: ['src/**/*.ts', 'scripts/**/*.js'],
		rules: {
			'unicorn/prefer-module': 'off',
			'@typescript-eslint/no-require-imports': 'off',
		},
	},
	{
		files: ['{test,scripts,bench}/**'],
		rules: {
			// promisify() selects execFile's last overload, which returns a value.
			'@typescript-eslint/strict-void-return': 'off',
			// The package.json nearest to these files only sets the module type. The dependencies are in those of the root and the peers.
			'n/no-extraneous-import': 'off',
			'import-x/no-extraneous-dependencies': ['error', {packageDir: [import.meta.dirname, path.join(import.meta.dirname, 'test', 'peers'), path.join(import.meta.dirname, 'bench')]}],
		},
	},
	{
		files: ['test/**'],
		rules: {
			// Loops over outcomes assert on each one and count them.
			'ava/no-conditional-assertion': 'off',
			// JSON escapes code units, not code points.
			'unicorn/prefer-code-point': 'off',
			// Tests check whether a constructor throws.
			'no-new': 'off',
			// The tests of a loop over variants share what hooks prepare.
			'@typescript-eslint/no-loop-func': 'off',
			// Tests delete environment variables.
			'@typescript-eslint/no-dynamic-delete': 'off',
			// It refuses messages that are not literals. The compiler checks the types of arguments.
			'ava/assertion-arguments': 'off',
		},
	},
	{
		// binding.gyp runs them with `node`, and the root package is CommonJS.
		files: ['scripts/**/*.js'],
		languageOptions: {sourceType: 'commonjs'},
	},
	{
		// Tools read the default export, whose name does not matter.
		files: ['*.config.mjs'],
		rules: {
			'import-x/no-anonymous-default-export': 'off',
		},
	},
	{
		files: ['test/windows/**/*.test.ts', 'test/platforms/*.test.ts'],
		rules: {
			// scripts/test-windows.mjs and scripts/test-platforms.mjs run them with other configurations of AVA.
			'ava/no-ignored-test-files': 'off',
		},
	},
];

export default config;
