/** Links, file names, commands, options and codes in the documentation exist. */

import {existsSync, readdirSync} from 'node:fs';
import path from 'node:path';
import test from 'ava';
import {
	anchorsOf, codeBlocks, codeSpansOf, linksOf, markdownFiles, readText, root,
} from '../helpers/docs/markdown.js';

type Manifest = Record<'scripts' | 'dependencies' | 'peerDependencies' | 'devDependencies' | 'overrides', Record<string, string> | undefined>;

const manifest = JSON.parse(readText('package.json')) as Manifest;
/** Written by `npm run bench`. */
const generated = new Set(['bench/RESULTS.md']);
const files = markdownFiles();

test('every relative link and anchor resolves', t => {
	const broken: string[] = [];
	let count = 0;
	for (const file of files) {
		for (const link of linksOf(file).filter(target => !/^[a-z]+:/i.test(target))) {
			count++;
			const [target, anchor] = link.split('#');
			const linked = target ? path.posix.join(path.posix.dirname(file), target) : file;
			if (!existsSync(path.join(root, linked)) || (anchor !== undefined && !anchorsOf(linked).has(anchor))) {
				broken.push(`${file}: ${link}`);
			}
		}
	}

	t.true(count > 30);
	t.deepEqual(broken, []);
});

test('every page of docs/ is linked from README or CONTRIBUTING', t => {
	const linked = new Set(['README.md', 'CONTRIBUTING.md'].flatMap(file => linksOf(file)).map(link => link.split('#')[0]));
	t.deepEqual(files.filter(file => file.startsWith('docs/') && !linked.has(file)), []);
});

test('every file and folder that the documentation names exists', t => {
	// Made by a command, or an example of a name: the store of CONTRIBUTING's recipe is called toy.
	const made = /^(?:build|dist|prebuilds)\/|[<*{]|\/toy[-_]/;
	const missing: string[] = [];
	let count = 0;
	for (const file of files.filter(each => !generated.has(each) && each !== 'CHANGELOG.md')) {
		for (const span of codeSpansOf(file).filter(code => /^(?:\.ci|\.github|bench|docs|native|prebuilds|scripts|src|test|tools)\/[\w./-]*$/.test(code) && !made.test(code))) {
			count++;
			if (!existsSync(path.join(root, span))) {
				missing.push(`${file}: ${span}`);
			}
		}
	}

	t.true(count > 30);
	t.deepEqual(missing, []);
});

test('docs/design.md maps every folder of src/ and native/', t => {
	const named = new Set(codeSpansOf('docs/design.md'));
	const folders = ['src', 'native'].flatMap(top => readdirSync(path.join(root, top), {withFileTypes: true})
		.filter(entry => entry.isDirectory())
		.map(({name}) => `${top}/${name}/`));
	t.deepEqual(folders.filter(folder => !named.has(folder)), []);
});

test('every command of package.json is in CONTRIBUTING, and no other is named anywhere', t => {
	const scripts = Object.keys(manifest.scripts!);
	const contributing = [...codeSpansOf('CONTRIBUTING.md'), ...codeBlocks('CONTRIBUTING.md').map(({code}) => code)].join('\n');
	t.deepEqual(scripts.filter(name => !new RegExp(String.raw`npm (?:run )?${name}(?![\w:])`).test(contributing)), []);

	const unknown: string[] = [];
	for (const file of files) {
		const shell = codeBlocks(file).filter(({language}) => language === 'sh').map(({code}) => code);
		for (const text of [...codeSpansOf(file), ...shell]) {
			for (const {groups} of text.matchAll(/npm (?:run )?(?<name>\w[\w:-]*)/g)) {
				const name = groups!['name']!;
				if (!['install', 'ci', 'pack', 'publish', 'version', ...scripts].includes(name)) {
					unknown.push(`${file}: ${name}`);
				}
			}
		}
	}

	t.deepEqual(unknown, []);
});

test('every package in package.json has a reason in CONTRIBUTING', t => {
	const {dependencies, peerDependencies, devDependencies, overrides} = manifest;
	const names = Object.keys({
		...dependencies, ...peerDependencies, ...devDependencies, ...overrides,
	});
	t.true(names.length > 10);
	const [, section] = readText('CONTRIBUTING.md').split('\n## Dependencies');
	t.deepEqual(names.filter(name => !section!.includes(`\`${name}\``)), []);
});

/** The fields of an exported type of src/types.ts. */
function fieldsOf(type: string): string[] {
	const [, rest] = readText('src/types.ts').split(`export type ${type} = {\n`);
	const [body] = rest!.split('\n};');
	return [...body!.matchAll(/^\t(?<name>\w+)\??:/gm)].map(({groups}) => groups!['name']!);
}

test('every option is documented', t => {
	for (const [type, page] of [
		['SharedTokenCacheCredentialOptions', 'docs/configuration.md'],
		['TokenCachePersistenceOptions', 'docs/configuration.md'],
		['RetryOptions', 'docs/configuration.md'],
		['ProxyOptions', 'docs/configuration.md'],
		['LoggingOptions', 'docs/configuration.md'],
		['SharedTokenCacheOptions', 'docs/cache-api.md'],
	] as const) {
		const fields = fieldsOf(type);
		t.true(fields.length > 0, type);
		const named = new Set(codeSpansOf(page).flatMap(span => span.split('.')));
		t.deepEqual(fields.filter(field => !named.has(field)), [], `${page}: ${type}`);
	}
});

test('D10: every error code is in the tables of TROUBLESHOOTING and docs/errors.md, and no other is named anywhere', t => {
	const codes = new Set(/^export type ErrorCode =\n(?<codes>(?:\t.*\n)+)/m.exec(readText('src/errors.ts'))!.groups!['codes']!.match(/STC_\w+/g));
	t.true(codes.size > 15);
	// D10: every code is in both tables.
	const explained = new Set([...readText('TROUBLESHOOTING.md').matchAll(/^- \*\*`(?<code>STC_\w+)`\*\*/gm)].map(({groups}) => groups!['code']!));
	t.deepEqual([...codes].filter(code => !explained.has(code)), []);
	const listed = new Set([...readText('docs/errors.md').matchAll(/^\| \[`(?<code>STC_\w+)`\]/gm)].map(({groups}) => groups!['code']!));
	t.deepEqual([...codes].filter(code => !listed.has(code)), []);
	const inReadme = [...readText('README.md').matchAll(/^\| `(?<code>STC_\w+)` \|/gm)].map(({groups}) => groups!['code']!);
	t.true(inReadme.length > 3);
	t.deepEqual(inReadme.filter(code => !codes.has(code)), []);
	for (const file of files.filter(each => each !== 'CONTRIBUTING.md')) {
		t.deepEqual((readText(file).match(/STC_\w+/g) ?? []).filter(code => !codes.has(code)), [], file);
	}
});

test('D10: no sample signs out or changes an account that its reader did not name, and no cure needs sources that are not published', t => {
	for (const {name, code} of files.flatMap(file => codeBlocks(file))) {
		t.notRegex(code, /const \[\w+\] = await \w+\.listAccounts\(\)/, name);
	}

	for (const file of ['README.md', 'TROUBLESHOOTING.md', ...files.filter(each => each.startsWith('docs/') && each !== 'docs/design.md')]) {
		t.notRegex(readText(file), /npm run build/, file);
	}
});

test('README has at most 150 lines', t => {
	t.true(readText('README.md').trimEnd().split('\n').length <= 150);
});
