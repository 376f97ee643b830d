// XO's rules, type-aware, and every departure from them with its reason. Warnings count as errors (scripts/lint.mjs).

import path from 'node:path';

/** @type {import('xo').FlatXoConfig} */
const config = [
	{
		files: ['**/*.{ts,mts,cts}'],
		languageOptions: {
			parserOptions: {
				// Named, because the tsconfig.json nearest to scripts/ and bench/ covers src/ alone.
				projectService: false,
				project: ['./tsconfig.json', './test/tsconfig.json'],
				tsconfigRootDir: import.meta.dirname,
			},
		},
		rules: {
			// `null` means "we looked and nothing is there"; `object` is what an unchecked option is; keyed buffers are Node's.
			'@typescript-eslint/no-restricted-types': 'off',
			// Fields of the cache and of OAuth are snake_case, headers and AADSTS names neither; undici's exports are classes. Types and functions stay checked.
			'@typescript-eslint/naming-convention': [
				'error',
				{selector: 'typeLike', format: ['StrictPascalCase']},
				{
					selector: ['function', 'classMethod', 'typeMethod', 'parameter'], format: ['strictCamelCase'], leadingUnderscore: 'allow', trailingUnderscore: 'allow',
				},
			],
			// An empty string is "not given", as with environment variables: `||` is meant.
			'@typescript-eslint/prefer-nullish-coalescing': ['error', {ignorePrimitives: {string: true}}],
			// Parsed JSON begins as `unknown`, and is checked by code that the compiler cannot follow.
			'@typescript-eslint/no-unsafe-type-assertion': 'off',
			// `typeof import('x')` is the one way to type a module that is loaded when it is first needed.
			'@typescript-eslint/consistent-type-imports': ['error', {disallowTypeAnnotations: false, fixStyle: 'inline-type-imports'}],
			// A getter is not an own property: it is lost to spreading and JSON.
			'@typescript-eslint/class-literal-property-style': 'off',
			// A seam that classes implement is an interface, a shape of data a type.
			'@typescript-eslint/consistent-type-definitions': 'off',
			// A `default` branch covers the platforms and states that we do not name.
			'@typescript-eslint/switch-exhaustiveness-check': ['error', {considerDefaultExhaustiveForUnions: true}],
		},
	},
	{
		rules: {
			// See no-restricted-types above.
			'unicorn/no-null': 'off',
			// `process` and `Buffer` are globals in every Node that runs this.
			'n/prefer-global/process': 'off',
			'n/prefer-global/buffer': 'off',
			// The patterns are ASCII: the flag would change none of them.
			'require-unicode-regexp': 'off',
			// It counts each `??` and `?.` as a branch, so flat readers of options look tangled. max-depth stays.
			complexity: 'off',
			// A value, its name in the error text, a default and two bounds are five.
			'max-params': ['error', {max: 5}],
			// See naming-convention above; npm's variables are snake_case, too.
			camelcase: 'off',
			// `(await read()).code` says what it does.
			'unicorn/no-await-expression-member': 'off',
			// Ranges of characters stand as their specification writes them.
			'unicorn/better-regex': 'off',
			// A comment may begin with an identifier.
			'capitalized-comments': 'off',
			// A message, a pattern or an expected value in one piece can be searched for.
			'@stylistic/max-len': [
				'error', {
					code: 200, ignoreStrings: true, ignoreTemplateLiterals: true, ignoreRegExpLiterals: true, ignoreComments: true,
				},
			],
			// Locks are taken in order, retries wait, and caches are read one after the other.
			'no-await-in-loop': 'off',
			// Unions of many members begin on the line after the `=`.
			'@stylistic/operator-linebreak': ['error', 'before', {overrides: {'=': 'after'}}],
		},
	},
	{
		// Compiled to CommonJS, where `require` is how to load undici and the addon late: import() would cost a tick and hide the path from bundlers.
		files: ['src/**/*.ts', 'scripts/**/*.js'],
		rules: {
			'unicorn/prefer-module': 'off',
			'@typescript-eslint/no-require-imports': 'off',
		},
	},
	{
		files: ['{test,scripts,bench}/**'],
		rules: {
			// promisify() takes execFile's last overload, which returns something.
			'@typescript-eslint/strict-void-return': 'off',
			// The package.json nearest to these files tells the module type alone: the packages are the root's and the peers'.
			'n/no-extraneous-import': 'off',
			'import-x/no-extraneous-dependencies': ['error', {packageDir: [import.meta.dirname, path.join(import.meta.dirname, 'test', 'peers'), path.join(import.meta.dirname, 'bench')]}],
		},
	},
	{
		files: ['test/**'],
		rules: {
			// Seeded random numbers and damaged bytes are made of bits.
			'no-bitwise': 'off',
			// A loop over outcomes asserts on each as it comes, and counts them.
			'ava/no-conditional-assertion': 'off',
			// Code units are what JSON's escapes are about.
			'unicorn/prefer-code-point': 'off',
			// Whether a constructor throws is a thing to test.
			'no-new': 'off',
			// One suite in a loop over its variants shares what its hooks prepare.
			'@typescript-eslint/no-loop-func': 'off',
			// The environment is a dictionary, and tests clean it.
			'@typescript-eslint/no-dynamic-delete': 'off',
			// It takes every message that is not a literal for a mistake. The compiler checks them.
			'ava/assertion-arguments': 'off',
		},
	},
	{
		// binding.gyp runs it with `node`, and the root package is CommonJS.
		files: ['scripts/**/*.js'],
		languageOptions: {sourceType: 'commonjs'},
	},
	{
		// Tools read the default export and do not care for its name.
		files: ['*.config.mjs'],
		rules: {
			'import-x/no-anonymous-default-export': 'off',
		},
	},
	{
		files: ['test/windows/**/*.test.ts', 'test/platforms/*.test.ts'],
		rules: {
			// They run in another AVA: scripts/test-windows.mjs, scripts/test-platforms.mjs.
			'ava/no-ignored-test-files': 'off',
		},
	},
];

export default config;
