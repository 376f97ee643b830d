/** The rules of `scripts/quality/import-rules.mjs`: each kind of forbidden import is refused in a copy of `src/`. */

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'ava';
import {checkImports} from '../../scripts/quality/lint.mjs';

const root = path.resolve(import.meta.dirname, '..', '..');
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'stc-imports-'));

const lookup = 'src/lookup/select-account.ts';

const forbidden: Array<{kind: string; file: string; line: string; finding: string | RegExp}> = [
	{
		kind: 'an upward import',
		file: lookup,
		line: 'import {SharedTokenCacheCredential} from \'../credential/shared-token-cache-credential.js\';',
		finding: `from lookup/: ${lookup} → src/credential/shared-token-cache-credential.ts`,
	},
	{
		kind: 'an upward import of types alone',
		file: lookup,
		line: 'import type {WriteBack} from \'../grant/write-back.js\';',
		finding: `from lookup/: ${lookup} → src/grant/write-back.ts`,
	},
	{
		kind: 'an upward `typeof import()`',
		file: lookup,
		line: 'type Edits = typeof import(\'../grant/grant-edits.js\');',
		finding: `from lookup/: ${lookup} → src/grant/grant-edits.ts`,
	},
	{
		kind: 'an upward `require` inside a function',
		file: lookup,
		line: 'export function load() { return require(\'../grant/granted-tokens.js\') as unknown; }',
		finding: `from lookup/: ${lookup} → src/grant/granted-tokens.ts`,
	},
	{
		kind: 'an upward `import()`',
		file: lookup,
		line: 'export const load = async () => import(\'../grant/refresh-grant.js\');',
		finding: `from lookup/: ${lookup} → src/grant/refresh-grant.ts`,
	},
	{
		kind: 'an upward export',
		file: lookup,
		line: 'export * from \'../grant/token-endpoint.js\';',
		finding: `from lookup/: ${lookup} → src/grant/token-endpoint.ts`,
	},
	{
		kind: 'an import of the entry',
		file: 'src/grant/grant-edits.ts',
		line: 'import type {StoreError} from \'../index.js\';',
		finding: 'from grant/: src/grant/grant-edits.ts → src/index.ts',
	},
	{
		kind: 'an import of a sibling floor',
		file: 'src/credential/access-token.ts',
		line: 'import type {SharedTokenCache} from \'../cache-api/shared-token-cache.js\';',
		finding: 'from credential/: src/credential/access-token.ts → src/cache-api/shared-token-cache.ts',
	},
	{
		kind: 'an import of settings from runtime',
		file: 'src/runtime/version.ts',
		line: 'import type {Authority} from \'../settings/authority.js\';',
		finding: 'from runtime/: src/runtime/version.ts → src/settings/authority.ts',
	},
	{
		kind: 'one half of a circle within a folder: `require`',
		file: 'src/runtime/first.ts',
		line: 'export function load() { return require(\'./second.js\') as unknown; }',
		finding: /no circle: src\/runtime\/(?:first|second)\.ts →\s+src\/runtime\/(?:first|second)\.ts →/,
	},
	{
		kind: 'the other half of that circle: types',
		file: 'src/runtime/second.ts',
		line: 'import type {load} from \'./first.js\';',
		finding: /no circle: src\/runtime\/(?:first|second)\.ts →\s+src\/runtime\/(?:first|second)\.ts →/,
	},
	{
		kind: 'a folder that is not in the table',
		file: 'src/other/new.ts',
		line: 'import {StoreError} from \'../errors.js\';',
		finding: 'no folder outside the table: src/other/new.ts → src/errors.ts',
	},
	{
		kind: 'undici outside the HTTP client',
		file: lookup,
		line: 'export function loadUndici() { return require(\'undici\') as unknown; }',
		finding: `undici in grant/http-client only: ${lookup} → node_modules/undici/index.js`,
	},
	{
		kind: 'the addon outside the backend',
		file: lookup,
		line: 'export function loadAddon() { return require(\'../../build/addon.node\') as unknown; }',
		finding: `addon in backend/ only: ${lookup} → build/addon.node`,
	},
	{
		kind: 'a module of the tests',
		file: lookup,
		line: 'import type {until} from \'../../test/helpers/until.js\';',
		finding: `src/ is self-contained: ${lookup} → test/helpers/until.ts`,
	},
	{
		kind: 'a module that is not there',
		file: lookup,
		line: 'import {nothing} from \'./nothing.js\';',
		finding: `every import is found: ${lookup} → ./nothing.js`,
	},
];

let findings: string;

test.before(async t => {
	for (const name of ['src', 'tsconfig.json', 'package.json', 'test/helpers/until.ts']) {
		fs.cpSync(path.join(root, name), path.join(folder, name), {recursive: true});
	}

	for (const name of ['build/addon.node', 'node_modules/undici/index.js']) {
		fs.mkdirSync(path.join(folder, path.dirname(name)), {recursive: true});
		fs.writeFileSync(path.join(folder, name), '');
	}

	await t.notThrowsAsync(checkImports(folder), 'src/ as it is');
	for (const {file, line} of forbidden) {
		fs.mkdirSync(path.join(folder, path.dirname(file)), {recursive: true});
		fs.appendFileSync(path.join(folder, file), `${line}\n`);
	}

	const error = await t.throwsAsync<Error & {log: string}>(checkImports(folder));
	findings = error?.log ?? '';
});

test.after.always(() => {
	fs.rmSync(folder, {recursive: true, force: true});
});

for (const {kind, finding} of forbidden) {
	test(`refused: ${kind}`, t => {
		if (typeof finding === 'string') {
			t.true(findings.split('\n').some(line => line.endsWith(finding)), findings);
		} else {
			t.regex(findings, finding);
		}
	});
}
