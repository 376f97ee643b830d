/** The checks of `npm run lint`. A check runs only if its inputs have changed since it last passed. */

import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {npm, tool} from '../lib/npm.mjs';
import {fromRoot, root} from '../lib/paths.mjs';
import {run, runOrFail} from '../lib/run.mjs';
import {
	filesBelow, hashOf, isStamped, writeStamp,
} from '../build/stamps.mjs';
import {StepFailure} from '../lib/steps.mjs';
import {checkIncludes} from './include-rules.mjs';

const settings = ['package.json', 'package-lock.json', 'tsconfig.json', 'test/tsconfig.json', 'xo.config.mjs', '.gitignore'];

/** @typedef {{name: string, inputs: string[], check: (fix: boolean) => Promise<void>, fixes?: boolean}} LintCheck */

/** @type {LintCheck[]} */
export const lintChecks = [
	{
		name: 'lint: TypeScript and JavaScript (xo)',
		inputs: ['src', 'test', 'scripts', 'bench', 'ava.config.mjs'],
		check: checkWithXo,
		fixes: true,
	},
	{
		name: 'lint: types of src (tsc)',
		inputs: ['src'],
		check: () => checkTypes('.', 'src'),
	},
	{
		name: 'lint: types of test, scripts, bench (tsc)',
		inputs: ['src', 'test', 'scripts', 'bench'],
		check: () => checkTypes('test', 'test'),
	},
	{
		name: 'lint: imports of src (dependency-cruiser)',
		inputs: ['src', 'scripts/quality'],
		check: () => checkImports(),
	},
	{
		name: 'lint: C++ format (clang-format)',
		inputs: ['native', '.clang-format'],
		check: checkFormatOfNative,
		fixes: true,
	},
	{
		name: 'lint: C++ includes',
		inputs: ['native', 'scripts/quality/include-rules.mjs'],
		async check() {
			checkIncludes(fromRoot('native'));
		},
	},
	{
		name: 'lint: Markdown (markdownlint)',
		inputs: ['.markdownlint-cli2.jsonc', 'README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md', 'TROUBLESHOOTING.md', 'docs', 'prebuilds/README.md', 'bench', 'tools'],
		check: checkMarkdown,
		fixes: true,
	},
	{
		name: 'lint: the packed package (publint, arethetypeswrong)',
		inputs: ['src', 'README.md', 'docs', 'LICENSE', 'prebuilds'],
		check: checkPackage,
	},
];

/**
 * Runs one check if its inputs have changed.
 *
 * @param {LintCheck} lintCheck
 * @param {boolean} fix Repair findings if the tool can.
 * @returns {Promise<string | undefined>} What was done.
 * @throws {StepFailure} with the findings.
 */
export async function runLintCheck({name, inputs, check, fixes = false}, fix) {
	const stamp = `lint-${name.replaceAll(/[^a-z]+/gi, '-')}`;
	const hash = () => hashOf([...settings, ...inputs]);
	const before = hash();
	if (isStamped(stamp, before)) {
		return 'unchanged since it passed';
	}

	await check(fix && fixes);
	const after = hash();
	writeStamp(stamp, after);
	return after === before ? undefined : 'repaired';
}

async function checkWithXo(fix) {
	// ESLint caches results by file, but type-aware findings in a file depend on other files.
	fs.rmSync(fromRoot('.cache', 'xo-linter'), {recursive: true, force: true});
	const {code, stdout, output} = await run(process.execPath, [tool.xo, '--reporter=json', ...(fix ? ['--fix'] : [])], {env: {CACHE_DIR: fromRoot('.cache')}});
	let files;
	try {
		files = JSON.parse(stdout);
		files = files.results ?? files;
	} catch {
		throw new StepFailure(`xo ended with ${code} and no report`, output);
	}

	const findings = files.flatMap(({filePath, messages}) => messages.map(({line = 1, column = 1, message, ruleId}) =>
		`${path.relative(root, filePath)}:${line}:${column}  ${message}${ruleId ? `  ${ruleId}` : ''}`));
	if (findings.length > 0) {
		throw new StepFailure(findings.length === 1 ? '1 finding' : `${findings.length} findings`, findings.join('\n'));
	}

	if (code !== 0) {
		throw new StepFailure(`xo ended with ${code}`, output);
	}

	if (files.length === 0) {
		throw new StepFailure('xo found no files');
	}
}

async function checkTypes(project, name) {
	const buildInfo = fromRoot('.cache', `tsc-${name}.tsbuildinfo`);
	await runOrFail(process.execPath, [tool.tsc, '--project', project, '--noEmit', '--incremental', '--tsBuildInfoFile', buildInfo, '--pretty', 'false']);
}

/**
 * Checks the imports of `src/` against {@link ./import-rules.mjs}.
 *
 * @param {string} [folder] Holds `src/` and `tsconfig.json`. Default: the top folder.
 * @throws {StepFailure} with the forbidden imports.
 */
export async function checkImports(folder = root) {
	await runOrFail(process.execPath, [tool.dependencyCruiser, '--config', fromRoot('scripts', 'quality', 'import-rules.mjs'), 'src'], {cwd: folder});
}

async function checkFormatOfNative(fix) {
	// Without a configuration, clang-format would apply its default style.
	if (!fs.existsSync(fromRoot('.clang-format')) && !fs.existsSync(fromRoot('native', '.clang-format'))) {
		throw new StepFailure('there is no .clang-format');
	}

	const files = nativeSources();
	// The npm package contains binaries for few platforms. On others, use the machine's clang-format.
	const bundled = process.platform === 'win32' || process.platform === 'darwin' || (process.platform === 'linux' && process.arch === 'x64');
	const [command, ...first] = bundled ? [process.execPath, tool.clangFormat] : ['clang-format'];
	await runOrFail(command, [...first, '--style=file', '--fallback-style=none', ...(fix ? ['-i'] : ['--dry-run', '-Werror']), ...files]);
}

/** @returns {string[]} The C++ files, relative to the top folder. */
export function nativeSources() {
	const files = filesBelow(fromRoot('native')).filter(file => /\.(?:cc|h)$/.test(file)).map(file => path.relative(root, file));
	if (files.length === 0) {
		throw new StepFailure('native/ contains no C++ files');
	}

	return files;
}

/** @param {boolean} fix */
async function checkMarkdown(fix) {
	await runOrFail(process.execPath, [tool.markdownlint, ...(fix ? ['--fix'] : [])]);
}

/** Checks what npm would publish: its manifest, and its types for each way that TypeScript resolves modules. */
async function checkPackage() {
	const folder = fromRoot('.cache', 'pack');
	fs.rmSync(folder, {recursive: true, force: true});
	fs.mkdirSync(folder, {recursive: true});
	await npm(['pack', '--ignore-scripts', '--pack-destination', folder]);
	const tarball = path.join(folder, fs.readdirSync(folder)[0]);
	await runOrFail(process.execPath, [tool.publint, '--strict', tarball]);
	// Imported here, because this file is loaded before npm's packages are installed.
	const {checkPackage: checkTypesOfPackage, createPackageFromTarballData} = await import('@arethetypeswrong/core');
	const {types, problems} = await checkTypesOfPackage(createPackageFromTarballData(new Uint8Array(fs.readFileSync(tarball))));
	if (!types || problems.length > 0) {
		throw new StepFailure('the types do not resolve as the code does', JSON.stringify(problems, undefined, 2));
	}
}
